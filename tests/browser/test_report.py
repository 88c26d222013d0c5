"""The report as a reader sees it: at three widths, on light and dark screens, and on paper."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from avca_pipeline.errors import one_line
from tests.browser.big_results import BEST, MODELS, SEEDS, BigResults

MAX_BYTES = 5_000_000
WIDTHS = (390, 768, 1400)
# What sticks out of the page. What a box scrolls by itself does not count.
STICKING_OUT = """() => [...document.querySelectorAll("body *")].filter(one =>
    one.getBoundingClientRect().right > document.documentElement.clientWidth + 1
    && !one.closest(".scroll") && !one.closest(".sr")).map(one => one.outerHTML.slice(0, 200))"""
# What axe checks takes seconds for each row, and rows differ in numbers and names alone.
FOLD_MOST = """() => document.querySelectorAll("section").forEach(section =>
    [...section.querySelectorAll("details")].slice(3).forEach(one => one.open = false))"""
BESIDE_THE_SHEET = """() => [...document.querySelectorAll("table, figure, p, pre")]
    .filter(one => one.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
    .map(one => one.outerHTML.slice(0, 200))"""
# Words of at most 30 letters that stand on more than one line.
BROKEN_WORDS = """() => {
    const broken = [];
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const text = texts.currentNode;
        for (const found of text.data.matchAll(/[\\p{Script=Latin}\\p{N}]+/gu)) {
            if (found[0].length > 30 || text.parentElement.closest(".sr")) continue;
            const range = document.createRange();
            range.setStart(text, found.index);
            range.setEnd(text, found.index + found[0].length);
            const tops = [...range.getClientRects()].map(one => Math.round(one.top));
            if (new Set(tops).size > 1) broken.push(found[0]);
        }
    }
    return broken;
}"""


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> BigResults:
    """The paper's whole table, with names that mean harm."""
    return BigResults(tmp_path_factory.mktemp("big"))


@pytest.fixture(params=["finished", "big"])
def report(request: pytest.FixtureRequest) -> Path:
    """The report of a run of the workflow, and the one of a whole table."""
    if request.param == "big":
        page: Path = request.getfixturevalue("big").page
        return page
    finished: Path = request.getfixturevalue("finished")
    return finished / "results/report.html"


@pytest.fixture(params=["light", "dark"])
def page(
    request: pytest.FixtureRequest, browser: Browser, report: Path
) -> Iterator[tuple[Page, list[str]]]:
    """The report in a browser with everything unfolded, and what it complained about."""
    context = browser.new_context(color_scheme=request.param)
    opened, complaints = context.new_page(), []
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("dialog", lambda dialog: complaints.append(dialog.message))
    opened.on(
        "request", lambda sent: complaints.append(sent.url) if "file:" not in sent.url else None
    )
    opened.goto(report.as_uri())
    yield opened, complaints
    context.close()


def test_it_fits_every_screen_and_anybody_can_read_it(
    page: tuple[Page, list[str]],
) -> None:
    opened, complaints = page
    for unfolded in (False, True):
        if unfolded:
            opened.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        for width in WIDTHS:
            opened.set_viewport_size({"width": width, "height": 900})
            is_wider = opened.evaluate("document.documentElement.scrollWidth") > width
            assert not is_wider, opened.evaluate(STICKING_OUT)
    assert opened.evaluate(BROKEN_WORDS) == []
    opened.evaluate(FOLD_MOST)
    # All but the colours is the same on a dark screen.
    is_dark = opened.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    only = {"runOnly": ["color-contrast"]} if is_dark else None
    violations = Axe().run(opened, options=only).response["violations"]
    found = {one["id"]: [node["html"] for node in one["nodes"]][:3] for one in violations}
    assert found == {}, json.dumps(found, indent=1)
    assert complaints == []


def test_it_prints_in_order(browser: Browser, report: Path) -> None:
    """On paper all that is folded is there, on white, and nothing is beside the sheet."""
    with browser.new_context(color_scheme="dark") as context:
        opened = context.new_page()
        opened.goto(report.as_uri())
        opened.emulate_media(media="print", color_scheme="dark")
        style = "getComputedStyle(document.body)"
        assert opened.evaluate(f"{style}.backgroundColor") == "rgb(255, 255, 255)"
        folded = opened.locator("details:not([open]) table").first
        assert folded.evaluate("one => one.checkVisibility()")
        opened.set_viewport_size({"width": 1050, "height": 900})
        assert opened.evaluate(BESIDE_THE_SHEET) == []


def test_headings_are_in_order(report: Path) -> None:
    levels = [int(level) for level in re.findall(r"<h(\d)", report.read_text(encoding="utf-8"))]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_the_whole_table_is_one_page_of_bounded_size(big: BigResults) -> None:
    text = big.page.read_text(encoding="utf-8")
    assert big.page.stat().st_size < MAX_BYTES
    assert all(text.count(f"big · main · c3d-vggish · word2vec · {name}") for name in MODELS)
    assert text.count('aria-label="Validation HM') == len(MODELS) * len(SEEDS)


def test_bold_is_what_is_clearly_better_than_every_other_row(big: BigResults) -> None:
    table = (
        big.page.read_text(encoding="utf-8").partition('id="results"')[2].partition("</table>")[0]
    )
    rows = {row: text for text in table.split("<tr>") for row in MODELS if f'row">{row}<' in text}
    assert rows.keys() == set(MODELS)
    assert [row for row, text in rows.items() if "<strong>" in text] == [BEST]
    assert rows[BEST].count("<strong>") == 4


class Texts(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def test_hostile_names_are_text_everywhere(big: BigResults) -> None:
    page = Texts()
    text = big.page.read_text(encoding="utf-8")
    page.feed(text)
    assert not page.tags & {"script", "img", "b", "iframe", "object"}
    assert not [name for name in page.attributes if name.startswith("on")]
    assert not re.search(r"[\0-\x08\x0b-\x1f\x7f\u202a-\u202e]", text)
    for name in big.names:
        assert one_line(name) in page.text
