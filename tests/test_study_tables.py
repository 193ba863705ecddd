"""What a study says: the paper's findings, its tables, figures and page."""

from __future__ import annotations

import io
import json
import math
import re
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from rich.console import Console

from distilvo.errors import DistilvoError
from distilvo.report.results import TrustResult, TrustSample
from distilvo.settings import PAPER, Recipe
from distilvo.study.claims import every, some
from distilvo.study.findings import Finding, study_findings
from distilvo.study.plan import Cell, Plan, Published, Reference, Row, Streets
from distilvo.study.plan_file import read_plan
from distilvo.study.statistics import by_row
from distilvo.study.study_files import write_results
from distilvo.study.study_page import write_page
from distilvo.study.study_plots import write_figures
from distilvo.study.study_tables import StudyTable, console_table, findings_table, markdown_table, study_tables

EVIL = '<script>alert("1")</script>&|$x$'
SEEDS = (0, 1, 2, 3, 4)
NOISE = (0.001, -0.001, 0.0005, -0.0005, 0.0)
SPREAD = (0.01, 0.03, 0.05, 0.08, 0.2, 0.4)
TEACHER = Reference("teacher", 1_000_000, 21.2, 0.08, 0.14, 2.5, None, None, SPREAD, SPREAD)
MEAN = Reference("mean_motion", 0, 0.0, 0.3, 1.0, 30.0, None, None, SPREAD, SPREAD)
ABOUT = {"command": "distilvo study preset", "date": "2026-01-31", "numpy": "2.0"}

METHODS = {
    "gt": replace(PAPER, blend="ground-truth", hint="none"),
    "teacher": replace(PAPER, blend="teacher-only", hint="none"),
    "min": replace(PAPER, blend="minimum", hint="none"),
    "add": replace(PAPER, blend="additional", hint="none"),
    "bound": replace(PAPER, blend="upper-bound", hint="none"),
    "laplace": replace(PAPER, blend="laplace", hint="none"),
    "ail": replace(PAPER, hint="none"),
    "ht": replace(PAPER, hint="plain"),
    "aht": PAPER,
    "joint": replace(PAPER, schedule="joint"),
    "fitnets": replace(PAPER, blend="ground-truth", hint="plain"),
}
CURVE = {"aht@65.8": 65.8, "aht@73": 73.0, "aht@80": 80.0, "aht": 92.95, "aht@97": 97.0}
PAPER_ERRORS = {  # translation errors in the paper's order
    "gt": 0.110, "teacher": 0.120, "min": 0.108, "add": 0.115, "bound": 0.107, "laplace": 0.106, "ail": 0.104,
    "ht": 0.099, "aht": 0.09, "joint": 0.098, "fitnets": 0.105,
    "aht@65.8": 0.075, "aht@73": 0.082, "aht@80": 0.085, "aht@97": 0.2,
}  # fmt: skip


def plan(seeds: tuple[int, ...] = SEEDS, **others: Row) -> Plan:
    rows = {name: Row(name, name.upper(), method, 92.95) for name, method in METHODS.items()}
    rows |= {name: Row(name, name.upper(), PAPER, rate) for name, rate in CURVE.items()} | others
    tables = {
        "blends": ("gt", "teacher", "min", "add", "bound", "laplace", "ail"),
        "hints": ("ail", "ht", "aht", "joint"),
        "literature": ("aht", "gt", "fitnets", "bound"),
        "rates": tuple(CURVE),
    }
    return Plan("A study", Streets(2, 1, 10), Recipe(), None, Recipe(), seeds, rows, tables)  # type: ignore[arg-type]


def cell(row: str, seed: int, error: float, rate: float = 92.95, rotation: float | None = None) -> Cell:
    method = METHODS[row.partition("@")[0]]
    return Cell(
        row=row,
        method=method.blend,
        hint=method.hint,
        schedule=method.schedule,
        rate=rate,
        seed=seed,
        parameters=round(10_000 * (100 - rate)),
        latency_ms=8.0,
        learning_rate=1e-3,
        rms_rpe_t_m=error,
        rms_rpe_r_deg=1.6 * error if rotation is None else rotation,
        ate_m=30 * error,
        t_rel_percent=None,
        r_rel_deg_per_100m=None,
        validation_t_m=0.9 * error,
        validation_r_deg=error,
        validation_ate_m=20 * error,
        train_s=12.5,
        steps=100,
        hint_error=None if method.hint == "none" else 5 * error,
        error_t_m=tuple(error * value for value in SPREAD),
        error_r_deg=tuple(2 * error * value for value in SPREAD),
    )


