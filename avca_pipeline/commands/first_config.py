"""The text of a config for a user's clips: short, with comments."""

from __future__ import annotations

import importlib.util
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from avca_pipeline.artifacts.run import BOTH, Modalities

Weights: TypeAlias = Literal["published", "random"]

SHARES = {
    "val_unseen_classes": 0.2,
    "test_unseen_classes": 0.2,
    "val_seen_sources": 0.2,
    "test_seen_sources": 0.2,
}
SITES = ("https://huggingface.co", "https://github.com")
"""Where the published weights of the backbones below are."""
CLIPS_PER_SHARD = 1000
SMALL = 5000
"""Below this number of clips, a smaller network with fewer batches is enough."""
DOWNLOAD_MB = {"video": 10, "audio": 289}

BACKBONES = {
    "video": """\
  pictures:                     # MobileNetV3: small, fast on a CPU; published: ImageNet's weights
    plugin: timm_frames
    model: mobilenetv3_small_100
    weights: {weights}
""",
    "audio": """\
  sound:                        # VGGish; published: trained on the sound of YouTube-8M
    plugin: vggish
    weights: {weights}
""",
}
NAMES = {"video": "pictures", "audio": "sound"}
EXTRA_LINES = {
    "folder": """\
    # source_pattern: '_(g\\d\\d)_'  # if several files were cut from one video: the part of a
    #                               # file's name that tells the videos apart
""",
    "vggsound": """\
    # download: true              # whether missing clips are downloaded (pip install yt-dlp)
""",
}
SMALL_MODEL = """\
  avca:                         # small, for few clips; 'avca: {}' is the published size
    epochs: 20
    batches_per_epoch: 20
    batch_size: 64
    token_dim: 64
    embedding_dim: 32
    encoder_hidden: 128
    projection_hidden: 64
    heads: 2
    head_dim: 32
    attention_hidden: 32
    encoder_dropout: 0.2
    projection_dropout: 0.1
    decoder_dropout: 0.1
    search:                     # stage 1 trains one candidate for each value
      learning_rate: [0.002, 0.005]
"""
LARGE_MODEL = """\
  avca: {}                      # all settings as published
"""


@dataclass(frozen=True)
class Found:
    """What a config is written from.

    Attributes:
        kind: plugin of the dataset.
        keys: settings of the dataset that say where its clips are.
        num_clips: number of clips.
        num_classes: number of classes.
        modalities: which of them are used.
        seed: of the split; ``None`` for a config that only extracts features.
        weights: of the backbones.
    """

    kind: str
    keys: dict[str, Any]
    num_clips: int
    num_classes: int
    modalities: Modalities
    seed: int | None
    weights: Weights

    @property
    def used(self) -> tuple[str, ...]:
        """The modalities that are used, each by its name."""
        return ("video", "audio") if self.modalities == BOTH else (self.modalities,)


def text(found: Found) -> str:
    """Returns the config."""
    parts = [_head(found), _dataset(found), _backbones(found)]
    if found.seed is not None:
        parts += [_training(found), _experiment(found)]
    return "\n".join(parts)


def with_plan(text: str, plan: Sequence[str]) -> str:
    """Returns the config with a plan, such as that of ``avca check``, among its first comments."""
    head, _, body = text.partition("\n\n")
    return "\n".join([head, *(f"# {line}" for line in plan), "", body])


def _head(found: Found) -> str:
    target = " features" if found.seed is None else ""
    shape = f"{found.num_clips} clips in {found.num_classes} classes"
    lines = [
        f"Written by 'avca init {found.kind}' for {shape}. What is not said here has its default.",
        "'avca check FILE' says whether it makes sense, "
        f"'avca run FILE{target}' does what it asks for.",
    ]
    if found.weights == "published":
        megabytes = " and ".join(f"{DOWNLOAD_MB[name]} MB" for name in found.used)
        lines.append(f"Downloads at first use, to the folder cache: {megabytes}.")
    else:
        lines.append(
            "The weights are random: the numbers show that all works, not how good a method is."
        )
    body = "".join(f"# {line}\n" for line in lines)
    return f"{body}\nresults: results               # relative to the folder in which you start\n"


def _dataset(found: Found) -> str:
    # JSON is YAML: quotes, colons, line breaks and other letters in names are safe in it.
    keys = "".join(f"    {key}: {json.dumps(value)}\n" for key, value in found.keys.items())
    num_shards = math.ceil(found.num_clips / CLIPS_PER_SHARD)
    return (
        f"datasets:\n  {_name(found)}:\n    plugin: {found.kind}\n{keys}"
        f"    num_shards: {num_shards:<15d} # about {CLIPS_PER_SHARD:,} clips each\n"
        f"{EXTRA_LINES.get(found.kind, '')}"
    )


def _backbones(found: Found) -> str:
    entries = "".join(BACKBONES[name].format(weights=found.weights) for name in found.used)
    return f"backbones:\n{entries}"


def _training(found: Found) -> str:
    names = "".join(f"    {name}: {NAMES[name]}\n" for name in found.used)
    num_unseen = max(1, round(SHARES["test_unseen_classes"] * found.num_classes))
    comments = {
        "val_unseen_classes": f"{num_unseen} of {found.num_classes} classes",
        "test_unseen_classes": f"{num_unseen} other(s)",
        "val_seen_sources": "of the recordings of each seen class",
        "test_seen_sources": "others of them",
    }
    lines = {f"{key}: {SHARES[key]}": words for key, words in comments.items()}
    shares = "".join(f"    {line:<27} # {words}\n" for line, words in lines.items())
    return (
        f"feature_sets:\n  mine:\n{names}    scaling: standard\n\n"
        f"text_embeddings:\n  {_words()}: {{}}\n\n"
        f"splits:\n  built:\n    seed: {found.seed}\n{shares}\n"
        f"models:\n{SMALL_MODEL if found.num_clips < SMALL else LARGE_MODEL}"
    )


def _experiment(found: Found) -> str:
    return (
        "experiment:                     # a run for each combination\n"
        f"  datasets: [{_name(found)}]\n  feature_sets: [mine]\n"
        f"  text_embeddings: [{_words()}]\n  splits: [built]\n  models: [avca]\n"
        "  seeds: [0, 1, 2]\n"
    )


def _name(found: Found) -> str:
    return "mine" if found.kind in ("folder", "table") else found.kind


def _words() -> str:
    """Returns the text embedding: one that knows words, where it can be installed."""
    return "wordllama" if importlib.util.find_spec("wordllama") else "hashed"
