"""A camera's intrinsics and distortion from a YAML file, as OpenCV, Kalibr, ROS and the EuRoC data set write it.

OpenCV (FileStorage)   camera_matrix, distortion_coefficients, image_width, image_height, fisheye_model; K and D or M1
                       and D1 for the first two, too
ROS (camera_info)      the same with distortion_model; also as ``rostopic echo`` prints it: K, D, width, height
Kalibr (camchain)      cam0: camera_model, intrinsics, distortion_model, distortion_coeffs, resolution
EuRoC (sensor.yaml)    as Kalibr, without cam0: and with distortion_coefficients
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from distilvo.errors import DistilvoError
from distilvo.geometry.camera import Camera
from distilvo.geometry.distortion import COUNTS, LARGEST_COEFFICIENT, MODELS, Model, Undistortion
from distilvo.sequences.yaml_file import Values, read_yaml
from distilvo.textfile import numbers

EXPECTED = "a camera's YAML as OpenCV, Kalibr or ROS writes it"

_SIDE = r"_?(\d|l|r|left|right)?"
_MATRIX = re.compile(rf"(?:camera_?matrix|K|M){_SIDE}", re.IGNORECASE)
_COEFFICIENTS = re.compile(rf"(?:dist(?:ortion)?_?coeff?(?:s|icients)?|D){_SIDE}", re.IGNORECASE)
_SIZES = ("resolution", "image_size", "imageSize"), (("image_width", "image_height"), ("width", "height"))


@dataclass(frozen=True)
class Calibration:
    """What a file says of a camera.

    Attributes:
        where: the file.
        intrinsics: fx fy cx cy, pixels.
        size: width and height of the images that it was calibrated on; None where the file has none.
        coefficients: OpenCV's; none where the camera has no distortion.
        model: of the distortion.
    """

    where: Path
    intrinsics: tuple[float, float, float, float]
    size: tuple[int, int] | None
    coefficients: tuple[float, ...]
    model: Model

    def camera(self, width: int, height: int) -> Camera:
        """The camera of frames of a size. Raises DistilvoError unless it is the one that was calibrated."""
        if self.size is None:
            warnings.warn(
                f"{self.where}: names no image_width and image_height; its intrinsics are taken for the frames' size, "
                f"{width}x{height}",
                stacklevel=4,
            )
        elif self.size != (width, height):
            raise DistilvoError(
                f"{self.where}: calibrated on images of {self.size[0]}x{self.size[1]}, but the frames are "
                f"{width}x{height}; calibrate at the frames' size, or, where you know that the frames were scaled (and "
                "not cropped), write the scaled intrinsics and the frames' size into a copy of the file"
            )
        try:
            return Camera(*self.intrinsics, width, height)
        except DistilvoError as error:
            raise DistilvoError(f"{self.where}: {error}") from None

    def undistortion(self, camera: Camera) -> Undistortion | None:
        """What takes the distortion out of the frames of ``camera``; None where there is none."""
        if self.model == "radtan" and not any(self.coefficients):
            return None  # an equidistant camera bends straight lines with all coefficients 0, too
        return Undistortion(camera, self.coefficients, self.model, str(self.where))


def read_camera(path: Path) -> Calibration:
    """The one camera of a YAML file.

    Raises DistilvoError where there is none or more than one, its model is not known here, or its numbers are those
    of no camera. Warns where the file leaves something open.
    """
    values = read_yaml(path, EXPECTED)
    cameras = [name for name, value in values.items() if re.fullmatch(r"cam\d+", name) and isinstance(value, dict)]
    if len(cameras) > 1:
        raise DistilvoError(
            f"{path}: has {len(cameras)} cameras, {', '.join(cameras)}; expected one: copy the lines of the one that "
            "took the frames into a file of its own"
        )
    return calibration_of(values[cameras[0]] if cameras else values, path)


def calibration_of(values: Values, path: Path) -> Calibration:
    """The camera that the values of a file describe; as ``read_camera``."""
    projection = str(values.get("camera_model", "pinhole"))
    if projection != "pinhole":
        raise DistilvoError(
            f"{path}: camera model {projection[:40]!r}, expected pinhole, with distortion {_models()}; calibrate again "
            "with such a model, or undistort the frames first"
        )
    if "intrinsics" in values:
        intrinsics, side = _four(values, path), ""
    else:
        intrinsics, side = _of_matrix(values, path)
    fx, fy, cx, cy = intrinsics
    if fx <= 0 or fy <= 0:
        raise DistilvoError(f"{path}: focal lengths {fx:g} and {fy:g}, expected positive focal lengths in pixels")
    size = _size(values, path)
    coefficients, model = _distortion(values, side, path)
    calibration = Calibration(path, (fx, fy, cx, cy), size, coefficients, model)
    if size is not None:
        calibration.camera(*size)  # whether it is one
    return calibration


def _four(values: Values, path: Path) -> list[float]:
    """Of Kalibr and EuRoC: fu fv cu cv."""
    return read_numbers(values, "intrinsics", path, 4)


def _of_matrix(values: Values, path: Path) -> tuple[list[float], str]:
    """fx fy cx cy of the one matrix 3x3, and what its name ends with: 1 of M1."""
    matches = [match for name in values if (match := _MATRIX.fullmatch(name))]
    if len(matches) > 1:
        raise DistilvoError(
            f"{path}: has {len(matches)} cameras, {', '.join(match[0] for match in matches)}; expected one: copy the "
            "values of the one that took the frames into a file of its own"
        )
    if not matches:
        raise DistilvoError(
            f"{path}: expected {EXPECTED}, with camera_matrix or intrinsics; it has {', '.join(values)[:100]}"
        )
    matrix = np.reshape(read_numbers(values, matches[0][0], path, 9), (3, 3))
    fx, fy, cx, cy = matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2]
    if not np.allclose(matrix, [[fx, 0, cx], [0, fy, cy], [0, 0, 1]], rtol=0, atol=1e-6):
        raise DistilvoError(
            f"{path}: {matches[0][0]} is {' '.join(f'{x:g}' for x in matrix.ravel())}, expected fx 0 cx 0 fy cy 0 0 1, "
            "row by row; calibrate without skew"
        )
    return [float(x) for x in (fx, fy, cx, cy)], matches[0][1] or ""


def _size(values: Values, path: Path) -> tuple[int, int] | None:
    single, pairs = _SIZES
    if name := next((name for name in single if name in values), None):
        width, height = read_numbers(values, name, path, 2)
    elif pair := next((pair for pair in pairs if all(name in values for name in pair)), None):
        name = " ".join(pair)
        width, height = numbers((str(values[part]) for part in pair), f"{path}, {name}")
    else:
        return None
    if not (width.is_integer() and height.is_integer() and min(width, height) > 0):
        raise DistilvoError(f"{path}: {name} {width} {height}, expected whole pixels")
    return int(width), int(height)


def _distortion(values: Values, side: str, path: Path) -> tuple[tuple[float, ...], Model]:
    """OpenCV's coefficients of the camera whose names end with ``side``, none where it has no distortion."""
    names = [name for name in values if (match := _COEFFICIENTS.fullmatch(name)) and (match[1] or "") == side]
    if len(names) > 1:
        raise DistilvoError(f"{path}: has both {' and '.join(names)}, expected one of them; leave the others out")
    model = _model(values, path)
    if not names:
        if model is None and "distortion_model" not in values:
            warnings.warn(f"{path}: says nothing of distortion; the frames are taken as they are", stacklevel=5)
        elif model is not None:
            raise DistilvoError(f"{path}: distortion is {model}, but it has no coefficients; restore the file")
        return (), "radtan"
    counts = COUNTS["equidistant"] if model == "equidistant" else (0, *COUNTS["radtan"])
    coefficients = read_numbers(values, names[0], path, *counts)
    if any(abs(coefficient) > LARGEST_COEFFICIENT for coefficient in coefficients):
        raise DistilvoError(f"{path}: {names[0]} {coefficients} are those of no camera; restore the file")
    if model is None and any(coefficients):
        _check_model_of(coefficients, values, path)
    return tuple(coefficients), model or "radtan"