def made_up(errors: dict[str, float] = PAPER_ERRORS, seeds: tuple[int, ...] = SEEDS) -> list[Cell]:
    """Cells whose noise differs a little from row to row, so that no difference is quite the same for each seed."""
    return [
        cell(row, seed, error + NOISE[seed] + 1e-4 * ((number * 7 + seed * 3) % 5), CURVE.get(row, 92.95))
        for number, (row, error) in enumerate(errors.items())
        for seed in seeds
    ]


def outcomes(cells: list[Cell], of: Plan | None = None) -> dict[int, str]:
    return {found.number: found.outcome for found in findings(cells, of)}


def findings(cells: list[Cell], of: Plan | None = None) -> list[Finding]:
    return study_findings(of or plan(), cells, [TEACHER, MEAN])


def table(name: str, cells: list[Cell], of: Plan | None = None) -> StudyTable:
    return next(found for found in study_tables(of or plan(), cells, [TEACHER, MEAN]) if found.name == name)


def test_a_row_has_one_cell_for_each_seed() -> None:
    with pytest.raises(DistilvoError, match="row 'gt': has two cells of seed 0"):
        by_row([cell("gt", 0, 0.1), cell("gt", 0, 0.1)])


def test_the_paper_is_reproduced() -> None:
    cells = [replace(found, latency_ms=8.0) for found in made_up()]
    assert set(outcomes(cells).values()) == {"reproduced"}
    ratio = findings(cells)[5].comparisons[0]
    assert ratio.intervals[0][1].mean == pytest.approx(21.2 / 8) and "92.95 % fewer parameters" in ratio.what


def test_the_paper_turned_round_is_contradicted() -> None:
    worst = max(PAPER_ERRORS.values())
    cells = made_up({row: 0.1 + worst - error for row, error in PAPER_ERRORS.items()})
    cells = [replace(found, latency_ms=16.0) for found in cells]
    assert set(outcomes(cells).values()) == {"contradicted"}


def test_noise_shows_nothing() -> None:
    cells = [cell(row, seed, 0.1 + 0.05 * math.sin(13 * n + 7 * seed * seed)) for n, row in enumerate(METHODS)
             for seed in SEEDS]  # fmt: skip
    found = outcomes(cells)
    assert {found[number] for number in (3, 4, 7)} == {"not shown"}


def test_translation_and_rotation_that_disagree_show_nothing() -> None:
    cells = made_up()
    turned = [replace(c, rms_rpe_r_deg=0.5 - c.rms_rpe_r_deg) if c.row == "joint" else c for c in cells]
    assert outcomes(turned)[4] == "reproduced"  # both on the paper's side still
    opposed = [replace(c, rms_rpe_r_deg=0.01 * c.rms_rpe_r_deg) if c.row == "joint" else c for c in cells]
    assert outcomes(opposed)[4] == "not shown"


def test_ate_decides_nothing() -> None:
    cells = [replace(c, ate_m=0.001 * c.ate_m) if c.row == "joint" else c for c in made_up()]
    assert outcomes(cells)[4] == "reproduced"


@pytest.mark.parametrize(
    ("gone", "expected"),
    [
        (("joint",), {4: "not tested"}),
        (("gt",), {1: "not tested", 7: "not shown"}),
        (("teacher",), {1: "reproduced"}),
        (("laplace",), {2: "not shown"}),
        (("ht",), {3: "not shown"}),
        (("aht",), {4: "not tested", 7: "not tested"}),
        (("aht@97",), {5: "not shown"}),
        (tuple(PAPER_ERRORS), dict.fromkeys(range(1, 8), "not tested")),
    ],
)
def test_missing_rows_are_not_tested(gone: tuple[str, ...], expected: dict[int, str]) -> None:
    found = outcomes([c for c in made_up() if c.row not in gone])
    assert {number: found[number] for number in expected} == expected


def test_without_a_teacher_ratios_are_not_tested() -> None:
    found = study_findings(plan(), made_up(), [MEAN])
    assert found[5].outcome == "not tested" and found[4].outcome == "not shown" and found[0].outcome == "reproduced"


