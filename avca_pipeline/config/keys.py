"""Which part of the config a stage's result depends on: what makes it stale when it changes."""

from __future__ import annotations

import json
from typing import Any

from avca_pipeline.config.entries import Entry
from avca_pipeline.config.typed import Config
from avca_pipeline.settings import PluginSettings


def settings_of(config: Config, stage: str, name: str = "", **more: Any) -> str:
    """Returns, as canonical JSON, the part of the config that a stage's result depends on.

    Devices, workers and batch sizes are no part of it: they change how fast a result comes, not
    what it is.

    Args:
        config: the config.
        stage: name of a stage.
        name: which dataset, backbone, text embedding, split or model.
        more: what else decides the result, such as a candidate or a seed.
    """
    part: dict[str, Any] = dict(more)
    if stage in ("manifest", "fetch"):
        part |= _plugin_part(config.datasets[name])
        if stage == "fetch":
            part["limits"] = {"max_bytes": config.limits.max_bytes}
    elif stage == "extract":
        part |= _plugin_part(config.backbones[name])
        part["limits"] = config.limits.model_dump(mode="json", exclude={"max_bytes"})
    elif stage == "embed":
        part |= _plugin_part(config.text_embeddings[name])
    elif stage == "split":
        part |= _plugin_part(config.splits[name])
        part["backbones"] = {
            backbone: _plugin_part(config.backbones[backbone])
            if backbone in config.backbones
            else None
            for backbone in config.pretrained(name)
        }
    elif stage == "audit":
        part |= _plugin_part(config.splits[name])
        part["max_missing"] = config.max_missing[part.pop("dataset")]
    elif stage == "export":
        dataset = part.pop("dataset")
        part["benchmark"], part["lists"] = config.splits[name].settings.published_lists(dataset)
    elif stage == "import":
        part["settings"] = config.imported[name].model_dump(mode="json")
    elif stage == "train":
        entry = config.models[name]
        part |= {"plugin": entry.plugin}
        part["scaling"] = config.feature_sets[part.pop("feature_set")].scaling
        if "candidate" in part:
            part["candidates"] = {
                part["candidate"]: _dump(config.candidates[name][part.pop("candidate")])
            }
        else:
            part["candidates"] = {k: _dump(v) for k, v in config.candidates[name].items()}
    return canonical(part)


def canonical(value: Any) -> str:
    """Returns JSON that is equal for equal values: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _plugin_part(entry: Entry[Any, Any]) -> dict[str, Any]:
    return {"plugin": entry.plugin, "settings": _dump(entry.settings)}


def _dump(settings: PluginSettings) -> dict[str, Any]:
    return settings.model_dump(mode="json")
