"""Decoded frames in a memory map, and the fixed-length clips that networks are trained on."""

from distilvo.clips.batches import MIRROR, Batch, Clips, Lessons, motion_scale
from distilvo.clips.store import Drive, FrameStore, open_store

__all__ = ["MIRROR", "Batch", "Clips", "Drive", "FrameStore", "Lessons", "motion_scale", "open_store"]
