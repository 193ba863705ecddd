"""A trust that took time to make, kept in one file: tensors and a JSON header."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError, safe_open

from distilvo import parallel
from distilvo.distill.trust import Trust
from distilvo.errors import DistilvoError
from distilvo.files import write_tensors
from distilvo.paths import check_regular, check_utf8


def kept_trust(path: Path, make: Callable[[], Trust]) -> Trust:
    """The trust of a file; made and written first where the file is not there, of several processes by one.

    Raises:
        DistilvoError: the file is damaged, or the trust cannot be made.
    """
    if not path.exists():
        parallel.on_main(lambda: _write(path, make()), makes=path)
    check_utf8(path)
    check_regular(path, "a trust")
    try:
        with safe_open(path, "pt") as file:
            about = json.loads(file.metadata()["trust"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        etas, worth = (tuple(math.nan if one is None else one for one in about[name]) for name in ("etas", "worth"))
        return Trust(
            tensors["phi"], tensors["errors"], etas, about["kind"], tensors.get("predicted"), worth, about["note"]
        )
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise DistilvoError(f"{path}: not a whole file ({error}); remove it, the trust is made again") from None


def _write(path: Path, trust: Trust) -> None:
    tensors = {"phi": trust.phi.contiguous(), "errors": trust.errors.contiguous()}
    if trust.predicted is not None:
        tensors["predicted"] = trust.predicted.contiguous()
    write_tensors(path, tensors, {"trust": json.dumps(trust.facts)})
