"""A ROS 2 node: the pose of a rectified camera, and its velocity with covariance, e.g. for robot_localization.

    python examples/ros2_node.py student 1.4

The number is the camera's height above the road, m. Poses are those of the camera (x right, y down, z forward) in the
axes of the first one. Tested with stand-ins alone: no ROS here. Needs rclpy, geometry_msgs, sensor_msgs.
"""

import sys

import numpy as np
import rclpy
from geometry_msgs.msg import PoseStamped, TwistWithCovarianceStamped
from sensor_msgs.msg import CameraInfo, Image

from distilvo import Camera, Tracker
from distilvo.geometry.quaternions import quaternions_from_rotations

model, height = sys.argv[1], float(sys.argv[2])
rclpy.init()
node = rclpy.create_node("distilvo")
poses = node.create_publisher(PoseStamped, "pose", 10)
twists = node.create_publisher(TwistWithCovarianceStamped, "twist", 10)
tracker: Tracker | None = None
last_s: float | None = None


def on_info(info: CameraInfo) -> None:
    global tracker
    if tracker is None:
        fx, fy, cx, cy = info.p[0], info.p[5], info.p[2], info.p[6]  # of the rectified image; k is of the raw one
        camera = Camera(fx=fx, fy=fy, cx=cx, cy=cy, width=info.width, height=info.height)
        tracker = Tracker(model, camera=camera, camera_height=height)


def on_image(image: Image) -> None:
    global last_s
    if tracker is None:
        return
    if image.encoding != "mono8":
        raise SystemExit(f"image_rect: encoding {image.encoding}; expected mono8")
    rows = np.frombuffer(image.data, np.uint8).reshape(image.height, image.step)
    time_s = image.header.stamp.sec + 1e-9 * image.header.stamp.nanosec
    pose = tracker.step(rows[:, : image.width], time_s)
    message = PoseStamped()
    message.header.stamp, message.header.frame_id = image.header.stamp, "first_camera"
    place, turn = message.pose.position, message.pose.orientation
    place.x, place.y, place.z = map(float, pose.matrix[:3, 3])
    turn.x, turn.y, turn.z, turn.w = map(float, quaternions_from_rotations(pose.matrix[None, :3, :3])[0])
    poses.publish(message)
    moved = pose.status != "static image"  # a camera that hangs gives no velocity, least of all a certain 0
    if last_s is not None and pose.motion_covariance is not None and moved:
        twists.publish(velocity(image, pose.motion, pose.motion_covariance, time_s - last_s))
    if moved:  # else the next motion is since an earlier image
        last_s = time_s


def velocity(image: Image, motion: np.ndarray, covariance: np.ndarray, step_s: float) -> TwistWithCovarianceStamped:
    message = TwistWithCovarianceStamped(header=image.header)  # in the camera's own axes
    linear, angular = message.twist.twist.linear, message.twist.twist.angular
    linear.x, linear.y, linear.z, angular.x, angular.y, angular.z = map(float, motion / step_s)
    message.twist.covariance = (covariance / step_s**2).ravel().tolist()
    return message


node.create_subscription(CameraInfo, "camera_info", on_info, 10)
node.create_subscription(Image, "image_rect", on_image, 10)
rclpy.spin(node)
