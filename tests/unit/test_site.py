"""The documentation site builds without a warning, and holds what the code says."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config

import avca_pipeline
from avca_pipeline.cli.commands import COMMANDS
from tests.conftest import REPOSITORY


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    build(load_config(str(REPOSITORY / "mkdocs.yml"), site_dir=str(folder), strict=True))
    return folder


def text_of(page: Path) -> str:
    return html.unescape(re.sub(r"<[^>]*>", "", page.read_text(encoding="utf-8")))


def test_the_config_reference_has_keys_of_every_kind(site: Path) -> None:
    """Written here by hand: what a reader looks for."""
    page = text_of(site / "config" / "index.html")
    for heading in ("models.avca", "datasets.folder", "splits.built", "limits", "imported"):
        assert re.search(rf"^{re.escape(heading)}¶", page, re.MULTILINE), heading
    defaults = {"epochs": "50", "val_unseen_classes": "0.2", "max_pixels": "35389440"}
    for key, default in defaults.items():
        assert re.search(rf"^{key}\n.*\n{default}$", page, re.MULTILINE), key
    assert "must be written" in page


def test_every_command_and_public_name_has_a_heading(site: Path) -> None:
    commands, names = (text_of(site / page / "index.html") for page in ("commands", "python"))
    for command in COMMANDS:
        assert f"avca {command.name}¶" in commands
    for name in avca_pipeline.__all__:
        assert f"\n{name}¶" in names
    assert "<!-- the reference" not in commands + names


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 15
    for page in pages:
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|iframe|source)[^>]*\ssrc=\"([^\"]*)\"", text)
        loaded += re.findall(r"<link[^>]*rel=\"(?:stylesheet|preconnect|icon)\"[^>]*>", text)
        assert not [address for address in loaded if "//" in address], page


def test_every_page_is_in_the_navigation(site: Path) -> None:
    home = (site / "index.html").read_text(encoding="utf-8")
    for page in (REPOSITORY / "docs").glob("*.md"):
        if page.stem != "index":
            assert f'href="{page.stem}/"' in home, page.name
