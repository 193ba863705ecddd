"""A run shown live in rerun's window, or recorded for it. Needs the extra view."""
