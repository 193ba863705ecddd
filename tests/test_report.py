"""The report: what the table and the verdict say, what the images and the page hold."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cv2
import numpy as np
import plotly.graph_objects as go
import pytest

from distilvo import environment
from distilvo.errors import DistilvoError
from distilvo.geometry import se3
from distilvo.report.matplotlib_renderer import write_plots
from distilvo.report.model_table import model_table, verdict
from distilvo.report.page import write_page
from distilvo.report.results import (
    DriveResult,
    Estimate,
    ModelRow,
    RunResults,
    TrustResult,
    TrustSample,
)
from distilvo.report.run_plots import run_plots
from distilvo.report.style import Palette, label
from distilvo.report.thumbnails import data_uris

TRAININGS = ("teacher", "supervised", "hint", "imitation")
MODELS = ("mean_motion", "teacher", "student_supervised", "student_distilled")
ROWS = [
    ModelRow("mean_motion", 0, 0.0, 0.0, 0.2, 1.0, 80.0),
    ModelRow("teacher", 33_640_006, 0.0, 41.3, 0.05, 0.1, 10.0),
    ModelRow("student_supervised", 2_400_326, 92.86, 6.41, 0.12, 0.25, 18.0),
    ModelRow("student_distilled", 2_400_326, 92.86, 6.39, 0.1, 0.3, 18.0),
]
EVIL = '<script>alert("1")</script>&'


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def drive(name: str = "09", frames: int = 30, seed: int = 0) -> DriveResult:
    rng = np.random.default_rng(seed)
    motions = np.array([0, 0, 1.0, 0, 0.03, 0]) + rng.normal(0, 0.01, (frames - 1, 6))
    wrong = {model: motions + rng.normal(0, 0.02, motions.shape) for model in MODELS}
    estimates = {model: Estimate(se3.trajectory(estimate)) for model, estimate in wrong.items()}
    images = {0: noise(60, 200), frames - 1: noise(60, 200)[..., 0]}
    return DriveResult(name, se3.trajectory(motions), estimates, images, 0.1 * np.arange(frames))


def results(text: str = "", drives: list[DriveResult] | None = None) -> RunResults:
    samples = [TrustSample(noise(60, 200, k), 0.1 * k, 0.5, 1.5, f"04 frame {k}{text}") for k in range(3)]
    return RunResults(
        title=f"A run{text}",
        headline=verdict(ROWS),
        tables=[model_table(ROWS)],
        rows=ROWS,
        drives=[drive(f"09{text}")] if drives is None else drives,
        curves={model + text: [(50, 1.5), (100, 0.5), (150, 0.25)] for model in TRAININGS},
        trust=TrustResult(np.linspace(-0.05, 0.95, 200), 2.5, samples, samples),
        settings={"seed": 7, f"loss{text}": f"imitation{text}"},
        notes=[f"Decoding is not timed.{text}"],
    )


class _Elements(HTMLParser):
    """Every tag with its attributes, and the text outside scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._raw = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._raw = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._raw = False

    def handle_data(self, data: str) -> None:
        if not self._raw:
            self.text += data


def plots_of(page: str) -> dict[str, Any]:
    match = re.search(r'id="figures">(.*?)</script>', page, re.DOTALL)
    assert match
    return json.loads(match[1])


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_page(tmp_path_factory.mktemp("page") / "report.html", results(EVIL)).read_text(encoding="utf-8")


def test_every_plot_is_a_png_inside_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "plots"
    paths = write_plots(folder, run_plots(results(drives=[drive("../09"), drive("$a_b$ c")])).every())
    assert sorted(paths) == sorted(folder.iterdir())
    names = ["errors", "spread", "lengths", "curves", "trajectory_..%2F09", "along_..%2F09"]
    assert {f"{name}.{kind}" for name in names for kind in ("png", "svg")} <= {path.name for path in paths}
    assert len(paths) == 2 * (4 + 2 * 2) + 1  # trust is a PNG alone
    drawn = ElementTree.parse(folder / "trajectory_%24a_b%24 c.svg").getroot()
    assert any((text or "").startswith("Drive $a_b$ c") for text in drawn.itertext())  # a name, not a formula
    for path in paths:
        if path.suffix == ".svg":
            ElementTree.parse(path)
            continue
        image = cv2.imread(str(path))
        assert image is not None and min(image.shape[:2]) > 300 and image.std() > 5
        assert (image[:, [0, -1]] == 255).all()  # nothing is cut off at the left and at the right


def test_plots_use_each_models_colour(tmp_path: Path) -> None:
    write_plots(tmp_path, run_plots(results()).every())
    look = Palette(MODELS)
    for name, models in {"errors": MODELS, "trajectory_09": MODELS, "along_09": MODELS, "curves": MODELS[1:]}.items():
        drawn = cv2.imread(str(tmp_path / f"{name}.png"))[..., ::-1].reshape(-1, 3)
        pixels = set(map(tuple, np.unique(drawn, axis=0).tolist()))
        assert all(tuple(bytes.fromhex(look.colour(model)[1:])) in pixels for model in models), name
        vectors = (tmp_path / f"{name}.svg").read_text()
        assert all(look.colour(model) in vectors for model in models), name
    assert len({look.colour(model) for model in MODELS}) == 4


def test_models_of_a_comparison_look_different() -> None:
    names = ["orb", "dso", "teacher", "ours", "theirs", *(f"model {k}" for k in range(8))]
    look = Palette(names)
    assert len({(look.colour(name), look.dash(name)) for name in names}) == len(names)
    assert (look.colour("teacher"), look.dash("teacher")) == ("#0072b2", "dashdot")


