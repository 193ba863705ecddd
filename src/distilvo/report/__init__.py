"""The report of a run: a table, pictures and one HTML page.

``results`` says what a report is made of; ``table``, ``plots`` and ``page`` make it. Nothing here imports torch but
``trust``, and the plotting libraries load only when ``write_plots`` or ``write_page`` is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from distilvo.report.results import DriveResult, RunResults, TrustResult, TrustSample
from distilvo.report.table import markdown_table, results_table, verdict

if TYPE_CHECKING:
    from distilvo.report.page import write_page
    from distilvo.report.plots import write_plots

__all__ = [
    "DriveResult",
    "RunResults",
    "TrustResult",
    "TrustSample",
    "markdown_table",
    "results_table",
    "verdict",
    "write_page",
    "write_plots",
]

_HEAVY = {"write_page": "distilvo.report.page", "write_plots": "distilvo.report.plots"}


def __getattr__(name: str) -> Any:
    if name in _HEAVY:
        return getattr(import_module(_HEAVY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
