"""YAML files of strangers: the one reader of them, which can be made neither to hang nor to run anything.

Every value is text: YAML's own rules would take ``1e-5`` for a word, 010 for eight and 1:30 for ninety. Tags such as
``!!opencv-matrix`` are passed over.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from distilvo.errors import DistilvoError
from distilvo.textfile import read_text

LARGEST_BYTES = 1_000_000
"""A calibration has some thousand bytes; with the corners of its images, some hundred thousand."""

_DEEPEST = 20
_Loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # the one in C is 20 times faster

Values = dict[str, Any]
"""Texts, lists and further values by name."""


def read_yaml(path: Path, expected: str) -> Values:
    """The values of a YAML file: texts, lists and dicts of them.

    Raises DistilvoError, with what was ``expected``, where the file cannot be read or is no YAML; and for aliases
    (which can make a billion values of a few lines), names that stand there twice, more than one document, more than
    20 levels and more than 1 MB.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise DistilvoError(f"{path}: cannot be read ({error.strerror}); expected {expected}") from None
    if not path.is_file() or size > LARGEST_BYTES:
        found = f"{size} bytes" if path.is_file() else "not a file"
        raise DistilvoError(f"{path}: {found}, expected {expected} of at most {LARGEST_BYTES} bytes")
    # Some tools write OpenCV's header, which is no YAML.
    lines = [line for line in read_text(path, expected).splitlines() if line[:5] != "%YAML"]
    try:
        values = _build("\n".join(lines), path)
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        where = "" if place is None else f", line {place.line + 1}"
        reason = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise DistilvoError(f"{path}: not YAML ({reason}{where}); expected {expected}; restore the file") from None
    if not isinstance(values, dict):
        raise DistilvoError(f"{path}: no names with values in it, expected {expected}; restore the file")
    return values


def _build(text: str, path: Path) -> Any:
    """The one document of a text, from the events of its parser: no step of it calls itself."""
    root: list[Any] = []
    open_nodes: list[list[Any] | _Mapping] = [root]
    for event in yaml.parse(text, Loader=_Loader):
        match event:
            case yaml.AliasEvent():
                raise DistilvoError(f"{path}: it has an alias (*{event.anchor}); write the values out instead")
            case yaml.ScalarEvent():
                _append(open_nodes[-1], event.value, path)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                if len(open_nodes) > _DEEPEST:
                    raise DistilvoError(f"{path}: more than {_DEEPEST} levels of values in it; restore the file")
                node: list[Any] | _Mapping = _Mapping() if isinstance(event, yaml.MappingStartEvent) else []
                open_nodes.append(node)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                done = open_nodes.pop()
                _append(open_nodes[-1], done.values if isinstance(done, _Mapping) else done, path)
    if any(root[1:]):  # an empty one comes of a line --- at the end
        raise DistilvoError(f"{path}: it has several documents (---), expected one; leave the others out")
    return root[0] if root else None


class _Mapping:
    """A mapping that is being read: its values so far, and a key that still waits for its value."""

    def __init__(self) -> None:
        self.values: Values = {}
        self.key: str | None = None


def _append(node: list[Any] | _Mapping, value: Any, path: Path) -> None:
    if isinstance(node, list):
        node.append(value)
    elif node.key is not None:
        node.values[node.key] = value
        node.key = None
    elif not isinstance(value, str):
        raise DistilvoError(f"{path}: {str(value)[:40]} stands where a name is expected; restore the file")
    elif value in node.values:
        raise DistilvoError(f"{path}: {value[:40]} is there twice, expected once; leave one out")
    else:
        node.key = value