def test_a_training_looks_like_the_model_it_makes() -> None:
    look = Palette([*TRAININGS, *MODELS])
    assert [look.colour(name) for name in TRAININGS] == [look.colour(MODELS[k]) for k in (1, 2, 3, 3)]
    assert label("supervised") == label("student_supervised")
    looks = {(look.colour(name), look.dash(name)) for name in TRAININGS}
    assert len(looks) == len({label(name) for name in TRAININGS}) == 4


def test_an_empty_run_has_no_plots() -> None:
    assert run_plots(RunResults("empty")).every() == []


def test_an_estimate_of_another_length_is_refused(tmp_path: Path) -> None:
    whole = drive()
    short = DriveResult("09", whole.truth, {"teacher": Estimate(whole.estimates["teacher"].poses[:-1])})
    with pytest.raises(DistilvoError, match="29 poses and the truth 30"):
        write_page(tmp_path / "report.html", results(drives=[short]))
    assert list(tmp_path.iterdir()) == []


def test_images_keep_colour_and_fit_the_budget() -> None:
    red = np.zeros((50, 100, 3), dtype=np.uint8)
    red[..., 0] = 200
    small = data_uris({"red": red}, 100_000)["red"]
    assert _image(small).shape == red.shape
    np.testing.assert_allclose(_image(small).astype(int), red, atol=4)
    many = data_uris({k: noise(188, 620, k) for k in range(12)}, 300_000)
    assert 150_000 < sum(map(len, many.values())) <= 300_000
    height, width = _image(many[0]).shape[:2]
    assert width / height == pytest.approx(620 / 188, rel=0.03)


def test_each_image_stands_at_its_frame(tmp_path: Path) -> None:
    """Two drives of one name and the samples of the trust, each image of another grey."""

    def grey(value: int) -> np.ndarray:
        return np.full((30, 60), value, dtype=np.uint8)

    drives = [replace(drive("09"), images={7: grey(10), 3: grey(30)}), replace(drive("09"), images={3: grey(50)})]
    least, most = ([TrustSample(grey(v), 0.5, 0.1, 0.2, f"grey {v}") for v in values] for values in ((90, 70), (110,)))
    run = replace(results(drives=drives), trust=TrustResult(np.linspace(0, 1, 9), 1.0, least, most))
    text = write_page(tmp_path / "report.html", run).read_text(encoding="utf-8")
    images = [(attrs["alt"], attrs["src"]) for tag, attrs in _Elements(text).tags if tag == "img"]
    greys = [(alt, round(float(_image(source or "").mean()))) for alt, source in images]
    expected = [("frame 7", 10), ("frame 3", 30), ("frame 3", 50), ("grey 90", 90), ("grey 70", 70), ("grey 110", 110)]
    assert greys == expected


def test_page_plots_are_what_plotly_accepts(page: str) -> None:
    plots = plots_of(page)
    keys = [attrs["data-figure"] for tag, attrs in _Elements(page).tags if "data-figure" in attrs]
    assert keys == list(plots) and len(plots) == 9
    for spec in plots.values():
        go.Figure(spec)
    assert "teacher" + EVIL in [trace["name"] for trace in plots["curves-0"]["data"]]


def test_page_escapes_every_text(page: str) -> None:
    elements = _Elements(page)
    assert [tag for tag, _ in elements.tags].count("script") == 4
    for text in ("A run", "Drive 09", "04 frame 2", "loss", "imitation", "Decoding is not timed."):
        assert text + EVIL in elements.text
    assert 'alert("1")' not in page


def test_page_asks_for_nothing(page: str) -> None:
    elements = _Elements(page)
    assert not [tag for tag, _ in elements.tags if tag in ("link", "iframe", "object", "embed", "base", "form")]
    links = [attrs["href"] for _, attrs in elements.tags if "href" in attrs]
    anchors = {attrs["id"] for _, attrs in elements.tags if "id" in attrs}
    assert links and all(link and link[0] == "#" and link[1:] in anchors for link in links)
    sources = [attrs["src"] for _, attrs in elements.tags if "src" in attrs]
    assert len(sources) == 2 + 6 and all(source and source.startswith("data:image/jpeg;base64,") for source in sources)
    policy = next(attrs["content"] for _, attrs in elements.tags if "http-equiv" in attrs)
    assert policy and policy.startswith("default-src 'none';")
    assert page.count("plotly.js v") == 1


def test_page_says_what_stands_behind_it(page: str) -> None:
    text = _Elements(page).text
    assert verdict(ROWS) in text.replace("\xa0", " ")
    facts = environment.describe()
    assert {"distilvo", "torch", "numpy", "onnxruntime"} <= facts["versions"].keys()
    assert all(name in text and version in text for name, version in facts["versions"].items())
    assert facts["python"] in text and facts["cpu"] in text


def test_a_big_run_stays_under_six_megabytes(tmp_path: Path) -> None:
    big = results(drives=[drive(f"{k:02d}", 3000, k) for k in range(11)])
    assert write_page(tmp_path / "report.html", big).stat().st_size < 6_000_000


def test_an_empty_run_has_a_page(tmp_path: Path) -> None:
    path = write_page(tmp_path / "report.html", RunResults("empty"))
    assert plots_of(path.read_text(encoding="utf-8")) == {}


def _image(uri: str) -> np.ndarray:
    png = base64.b64decode(uri.removeprefix("data:image/jpeg;base64,"))
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
