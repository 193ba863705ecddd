"""Where frames come from: KITTI odometry and raw, Malaga, TUM, EuRoC, images, video, cameras, bags."""

from distilvo.sequences.opening import choose, open_dataset, open_sequence
from distilvo.sequences.sequence import FlowSequence, IndexedSequence, Sequence

__all__ = ["FlowSequence", "IndexedSequence", "Sequence", "choose", "open_dataset", "open_sequence"]
