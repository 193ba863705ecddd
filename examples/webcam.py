"""Track a live camera with an exported model until it ends or Ctrl-C is pressed.

python examples/webcam.py student        # camera 0
python examples/webcam.py student 1
"""

import sys
import time

import cv2

from distilvo import Tracker

PERIOD_S = 0.1  # about 10 Hz, as in training

source = sys.argv[2] if len(sys.argv) > 2 else "0"
camera = cv2.VideoCapture(int(source) if source.isdigit() else source)
start = time.monotonic()
due = 0.0
with Tracker(sys.argv[1]) as tracker:
    while True:
        there, image = camera.read()
        now = time.monotonic() - start
        if not there:
            break
        if now >= due:
            due = now + PERIOD_S
            pose = tracker.step(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), now)
            print(f"{pose.time:.2f}", *(f"{metres:.3f}" for metres in pose.matrix[:3, 3]), flush=True)