def test_rows_are_found_by_their_method() -> None:
    better = {"inherit": replace(PAPER, inherit=True), "slim": PAPER, "folds": PAPER}
    others = {name: Row(name, name, method, 92.95) for name, method in better.items()}
    others["slim"] = replace(others["slim"], shape="slim")
    others["folds"] = replace(others["folds"], folds=3)
    made = plan()
    rows = others | {f"x{name}": replace(row, name=f"x{name}") for name, row in made.rows.items()}
    renamed = replace(
        made, rows=rows, tables={table: tuple(f"x{name}" for name in names) for table, names in made.tables.items()}
    )
    cells = [replace(c, row=f"x{c.row}") for c in made_up()]
    cells += [replace(cell("aht", seed, 0.5), row=name) for name in others for seed in SEEDS]
    renamed.tables["hints"] += tuple(others)
    renamed.tables["trust"] = tuple(others)
    assert set(outcomes(cells, renamed).values()) == {"reproduced"}


def test_rows_of_different_rates_are_not_compared() -> None:
    made = plan()
    rows = made.rows | {"joint": replace(made.rows["joint"], rate=73.0)}
    found = findings(made_up(), replace(made, rows=rows))[3].comparisons[0]
    assert found.intervals[0][1].mean == pytest.approx(0.082 - 0.098, abs=1e-3)
    assert "AHT@73 against JOINT" in found.what


def test_the_shipped_study_tests_every_finding() -> None:
    shipped = read_plan("builtin")
    cells = [
        replace(cell("gt", seed, 0.1 + 0.001 * NOISE[seed] * number, row.rate), row=name)
        for number, (name, row) in enumerate(shipped.rows.items())
        for seed in SEEDS
    ]
    compared = [one for found in findings(cells, shipped) for one in found.comparisons]
    assert len(compared) >= 18 and "not tested" not in {one.outcome for one in compared}
    assert "PIL, Gaussian" in "".join(one.what for one in compared)


def test_claims_together() -> None:
    assert every(["reproduced", "reproduced"]) == "reproduced" and every(["reproduced", "not tested"]) == "not shown"
    assert every(["reproduced", "contradicted"]) == "contradicted" and every([]) == "not tested"
    assert some(["contradicted", "reproduced"]) == "reproduced" and some(["contradicted", "not shown"]) == "not shown"
    assert some(["contradicted", "not tested"]) == "contradicted" and some(["not tested"]) == "not tested"


def test_blends_table() -> None:
    found = table("blends", made_up())
    assert found.headers == ("row", "seeds", "RMS-RPE trans (m)", "RMS-RPE rot (deg)", "ATE (m, Sim(3))")
    first, *others, teacher, mean = found.rows
    assert first[0] == "GT" and "\n" not in first[2]
    ail = others[-1]
    assert ail[0] == "AIL" and ail[1] == "5 of 5"
    value, difference, verdict = ail[2].split("\n")
    assert re.fullmatch(r"0\.104\d ± 0\.00\d\d", value) and difference.startswith("-0.00") and verdict == "better"
    assert teacher == ("teacher", "–", "0.0800", "0.1400", "2.500") and mean[0] == "mean motion"


def test_hints_table_has_the_reconstruction_error() -> None:
    rows = {row[0]: row for row in table("hints", made_up()).rows}
    assert rows["AIL"][-1] == "–" and rows["HT"][-1].startswith("0.49") and rows["teacher"][-1] == "–"


