"""A student fitted to film without labels, in miniature."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from conftest import make_kitti
from distilvo.commands.adapt import Adapt
from distilvo.commands.main import main
from distilvo.data import Clips, FrameCache, open_cache
from distilvo.distill import trainer
from distilvo.errors import DistilvoError
from distilvo.geometry.preprocessing import Preprocessing
from distilvo.models.model_folder import load_model, save_model
from distilvo.models.network import Architecture, PoseNetwork
from distilvo.pipeline import adaptation
from distilvo.pipeline.adaptation import Distance, adapt, by_part, cut_films, distance, look_through
from distilvo.pipeline.frame_trust import teacher_outputs
from distilvo.pipeline.unlabelled import open_unlabelled
from distilvo.report import adaptation_report
from distilvo.report.film_plots import film_plots
from distilvo.report.plot_specs import DotsMark, LineMark
from distilvo.report.results import FilmTrust
from distilvo.settings import Recipe, SourceOptions
from test_training import TINY, same, weights

RECIPE = Recipe(epochs=2, clip_length=3, batch_size=2, learning_rate=5e-4)
STUDENT = replace(TINY, name="student-tiny", lstm=(), dropout=0.0)
BLACK, REPEATED = range(10, 14), 20
UNIT = torch.zeros(6), torch.tensor([0.3] * 3 + [0.02] * 3)


def make_model(folder: Path, architecture: Architecture = STUDENT, seed: int = 0, rate_hz: float | None = None) -> Path:
    torch.manual_seed(seed)
    network = PoseNetwork(architecture)
    network.set_motion_scale(*UNIT)
    return save_model(network, folder, {"rate_hz": rate_hz})


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 frames, of which 10-13 are black and 20 is frame 19 once more."""
    folder = make_kitti(tmp_path_factory.mktemp("film"), "07", frames=40, seed=5)
    for frame in BLACK:
        cv2.imwrite(str(folder / "image_2" / f"{frame:06d}.png"), np.zeros((48, 160, 3), np.uint8))
    repeated = (folder / "image_2" / f"{REPEATED - 1:06d}.png").read_bytes()
    (folder / "image_2" / f"{REPEATED:06d}.png").write_bytes(repeated)
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("models")
    return make_model(root / "student"), make_model(root / "teacher", TINY, seed=1, rate_hz=10)


@pytest.fixture
def cache(film: Path, tmp_path: Path) -> FrameCache:
    return open_cache(
        open_unlabelled([film], SourceOptions()), Preprocessing((48, 160), 1), tmp_path / "cache", need_poses=False
    )


def test_the_last_fifth_is_held_back_in_whole_clips(cache: FrameCache) -> None:
    parts = cut_films(cache, 3)
    assert [(drive.first, drive.frames) for drive in parts.drives] == [(0, 30), (30, 10)]  # 39 pairs: 3 of 13 clips
    assert parts.motions.shape == (38, 6) and np.isnan(parts.motions).all()
    assert parts.key != cache.key and len(cache.drives) == 1
    one = look_through(cache, 3).parts[0]
    assert (one.pairs, one.held_from) == (slice(0, 38), 30)
    assert one.frames.tolist() == [*range(1, 30), *range(31, 40)]


def test_no_frame_that_is_held_back_is_in_a_clip(cache: FrameCache) -> None:
    """Every frame of the part that is learned from is, in some epoch."""
    parts = cut_films(cache, 3)
    seen: set[int] = set()
    for epoch in range(20):
        for batch in Clips(parts, RECIPE, range(0, len(parts.drives), 2)).epoch(epoch):
            for first in batch.index[:, 0].tolist():
                seen |= set(range(first, first + 4))  # of drive 0 pairs and frames have the same numbers
    assert seen == set(range(30))


