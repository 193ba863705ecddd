"""A ROS 2 node that publishes poses. Not tested: no ROS here. Needs rclpy, geometry_msgs, sensor_msgs.

python examples/ros2_node.py model.onnx
"""

import sys

import numpy as np
import rclpy
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import Image

from distilvo import Tracker

rclpy.init()
node = rclpy.create_node("distilvo")
tracker = Tracker(sys.argv[1])
publisher = node.create_publisher(PoseStamped, "pose", 10)


def on_image(image: Image) -> None:  # mono8, without padding
    frame = np.frombuffer(image.data, np.uint8).reshape(image.height, image.width)
    pose = tracker.step(frame, image.header.stamp.sec + 1e-9 * image.header.stamp.nanosec)
    message = PoseStamped(header=image.header)
    position = message.pose.position
    position.x, position.y, position.z = map(float, pose.matrix[:3, 3])
    publisher.publish(message)


node.create_subscription(Image, "image_raw", on_image, 10)
rclpy.spin(node)
