"""The files of a report: one HTML page and its images."""

from __future__ import annotations

import warnings
from pathlib import Path

from distilvo.report.results import RunResults

_PACKAGES = ("jinja2", "markupsafe", "matplotlib", "plotly")


def write_report(folder: Path, results: RunResults) -> bool:
    """Write ``report.html`` and ``plots/*.png, *.svg``; without the extra ``report`` write nothing and warn.

    Returns:
        Whether they were written.

    Raises:
        DistilvoError: a file cannot be written, or an estimate does not fit its drive.
    """
    try:
        from distilvo.report.matplotlib_renderer import write_plots
        from distilvo.report.page import write_page
        from distilvo.report.run_plots import run_plots
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] not in _PACKAGES:
            raise
        warnings.warn(
            f"{folder}: no report and no images, they need {error.name}: pip install 'distilvo[report]'", stacklevel=2
        )
        return False
    plots = run_plots(results)
    write_plots(folder / "plots", plots.every())
    write_page(folder / "report.html", results, plots)
    return True
