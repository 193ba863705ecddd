"""Track a video with an exported model: one line a pose, seconds and metres.

    python examples/video.py student drive.mp4

Models are trained at 10 frames a second, so other rates are thinned to about that.
"""

import sys

import cv2

from distilvo import Tracker

model, path = sys.argv[1:]
video = cv2.VideoCapture(path)
rate = video.get(cv2.CAP_PROP_FPS)
every = max(1, round(rate / 10))
with Tracker(model) as tracker:  # Tracker(model, Camera(fx, fy, cx, cy, width, height)) where they are known
    for index in range(int(video.get(cv2.CAP_PROP_FRAME_COUNT))):
        there, image = video.read()
        if not there:
            break
        if index % every == 0:
            pose = tracker.step(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), index / rate)
            print(f"{pose.time:.2f}", *(f"{metres:.3f}" for metres in pose.matrix[:3, 3]))
