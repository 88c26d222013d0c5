"""Fills the templates of the page and of its drawings."""

from __future__ import annotations

import functools
import re
from typing import Any

import jinja2
from markupsafe import Markup

from avca_pipeline.errors import one_line
from avca_pipeline.reporting import colours
from avca_pipeline.reporting.tables import Statistic

BREAKS = re.compile(r"(?<=[,:;/_=|\]})\-.])")
"""Behind these signs a line may end."""


@functools.cache
def environment() -> jinja2.Environment:
    """Returns what reads templates; filters and names that all of them use are in it.

    Whatever stands in a file may be hostile, so that everything is escaped, and control characters
    are shown as escapes. Only what another template has made is not escaped again.
    """
    made = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    made.filters |= {
        "short": short,
        "percent": percent,
        "mean_std": mean_std,
        "words": words,
        "breakable": breakable,
    }
    made.globals |= {"colour": colours.colour}
    return made


def filled(template: str, **values: Any) -> Markup:
    """Returns a template of ``templates/`` with these values, safe markup."""
    return Markup(environment().get_template(template).render(**values).strip())


def percent(share: float | None) -> str:
    """Returns ``"12.3"`` for 0.1234, and a dash for nothing."""
    return "–" if share is None else f"{100 * share:.1f}"


def mean_std(statistic: Statistic) -> str:
    """Returns ``"12.3 ± 0.4"``, without ± for a single seed."""
    mean = percent(statistic.mean)
    return mean if statistic.std is None else f"{mean} ± {percent(statistic.std)}"


def words(name: str) -> str:
    """Returns a name as words: ``"no_leak"`` is ``"No leak"``."""
    return name.replace("_", " ").capitalize()


def short(text: str, length: int = 28) -> str:
    """Returns a text that is cut where a drawing has no room for more."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def breakable(text: Any) -> Markup:
    """Returns a long text without spaces, such as JSON or a path, that breaks behind its signs."""
    return Markup("<wbr>").join(BREAKS.split(one_line(str(text))))


def _shown(value: Any) -> Any:
    """Returns what the page shows: control characters in a name are written as escapes."""
    return one_line(value) if type(value) is str else value
