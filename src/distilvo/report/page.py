"""One HTML page of a run that holds all it shows: it opens without a network, on a phone, in light and in dark."""

from __future__ import annotations

import json
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from plotly.offline import get_plotlyjs

from distilvo import machine
from distilvo.files import atomic_path
from distilvo.report.figures import Figures, Spec, trust_histogram
from distilvo.report.pictures import data_uris
from distilvo.report.results import DriveResult, ReportTable, RunResults, TrustSample
from distilvo.report.style import ALIGNMENTS, Palette, label

_PICTURES_BUDGET = 750_000

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
<script type="application/json" id="ways">{ways}</script>
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
    sections = [
        page.errors(),
        page.lengths(),
        *page.drives(),
        page.training(),
        page.trust(),
        _details(results.settings),
    ]
    body = "\n".join([page.head(), *(section for section in sections if section)])
    text = _PAGE.format(
        title=escape(results.title),
        css=_asset("page.css"),
        body=body,
        figures=_script(page.specs),
        ways=_script(page.ways),
        plotly=get_plotlyjs(),
        js=_asset("page.js"),
    )
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


class _Page:
    """The sections; ``specs`` gathers the plots by name, ``ways`` where the frames of each drive are."""

    def __init__(self, results: RunResults) -> None:
        self.specs: dict[str, Spec] = {}
        self.ways: dict[str, Any] = {}
        self._results = results
        self._drives = [drive for drive in results.drives if drive.estimates]
        models = [name for drive in self._drives for name in drive.estimates]
        named = [row[0].text for table in results.tables for row in table.rows]
        self._palette = Palette([*(row.name for row in results.rows), *models, *results.curves, *named])
        self._figures = Figures(self._drives, results.how, self._palette)
        self._by_length = self._figures.error_by_length()
        samples = [*results.trust.least, *results.trust.most] if results.trust else []
        pictures = [picture for drive in self._drives for picture in drive.pictures.values()]
        # In the order in which the page shows them.
        self._uris = iter(data_uris([*pictures, *(sample.frame for sample in samples)], _PICTURES_BUDGET))

    def head(self) -> str:
        """Title, where things are, what came out, and the tables."""
        results = self._results
        headline = escape(results.headline).replace(" %", "&nbsp;%")
        return (
            f"<h1>{escape(results.title)}</h1>{self._contents()}"
            + (f'<p class="verdict">{headline}</p>' if headline else "")
            + "<noscript><p>The plots need JavaScript; the tables do not.</p></noscript>"
            + "".join(map(self._table, results.tables))
            + ("<ul>" + "".join(f"<li>{escape(note)}</li>" for note in results.notes) + "</ul>") * bool(results.notes)
        )

    def errors(self) -> str:
        """The spread of the errors over all drives."""
        translation, rotation = self._figures.error_boxes()
        if not translation["data"]:
            return ""
        return (
            '<h2 id="errors">Errors of single frames</h2>'
            f'<p class="soft">Relative pose error over {escape(self._results.how.over)} of all drives. '
            "Boxes hold the middle half, whiskers the middle 90 %; the dashed line is the mean.</p>"
            f'<div class="pair">{self._plot(translation, "low")}{self._plot(rotation, "low")}</div>'
        )

    def lengths(self) -> str:
        """The errors by the length of the stretch."""
        if not self._by_length:
            return ""
        aligned = ALIGNMENTS[self._results.how.relative_alignment]
        return (
            '<h2 id="lengths">Errors by path length</h2>'
            f'<p class="soft">As the KITTI benchmark measures them ({aligned}): over stretches of so many metres of '
            "the true path, the mean of all that begin at every tenth frame.</p>"
            f'<div class="pair">{"".join(map(self._plot, self._by_length))}</div>'
        )

    def drives(self) -> list[str]:
        """Each drive from above, its errors along the way, and pictures of the places."""
        return [self._drive(f"drive{number}", drive) for number, drive in enumerate(self._drives)]

    def training(self) -> str:
        """The training curves."""
        if not any(self._results.curves.values()):
            return ""
        return (
            '<h2 id="training">Training</h2>'
            '<p class="soft">Trainings have different losses (ground truth, hints, imitation): compare the '
            "shapes, not the heights.</p>" + self._plot(self._figures.training_curves(self._results.curves))
        )

    def trust(self) -> str:
        """The spread of Phi and the frames at its ends."""
        trust = self._results.trust
        if trust is None:
            return ""
        return (
            '<h2 id="trust">Trust in the teacher</h2>'
            '<p class="soft">Φ = 1 − e/η over the training set: about 1 where the teacher is right, about 0 where it '
            f"errs most. {len(trust.phi):,} samples, η = {trust.eta:.4g}.</p>"
            + self._plot(trust_histogram(trust), "low")
            + self._samples("Least trusted", trust.least)
            + self._samples("Most trusted", trust.most)
        )

    def _contents(self) -> str:
        """Links to the sections that there are."""
        results = self._results
        there = {
            "errors": any(drive.has_poses for drive in self._drives),
            "lengths": bool(self._by_length),
        }
        named = {"errors": "single frames", "lengths": "path lengths"}
        links = [(key, named[key]) for key, present in there.items() if present]
        links += [(f"drive{number}", f"drive {drive.name}") for number, drive in enumerate(self._drives)]
        links += [("training", "training")] * any(results.curves.values())
        links += [("trust", "trust")] * (results.trust is not None)
        links += [("settings", "settings")]
        return "<nav>" + "".join(f'<a href="#{key}">{escape(text)}</a>' for key, text in links) + "</nav>"

    def _table(self, table: ReportTable) -> str:
        header = "".join(f'<th scope="col">{escape(text)}</th>' for text in table.headers)
        lines = []
        for name, *cells in table.rows:
            dot = f'<span class="dot" style="background:{self._palette.colour(name.text)}"></span>'
            values = "".join(f"<td>{'<b>' * cell.best}{escape(cell.text)}{'</b>' * cell.best}</td>" for cell in cells)
            lines.append(f'<tr><th scope="row">{dot}{escape(label(name.text))}</th>{values}</tr>')
        note = f'<p class="soft">{escape(table.note)}</p>' if table.note else ""
        body = "".join(lines)
        return f'<div class="wide"><table><thead><tr>{header}</tr></thead><tbody>{body}</tbody></table></div>{note}'

    def _drive(self, key: str, drive: DriveResult) -> str:
        self.ways[key] = self._figures.way(drive)
        aligned = ALIGNMENTS[self._results.how.ate_alignment]
        plots, said = self._plot(self._figures.trajectories(drive), "tall", "map"), "The drive from above"
        if drive.truth is not None:
            said += f", each estimate aligned with the {drive.reference or 'truth'} ({aligned})"
            plots += self._plot(self._figures.position_error(drive), "tall", "along")
        relative = self._figures.relative_error(drive) if drive.has_poses else None
        steps = self._plot(relative, "low", "along") if relative is not None and relative["data"] else ""
        return (
            f'<section data-drive="{key}" id="{key}"><h2>Drive {escape(drive.name)}</h2>'
            f'<p class="soft">{said}: drag to move, turn the wheel to zoom. Point at a place of any plot, '
            "or choose a picture: the others show where that is.</p>"
            f'<div class="pair">{plots}</div>{steps}{self._pictures(drive)}</section>'
        )

    def _pictures(self, drive: DriveResult) -> str:
        if not drive.pictures:
            return ""
        buttons = "".join(
            f'<button type="button" data-frame="{frame}"><img src="{next(self._uris)}" alt="frame {frame}">'
            f"<span>{_place(drive, frame)}</span></button>"
            for frame in drive.pictures
        )
        return f'<p class="soft place" aria-live="polite">&nbsp;</p><div class="film">{buttons}</div>'

    def _samples(self, title: str, samples: list[TrustSample]) -> str:
        if not samples:
            return ""
        shown = "".join(
            f'<figure><img src="{next(self._uris)}" alt="{escape(sample.label)}">'
            f"<figcaption>{_caption(sample)}</figcaption></figure>"
            for sample in samples
        )
        return f'<h3>{title}</h3><div class="strip">{shown}</div>'

    def _plot(self, spec: Spec, size: str = "", place: str = "") -> str:
        """``place``: how the plot shows a place of its drive, on a map or along the way."""
        name = f"plot{len(self.specs)}"
        self.specs[name] = spec
        linked = f' data-place="{place}"' if place else ""
        return f'<div class="plot {size}" data-figure="{name}"{linked}></div>'


