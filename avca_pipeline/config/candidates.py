"""The candidates of a model: one for each combination of the values that its ``search`` lists."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import InitErrorDetails

from avca_pipeline.errors import abbreviated
from avca_pipeline.settings import PluginSettings, error_at, error_within, nearest, refusal

MAX_CANDIDATES = 10_000
MAX_NAME = 200


def mistakes_in_search(settings: type[PluginSettings], search: Any) -> list[InitErrorDetails]:
    """Returns what is wrong with single values under ``search``, whatever else is wrong."""
    if not isinstance(search, Mapping):
        return []
    lists = {key: values for key, values in search.items() if isinstance(values, list)}
    num_candidates = math.prod(map(len, lists.values()))
    if num_candidates > MAX_CANDIDATES:
        too_many = refusal(f"stands for {num_candidates} candidates; {MAX_CANDIDATES} are the most")
        return [InitErrorDetails(type=too_many, loc=("search",), input=search)]
    errors: list[InitErrorDetails] = []
    for key, values in lists.items():
        if key not in settings.model_fields:
            unknown = refusal(
                f"unknown key {abbreviated(key)}; {nearest(key, settings.model_fields)}"
            )
            errors.append(InitErrorDetails(type=unknown, loc=("search",), input=values))
            continue
        for value in values:
            try:
                settings.model_validate({key: value})
            except ValidationError as error:
                about_value = (d for d in error.errors(include_url=False) if d["loc"][:1] == (key,))
                errors += [error_within(("search",), details) for details in about_value]
    return errors


def candidates(settings: Any, search: dict[str, list[Any]]) -> dict[str, Any]:
    """Returns the settings of each combination of the values under ``search``, by its name."""
    written = settings.model_dump(exclude_unset=True)
    by_name = {}
    for values in itertools.product(*search.values()):
        chosen = dict(zip(search, values, strict=True))
        name = "-".join(f"{key}={value}" for key, value in chosen.items()) or "default"
        if not re.fullmatch(r"[A-Za-z0-9._=+-]+", name):
            raise error_at("search", refusal(f"{abbreviated(name)} cannot be part of a path"))
        if len(name) > MAX_NAME:
            too_long = refusal(
                f"{abbreviated(name)} becomes the name of a folder and is longer than "
                f"{MAX_NAME} characters; search over fewer keys at a time"
            )
            raise error_at("search", too_long)
        try:
            by_name[name] = type(settings).model_validate({**written, **chosen})
        except ValidationError as error:
            errors = [
                error_within(("search",), details) for details in error.errors(include_url=False)
            ]
            raise ValidationError.from_exception_data("search", errors) from None
    return by_name