def test_ratios_stand_beside_the_papers() -> None:
    """By hand: 0.08 of 0.1 and 0.09 of 0.1 are 0.85 on average; the paper's 0.106 of 0.116 are 0.91."""
    rows = {
        "gt": Row("gt", "GT", METHODS["gt"], 92.95),
        "min": Row("min", "MIN", METHODS["min"], 92.95),
        "aht@73": Row("aht@73", "AHT", PAPER, 73.0),
    }
    numbers = {"gt": Published(0.116), "min": Published(0.106, ate_m=3.0), "aht@73": Published(0.2)}
    made = replace(plan((0, 1), **rows), tables={"blends": tuple(rows)}, published={"blends": numbers})
    cells = [cell("gt", 0, 0.1), cell("gt", 1, 0.1), cell("min", 0, 0.08), cell("min", 1, 0.09)]
    cells += [cell("aht@73", seed, 0.05, rate=73.0) for seed in (0, 1)]
    table = next(table for table in study_tables(made, cells, [TEACHER]) if table.name == "blends")
    first, second, third, _ = table.rows
    assert first[2].splitlines() == ["0.1000 ± 0.0000", "paper 0.116"]
    assert second[2].splitlines()[3:] == ["0.85 ± 0.64 × first", "paper 0.106, 0.91 × first"]
    assert second[4].splitlines()[3:] == ["0.85 ± 0.64 × first", "paper 3"]  # the paper has no ATE of the first row
    assert third[2].splitlines() == ["0.0500 ± 0.0000", "paper 0.2"]  # the first of its rate
    assert any("only ratios compare" in note for note in table.notes)


def test_budgets_show_the_drives_for_validation() -> None:
    made = replace(plan((0,)), tables={"budgets": ("gt", "min")})
    table = next(table for table in study_tables(made, [cell("gt", 0, 0.1)], []) if table.name == "budgets")
    assert table.headers[-3:] == (
        "validation: RMS-RPE trans (m)", "validation: RMS-RPE rot (deg)", "validation: ATE (m, Sim(3))",
    )  # fmt: skip
    assert [value.split(" ")[0] for value in table.rows[0][-3:]] == ["0.0900", "0.1000", "2.000"]


def test_rates_table_has_size_time_and_ratio() -> None:
    found = table("rates", made_up())
    assert found.headers[2:5] == ("rate (% fewer)", "parameters", "latency (ms)")
    rows = {row[0]: row for row in found.rows}
    assert rows["AHT"][2:5] == ("92.95", "70,500", "8.00") and rows["teacher"][2:5] == ("–", "1,000,000", "21.20")
    assert re.fullmatch(r"1\.1\d\d ± 0\.0\d\d × teacher", rows["AHT"][5].split("\n")[-1])


def test_error_distributions_are_means_over_seeds() -> None:
    cells = [cell("gt", 0, 1.0), cell("gt", 1, 3.0)]
    found = table("error_t_m", cells)
    assert found.headers[2:] == tuple(f"{q} % (m)" for q in (5, 25, 50, 75, 95, 99))
    assert found.rows[0] == ("GT", "2 of 5", "0.0200", "0.0600", "0.1000", "0.1600", "0.4000", "0.8000")
    assert table("error_r_deg", cells).rows[0][4] == "0.2000"


def test_incomplete_studies_say_what_they_have() -> None:
    cells = [c for c in made_up() if c.row != "min" and (c.row, c.seed) not in {("ail", 3), ("gt", 4)}]
    found = table("blends", cells)
    rows = {row[0]: row for row in found.rows}
    assert rows["MIN"][1:] == ("0 of 5", "–", "–", "–") and rows["AIL"][1] == "4 of 5" and rows["GT"][1] == "4 of 5"
    assert any("'AIL' leaves out seeds 3, 4" in note for note in found.notes)
    assert not any("'MIN'" in note for note in found.notes)


def test_one_seed_has_neither_interval_nor_verdict() -> None:
    found = table("blends", made_up(seeds=(0,)), plan(seeds=(0,)))
    assert found.rows[-3][1] == "1 of 1" and found.rows[-3][2].endswith("± –\nno difference shown")
    assert set(outcomes(made_up(seeds=(0,)))) == set(range(1, 8)) and outcomes(made_up(seeds=(0,)))[4] == "not shown"


def test_markdown_keeps_its_columns() -> None:
    evil = plan()
    evil = replace(evil, rows=evil.rows | {"ail": replace(evil.rows["ail"], label=EVIL)})
    for found in (*study_tables(evil, made_up(), [TEACHER]), findings_table(findings(made_up(), evil))):
        lines = [line for line in markdown_table(found).splitlines() if line.startswith("|")]
        assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {len(found.headers) + 1}
        assert len(lines) == len(found.rows) + 2 and "<script" not in "".join(lines)


def test_console_shows_every_number() -> None:
    console = Console(width=110, record=True, file=io.StringIO())
    console.print(console_table(table("blends", made_up())))
    text = console.export_text()
    assert "RMS-RPE trans (m)" in text and {"better", "worse", "mean motion"} <= set(re.split(r"\s{2,}", text))
    assert max(map(len, text.splitlines())) <= 110


