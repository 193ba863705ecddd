"""A study's file: presets, plans like others, and what is wrong with a plan in one line."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from distilvo.errors import DistilvoError
from distilvo.settings import PAPER, Method
from distilvo.study.plan import Routes, plan_key
from distilvo.study.plan_file import read_plan
from small_plan import SMALL, plan


def test_presets_are_what_the_paper_asks_for() -> None:
    scarce, kitti, paper = map(read_plan, ("scarce", "kitti", "paper"))
    for study in (scarce, kitti, paper):
        assert {name for names in study.tables.values() for name in names} == set(study.rows)
        assert len(study.seeds) >= 5
    assert scarce.teacher is None and scarce.rows["learned"].method == replace(
        Method(), trust="learned", hint_form="maps"
    )
    assert (paper.rows, paper.published, kitti.choice) == (kitti.rows, kitti.published, None)
    assert kitti.recipe.epochs == 30 and kitti.recipe.learning_rate == 1e-4 and kitti.dropout == 0.25
    each, row = kitti.rows["aht-ail-each"], kitti.rows["aht-ail"]
    assert (each.training, each.budget) == (row.training, 2.0)  # 30 epochs a stage
    assert isinstance(paper.data, Routes) and paper.data.test == ("09", "10") == kitti.data.test  # type: ignore[union-attr]
    assert paper.published["literature"]["aht-ail"].ate_m == 29.03
    blends = {paper.rows[name].method.blend for name in paper.tables["blends"]}
    assert len(blends) == len(paper.tables["blends"]) == 8
    assert [paper.rows[name].rate for name in paper.tables["rates"]] == [65.8, 72.88, 79.69, 92.95, 96.0]
    assert paper.rows["aht-ail"].method == PAPER
    assert paper.rows["aht-ail@92.95"].label == "92.95 %: AHT, then AIL"  # of the curve


@pytest.mark.parametrize("page", ["study", "research"])
def test_plans_in_the_docs_can_be_read(page: str, tmp_path: Path) -> None:
    text = (Path(__file__).parents[1] / "docs" / f"{page}.md").read_text(encoding="utf-8")
    (toml,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    made = plan(tmp_path, toml)
    assert made.title.startswith("mine")
    if page == "research":
        assert plan_key(made) == plan_key(read_plan("paper"))  # its folder has the other rows


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('title = "small"', 'title = "small', "line 2"),
        ('title = "small"', "title = 3", "title is 3, expected to be a valid string"),
        ('title = "small"', 'title = "small"\nworkers = 3', "workers is unknown"),
        ("rate = 60\n", "", "'rate' is missing"),
        ('blend = "ground-truth"', 'blend = "truth"', "rows: gt: blend is 'truth', expected to be 'ground-truth', "),
        ('shape = "slim"', 'shape = "thin"', "rows: ours: shape is 'thin', expected to be 'cut', 'slim', 'nano'"),
        ("inherit = true", "inherits = true", "rows: ours: inherits is unknown"),
        ("inherit = true", 'name = "theirs"', "rows: ours: name is unknown"),
        ("inherit = true", 'like = "ours"', "row 'ours': like is 'ours', expected the name of another row"),
        ("inherit = true", 'like = "ail"', "row 'ours': like is 'ail', expected the name of another row"),
        ("inherit = true", "like = 3", "row 'ours': like is 3, expected the name of another row"),
        ("inherit = true", "like = []", r"row 'ours': like is \[\], expected the name of another row"),
        (
            "inherit = true",
            'like = "b"\n[rows.b]\nlike = "ours"',
            "row 'b': like is 'ours', expected the name of another",
        ),
        ("inherit = true", "folds = 1", "row 'ours': folds is 1, expected 0, or 2 and more"),
        ("inherit = true", "folds = true", "rows: ours: folds is True, expected to be a valid integer"),
        ("[rows.gt]", "[rows]\nrow = 3\n[rows.gt]", "rows: row is 3, expected to be a table"),
        ('blends = ["gt"]', 'blends = ["gt", "ail"]', "nowhere described: ail"),
        ('blends = ["gt"]', 'mixes = ["gt"]', "tables: mixes is 'mixes', expected to be 'blends', 'hints'"),
        ("epochs = 1", "epochs = 0", "epochs: is 0, expected at least 1"),
        ("epochs = 1", "epochs = 1.5", "recipe: epochs is 1.5, expected to be a valid integer"),
        ("epochs = 1", "learning_rate = nan", "recipe: learning_rate is nan, expected to be a finite number"),
        ("epochs = 1", "epoch = 1", "recipe: epoch is unknown"),
        ("inherit = true", 'inherit = "no"', "rows: ours: inherit is 'no', expected to be a valid boolean"),
        ("rate = 60\n", "rate = 100\n", "rate: is 100, expected at least 1 and less than 100"),
        ("rate = 60\n", 'rate = "60"\n', "rate is '60', expected to be a valid number"),
        ("rate = 60\n", "rate = true\n", "rate is True, expected to be a valid number"),
        ("rate = 60\n", "rate = 0.9295\n", r"is 0\.9295, .* rates are per cent; did you mean 92\.95\?"),
        ("inherit = true", "rate = 0.6", r"row 'ours': rate: is 0\.6, .* did you mean 60\?"),
        ("[tables]", '[curve]\nrow = "gt"\nrates = [70, 0.8]\n[tables]', r"is 0\.8, .* did you mean 80\?"),
        ("seeds = [0, 1]", "seeds = [0, -1]", r"seeds: is \[0, -1\], expected different numbers"),
        ("seeds = [0, 1]", "seeds = [0, 9223372036854775808]", "expected different numbers, 0 or more, less than 2"),
        ("epochs = 1", "epochs = 1\nseed = 5", "recipe: seed is 5, but students are trained with seeds"),
        ('"01", "02"]', '"01", "01"]', "sequences: 01 is named twice in one list"),
        (
            "[tables]",
            '[curve]\nrow = "gt"\nrates = [70]\n[tables]\nrates = ["gt"]',
            r"table 'rates' is that of \[curve\]; leave one",
        ),
        ("seeds = [0, 1]", "seeds = [1, 1]", r"seeds: is \[1, 1\], expected different numbers"),
        ("seeds = [0, 1]", "seeds = [0, true]", "seeds: 1 is True, expected to be a valid integer"),
        ("seeds = [0, 1]", "seeds = []", r"seeds is \[\], expected to have at least 1 item; see"),
        ("seeds = [0, 1]", "seeds = [0, 1]\ndropout = 1.5", "dropout is 1.5, expected to be less than 1"),
        ('test = ["03"]', 'test = "03"', "sequences: test is '03', expected to be a list"),
        ('test = ["03"]', "test = [3]", "sequences: test: 0 is 3, expected to be a valid string"),
        ('test = ["03"]', 'test = ["02"]', "sequences: 02 is in train and in test; expected others"),
        ('[sequences]\ntrain = ["00", "01", "02"]\ntest = ["03"]', "", r"expected one of \[streets\], \[routes\] and"),
        ("[sequences]", "[streets]\ntrain = 1\ntest = 1\nframes = 9\n[sequences]", "expected one of"),
        ("[recipe]", "[choice]\nlearning_rates = [1e-3, 1e-2]\n[recipe]", "choice: .*expected validation = "),
        ("inherit = true", "budget = 0.0", r"row 'ours': budget is 0, expected more than 0"),
        ("[tables]", "[published.blends.gt]\nate = 1.0\n[tables]", "published: blends: gt: ate is unknown"),
        ("[tables]", "[published.blends.ours]\n[tables]", "published: table 'blends' has no row ours"),
        ('test = ["03"]', 'test = ["03"]\nvalidation = ["02"]', "sequences: 02 is in validation and elsewhere"),
        (
            "[sequences]",
            "[streets]\ntrain = 0\ntest = 1\nframes = 9\n[sequences]",
            "streets: train is 0, expected to be",
        ),
        (
            "[sequences]",
            "[streets]\ntrain = 1\ntest = 1\nframes = 1\n[sequences]",
            "streets: frames is 1, expected to be",
        ),
        ("[tables]", '[curve]\nrow = "ail"\nrates = [70]\n[tables]', "curve has a row that is nowhere described: ail"),
        ('title = "small"', 'like = "\\u0000"', "is no preset"),
        ('title = "small"', 'like = "papre"', "'papre' is no preset"),
        ('title = "small"', "like = " + "[" * 300 + "]" * 300, "is no preset"),
        ('title = "small"', "title = " + "[" * 300 + "]" * 300, "recursion limit exceeded"),
        ('title = "small"', "title = 0x" + "f" * 5000, "Exceeds the limit"),
    ],
)
def test_a_wrong_plan_is_one_clear_line(old: str, new: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DistilvoError, match=rf"plan\.toml: .*{message}") as error:
        plan(tmp_path, SMALL.replace(old, new))
    assert "\n" not in str(error.value) and "see docs/study.md" in str(error.value)


@pytest.mark.parametrize(
    "name", ["../../../victim", "/victim", "C:\\\\victim", ".", "", "x" * 300, "a\\n", "a ", "NUL"]
)
def test_a_row_cannot_lead_out_of_the_folder(name: str, tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    with pytest.raises(DistilvoError, match=r"plan\.toml: row .*: cannot name a folder"):
        plan(tmp_path, SMALL.replace("[rows.ours]", f'[rows."{name}"]'))


def test_trust_that_needs_all_labels_is_refused_where_film_has_none(tmp_path: Path) -> None:
    """At once: not when drives are rendered and the teacher is trained."""
    film = SMALL.replace("[sequences]", '[routes]\nlabelled = ["01"]').replace("inherit = true", 'labels = "film"')
    for trust in ("learned", "consistency", "none"):
        assert (
            plan(tmp_path, film.replace("[tables]", f'trust = "{trust}"\n[tables]')).rows["ours"].method.trust == trust
        )
    with pytest.raises(
        DistilvoError, match=r"row 'ours': trust is paper, which needs a label .* expected learned, consistency or none"
    ):
        plan(tmp_path, film)
    with pytest.raises(DistilvoError, match="row 'ours': trust is quantile, which needs"):
        plan(tmp_path, film.replace("[tables]", 'folds = 2\ntrust = "quantile"\n[tables]'))


def test_trust_by_the_true_error_is_of_all_drives(tmp_path: Path) -> None:
    """A row of the labelled drives alone would take the trust of others."""
    routes = SMALL.replace("[sequences]", '[routes]\nlabelled = ["01"]')
    for labels in ("film", "all"):
        known = plan(tmp_path, routes.replace("inherit = true", f'oracle = true\nlabels = "{labels}"'))
        assert known.rows["ours"].oracle
    with pytest.raises(DistilvoError, match=r"row 'ours': oracle is trust in film, too; expected labels = \"film\""):
        plan(tmp_path, routes.replace("inherit = true", 'oracle = true\nlabels = "labelled"'))


def test_rows_that_differ_in_case_alone(tmp_path: Path) -> None:
    with pytest.raises(DistilvoError, match=r"plan\.toml: rows 'gt' and 'GT' are one folder on some disks"):
        plan(tmp_path, SMALL.replace("[rows.ours]", "[rows.GT]"))


def test_a_plan_like_a_preset_with_tables_of_its_own(tmp_path: Path) -> None:
    """Its rows are added, and of the preset's those that its tables name; so are the paper's numbers."""
    recipe = 'title = "x"\nlike = "kitti"\n[sequences]\ntrain = ["00"]\ntest = ["01"]\n[recipe]\nepochs = 1\n'
    paper, whole = read_plan("paper"), plan(tmp_path, recipe)
    assert (whole.rows, whole.tables, whole.published) == (paper.rows, paper.tables, paper.published)
    own = plan(tmp_path, recipe + '[rows.mine]\nhint = "none"\n[tables]\nliterature = ["fitnets", "mine", "ail"]\n')
    assert own.tables == {"literature": ("fitnets", "mine", "ail")} and set(own.rows) == {"fitnets", "mine", "ail"}
    assert own.rows["ail"] == paper.rows["ail"]
    assert own.published == {"literature": {"fitnets": paper.published["literature"]["fitnets"]}}
    more = plan(tmp_path, recipe + '[rows.mine]\nhint = "none"\n[rows.ail]\nrate = 50\n')
    assert more.rows.keys() - paper.rows.keys() == {"mine"} and more.tables == paper.tables
    assert (more.rows["ail"].rate, more.rows["ail"].method.hint) == (50, "attentive")  # one of that name is replaced


def test_a_row_like_another(tmp_path: Path) -> None:
    """It takes all but the label, also of a row behind it that is like a third one."""
    text = SMALL.replace("[rows.gt]", '[rows.more]\nlike = "ours"\nbudget = 2.0\n[rows.gt]')
    text = text.replace("inherit = true", 'like = "base"\nlabel = "mine"')
    text = text.replace("[tables]", "[rows.base]\ninherit = true\nrate = 70\n[tables]")
    rows = plan(tmp_path, text).rows
    assert (rows["ours"].label, rows["more"].label) == ("mine", "more")
    assert rows["base"].shape == "cut" and rows["ours"] == replace(
        rows["base"], name="ours", label="mine", shape="slim"
    )
    assert rows["more"] == replace(rows["ours"], name="more", label="more", budget=2.0)
    assert rows["more"].method == replace(PAPER, inherit=True) and rows["more"].rate == 70


def test_a_row_like_one_of_the_preset(tmp_path: Path) -> None:
    """Which the plan leaves out, since no table of its own names it."""
    own = '[rows.mine]\nlike = "best@92.95"\ntrust = "rank"\n[tables]\nbeyond = ["ail", "mine"]\n'
    recipe = 'title = "x"\nlike = "kitti"\n[sequences]\ntrain = ["00"]\ntest = ["01"]\n[recipe]\nepochs = 1\n'
    best, rows = read_plan("paper").rows["best@92.95"], plan(tmp_path, recipe + own).rows
    assert set(rows) == {"ail", "mine"}
    assert rows["mine"] == replace(best, name="mine", label="mine", method=replace(best.method, trust="rank"))


def test_a_study_of_nothing() -> None:
    with pytest.raises(DistilvoError, match=r"nothing\.toml: no such file; .* presets kitti, paper, scarce"):
        read_plan("nothing.toml")
