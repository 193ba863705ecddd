"""Cameras, images and motions in three dimensions: the one home of the conventions."""