def _place(drive: DriveResult, frame: int) -> str:
    """What stands below the picture of a frame."""
    if drive.times is None:
        return f"frame {frame}"
    return f"frame {frame}, {drive.times[frame] - drive.times[0]:.1f} s"


def _details(settings: dict[str, Any]) -> str:
    shown = {
        name: value if isinstance(value, str) else json.dumps(value, default=str) for name, value in settings.items()
    }
    return (
        '<details id="settings"><summary>Settings and versions</summary>'
        f"<h3>Settings</h3>{_facts(shown)}<h3>Versions and machine</h3>{_facts(_machine())}</details>"
    )


def _machine() -> dict[str, str]:
    found = machine.describe()
    named = {"python": found["python"], **found["versions"], "system": found["os"], "processor": found["cpu"]}
    return named | {"cores": f"{found['cores_usable']} of {found['cores']}"}


def _facts(facts: dict[str, str]) -> str:
    lines = (f'<tr><th scope="row">{escape(key)}</th><td>{escape(value)}</td></tr>' for key, value in facts.items())
    return f"<table><tbody>{''.join(lines)}</tbody></table>"


def _caption(sample: TrustSample) -> str:
    return (
        f"Φ {sample.phi:.3f} · the teacher is off by {sample.error_m:.3f} m, {sample.error_deg:.2f}°"
        f"<br>{escape(sample.label)}"
    )


def _script(data: Any) -> str:
    """JSON inside a script, which ends at "</script" wherever that stands."""
    return json.dumps(data).replace("<", "\\u003c")


def _asset(name: str) -> str:
    return files("distilvo.report").joinpath(name).read_text(encoding="utf-8")
