"""The report of a run: tables, plots and one HTML page.

``results`` has the data of a report. ``run_plots`` defines each plot once, as plain data of ``plot_specs``; a renderer
each for matplotlib and plotly draws it. ``page`` fills the template of the page. ``trust_report``, ``model_report`` and
``adaptation_report`` alone import torch; ``write_report`` loads the plotting libraries when it is called.
"""

from distilvo.report.model_table import markdown_table, model_table, results_table, verdict
from distilvo.report.report_files import write_report
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
