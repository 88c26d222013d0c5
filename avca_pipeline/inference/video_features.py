"""From videos that a user names to the features of one or more backbones."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from avca_pipeline import registry
from avca_pipeline.artifacts.bundle import BundledBackbone
from avca_pipeline.artifacts.text_files import canonical_json
from avca_pipeline.backbones import AnyBackbone, MediaSegment, Timing
from avca_pipeline.config import validated
from avca_pipeline.errors import PipelineError
from avca_pipeline.extraction.decoding import decode_pool
from avca_pipeline.extraction.encoded_clip import EncodedClip
from avca_pipeline.extraction.encoder import BuiltNetwork, encode_decoded
from avca_pipeline.fetching.weights import WeightsSettings
from avca_pipeline.inference.videos import is_address, segment, why_unreadable
from avca_pipeline.media import Limits, MediaError


@dataclass(frozen=True)
class Environment:
    """Where and how is computed; it changes no answer.

    Attributes:
        cache: folder of downloaded weights and models.
        device: ``cpu`` or ``cuda``.
        workers: how many videos are decoded at a time, for each backbone.
        extract_version: number of this release's code of extraction.
        networks: of backbones, each with its weights, that are loaded already; more are added.
    """

    cache: Path
    device: str
    workers: int
    extract_version: int
    networks: dict[str, BuiltNetwork] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True)
class Encoded:
    """What backbones made of videos, by the name of each backbone.

    Attributes:
        clips: the state of each video: its features, or the reason why it has none.
        weights: SHA-256 or ``random:<seed>``.
        timings: where windows are in time, of the backbones that know it.
    """

    clips: dict[str, list[EncodedClip]]
    weights: dict[str, str]
    timings: dict[str, Timing]


def encode_videos(
    videos: str | Path | Sequence[str | Path],
    backbones: Mapping[str, BundledBackbone],
    limits: Limits,
    environment: Environment,
    *,
    keep_windows: bool = False,
) -> Encoded:
    """Decodes and encodes videos with each backbone.

    Args:
        videos: one or several paths, also with a stretch behind them, see `segment`.
        backbones: by any name, such as the modality. Weights that are stated are required.
        limits: what a video may cost.
        environment: where and how is computed.
        keep_windows: keep the features of each window beside their sum.

    Raises:
        PipelineError: weights are missing, damaged, or not the required ones; or windows are to be
            kept, and a backbone does not say where they are in time.
    """
    asked = [videos] if isinstance(videos, str | Path) else videos
    clips = [_clip(video) for video in asked]
    encoded = {name: [replace(clip, windows=[], starts=[]) for clip in clips] for name in backbones}
    weights, timings = {}, {}
    with contextlib.ExitStack() as stack:
        started = []
        # All workers are forked before the first network may use a GPU.
        for name, backbone in backbones.items():
            plugin = registry.load("backbones", backbone.plugin)
            typed = validated(plugin.Settings, backbone.settings, f"backbone {backbone.name}")
            typed = typed.with_files(environment.cache)
            timing = plugin.spec(typed).timing
            if timing is not None:
                timings[name] = timing
            elif keep_windows:
                raise PipelineError(
                    f"backbone {backbone.name}: the plugin {backbone.plugin!r} does not say where "
                    "its windows are in time; give its Spec a timing"
                )
            there = [clip for clip in encoded[name] if not clip.reason]
            pool = decode_pool(
                plugin,
                typed,
                there,
                limits,
                device=environment.device,
                num_workers=environment.workers,
                rejects_unreadable=True,
            )
            started.append((name, plugin, typed, there, stack.enter_context(pool)))
        for name, plugin, typed, there, pool in started:
            weights[name] = encode_decoded(
                pool,
                there,
                plugin,
                typed,
                cache=environment.cache,
                device=environment.device,
                keep_windows=keep_windows,
                expected_weights=backbones[name].weights,
                build=functools.partial(_built_once, environment.networks, backbone.plugin, plugin),
            )
    return Encoded(encoded, weights, timings)


def _built_once(
    networks: dict[str, BuiltNetwork],
    name: str,
    plugin: AnyBackbone,
    settings: WeightsSettings,
    cache: Path,
) -> BuiltNetwork:
    key = f"{name} {canonical_json(settings.model_dump(mode='json'))}"
    if key not in networks:
        networks[key] = plugin.build(settings, cache)
    return networks[key]


def _clip(video: str | Path) -> EncodedClip:
    """Returns a video that is to be encoded, or the reason why it cannot be."""
    try:
        media = segment(video)
    except MediaError as error:
        return EncodedClip(str(video), MediaSegment(Path(video)), reason=str(error))
    reason = why_unreadable(media.path)
    if reason and is_address(video):
        reason = "an address; download it first"
    return EncodedClip(str(video), media, reason=reason)
