"""One HTML page of a run that holds all it shows: it opens without a network, on a phone, in light and in dark."""

from __future__ import annotations

import json
import platform
import sys
from html import escape
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import Any

from plotly.offline import get_plotlyjs

from distilvo.files import atomic_path
from distilvo.report import figures
from distilvo.report.pictures import data_uris
from distilvo.report.results import DriveResult, RunResults, TrustResult, TrustSample
from distilvo.report.style import colour
from distilvo.report.table import HEADERS, table_cells, verdict

_PICTURES_BUDGET = 550_000
_PACKAGES = ("distilvo", "torch", "numpy", "onnxruntime")

# The policy forbids every request, whatever a library on the page may try.
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:;
 form-action 'none'; base-uri 'none'">
<title>{title}</title>
<style>
{css}</style>
</head>
<body>
<main>
{body}
</main>
<script type="application/json" id="figures">{figures}</script>
<script>{plotly}</script>
<script>
{js}</script>
</body>
</html>
"""


def write_page(path: Path, results: RunResults) -> Path:
    """Write the page of a run, under 6 MB, and return its path.

    Raises:
        DistilvoError: the page cannot be written, or an estimate does not fit its drive.
    """
    page = _Page(results)
    sections = [_head(results), *page.drives(), page.training(), page.trust(), _details(results.settings)]
    text = _PAGE.format(
        title=escape(results.title),
        css=_asset("page.css"),
        body="\n".join(section for section in sections if section),
        # Text inside a script ends at "</script", wherever that stands.
        figures=json.dumps(page.specs).replace("<", "\\u003c"),
        plotly=get_plotlyjs(),
        js=_asset("page.js"),
    )
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


class _Page:
    """The sections with plots and pictures; ``specs`` gathers the plots by name."""

    def __init__(self, results: RunResults) -> None:
        self.specs: dict[str, figures.Spec] = {}
        self._results = results
        self._uris = iter(data_uris(_frames(results), _PICTURES_BUDGET))

    def drives(self) -> list[str]:
        """The spread of the errors over all drives, then each drive."""
        if not any(drive.estimates for drive in self._results.drives):
            return []
        points = figures.points_per_line(self._results.drives)
        translation, rotation = figures.error_boxes(self._results.drives)
        spread = (
            "<h2>Errors of single frames</h2>"
            '<p class="soft">Relative pose error over consecutive frames of all drives, not aligned. '
            "Boxes hold the middle half of the frames, whiskers the middle 90 %; the dashed line is the mean.</p>"
            f'<div class="pair">{self._plot(translation, "low")}{self._plot(rotation, "low")}</div>'
        )
        return [spread, *(self._drive(drive, points) for drive in self._results.drives)]

    def training(self) -> str:
        """The training curves."""
        if not any(self._results.curves.values()):
            return ""
        return (
            "<h2>Training</h2>"
            '<p class="soft">Trainings have different losses (ground truth, hints, imitation): compare the '
            "shapes, not the heights.</p>" + self._plot(figures.training_curves(self._results.curves))
        )

    def trust(self) -> str:
        """The spread of Phi and the frames at its ends."""
        trust = self._results.trust
        if trust is None:
            return ""
        return (
            "<h2>Trust in the teacher</h2>"
            '<p class="soft">Φ = 1 − e/η over the training set: about 1 where the teacher is right, about 0 where it '
            f"errs most. {len(trust.phi):,} samples, η = {trust.eta:.4g}.</p>"
            + self._plot(figures.trust_histogram(trust), "low")
            + self._samples("Least trusted", trust.least)
            + self._samples("Most trusted", trust.most)
        )

    def _drive(self, drive: DriveResult, points: int) -> str:
        name = escape(drive.name)
        pictures = [self._picture(f"along drive {name}", "") for _ in drive.frames]
        return (
            f"<h2>Drive {name}</h2>"
            '<p class="soft">First the drive from above, each estimate aligned with the truth by Sim(3): drag to move, '
            "turn the wheel to zoom. Then each estimate's distance from the truth after that alignment.</p>"
            f'<div class="pair">{self._plot(figures.trajectories(drive, points), "tall")}'
            f"{self._plot(figures.error_along(drive, points), 'tall')}</div>" + _strip(pictures)
        )

    def _samples(self, title: str, samples: list[TrustSample]) -> str:
        pictures = [self._picture(escape(sample.label), _caption(sample)) for sample in samples]
        return f"<h3>{title}</h3>" + _strip(pictures) if pictures else ""

    def _picture(self, alternative: str, caption: str) -> str:
        """The next picture, in the order of ``_frames``; both texts are HTML already."""
        below = f"<figcaption>{caption}</figcaption>" if caption else ""
        return f'<figure><img src="{next(self._uris)}" alt="{alternative}">{below}</figure>'

    def _plot(self, spec: figures.Spec, size: str = "") -> str:
        name = f"plot{len(self.specs)}"
        self.specs[name] = spec
        return f'<div class="plot {size}" data-figure="{name}"></div>'


def versions() -> dict[str, str]:
    """What the numbers depend on: Python, packages and the processor."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found | {"system": f"{platform.system()} {platform.machine()}", "processor": _processor()}


