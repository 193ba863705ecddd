"""Addresses of streams, such as ``rtsp://user:password@host/path``: what counts as one, and how it is shown."""

from __future__ import annotations

import re
from pathlib import Path

from distilvo.errors import DistilvoError

SCHEMES = ("http", "https", "rtmp", "rtmps", "rtp", "rtsp", "rtsps", "tcp", "udp")
"""Those that OpenCV's FFmpeg opens."""

_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+):(//?)[^/].*", re.IGNORECASE | re.DOTALL)
_SECRET = re.compile(r"((?:pass\w*|pwd|psw|token|key|secret|auth\w*)=)[^&/]*", re.IGNORECASE)


def as_address(source: str | Path) -> str | None:
    """The address that a source is; None where it is a path.

    Raises DistilvoError for addresses that cannot be read, and for one that was made a Path and lost a slash by it.
    """
    text = str(source)
    match = _match(text)
    if match is None:
        return None
    if match[2] == "/":
        raise DistilvoError(
            f"{shown(text)}: an address needs two slashes, as {match[1]}://; give it as text, not as Path"
        )
    if match[1].lower() not in SCHEMES:
        raise DistilvoError(f"{shown(text)}: expected a path, or an address with one of {', '.join(SCHEMES)}")
    return text


def is_address(source: str | Path) -> bool:
    """Whether a source is an address, or a Path that was made of one; never an error."""
    return _match(str(source)) is not None


def _match(text: str) -> re.Match[str] | None:
    """The scheme and the slashes of an address, be they one or two."""
    match = _ADDRESS.fullmatch(text)
    if match is None or (match[2] == "/" and (match[1].lower() not in SCHEMES or Path(text).exists())):
        return None
    return match


def shown(source: str | Path) -> str:
    """A source as it may be printed and written: of an address, without user, password and what follows the ``?``."""
    text = str(source)
    match = _ADDRESS.fullmatch(text)
    if match is None:
        return text
    head = f"{match[1]}:{match[2]}"
    user, at, place = text.removeprefix(head).rpartition("@")
    place, question, _ = place.partition("?")
    return head + ("***@" if user else at) + _SECRET.sub(r"\1***", place) + ("?***" if question else "")
