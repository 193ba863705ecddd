"""Where the rooms meet: drives to train on, a teacher that looks at frames, models evaluated and sources tracked."""
