"""Which classes of a dataset the backbones have been trained on with labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from avca_pipeline.published.class_names import class_key


def pretrained_on(
    class_names: Iterable[str],
    pretraining_classes: Mapping[str, Sequence[str]],
    aliases: Mapping[str, Sequence[str]],
) -> dict[str, list[str]]:
    """Returns for each class the backbones that were trained on it with labels, if there are any.

    Args:
        class_names: of the dataset.
        pretraining_classes: backbone to the classes that it was trained on.
        aliases: class to other names of it.
    """
    keys_of = {
        backbone: {class_key(name) for name in names}
        for backbone, names in pretraining_classes.items()
    }
    aliases_of = {class_key(name): others for name, others in aliases.items()}
    overlaps: dict[str, list[str]] = {}
    for class_name in sorted(set(class_names)):
        key = class_key(class_name)
        spellings = {key, *map(class_key, aliases_of.get(key, ()))}
        backbones = sorted(backbone for backbone, keys in keys_of.items() if keys & spellings)
        if backbones:
            overlaps[class_name] = backbones
    return overlaps
