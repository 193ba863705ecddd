"""What a study says: its tables, figures and page."""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from distilvo.errors import DistilvoError
from distilvo.report.results import TrustResult, TrustSample
from distilvo.settings import PAPER
from distilvo.study.findings import study_findings
from distilvo.study.plan import Published, Routes, Row, Split, Streets
from distilvo.study.study_files import write_results
from distilvo.study.study_page import write_page
from distilvo.study.study_plots import write_figures
from distilvo.study.study_table import StudyTable
from distilvo.study.study_tables import findings_table, study_tables
from made_up_study import ABOUT, EVIL, MEAN, METHODS, SEEDS, TEACHER, cell, findings, made_up, outcomes, plan, table


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


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (Streets(2, 1, 10), "The images are rendered;"),
        (Routes(("00",), ("09", "10")), "The images are rendered along the true trajectories of 09, 10;"),
        (Split(("00",), ("09",)), None),
    ],
)
def test_every_table_says_where_its_images_are_rendered(data: Streets | Routes | Split, said: str | None) -> None:
    made = replace(plan(), data=data)
    tables = [*study_tables(made, made_up(), [TEACHER]), findings_table(made, findings(made_up()))]
    assert len(tables) > 5
    for found in tables:
        notes = [note for note in found.notes if "rendered" in note]
        assert [note.startswith(said or "") for note in notes] == ([True] if said else [])


def drives_table(data: Streets | Routes | Split, drives: list[dict[str, dict[str, float | None]]]) -> StudyTable | None:
    """The table of each drive of a row with the drives of each seed, beside a teacher with those of the first one."""
    cells = [replace(cell("gt", seed, 0.1), drives=errors) for seed, errors in enumerate(drives)]
    made = replace(plan((0, 1)), data=data, tables={"literature": ("gt", "aht")})
    tables = study_tables(made, cells, [replace(TEACHER, drives=drives[0])])
    return next((found for found in tables if found.name == "drives"), None)


def test_each_drive_is_the_mean_over_its_sceneries() -> None:
    """By hand: 09 has 10 and 20 m with seed 0, 30 and 40 m with seed 1: 15 and 35, 25 on average, ± 12.706 x 10."""
    drives = [{"09-7": {"ate_m": a}, "09-8": {"ate_m": a + 10}, "a-b-7": {"ate_m": None}} for a in (10.0, 30.0)]
    found = drives_table(Routes(("00",), ("09", "a-b"), test_sceneries=2), drives)
    assert found is not None
    columns = [number for number, header in enumerate(found.headers) if "ATE" in header]
    assert [found.headers[column] for column in columns] == ["09: ATE (m, Sim(3))", "a-b: ATE (m, Sim(3))"]
    assert [[row[0], *(row[column] for column in columns)] for row in found.rows] == [
        ["GT", "25.000 ± 127.062", "–"],
        ["teacher", "15.000", "–"],
    ]


def test_drives_whose_names_have_a_dash_are_drives_of_their_own() -> None:
    drives: list[dict[str, dict[str, float | None]]] = [{"a-b": {"ate_m": 1.0}, "a-c": {"ate_m": 2.0}}] * 2
    for data in (Routes(("00",), ("a-b", "a-c")), Split(("00",), ("a-b", "a-c"))):
        found = drives_table(data, drives)
        assert found is not None
        assert {header.partition(":")[0] for header in found.headers[2:]} == {"a-b", "a-c"}
    assert drives_table(Streets(2, 2, 10), drives) is None  # dozens of short ones: nobody would read them


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


def test_medians_stand_beside_the_squared_means() -> None:
    """By hand: medians of 0.05 and 0.15 m are 0.1 ± 12.706 x 0.05, and twice the teacher's 0.05."""
    made = replace(plan((0, 1)), tables={"beyond": ("gt", "min")})
    (found,) = (
        t for t in study_tables(made, [cell("gt", 0, 1.0), cell("gt", 1, 3.0)], [TEACHER]) if t.name == "beyond"
    )
    assert found.headers[-2:] == ("median pair: trans (m)", "median pair: rot (deg)")
    assert found.rows[0][-2].splitlines() == ["0.1000 ± 0.6353", "2.000 ± 12.706 × teacher"]
    assert found.rows[0][-1].splitlines()[0] == "0.2000 ± 1.2706"
    assert found.rows[-1][0] == "teacher" and found.rows[-1][-2:] == ("0.0500", "0.0500")
    assert any(note.startswith("Median pair: half of all") for note in found.notes)


def test_error_distributions_are_means_over_seeds() -> None:
    cells = [cell("gt", 0, 1.0), cell("gt", 1, 3.0)]
    found = table("error_t_m", cells)
    assert found.headers[2:] == tuple(f"{q} % (m)" for q in (5, 25, 50, 75, 95, 99, 100))
    assert found.rows[0] == ("GT", "2 of 5", "0.0200", "0.0600", "0.1000", "0.1600", "0.4000", "0.8000", "1.8000")
    assert table("error_r_deg", cells).rows[0][4] == "0.2000"
    poses = table("error_ate_m", cells)
    assert poses.rows[0][-1] == "54.00" and "over all poses" in poses.notes[0]


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


@pytest.mark.parametrize("validated", [True, False])
def test_budgets_are_drawn_and_not_compared(validated: bool, tmp_path: Path) -> None:
    made = plan((0,))
    longer = replace(made.rows["gt"], name="longer", budget=2.0)
    made = replace(made, rows=made.rows | {"longer": longer}, tables={"budgets": ("gt", "longer", "min")})
    cells = [cell("gt", 0, 0.1), replace(cell("gt", 0, 0.09), row="longer", steps=200), cell("min", 0, 0.1)]
    if not validated:
        cells = [replace(one, validation_t_m=None, validation_r_deg=None, validation_ate_m=None) for one in cells]
    assert set(write_figures(tmp_path, made, cells, [TEACHER])) == {"budgets"}
    assert cv2.imread(str(tmp_path / "budgets.png")).std() > 5
    assert longer.training == made.rows["gt"].training != made.rows["min"].training


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
