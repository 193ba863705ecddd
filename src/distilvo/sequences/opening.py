"""Opens a source of frames. Each kind of source has a file of its own; where no kind is given, it is guessed."""

from __future__ import annotations

import warnings
from pathlib import Path

from distilvo.errors import DistilvoError
from distilvo.geometry.camera import Camera, camera_of_view, check_camera_height
from distilvo.geometry.se3 import Floats
from distilvo.paths import near
from distilvo.sequences.address import as_address, shown
from distilvo.sequences.guess import KITTI_CAMERAS, data_set_of, guess
from distilvo.sequences.selection import Choice, select
from distilvo.sequences.sequence import Sequence
from distilvo.settings import SourceKind

Intrinsics = tuple[float, float, float, float]
"""fx fy cx cy, pixels."""


def open_sequence(
    path: str | Path,
    kind: SourceKind | None = None,
    *,
    topic: str | None = None,
    intrinsics: Intrinsics | None = None,
    camera: str | Path | None = None,
    fov: float | None = None,
    camera_height: float | None = None,
    times: Path | None = None,
    start: float | None = None,
    end: float | None = None,
    stride: int = 1,
    fps: float | None = None,
    bits: int | None = None,
) -> Sequence:
    """Open one source of frames; where ``kind`` is not given it is guessed from the path.

    path        a sequence of KITTI odometry (``.../sequences/00``), KITTI raw, Malaga Urban, TUM RGB-D or EuRoC MAV, a
                folder or a pattern of images, a video file, a bag, ``camera:0``, or the address of a stream (as str)
    topic       of a bag, where it has images at several
    intrinsics  of the camera, where the source has none
    camera      file of its calibration, instead of intrinsics; distortion is taken out of the frames
    fov         degrees that it sees across the image's width, instead of both
    the others  as ``settings.SourceOptions`` has them

    Raises DistilvoError where there is nothing that can be read, a camera is given to a source with its own, or no
    vehicle has a camera at the given height.
    """
    if camera_height is not None:
        check_camera_height(camera_height, "--camera-height")
    _refuse_two_cameras({"--intrinsics": intrinsics, "--camera": camera, "--fov": fov})
    address, choice = as_address(path), Choice(start, end, stride, fps)
    if kind is None:
        kind = guess(path)
    if address is not None and kind != "camera":
        raise DistilvoError(f"{shown(address)}: an address is of kind camera, not {kind}; download a file first")
    if topic is not None and kind != "bag":
        raise DistilvoError(f"{shown(path)}: --topic {topic} is for bags, and this is taken for: {kind}")
    name, path = str(path), Path(path)
    if kind == "folder":
        _refuse_several(path)
    elif kind not in ("video", "camera", "bag") and not path.is_dir():
        raise DistilvoError(f"{path}: no such folder, expected one of kind {kind}")
    sequence = _live(name) if kind == "camera" else _open(path, kind, topic)
    if bits is not None:
        _give_bits(sequence, bits)
    if intrinsics is not None:
        _refuse_second_camera(sequence, "--intrinsics")
        sequence.camera = Camera(*intrinsics, *_size(sequence))
    if fov is not None:
        _refuse_second_camera(sequence, "--fov")
        sequence.camera = camera_of_view(fov, *_size(sequence), "--fov")
    if camera is not None:
        from distilvo.sequences.camera_file import read_camera
        from distilvo.sequences.undistorted import with_calibration

        _refuse_second_camera(sequence, "--camera")
        sequence = with_calibration(sequence, read_camera(Path(camera)))
    if camera_height is not None:
        sequence.camera_height = camera_height
    return select(sequence, choice, _times(sequence, times, kind), live=kind == "camera")


def open_dataset(root: str | Path) -> list[Sequence]:
    """Every sequence of a KITTI odometry dataset, ``root/sequences/*``, by name; or of a folder of other sequences.

    Where ``root`` has no folder ``sequences``, it may be a single sequence of any data set, or hold some. Sequence
    folders without images (KITTI's calibration archive makes all 22) are left out with a warning. Raises
    DistilvoError where none is left, or one of them is broken.
    """
    if (address := as_address(root)) is not None:
        raise DistilvoError(f"{shown(address)}: an address, expected the folder of a data set")
    root = Path(root)
    if not (root / "sequences").is_dir():
        return _other_dataset(root)
    # OpenCV takes a while to import: only those who open a sequence wait for it.
    from distilvo.sequences.kitti import open_kitti

    return [open_kitti(folder) for folder in _kitti_folders(root / "sequences")]


def sequence_folders(root: Path) -> list[Path]:
    """The folders of the sequences that a data set holds, by name; none where ``root`` is itself a source of frames.

    Raises DistilvoError where it is a KITTI odometry dataset without images; warns as :func:`open_dataset`.
    """
    from distilvo.sequences.image_files import list_images

    if not root.is_dir() or data_set_of(root) is not None or list_images(root):
        return []
    if (root / "sequences").is_dir():
        return _kitti_folders(root / "sequences")
    return [folder for folder in _subfolders(root) if data_set_of(folder) is not None]


def choose(root: str | Path, names: tuple[str, ...]) -> list[Sequence]:
    """The named sequences of a dataset, in that order; all of it where none is named.

    Raises DistilvoError where one is not there, or is named twice.
    """
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DistilvoError(f"{root}: sequence {', '.join(twice)} is named twice; name each once")
    sequences = {sequence.name: sequence for sequence in open_dataset(root)}
    if missing := [name for name in names if name not in sequences]:
        raise DistilvoError(f"{root}: has no sequence {', '.join(missing)}; it has {', '.join(sequences)}")
    return [sequences[name] for name in names] if names else list(sequences.values())


