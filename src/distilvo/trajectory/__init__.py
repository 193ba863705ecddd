"""Trajectories: files, association, alignment, segments, metrics and scores. Pure numpy."""
