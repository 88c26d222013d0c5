"""What every plugin must keep to, whichever plugins there are."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from avca_pipeline import registry
from avca_pipeline.artifacts import checkpoint
from avca_pipeline.backbones import MediaSegment
from avca_pipeline.datasets import demo
from avca_pipeline.errors import PipelineError
from avca_pipeline.evaluation.device_clips import evaluation_set, training_clips
from avca_pipeline.evaluation.labelled_clips import LabelledClips, learn_scaling
from avca_pipeline.media import Limits
from avca_pipeline.models import (
    Batch,
    BatchOverTime,
    ClassKnowledge,
    Dims,
    ModelSettings,
    Windows,
)
from avca_pipeline.nn.adam import Adam
from avca_pipeline.settings import PluginSettings, descriptions
from avca_pipeline.training.fit import fit
from tests.builders import labelled_clips, over_time
from tests.fasttext_model import train
from tests.host_reads import HostReads
from tests.transformer_models import settings_of

LIMITS = Limits(max_pixels=10_000_000, max_duration_s=60.0)
DIMS = Dims(video=12, audio=10, text=22)
NUM_CLIPS = 8
SMALL: dict[str, Any] = {
    "epochs": 1, "batch_size": NUM_CLIPS, "hidden": 64,
    "critic_steps": 1, "adversarial_weight": 1.0,
    "synthetic_per_class": 10, "classifier_batch": 20, "classifier_learning_rate": 0.1,
}  # fmt: skip
SMALL_ATTENTION: dict[str, Any] = {
    "token_dim": 32, "embedding_dim": 32, "encoder_hidden": 64, "projection_hidden": 64,
    "head_dim": 8, "attention_hidden": 32,
}  # fmt: skip
SMALL_OF: dict[str, dict[str, Any]] = {
    "avca": SMALL_ATTENTION, "tcaf": SMALL_ATTENTION | {"depth": 1, "audio_divisor": 1.0},
}  # fmt: skip
NOT_TRAINED = {("avca", "positions")}  # as published

PLUGINS = [(kind, name) for kind in registry.KINDS for name in registry.names(kind)]


@pytest.mark.parametrize(("kind", "name"), PLUGINS)
def test_plugin_says_what_it_is_and_what_its_settings_mean(kind: registry.Kind, name: str) -> None:
    module = registry.load(kind, name)
    assert issubclass(module.Settings, PluginSettings)
    assert module.__doc__
    assert module.Settings.__doc__
    assert descriptions(module.Settings).keys() == module.Settings.model_fields.keys()


def test_an_unknown_plugin_is_refused_with_the_nearest() -> None:
    with pytest.raises(PipelineError, match="did you mean 'vggish'"):
        registry.load("backbones", "vgish")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> MediaSegment:
    settings = demo.Settings(num_classes=4, sources_per_class=1)
    folder = tmp_path_factory.mktemp("media")
    return MediaSegment(demo.locate(settings, demo.clips(settings)[0], folder))


@pytest.mark.parametrize("name", registry.names("backbones"))
def test_backbone(name: str, clip: MediaSegment, tmp_path: Path) -> None:
    module = registry.load("backbones", name)
    settings = module.Settings(**settings_of(name, tmp_path))
    network, weights = module.build(settings, tmp_path)
    assert weights == "random:0"
    assert not network.training
    windows = list(module.windows(settings, clip, LIMITS))
    spec = module.spec(settings)
    assert {(w.data.shape, w.data.dtype.name) for w in windows} == {
        (spec.window_shape, spec.window_dtype)
    }
    assert module.pretraining_classes(settings) == ()  # random weights have seen nothing
    ends = [windows[0], windows[-1]]  # The last one may be padded. A video network takes seconds.
    data = torch.from_numpy(np.stack([window.data for window in ends]))
    num_valid = torch.tensor([window.num_valid for window in ends])
    with torch.inference_mode():
        together = module.encode(settings, network, data, num_valid)
        alone = torch.cat(
            [
                module.encode(settings, network, data[i : i + 1], num_valid[i : i + 1])
                for i in range(len(ends))
            ]
        )
        again, _ = module.build(settings, tmp_path)
        repeated = module.encode(settings, again, data[:1], num_valid[:1])
    assert together.ndim == 2
    assert len(together) == len(ends)
    assert together.dtype == torch.float32
    assert torch.isfinite(together).all()
    assert together.std() > 0
    assert torch.equal(alone[:1], repeated)
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4 * together.abs().max().item())


@pytest.fixture(params=registry.names("models"))
def model(request: pytest.FixtureRequest) -> tuple[ModuleType, Any]:
    module = registry.load("models", request.param)
    small = SMALL | SMALL_OF.get(request.param, {})
    known = {key: value for key, value in small.items() if key in module.Settings.model_fields}
    dropouts = {key: 0.0 for key in module.Settings.model_fields if key.endswith("dropout")}
    return module, module.Settings(**known, **dropouts)


def batch(shift: int = 1) -> Batch:
    """Returns a clip of each of eight classes, with the one ``shift`` further as its negative."""
    generator = torch.Generator().manual_seed(0)
    video, audio = (
        torch.rand(NUM_CLIPS, size, generator=generator) for size in (DIMS.video, DIMS.audio)
    )
    text = torch.nn.functional.normalize(
        torch.randn(NUM_CLIPS, DIMS.text, generator=generator), dim=1
    )
    negatives = [part.roll(shift, dims=0) for part in (video, audio, text)]
    return Batch(video, audio, text, *negatives, text, torch.arange(NUM_CLIPS))


def test_a_batch_waits_for_no_device(model: tuple[ModuleType, Any]) -> None:
    """Methods over time read files for each batch, on the host."""
    module, settings = model
    network = module.build(settings, DIMS).train()
    parameters = module.trainable(settings, network)
    if settings.over_time or not parameters:
        return
    optimiser, some = Adam(parameters, 0.003, beta1=settings.beta1), batch()
    for reads in (contextlib.nullcontext(), HostReads()):  # constants are made with the first
        with reads:
            for terms in module.steps(settings, network, some):
                optimiser.zero_grad()
                terms["total"].backward()
                optimiser.step()
    assert reads.names == []


def as_seen(
    settings: ModelSettings,
    video: torch.Tensor,
    audio: torch.Tensor,
    numbers: torch.Tensor | None = None,
) -> tuple[Any, Any]:
    """Returns features of clips as a method looks at them.

    Args:
        settings: of the method; where it looks at clips over time, each has one to three windows.
        video: ``(clips, video dim)``.
        audio: ``(clips, audio dim)``.
        numbers: of the clips, which decide how many windows each has.
    """
    if not settings.over_time:
        return video, audio
    lengths = 1 + (torch.arange(len(video)) if numbers is None else numbers) % 3
    number = torch.cat([torch.arange(length) for length in lengths.tolist()])
    video, audio = (
        part.repeat_interleave(lengths, dim=0) * (1 + 0.2 * number[:, None])
        for part in (video, audio)
    )
    return (
        Windows(video, number.double() * 0.64, lengths, 0.64),
        Windows(audio, number.double() * 0.96, lengths, 0.96),
    )


def as_batch(settings: ModelSettings, some: Batch) -> Any:
    """Returns a batch as a method gets it."""
    if not settings.over_time:
        return some
    windows = as_seen(settings, some.video, some.audio)
    return BatchOverTime(*windows, some.text, some.class_text, some.text_row)


def knowledge_of(some: Batch) -> ClassKnowledge:
    """Returns every other class as an unseen one, and the clips of the others."""
    is_unseen = np.arange(NUM_CLIPS) % 2 == 1
    seen = torch.from_numpy(np.flatnonzero(~is_unseen))
    return ClassKnowledge(
        some.class_text, is_unseen, some.video[seen], some.audio[seen], column=seen
    )


def ready_of(
    model: tuple[ModuleType, Any], network: torch.nn.Module, some: Batch
) -> torch.nn.Module:
    """Returns the network ready to tell the eight classes apart."""
    *_, ready = model[0].adapt_to_classes(model[1], network.eval(), knowledge_of(some))
    ready.eval()
    assert isinstance(ready, torch.nn.Module)
    return ready


def build(model: tuple[ModuleType, Any], seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    network: torch.nn.Module = model[0].build(model[1], DIMS)
    return network


def is_trained(model: tuple[ModuleType, Any]) -> bool:
    """Whether there is anything that the optimiser moves."""
    return bool(model[0].trainable(model[1], build(model)))


def descend(model: tuple[ModuleType, Any], network: torch.nn.Module, num_batches: int) -> set[str]:
    """Trains on the eight clips over and over; returns which parameters ever had a gradient."""
    module, settings = model
    optimiser = Adam(module.trainable(settings, network), 0.003, beta1=settings.beta1)
    touched = set()
    network.train()
    for number in range(num_batches):
        some = batch(1 + number % (NUM_CLIPS - 1))
        for terms in module.steps(settings, network, as_batch(settings, some)):
            assert all(torch.isfinite(term) for term in terms.values())
            optimiser.zero_grad()
            terms["total"].backward()
            touched |= {name for name, p in network.named_parameters() if p.grad is not None}
            optimiser.step()
    return touched


def nearest(model: tuple[ModuleType, Any], network: torch.nn.Module, some: Batch) -> np.ndarray:
    """Returns the class of each clip, among all."""
    module, settings = model
    ready = ready_of(model, network, some)
    with torch.no_grad():
        seen = as_seen(settings, some.video, some.audio)
        clips = module.embed_clips(settings, ready, *seen).numpy()
        classes = module.embed_classes(settings, ready, some.class_text).numpy()
        distance = module.distances(settings, ready, clips, classes)
    assert clips.shape[1] == classes.shape[1]
    for one in (distance.gzsl, *distance.for_calibration):
        assert one.shape == (NUM_CLIPS, NUM_CLIPS)
        assert np.isfinite(one).all()
    predicted: np.ndarray = distance.gzsl.argmin(axis=1)
    return predicted


def test_model_gives_every_parameter_a_gradient(model: tuple[ModuleType, Any]) -> None:
    module, settings = model
    network = build(model)
    touched = descend(model, network, 1)
    trained = {id(parameter) for parameter in module.trainable(settings, network)}
    for name, parameter in network.named_parameters():
        assert name in touched
        assert id(parameter) in trained or (module.__name__.rsplit(".")[-1], name) in NOT_TRAINED


def test_model_embeds_every_clip_by_itself(model: tuple[ModuleType, Any]) -> None:
    module, settings = model
    some = batch()
    network = ready_of(model, build(model), some)

    def embedded(clips: torch.Tensor) -> torch.Tensor:
        seen = as_seen(settings, some.video[clips], some.audio[clips], clips)
        with torch.no_grad():
            made: torch.Tensor = module.embed_clips(settings, network, *seen)
        return made

    clips = torch.arange(NUM_CLIPS)
    whole, flipped = embedded(clips), embedded(clips.flip(0))
    halves = torch.cat([embedded(half) for half in clips.split(4)])
    torch.testing.assert_close(whole, halves, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(whole, flipped.flip(0), rtol=1e-5, atol=1e-6)


def test_model_depends_on_its_seed_alone(model: tuple[ModuleType, Any]) -> None:
    first, same, other = (build(model, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not is_trained(model) or any(not torch.equal(first[name], other[name]) for name in first)


def test_model_is_its_state(model: tuple[ModuleType, Any], tmp_path: Path) -> None:
    network, some = build(model), batch()
    descend(model, network, 3)
    checkpoint.write(tmp_path / "state.pt", {"state": network.state_dict()})
    again = build(model, seed=1)
    again.load_state_dict(checkpoint.read(tmp_path / "state.pt")["state"])
    random_state = torch.get_rng_state()
    for function in (embedded_clips, embedded_classes):
        assert torch.equal(function(model, network, some), function(model, again, some))
    assert torch.equal(torch.get_rng_state(), random_state)  # drew nothing


def embedded_clips(
    model: tuple[ModuleType, Any], network: torch.nn.Module, some: Batch
) -> torch.Tensor:
    module, settings = model
    ready = ready_of(model, network, some)
    with torch.no_grad():
        seen = as_seen(settings, some.video, some.audio)
        clips: torch.Tensor = module.embed_clips(settings, ready, *seen)
    return clips


def embedded_classes(
    model: tuple[ModuleType, Any], network: torch.nn.Module, some: Batch
) -> torch.Tensor:
    module, settings = model
    ready = ready_of(model, network, some)
    with torch.no_grad():
        classes: torch.Tensor = module.embed_classes(settings, ready, some.class_text)
    return classes


def test_model_learns_eight_clips(model: tuple[ModuleType, Any]) -> None:
    module, settings = model
    if "batch_norm" in type(settings).model_fields:
        # Statistics of eight clips are so rough that CJME learns some of the classes alone.
        settings = settings.model_copy(update={"batch_norm": False})
    model = module, settings
    network = build(model)
    if not is_trained(model):
        assert list(module.steps(settings, network, batch())) == []
        return
    descend(model, network, 100)
    num_right = (nearest(model, network, batch()) == np.arange(NUM_CLIPS)).sum()
    assert num_right >= 6  # one would be chance


@pytest.mark.parametrize("modality", ["video", "audio"])
def test_model_works_on_one_modality_or_says_that_it_cannot(
    model: tuple[ModuleType, Any], modality: Any
) -> None:
    module, settings = model
    if not settings.works_on_one_modality:
        with pytest.raises(ValidationError, match="the method needs both video and audio"):
            settings.using(modality)
        return
    settings = settings.using(modality)
    model, whole = (module, settings), batch()
    unused = {
        name: getattr(whole, name)[:, :0]
        for name in ("video", "audio", "negative_video", "negative_audio")
        if not name.endswith(modality)
    }
    torch.manual_seed(0)
    dims = replace(DIMS, **dict.fromkeys({"video", "audio"} - {modality}, 0))
    network = module.build(settings, dims)
    assert all(value.numel() for value in network.state_dict().values())
    losses = []
    optimiser = Adam(module.trainable(settings, network), 0.003, beta1=settings.beta1)
    for _ in range(30 if is_trained(model) else 0):
        for terms in module.steps(settings, network.train(), replace(whole, **unused)):
            optimiser.zero_grad()
            terms["total"].backward()
            optimiser.step()
        losses.append(terms["total"].item())
    assert np.isfinite(losses).all()
    assert losses[-1:] < losses[:1] or not losses
    nearest(model, network, replace(whole, **unused))


def test_model_embeds_a_clip_without_a_look_at_the_others(model: tuple[ModuleType, Any]) -> None:
    """Clips of a test are no batch to learn from: what the others are changes nothing."""
    module, settings = model
    some = batch()
    network = ready_of(model, build(model), some)
    others = torch.arange(NUM_CLIPS)[:, None] >= 3
    poisoned = [part.masked_fill(others, torch.nan) for part in (some.video, some.audio)]
    with torch.no_grad():
        clean, beside_poison = (
            module.embed_clips(settings, network, *as_seen(settings, *parts))
            for parts in ((some.video, some.audio), poisoned)
        )
    assert torch.isfinite(clean).all()
    assert torch.equal(clean[:3], beside_poison[:3])


def clips_for_every_model() -> LabelledClips:
    """Returns clips whose features suit every model: positive, and in the space of the text."""
    data = labelled_clips()
    in_one_space = np.concatenate([data.text, data.text[:, :2]], axis=1)
    assert in_one_space.shape[1] == data.video.shape[1] == data.audio.shape[1]
    return replace(data, video=np.abs(data.video), audio=np.abs(data.audio), text=in_one_space)


def poisoned(data: LabelledClips, *partitions: str) -> LabelledClips:
    """Returns the same clips, where one use of a clip in these partitions is seen everywhere."""
    rows = np.isin(data.partition, partitions)[:, None]
    return replace(
        data,
        video=np.where(rows, np.float32(np.nan), data.video),
        audio=np.where(rows, np.float32(np.nan), data.audio),
    )


@pytest.mark.parametrize(
    ("stage", "evaluated"), [(1, ("val_seen", "val_unseen")), (2, ("test_seen", "test_unseen"))]
)
def test_model_adapts_to_classes_without_a_clip_of_the_evaluation(
    model: tuple[ModuleType, Any], stage: int, evaluated: tuple[str, ...]
) -> None:
    module, settings = model
    data = clips_for_every_model()
    torch.manual_seed(0)
    network = module.build(settings, Dims(12, 12, 12)).eval()
    clips = [torch.from_numpy(array) for array in (data.video, data.audio)]
    distances = []
    for each in (data, poisoned(data, "test_seen", "test_unseen", *evaluated)):
        scaling = learn_scaling("none", each, stage)
        training = training_clips(each, scaling, stage, "cpu")
        knowledge = evaluation_set(each, scaling, training).knowledge
        torch.manual_seed(0)
        *_, adapted = module.adapt_to_classes(settings, network, knowledge)
        with torch.no_grad():
            seen = as_seen(settings, *clips)
            embedded = module.embed_clips(settings, adapted.eval(), *seen).numpy()
            classes = module.embed_classes(settings, adapted, knowledge.text).numpy()
            distances.append(module.distances(settings, adapted, embedded, classes).gzsl)
    assert np.isfinite(distances[1]).all()
    np.testing.assert_array_equal(*distances)


@pytest.mark.parametrize("stage", [1, 2])
def test_model_does_not_notice_what_it_may_not_see(
    model: tuple[ModuleType, Any], stage: int
) -> None:
    """Neither test clips nor the vectors of classes that no stage has seen."""
    module, settings = model
    data = clips_for_every_model()
    settings = settings.model_copy(update={"batches_per_epoch": 2})
    unseen = (data.class_group == "test_unseen")[:, None]
    changed = replace(
        poisoned(data, "test_seen", "test_unseen"),
        text=np.where(unseen, np.float32(np.nan), data.text),
    )
    if settings.over_time:
        data, changed = over_time(data), over_time(changed)
    first, second = (
        fit(
            module, settings, some, learn_scaling("none", some, stage),
            stage=stage, epochs=1, seed=0, device="cpu",
        )
        for some in (data, changed)
    )  # fmt: skip
    assert first.history[0]["val"] == second.history[0]["val"]
    assert first.history[0]["losses"] == second.history[0]["losses"]
    assert all(torch.equal(v, second.last_state[k]) for k, v in first.last_state.items())


@pytest.mark.parametrize("name", registry.names("text_embeddings"))
def test_text_embedding_is_a_function_of_the_name(name: str, tmp_path: Path) -> None:
    module = registry.load("text_embeddings", name)
    class_names = ["red fox", "BlueWhale", "grün <b>"]
    values: dict[str, Any] = settings_of(name, tmp_path)
    if name == "concatenated":
        values["parts"] = [{"plugin": "hashed"}, {"plugin": "wordllama"}]
    elif name == "fasttext":
        train(tmp_path / "model.bin")
        values["path"] = tmp_path / "model.bin"
    elif "path" in module.Settings.model_fields:
        table = {key: np.full(4, index, np.float32) for index, key in enumerate(class_names)}
        np.save(tmp_path / "vectors.npy", np.array(table, dtype=object), allow_pickle=True)
        values["path"] = tmp_path / "vectors.npy"
    settings = module.Settings(**values)
    whole = module.vectors(settings, class_names)
    assert whole.dtype == np.float32
    assert whole.shape[0] == 3
    np.testing.assert_array_equal(whole[::-1], module.vectors(settings, class_names[::-1]))
    assert module.describe(settings)