def _open(path: Path, kind: SourceKind, topic: str | None) -> Sequence:
    match kind:
        case "kitti":
            from distilvo.sequences.kitti import open_kitti

            return open_kitti(path)
        case "kitti-raw":
            from distilvo.sequences.kitti_raw import open_kitti_raw

            return open_kitti_raw(path)
        case "malaga":
            from distilvo.sequences.malaga import open_malaga

            return open_malaga(path)
        case "tum":
            from distilvo.sequences.tum import open_tum

            return open_tum(path)
        case "euroc":
            from distilvo.sequences.euroc import open_euroc

            return open_euroc(path)
        case "folder":
            from distilvo.sequences.image_folder import open_images

            return open_images(path)
        case "video":
            from distilvo.sequences.video import VideoSequence

            return VideoSequence(path)
        case "bag":
            from distilvo.sequences.rosbag import BagSequence

            return BagSequence(path, topic)
    raise DistilvoError(f"{path}: there is no kind of source {kind!r}")


def _live(name: str) -> Sequence:
    from distilvo.sequences.live_camera import LiveCamera

    return LiveCamera(name)


def _refuse_two_cameras(options: dict[str, object]) -> None:
    given = [option for option, value in options.items() if value is not None]
    if len(given) > 1:
        raise DistilvoError(f"{' and '.join(given)}: expected one of them; a file of --camera says most")


def _size(sequence: Sequence) -> tuple[int, int]:
    height, width = next(iter(sequence.frames())).shape[:2]
    return width, height


def _refuse_second_camera(sequence: Sequence, option: str) -> None:
    """Another camera would not fit frames that were undistorted by their own; one that is assumed gives way."""
    from distilvo.sequences.image_files import ImageSequence

    if isinstance(sequence, ImageSequence) and sequence.assumed_camera:
        sequence.calibrate(None, None)
    if (own := sequence.camera) is not None:
        raise DistilvoError(
            f"{sequence.name}: has intrinsics of its own, {own.fx:g} {own.fy:g} {own.cx:g} {own.cy:g}; leave "
            f"{option} out, or correct the source's calibration"
        )


def _give_bits(sequence: Sequence, bits: int) -> None:
    """Set how many bits of images of 16 bits count."""
    from distilvo.sequences.image_files import ImageSequence
    from distilvo.sequences.rosbag import BagSequence

    if not isinstance(sequence, ImageSequence | BagSequence):
        raise DistilvoError(f"{sequence.name}: --bits {bits} is for files and bags with images of 16 bits")
    sequence.bits = bits


def _times(sequence: Sequence, file: Path | None, kind: SourceKind) -> Floats | None:
    """Times of a file, s, that hold instead of the source's own."""
    if file is None:
        return None
    from distilvo.sequences.image_files import ImageSequence
    from distilvo.sequences.image_rows import times_of_images
    from distilvo.trajectory.conversion import read_times

    if kind == "camera":
        raise DistilvoError(f"{sequence.name}: a live camera has times of its own; leave --times out")
    if isinstance(sequence, ImageSequence) and sequence.order is not None:
        return times_of_images(file, sequence.order)
    if len(times := read_times(file)) != len(sequence):
        raise DistilvoError(f"{file}: {len(times)} times, but {sequence.name} has {len(sequence)} frames")
    return times


def _kitti_folders(parent: Path) -> list[Path]:
    """The folders with images in the folder ``sequences`` of a KITTI odometry dataset, one at least."""
    from distilvo.sequences.kitti import images_of

    folders = _subfolders(parent)
    complete = [folder for folder in folders if images_of(folder) is not None]
    if not complete:
        raise DistilvoError(f"{parent}: no sequence with images, expected 00/{KITTI_CAMERAS[0]}/000000.png")
    if empty := [folder.name for folder in folders if folder not in complete]:
        warnings.warn(f"{parent}: no images in {', '.join(empty)}; left out", stacklevel=3)
    return complete


def _other_dataset(root: Path) -> list[Sequence]:
    """The sequences that ``root`` is or holds. Folders of images and videos do not count: they have no ground truth."""
    if root.is_dir():
        for folders in ([root], _subfolders(root)):
            kinds = [(folder, data_set_of(folder)) for folder in folders]
            if sequences := [_open(folder, kind, None) for folder, kind in kinds if kind is not None]:
                return sequences
    if not root.exists():
        raise DistilvoError(f"{root}: no such folder; {near(root)}expected a data set")
    raise DistilvoError(
        f"{root}: no folder 'sequences' in it, expected a KITTI dataset: root/sequences/00; or a folder of sequences "
        "of KITTI raw, TUM RGB-D or EuRoC MAV"
    )


def _refuse_several(path: Path) -> None:
    """A folder of whole sequences is not a folder of images: name one to try."""
    from distilvo.sequences.image_files import list_images

    if not path.is_dir() or list_images(path):
        return
    if (path / "sequences").is_dir():
        from distilvo.sequences.kitti import images_of

        there = [folder for folder in _subfolders(path / "sequences") if images_of(folder) is not None]
        which = f"one of its {len(there)} sequences; try {there[0]}" if there else "one sequence, and none has images"
        raise DistilvoError(f"{path}: a whole KITTI dataset, expected {which}")
    for folder in _subfolders(path):
        if kind := data_set_of(folder):
            raise DistilvoError(f"{path}: a folder of sequences ({kind}), expected one of them; try {folder}")


def _subfolders(parent: Path) -> list[Path]:
    return sorted(folder for folder in parent.iterdir() if folder.is_dir() and not folder.name.startswith("."))