def _frames(results: RunResults) -> list[Any]:
    """Every picture in the order in which the page shows them."""
    trust: TrustResult | None = results.trust
    samples = [*trust.least, *trust.most] if trust else []
    # Drives without any estimate are not shown.
    drives = results.drives if any(drive.estimates for drive in results.drives) else []
    return [frame for drive in drives for frame in drive.frames] + [sample.frame for sample in samples]


def _head(results: RunResults) -> str:
    notes = "".join(f"<li>{escape(note)}</li>" for note in results.notes)
    header = "".join(f'<th scope="col">{escape(text)}</th>' for text in HEADERS)
    return (
        f"<h1>{escape(results.title)}</h1>"
        f'<p class="verdict">{escape(verdict(results.rows)).replace(" %", "&nbsp;%")}</p>'
        "<noscript><p>The plots need JavaScript; the table does not.</p></noscript>"
        f'<div class="wide"><table><thead><tr>{header}</tr></thead><tbody>{_table_body(results)}</tbody></table></div>'
        '<p class="soft">Root mean squares over all frames; RPE over consecutive frames, not aligned; ATE aligned by '
        "Sim(3). Smaller is better; the best student of each measure is bold.</p>"
        + (f"<ul>{notes}</ul>" if notes else "")
    )


def _table_body(results: RunResults) -> str:
    lines = []
    for row, (name, *cells) in zip(results.rows, table_cells(results.rows), strict=True):
        dot = f'<span class="dot" style="background:{colour(row.name)}"></span>'
        values = "".join(f"<td>{'<b>' * cell.best}{escape(cell.text)}{'</b>' * cell.best}</td>" for cell in cells)
        lines.append(f'<tr><th scope="row">{dot}{escape(name.text)}</th>{values}</tr>')
    return "".join(lines)


def _details(settings: dict[str, Any]) -> str:
    shown = {
        name: value if isinstance(value, str) else json.dumps(value, default=str) for name, value in settings.items()
    }
    return (
        "<details><summary>Settings and versions</summary>"
        f"<h3>Settings</h3>{_facts(shown)}<h3>Versions</h3>{_facts(versions())}</details>"
    )


def _facts(facts: dict[str, str]) -> str:
    lines = (f'<tr><th scope="row">{escape(key)}</th><td>{escape(value)}</td></tr>' for key, value in facts.items())
    return f"<table><tbody>{''.join(lines)}</tbody></table>"


def _strip(pictures: list[str]) -> str:
    return f'<div class="strip">{"".join(pictures)}</div>' if pictures else ""


def _caption(sample: TrustSample) -> str:
    return (
        f"Φ {sample.phi:.3f} · the teacher is off by {sample.error_m:.3f} m, {sample.error_deg:.2f}°"
        f"<br>{escape(sample.label)}"
    )


def _processor() -> str:
    """The processor's name; Linux keeps it in a file, other systems tell it themselves."""
    if sys.platform == "linux":
        try:
            lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            lines = []
        for line in lines:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _asset(name: str) -> str:
    return files("distilvo.report").joinpath(name).read_text(encoding="utf-8")
