"""Decoded frames in a memory map, the clips that networks are trained on, and their augmentation."""

from distilvo.data.augmentation import MIRROR
from distilvo.data.clips import Clips, mean_and_unit, motion_scale
from distilvo.data.frame_cache import Drive, FrameCache, open_cache

__all__ = ["MIRROR", "Clips", "Drive", "FrameCache", "mean_and_unit", "motion_scale", "open_cache"]
