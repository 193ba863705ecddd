"""The files of a report: one HTML page and its pictures."""

from __future__ import annotations

import warnings
from pathlib import Path

from distilvo.report.results import RunResults

_PACKAGES = ("matplotlib", "plotly")


def write_report(folder: Path, results: RunResults) -> bool:
    """Write ``report.html`` and ``plots/*.png, *.svg``; where the extra ``report`` is not installed, say so.

    Returns:
        Whether they were written.

    Raises:
        DistilvoError: a file cannot be written, or an estimate does not fit its drive.
    """
    try:
        from distilvo.report.page import write_page
        from distilvo.report.plots import write_plots
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] not in _PACKAGES:
            raise
        warnings.warn(
            f"{folder}: no report and no pictures, they need {error.name}: pip install 'distilvo[report]'", stacklevel=2
        )
        return False
    write_plots(folder / "plots", results)
    write_page(folder / "report.html", results)
    return True
