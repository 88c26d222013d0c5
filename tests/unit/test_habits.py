"""What a project has beside its code says the same as the code."""

from __future__ import annotations

import tomllib

import yaml

import avca_pipeline
from tests.conftest import REPOSITORY

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def read_yaml(name: str) -> object:
    return yaml.safe_load((REPOSITORY / name).read_text(encoding="utf-8"))


def test_the_citation_has_the_version_and_licence_of_the_package() -> None:
    citation = read_yaml("CITATION.cff")
    assert isinstance(citation, dict)
    assert citation["version"] == avca_pipeline.__version__
    assert citation["license"] == PROJECT["license"]
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert PROJECT["urls"]["Paper"] in {paper["url"] for paper in citation["references"]}


def test_the_check_on_each_push_is_the_projects_own() -> None:
    jobs = read_yaml(".github/workflows/check.yml")
    assert isinstance(jobs, dict)
    (job,) = jobs["jobs"].values()
    assert ".ci/run" in [step.get("run") for step in job["steps"]]


def test_templates_of_issues_can_be_filled_in() -> None:
    for path in sorted((REPOSITORY / ".github/ISSUE_TEMPLATE").glob("*.yml")):
        template = read_yaml(str(path.relative_to(REPOSITORY)))
        assert isinstance(template, dict)
        if path.stem != "config":
            assert {"name", "description", "body"} <= set(template)
            assert all(part["attributes"]["label"] for part in template["body"])


def test_pythons_that_are_named_are_those_that_are_allowed() -> None:
    named = {
        classifier.rpartition(" ")[2]
        for classifier in PROJECT["classifiers"]
        if classifier.startswith("Programming Language")
    }
    assert named == {"3.11", "3.12"}
    assert PROJECT["requires-python"] == ">=3.11,<3.13"
