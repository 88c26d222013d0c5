"""``avca explain``: keys, sections and plugins of a config in words."""

from __future__ import annotations

import json

import pytest

from avca_pipeline import cli
from tests.conftest import REPOSITORY


def explained(capsys: pytest.CaptureFixture[str], name: str) -> str:
    assert cli.main(["explain", name]) == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], name: str) -> str:
    assert cli.main(["explain", name]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    return line


def test_a_key_has_its_text_values_default_and_place(capsys: pytest.CaptureFixture[str]) -> None:
    assert explained(capsys, "models.avca.epochs") == (
        "models.avca.epochs\n"
        "  Number of epochs of stage 1. Stage 2 stops after the epoch that stage 1 chose.\n"
        "  values:   whole number from 1 to 1,000,000\n"
        "  default:  50\n"
        "  place:    below models.<name>\n"
    )


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("results", ['  default:  "results"', "  place:    in no section"]),
        ("datasets.folder.path", ["  values:   path", "  default:  none: it must be written"]),
        ("backbones.c3d.sha256", ["  values:   64 hexadecimal digits or nothing"]),
        ("models.avca.beta1", ["  values:   number from 0 below 1", "  default:  0.9"]),
        ("download.timeout_s", ["  values:   number above 0"]),
        ("models.tcaf.attention", ["  values:   cross or self or both", '  default:  "cross"']),
        ("datasets.vggsound.media", ["  values:   list of: path", "  default:  []"]),
        ("experiment.seeds", ["  values:   list of: whole number from 0 below 4,294,967,296"]),
        (
            "splits.official.audit.sources_not_trained_on",
            ['  default:  "warning"', "  place:    below splits.<name>.audit"],
        ),
    ],
)
def test_values_and_defaults_in_words(
    capsys: pytest.CaptureFixture[str], name: str, lines: list[str]
) -> None:
    out = explained(capsys, name).splitlines()
    assert out[0] == name
    assert set(lines) <= set(out)


def test_the_last_part_alone_names_all_keys_of_one_meaning_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = explained(capsys, "scored_embedding")
    assert out.startswith("models.avca.scored_embedding\n")
    out = explained(capsys, "normalises_inputs")
    assert out.startswith("models.ale.normalises_inputs, models.apn.normalises_inputs,\n")
    assert out.count("values:") == 1


def test_a_name_of_the_users_own_stands_for_any_plugin(capsys: pytest.CaptureFixture[str]) -> None:
    assert explained(capsys, "models.mine.scored_embedding").startswith("models.avca.scored_emb")


@pytest.mark.parametrize("name", ["folder", "datasets.folder"])
def test_a_plugin_lists_its_keys(capsys: pytest.CaptureFixture[str], name: str) -> None:
    out = explained(capsys, name)
    assert out.startswith("datasets.folder\n")
    assert "datasets: {folder: {…}}" in out
    assert "  path            The folder that the folders of the classes are in. (must be" in out


def test_a_plugin_of_two_kinds_is_explained_twice(capsys: pytest.CaptureFixture[str]) -> None:
    out = explained(capsys, "official")
    assert "datasets.official\n" in out
    assert "\n\nsplits.official\n" in out


def test_sections_and_groups_of_keys(capsys: pytest.CaptureFixture[str]) -> None:
    assert "\n  wordllama" in explained(capsys, "text_embeddings")
    assert "\n  max_pixels" in explained(capsys, "limits")
    assert explained(capsys, "audit").count("audit.sources_not_trained_on") == 3
    assert explained(capsys, "splits.official.audit").startswith("splits.official.audit\n")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("models.avca.epoch", "models.avca.epochs"),
        ("models.avac.epochs", "models.avca.epochs"),
        ("datasts", "datasets"),
        ("foldr", "folder"),
    ],
)
def test_a_typo_is_one_line_with_what_is_meant(
    capsys: pytest.CaptureFixture[str], name: str, meant: str
) -> None:
    assert refused(capsys, name) == (
        f"avca explain: error: {name!r} is no key of a config; did you mean {meant!r}?"
    )


@pytest.mark.parametrize("name", ["", ".", "zzz qqq", "x" * 10_000, "a\nb", "models."])
def test_what_is_nothing_like_a_key_gets_the_sections(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    if name == "models.":
        assert explained(capsys, name).startswith("models\n")
        return
    line = refused(capsys, name)
    assert "there are: apply, backbones, datasets, download" in line
    assert len(line) < 500


def test_every_key_of_the_schema_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    """Of every plugin, as the schema file lists them."""
    text = (REPOSITORY / "workflow/schemas/config.schema.json").read_text(encoding="utf-8")
    definitions = json.loads(text)["$defs"]
    from avca_pipeline.config.reference import sections

    known = {key.name: key for section in sections() for key in section.keys}
    for name in [name for name in definitions if name.count(".") == 1]:
        for key, value in definitions[name]["properties"].items():
            if key == "plugin" or "$ref" in value:
                continue
            assert known[f"{name}.{key}"].text == value["description"]