def _model(values: Values, path: Path) -> Model | None:
    """The model of distortion that a file names; None where it names none."""
    if "distortion_model" in values:
        name = str(values["distortion_model"])
        if name.lower() not in (*MODELS, "none", ""):
            raise DistilvoError(
                f"{path}: distortion model {name[:40]!r}, expected {_models()}; calibrate again with such a model, "
                "or undistort the frames first"
            )
        return MODELS.get(name.lower())
    if "fisheye_model" in values:
        return "radtan" if str(values["fisheye_model"]).lower() in ("0", "false") else "equidistant"
    return None


def _check_model_of(coefficients: list[float], values: Values, path: Path) -> None:
    """Of coefficients without a model: raise DistilvoError where the file says "none"; warn where there are two."""
    if "distortion_model" in values:
        raise DistilvoError(f"{path}: distortion_model is none, but its coefficients are {coefficients}; correct one")
    if len(coefficients) in COUNTS["equidistant"]:
        warnings.warn(
            f"{path}: does not name its model of distortion; its four coefficients are taken for k1 k2 p1 p2; write "
            "'fisheye_model: 1' into the file where cv2.fisheye found them",
            stacklevel=6,
        )


def read_numbers(values: Values, name: str, path: Path, *counts: int) -> list[float]:
    """The numbers of a list, of the rows of a matrix, or of ``data`` in either."""
    value: Any = values.get(name)
    value = value.get("data") if isinstance(value, dict) else value
    flat = _flat(value) if isinstance(value, list) else None
    if flat is None or len(flat) not in counts:
        lengths = " or ".join(str(count) for count in counts if count)
        raise DistilvoError(f"{path}: {name} is {str(value)[:60]}, expected a list of {lengths} numbers")
    return numbers(map(str, flat), f"{path}, {name}")


def _flat(rows: list[Any]) -> list[Any]:
    """The values of a list, or of the lists in it: a row, a column, or a matrix."""
    return [value for row in rows for value in (row if isinstance(row, list) else [row])]


def _models() -> str:
    return f"none or one of {', '.join(MODELS)}"
