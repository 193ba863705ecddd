"""The report of a run: a table, pictures and one HTML page.

``results`` says what a report is made of; ``table``, ``plots`` and ``page`` make it, ``write`` both files of a folder.
Nothing here imports torch but ``trust``, and the plotting libraries load only when ``write_report`` is asked for.
"""

from distilvo.report.results import (
    Curves,
    DriveResult,
    Estimate,
    ModelRow,
    RunResults,
    TrustResult,
    TrustSample,
    frames_to_show,
)
from distilvo.report.table import markdown_table, model_table, results_table, verdict
from distilvo.report.write import write_report

__all__ = [
    "Curves",
    "DriveResult",
    "Estimate",
    "ModelRow",
    "RunResults",
    "TrustResult",
    "TrustSample",
    "frames_to_show",
    "markdown_table",
    "model_table",
    "results_table",
    "verdict",
    "write_report",
]
