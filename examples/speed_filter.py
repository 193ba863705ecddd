"""Fuse the camera's speed with that of wheels by what each states of its own error: a Kalman filter of one number.

    python examples/speed_filter.py student drive.mp4 [wheels.csv]

Rows of wheels.csv are seconds, metres per second and their standard deviation. One line a frame: seconds, the camera's
speed and its standard deviation, the filter's speed and its own. The model must state its deviations.
"""

import sys

import cv2
import numpy as np

from distilvo import Tracker

ACCELERATION = 2.0  # m/s^2, standard deviation: by so much a car's speed may change in a second


def corrected(speed: float, variance: float, measured: float, its_variance: float) -> tuple[float, float]:
    """The speed, and its variance, after one measurement of it."""
    gain = variance / (variance + its_variance)
    return speed + gain * (measured - speed), (1 - gain) * variance


model, path, *more = sys.argv[1:]
wheels = np.loadtxt(more[0], delimiter=",", ndmin=2) if more else np.empty((0, 3))
video = cv2.VideoCapture(path)
rate = video.get(cv2.CAP_PROP_FPS)
every = max(1, round(rate / 10))
speed, variance = 0.0, 30.0**2  # nothing is known yet
with Tracker(model) as tracker:
    before = -np.inf
    for index in range(int(video.get(cv2.CAP_PROP_FRAME_COUNT))):
        there, image = video.read()
        if not there:
            break
        if index % every:
            continue
        now = index / rate
        pose = tracker.step(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), now)
        if pose.motion_deviation is None:
            sys.exit(f"{model}: states no deviations; expected a model that sees flow first")
        if index:
            seconds = now - before
            variance += (ACCELERATION * seconds) ** 2
            for _, metres, deviation in wheels[(before < wheels[:, 0]) & (wheels[:, 0] <= now)]:
                speed, variance = corrected(speed, variance, metres, deviation**2)
            seen, doubt = pose.motion[2] / seconds, pose.motion_deviation[2] / seconds
            if pose.status != "static image":  # a frozen stream says nothing of the speed
                speed, variance = corrected(speed, variance, seen, doubt**2)
            print(f"{now:.2f} {seen:.3f} {doubt:.3f} {speed:.3f} {variance**0.5:.3f}")
        before = now