def test_pairs_of_doubted_frames_are_left_out_and_say_why(cache: FrameCache) -> None:
    film = look_through(cache, 3)
    of_frame = dict(zip(film.parts[0].frames.tolist(), film.reasons, strict=True))
    assert {of_frame[frame] for frame in (*BLACK, BLACK[-1] + 1)} == {"no texture"}
    assert of_frame[REPEATED] == of_frame[REPEATED + 1] == "static image"
    left_out = {frame for frame, reason in of_frame.items() if reason != "ok"}
    # One frame more after each of them: the first frame of its pair is doubted.
    assert left_out == {*BLACK, BLACK[-1] + 1, BLACK[-1] + 2, REPEATED, REPEATED + 1}


def test_frames_are_judged_across_the_cut(cache: FrameCache, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = []
    judge = adaptation.judge
    monkeypatch.setattr(adaptation, "judge", lambda seen, *more: begun.append(seen is None) or judge(seen, *more))
    look_through(cache, 3)
    assert begun == [True] + [False] * 39


def test_distance_by_hand() -> None:
    """3 m and 1 m apart with trust 1 and 3: weighed sqrt((9 + 3) / 4); one of two turned by 0.2 rad, with trust 0."""
    teacher = torch.zeros(2, 6)
    motions = torch.tensor([[0.0, 0, 3, 0, 0, 0], [1, 0, 0, 0, 0.2, 0]])
    one = distance(motions, teacher, torch.tensor([[1.0, 1], [3, 0]]))
    degrees = math.degrees(0.2) / math.sqrt(2)
    assert vars(one) == pytest.approx(vars(Distance(math.sqrt(5), degrees, math.sqrt(3), 0)), abs=1e-6)


def test_what_is_left_out_moves_no_weight(
    cache: FrameCache, models: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another teacher on the pairs that are left out, and on those held back, trains the same student."""
    start, teacher = (load_model(folder)[0] for folder in models)
    film, trained = look_through(cache, 3), []
    without = torch.from_numpy(film.used & ~film.held_back)
    for offset in (0.0, 100.0):

        def outputs(*arguments: object, offset: float = offset, **more: object) -> object:
            known, trust = teacher_outputs(*arguments, **more)  # type: ignore[arg-type]
            return replace(known, outputs=known.outputs + offset * ~without[:, None]), trust

        monkeypatch.setattr(adaptation, "teacher_outputs", outputs)
        folder = tmp_path / f"{offset}"
        trained.append(adapt(start, teacher, film, film.cache, RECIPE, folder, outputs=tmp_path).student)
    assert same(weights(trained[0]), weights(trained[1])) and not same(weights(trained[0]), weights(start))


def test_trust_of_what_is_left_out_is_zero_also_mirrored(
    cache: FrameCache, models: tuple[Path, Path], tmp_path: Path
) -> None:
    start, teacher = (load_model(folder)[0] for folder in models)
    film = look_through(cache, 3)
    recipe = replace(RECIPE, mirror=True)
    made = adapt(start, teacher, film, film.cache, recipe, tmp_path / "mirror", outputs=tmp_path)
    phi = by_part(made.trust.phi)
    assert ((phi == 0).all(1).numpy() == ~film.used).all() and (phi[film.used] > 0).all()
    assert all(math.isfinite(loss) for _, loss in made.curves["imitation"])


def test_without_trust_all_that_is_used_counts_alike(
    cache: FrameCache, models: tuple[Path, Path], tmp_path: Path
) -> None:
    start, teacher = (load_model(folder)[0] for folder in models)
    film = look_through(cache, 3)
    made = adapt(start, teacher, film, film.cache, RECIPE, tmp_path / "none", outputs=tmp_path, trust="none")
    assert torch.equal(made.trust.phi, torch.from_numpy(film.used).float()[:, None].expand(-1, 6))
    after = made.after
    assert (after.trusted_translation_m, after.trusted_rotation_deg) == (after.translation_m, after.rotation_deg)


def test_images_of_the_report_are_no_neighbours(cache: FrameCache, models: tuple[Path, Path], tmp_path: Path) -> None:
    start, teacher = (load_model(folder)[0] for folder in models)
    film = look_through(cache, 3)
    made = adapt(start, teacher, film, film.cache, RECIPE, tmp_path / "images", outputs=tmp_path)
    phi = torch.linspace(1, 0.1, 38)[:, None].expand(-1, 6) * torch.from_numpy(film.used)[:, None]
    shown = adaptation_report.trust_of(replace(made, trust=replace(made.trust, phi=phi)), film)
    # Frame 30 begins what is held back, and is no pair's second frame; 10-15 and 20-21 are not used.
    assert [sample.label for sample in shown.most] == ["07 frame 1", "07 frame 16", "07 frame 26", "07 frame 37"]
    assert [sample.label for sample in shown.least] == ["07 frame 39", "07 frame 28", "07 frame 18", "07 frame 8"]
    pixels = cache.frames[28, 0]
    assert np.array_equal(shown.least[1].frame, pixels) and len(shown.phi) == film.used.sum()


def test_a_command_fits_the_student_and_tells(
    film: Path, models: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    student, teacher = models
    before = {path.name: path.read_bytes() for path in student.iterdir()}
    # 40 steps bring the student nearer to its teacher on film that it has not seen.
    command = Adapt(student, (film,), tmp_path / "out", teacher, recipe=replace(RECIPE, epochs=10, learning_rate=2e-3))
    command.run()
    assert {path.name: path.read_bytes() for path in student.iterdir()} == before
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["camera_heights_m"] == {film.stem: 1.65}
    assert summary["after"]["translation_m"] < summary["before"]["translation_m"]
    printed = " ".join(capsys.readouterr().out.split())
    assert "no labels: this says how near the student is to its teacher, not how near to the truth" in printed.lower()
    fitted, config = load_model(tmp_path / "out")
    assert fitted.architecture == STUDENT and config["rate_hz"] == 10  # its teacher's
    assert config["training"]["began"]["model"] == str(student)
    page = (tmp_path / "out" / "report.html").read_text()
    for text in ("10-15 (no texture), 20-21 (static image)", "6 no texture, 2 static image", "Trust along the way"):
        assert text in page
    assert (tmp_path / "out" / "plots" / "trust_07.png").exists()


def test_flags_of_the_film_and_of_the_trust_are_followed(film: Path, models: tuple[Path, Path], tmp_path: Path) -> None:
    """A camera twice as high; without trust nothing looks for contradictions, which is the longest part of the work."""
    source, out = SourceOptions(camera_height=3.3, end=2.0), tmp_path / "out"
    Adapt(models[0], (film,), out, models[1], "none", source, replace(RECIPE, epochs=1, batch_size=1)).run()
    assert json.loads((out / "summary.json").read_text())["camera_heights_m"] == {film.stem: 3.3}
    assert load_model(out)[1]["training"]["data"]["frames"] == 21 and not list((out / "cache").glob("consistency-*"))


def test_an_interrupted_run_goes_on_to_the_same_weights(
    film: Path, models: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    student, teacher = models
    whole = Adapt(student, (film,), tmp_path / "whole", teacher, recipe=RECIPE)
    whole.run()
    broken = replace(whole, out=tmp_path / "broken")
    step, steps = trainer._step, []

    def stop(*arguments: object) -> object:
        steps.append(1)
        if len(steps) == 4:
            raise KeyboardInterrupt
        return step(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(trainer, "_step", stop)
        broken.run()
    assert not (tmp_path / "broken" / "config.json").exists()
    broken.run()
    assert same(*(weights(load_model(tmp_path / name)[0]) for name in ("whole", "broken")))
    with pytest.raises(DistilvoError, match="other settings"):
        replace(broken, recipe=replace(RECIPE, epochs=3)).run()
    make_model(tmp_path / "student", seed=7)
    moved = replace(broken, model=tmp_path / "student", out=tmp_path / "moved")
    moved.run()
    make_model(tmp_path / "student", seed=8)  # trained anew under the same name
    with pytest.raises(DistilvoError, match="weights"):
        moved.run()


def test_a_teacher_of_another_image_size_has_a_cache_of_its_own(
    film: Path, models: tuple[Path, Path], tmp_path: Path
) -> None:
    teacher = make_model(tmp_path / "teacher", replace(TINY, size=(64, 192), grid=(1, 3), channels=3), seed=1)
    Adapt(models[0], (film,), tmp_path / "out", teacher, recipe=RECIPE).run()
    shapes = {np.load(path, mmap_mode="r").shape for path in (tmp_path / "out" / "cache").glob("*/frames.npy")}
    assert shapes == {(40, 1, 48, 160), (40, 3, 64, 192)}


def test_films_of_a_report_are_24_at_most() -> None:
    one = FilmTrust("07", np.arange(1, 4), {"translation": np.ones(3), "rotation": np.ones(3)}, np.ones(3, bool), 3)
    films = [replace(one, name=f"{number}/.") for number in range(25)]
    assert "24 of 25 films" in film_plots(films)[0].note and len(film_plots(films)) == 24
    assert "films" not in film_plots(films[:24])[0].note
    names = [plot.name for plot in film_plots(films)]
    assert len(set(names)) == 24 and not any("/" in name for name in names)


def test_what_is_not_used_and_what_is_held_back_is_marked() -> None:
    phi = {"translation": np.array([0.5, 0, 0.7]), "rotation": np.array([0.1, 0, 0.3])}
    (plot,) = film_plots([FilmTrust("07", np.array([1, 2, 4]), phi, np.array([True, False, True]), 3)])
    translation, rotation, held, left_out = plot.panels[0].marks
    assert isinstance(translation, LineMark) and isinstance(rotation, LineMark) and isinstance(held, LineMark)
    assert np.array_equal(translation.y, [0.5, np.nan, 0.7], equal_nan=True) and translation.x.tolist() == [1, 2, 4]
    assert held.x.tolist() == [3, 4] and rotation.y[0] == 0.1
    assert isinstance(left_out, DotsMark) and left_out.x.tolist() == [2]


def test_a_student_that_moved_away_is_a_warning() -> None:
    better, worse = Distance(0.1, 0.2, 0.1, 0.2), Distance(0.1, 0.3, 0.05, 0.2)
    made = adaptation.Adapted(None, None, {}, better, worse)  # type: ignore[arg-type]
    (line,) = adaptation_report.warnings_of(made)
    assert line.startswith("WARNING") and "rotation 0.2000 -> 0.3000 degrees" in line and "translation" not in line
    assert not adaptation_report.warnings_of(replace(made, after=better))


def test_refusals(film: Path, models: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    student, teacher = models
    short = make_kitti(tmp_path, "short", frames=7)
    black = make_kitti(tmp_path, "black", frames=20)
    for path in (black / "image_2").glob("*.png"):
        cv2.imwrite(str(path), np.zeros((48, 160, 3), np.uint8))
    begun = Adapt(student, (film,), tmp_path / "out", teacher, recipe=RECIPE)
    for command, message in (
        (replace(begun, film=()), "no film"),
        (replace(begun, film=(short,)), "7 frames; expected at least 8"),
        (replace(begun, film=(black,), out=tmp_path / "2"), r"none of 15 frame pairs .*15 no texture"),
        (replace(begun, film=(tmp_path / "nothing",)), "nothing: no such path"),
        (replace(begun, film=(Path("camera:0"),)), "live"),
        (replace(begun, model=tmp_path / "nothing"), "no such folder"),
        (replace(begun, out=student), "exists and was not made by"),
        (replace(begun, out=tmp_path / "3", recipe=Recipe()), "expected at least one batch of 8"),
    ):
        with pytest.raises(DistilvoError, match=message) as caught:
            command.run()
        assert "\n" not in str(caught.value)


def test_help(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["distilvo", "adapt", "--help"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0 and "--teacher" in capsys.readouterr().out
