"""The commands, one file each. Only they print and claim output folders, and only they use every room."""