class _Elements(HTMLParser):
    """Every tag, every address, and what is open at the end."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data")]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("study") / "out"
    evil = plan()
    evil = replace(evil, rows=evil.rows | {"ail": replace(evil.rows["ail"], label=f"AIL {EVIL}")})
    write_results(evil, made_up()[::-1], [TEACHER, MEAN], ABOUT | {"machine": EVIL}, out)
    return out


def test_every_cell_is_one_object_in_order(written: Path) -> None:
    cells = json.loads((written / "study.json").read_text())
    assert len(cells) == len(made_up())
    assert [(c["row"], c["seed"]) for c in cells[:5]] == [("gt", seed) for seed in SEEDS]
    assert cells[0] == json.loads(json.dumps(asdict(made_up()[0])))


def test_page_is_whole_and_asks_for_nothing(written: Path) -> None:
    page = (written / "report.html").read_text()
    elements = _Elements(page)
    assert not elements.open and "script" not in elements.tags and "link" not in elements.tags
    assert elements.addresses and all(address.startswith("data:image/png;base64,") for address in elements.addresses)
    assert not re.search(r"url\(|@import", page) and len(page) < 6e6
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'" in page
    assert elements.tags.count("img") == 6 and elements.tags.count("table") >= 6
    assert page.index("Findings of the paper") < page.index("(1) Blends") < page.index("Configuration and versions")
    assert "distilvo study preset" in page and "reproduced: 1, 2, 3, 4, 5, 6, 7" in page
    assert "AIL &lt;script&gt;" in page  # a label of a row, as text


def test_trust_is_shown_with_its_frames(tmp_path: Path) -> None:
    frame = np.full((12, 40), 90, np.uint8)
    sample = TrustSample(frame, 0.1, 0.5, 2.0, "07 frame 3")
    trusts = {"Φ paper": TrustResult(np.linspace(0, 1, 50), 0.3, [sample], [sample])}
    write_results(plan(), made_up(), [TEACHER], {}, tmp_path, trusts=trusts)
    assert (tmp_path / "figures" / "phi-0.png").exists()
    assert "Trust in the teacher: Φ paper" in (tmp_path / "report.html").read_text()


def test_markdown_file_has_all(written: Path) -> None:
    text = (written / "tables.md").read_text()
    for part in ("- command: distilvo study preset", "## Findings of the paper", "## (1)", "## (2)", "## (3)", "## (4)",
                 "## (5)", "REPRODUCED"):  # fmt: skip
        assert part in text
    assert {path.name for path in written.iterdir()} == {"study.json", "tables.md", "figures", "report.html"}


def test_figures_are_images_on_white(written: Path) -> None:
    names = {"blends", "hints", "literature", "rates", "distributions", "differences"}
    assert {path.stem for path in (written / "figures").iterdir()} == names
    for path in (written / "figures").iterdir():
        image = cv2.imread(str(path))
        assert min(image.shape[:2]) > 200 and (image[0, 0] == 255).all() and image.std() > 5


def test_nothing_yet_is_no_error(tmp_path: Path) -> None:
    write_results(plan(), [], [], {}, tmp_path)
    assert json.loads((tmp_path / "study.json").read_text()) == []
    assert "not tested: 1, 2, 3, 4, 5, 6, 7" in (tmp_path / "report.html").read_text()


def test_one_seed_can_be_drawn(tmp_path: Path) -> None:
    figures = write_figures(tmp_path, plan(), made_up(seeds=(0,)), [TEACHER])
    path = write_page(tmp_path / "report.html", plan(), made_up(seeds=(0,)), [TEACHER], {}, figures, {})
    assert "differences" in figures and not _Elements(path.read_text()).open


def test_values_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DistilvoError, match="row 'gt', seed 3: ate_m is nan"):
        write_results(plan(), [replace(cell("gt", 3, 0.1), ate_m=math.nan)], [], {}, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_study_without_the_papers_tables_has_no_findings() -> None:
    own = replace(plan(), tables={"beyond": tuple(plan().rows)[:1]})
    assert study_findings(own, made_up(), [TEACHER]) == []
    assert len(study_findings(plan(), made_up(), [TEACHER])) == 7
