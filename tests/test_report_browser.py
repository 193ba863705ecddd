"""The page in a real browser: it opens without an error, draws, and its images, plots and links belong together.

Needs Chromium with its driver (Debian: chromium-driver) and the package selenium; skipped without them.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from distilvo.report.page import write_page
from test_report import EVIL, drive, results

webdriver = pytest.importorskip("selenium.webdriver")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no Chromium with chromedriver here")

QUIET = ("background-networking", "component-update", "sync", "extensions", "default-apps")
Open = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        *(f"--disable-{q}" for q in QUIET),
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield chrome
    chrome.quit()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two drives, one of them with a name that would break out of a careless page."""
    both = results(drives=[drive("09"), drive(EVIL, frames=12, seed=1)])
    return write_page(tmp_path_factory.mktemp("browser") / "report.html", both)


@pytest.fixture
def page(browser: Any, path: Path) -> Open:
    """Opens the page in a window of some width, in light or in dark."""

    def open_page(width: int = 1200, dark: bool = False) -> Any:
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        calm = {"name": "prefers-reduced-motion", "value": "reduce"}
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme, calm]})
        browser.get_log("browser")
        browser.get(path.as_uri())
        wait_for(
            browser, "return [...document.querySelectorAll('.plot')].every((plot) => plot.querySelector('.main-svg'))"
        )
        return browser

    return open_page


def wait_for(browser: Any, script: str) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, 20).until(lambda chrome: chrome.execute_script(script))


@pytest.mark.parametrize(("width", "dark"), [(1200, False), (1200, True), (390, False), (390, True)])
def test_it_opens_without_an_error_and_fits_the_window(page: Open, width: int, dark: bool) -> None:
    opened = page(width, dark)
    assert opened.get_log("browser") == []
    assert opened.execute_script("return document.documentElement.scrollWidth") <= width
    ground = opened.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(20, 23, 27)" if dark else "rgb(255, 255, 255)")
    ink = opened.execute_script("return getComputedStyle(document.querySelector('.plot .xtitle')).fill")
    assert ink == ("rgb(232, 235, 238)" if dark else "rgb(27, 31, 36)")


def test_every_plot_has_its_lines(page: Open) -> None:
    opened = page()
    drawn = opened.execute_script(
        "return [...document.querySelectorAll('.plot')].map((plot) => [plot.querySelectorAll("
        "'.scatterlayer path.js-line, .boxlayer path.box, .barlayer path').length, figures[plot.dataset.figure].data"
        ".filter((trace) => trace.mode !== 'markers+text').length])"
    )
    assert len(drawn) == 12
    assert all(lines >= traces > 0 for lines, traces in drawn)
    widths = opened.execute_script("return [...document.images].map((image) => image.naturalWidth)")
    assert len(widths) == 2 * 2 + 6 and min(widths) > 0


def test_the_map_has_one_scale_for_both_axes(page: Open) -> None:
    lengths = page().execute_script(
        "return [...document.querySelectorAll('[data-place=map]')].map((map) => "
        "{ const { xaxis, yaxis } = map._fullLayout; return [xaxis._m, Math.abs(yaxis._m)]; })"
    )
    assert len(lengths) == 2
    assert all(x == pytest.approx(y, rel=1e-3) for x, y in lengths)


MARKS = """
const plots = [...document.querySelectorAll("#drive0 [data-place]")];
return plots.map((plot) => (plot.layout.shapes ?? []).map((shape) => shape.xanchor ?? shape.x0));
"""
PRESSED = (
    "return [...document.querySelectorAll('#drive0 button[aria-pressed=true]')].map((b) => Number(b.dataset.frame))"
)


def test_an_image_shows_its_place_in_every_plot_of_its_drive_alone(page: Open) -> None:
    opened = page()
    assert opened.execute_script(MARKS) == [[], [], []]
    opened.execute_script("document.querySelector('#drive0 button[data-frame=\"29\"]').click()")
    way = opened.execute_script("return ways.drive0")
    at = way["frame"].index(29)
    assert opened.execute_script(MARKS) == [[way["x"][at]], [way["metres"][at]], [way["metres"][at]]]
    assert opened.execute_script(PRESSED) == [29]
    assert opened.execute_script("return document.querySelector('#drive0 .place').textContent").startswith(
        "Frame 29, after"
    )
    assert opened.execute_script("return document.querySelectorAll('#drive1 [aria-pressed=true]').length") == 0


def test_a_place_of_a_plot_chooses_the_nearest_image(page: Open) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    opened = page()
    along = opened.find_element("css selector", "#drive0 [data-place=along]")
    opened.execute_script("arguments[0].scrollIntoView({ block: 'center' })", along)
    ActionChains(opened).move_to_element_with_offset(along, round(0.3 * along.size["width"]), 0).perform()
    wait_for(opened, PRESSED.replace("return", "return 0 <") + ".length")
    assert opened.execute_script(PRESSED) == [
        29
    ]  # images are of frames 0 and 29, and the pointer was right of the middle
    frame = opened.execute_script("return Number(document.getElementById('drive0').dataset.frame)")
    assert 15 < frame < 29
    assert opened.execute_script(MARKS)[1] == [opened.execute_script(f"return ways.drive0.metres[{frame}]")]


def test_links_lead_to_their_sections(page: Open) -> None:
    opened = page()
    links = opened.find_elements("css selector", "nav a")
    assert [link.text for link in links][:3] == ["single frames", "path lengths", "drive 09"]
    for link in links:
        link.click()
        target = link.get_attribute("href").rsplit("#", 1)[1]
        top, bottom = opened.execute_script(
            "const { top } = document.getElementById(arguments[0]).getBoundingClientRect();"
            "return [top, document.documentElement.scrollHeight - innerHeight - scrollY]",
            target,
        )
        assert abs(top) < 2 or bottom < 2, target  # at the top of the window, or the page ends
        opened.execute_script("scrollTo(0, 0)")


def test_a_change_to_dark_draws_anew_and_keeps_the_place(page: Open) -> None:
    opened = page()
    opened.execute_script("document.querySelector('#drive0 button').click()")
    marked = opened.execute_script(MARKS)
    opened.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    )
    wait_for(opened, "return document.querySelector('.plot').layout.font.color === '#e8ebee'")
    assert opened.execute_script(MARKS) == marked
    assert opened.get_log("browser") == []
