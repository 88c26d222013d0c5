"""TCaF against values computed with the published code, in float64.

Sizes, seeds and settings are read from the files.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from avca_pipeline.models import BatchOverTime, Dims, Windows, tcaf
from avca_pipeline.models._sequences import Cuts, padded
from avca_pipeline.models._tcaf_network import attended
from tests.conftest import shared_folder, shared_path
from tests.golden.filling import filled
from tests.golden.three_steps import EXACT, SUMS, TERMS, assert_three_steps, running

FILE = "tcaf.npz"
PUBLISHED: dict[str, Any] = {
    "scores_with_time_stamps": False, "video_norm": "time", "counts_padding": True,
    "refreshes_statistics": True, "dropout_bits": 53,
}  # fmt: skip
ATTENTION = {(False, True): "cross", (True, False): "self", (True, True): "both"}
# Our names, theirs; `q`, `k` and `v` are one matrix here.
LAYERS = "Audio_visual_transformer.layers"
CODES = "position_encoder_block"
NAMES = {
    "clip_token": "cls_token", "audio_encoder.": "A_enc.fc.", "video_encoder.": "V_enc.fc.",
    "text_projection.": "W_proj.fc.", "text_decoder.": "D_w.fc.",
    "clip_projection.": "O_proj.fc.", "clip_decoder.": "D_o.fc.",
    "frequencies": f"{CODES}.fourier_randn", "modality_codes": f"{CODES}.modal_embedding.weight",
    "padding_code": f"{CODES}.pad_embedding.weight", "time_code.": f"{CODES}.fourier_embeddings.",
    "audio_tokens.": f"{CODES}.out_proj_audio.", "video_tokens.": f"{CODES}.out_proj_video.",
}  # fmt: skip
IN_LAYER = {"attention_norm": "norm", "out": "attn.to_out", "feed_forward": "ff.net"}
STARTS: dict[str, dict[str, torch.Tensor]] = {}


def as_theirs(name: str, value: torch.Tensor) -> dict[str, torch.Tensor]:
    """Returns one of our tensors as theirs, by their names and in their shapes."""
    if name.startswith("attention."):
        layer, part, *rest = name.removeprefix("attention.").split(".")
        prefix = f"{LAYERS}.{layer}"
        if part == "qkv":
            thirds = value.chunk(3)
            return {
                f"{prefix}.attn.to_{letter}.weight": thirds[i] for i, letter in enumerate("qkv")
            }
        return {".".join([prefix, IN_LAYER[part], *rest]): value}
    ours = next(prefix for prefix in NAMES if name.startswith(prefix))
    theirs = NAMES[ours] + name.removeprefix(ours)
    if ours == "clip_token":
        value = value[None, None]
    elif ours == "padding_code":
        value = value[None]
    elif "out_proj" in theirs and theirs.endswith("weight"):
        value = value[..., None]
    return {theirs: value}


def all_as_theirs(values: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    return {k: v.numpy() for n, value in values.items() for k, v in as_theirs(n, value).items()}


class Case:
    """One case of the file: our settings and network, their batches and values."""

    def __init__(self, stored: dict[str, np.ndarray], name: str) -> None:
        self.stored, self.name = stored, name
        self.settings = tcaf.Settings(
            embedding_dim=int(self["cfg/dim_out"]),
            encoder_hidden=int(self["cfg/encoder_hidden"]),
            projection_hidden=int(self["cfg/decoder_hidden"]),
            code_dim=int(self["cfg/embed_dim"]),
            depth=int(self["cfg/depth"]),
            heads=int(self["cfg/heads"]),
            head_dim=int(self["cfg/dim_head"]),
            attention_hidden=int(self["cfg/mlp"]),
            attention=ATTENTION[self.has("self_attention"), self.has("cross_attention")],
            modality_code=self.has("modality_code"),
            time_code=str(self["cfg/time_type"]) == "sinusoid",
            reconstruction=self.has("rec"),
            regression=self.has("reg"),
            classification=self.has("ce"),
            learning_rate=float(self["cfg/lr"]),
            encoder_dropout=0, projection_dropout=0, text_dropout=0, token_dropout=0,
            attention_dropout=0,
            **PUBLISHED,
        )  # fmt: skip

    def __getitem__(self, key: str) -> np.ndarray:
        return self.stored[f"{self.name}/{key}"]

    def __contains__(self, key: str) -> bool:
        return f"{self.name}/{key}" in self.stored

    def has(self, option: str) -> bool:
        return bool(self[f"cfg/{option}"])

    def batch_at(self, number: int) -> str:
        own = f"{self.name}/batch{number}"
        return own if f"{own}/audio" in self.stored else f"tiny/batch{number}"

    def batch(self, number: int, dtype: torch.dtype = torch.float64) -> BatchOverTime:
        return batch_of(self.stored, self.batch_at(number), dtype)

    def network(self, settings: tcaf.Settings | None = None) -> torch.nn.ModuleDict:
        """Returns the network with the published start weights."""
        sizes = {"video": "dv", "audio": "da", "text": "dim"}
        dims = Dims(**{ours: int(self[f"cfg/{theirs}"]) for ours, theirs in sizes.items()})
        network = tcaf.build(settings or self.settings, dims).double()
        if self.name not in STARTS:
            STARTS[self.name] = self.start(network.state_dict())
        network.load_state_dict(STARTS[self.name])
        return network

    def start(self, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Returns the published start weights by our names."""
        names = [str(name) for name in self["state_names"]]
        seed = int(self["fill_seed"])
        start, known = {}, set()
        for name, value in state.items():
            parts = []
            for theirs, part in as_theirs(name, value).items():
                # One module stands there under two names; what is filled later counts.
                later = theirs.replace(CODES, "audiovisual_embeddings")
                known |= {theirs, later}
                position = names.index(later)
                rule = filled(later, tuple(part.shape), seed, position)
                if name == "frequencies":
                    draws = np.random.default_rng([seed, 999])
                    rule = 10 * draws.standard_normal(tuple(part.shape), dtype=np.float32)
                self.assert_start(theirs, position, rule)
                parts.append(torch.from_numpy(rule))
            start[name] = torch.cat(parts).reshape(value.shape) if value.ndim else parts[0]
        assert known == set(names)
        return start

    def assert_start(self, name: str, position: int, rule: np.ndarray) -> None:
        if f"init/{name}" in self:
            np.testing.assert_array_equal(self[f"init/{name}"], rule)
        if "init_first4" in self:
            np.testing.assert_array_equal(self["init_first4"][position], np.resize(rule, 4))

    def assert_state(self, point: str, values: dict[str, torch.Tensor], **near: float) -> None:
        """Compares tensors by their names with the stored ones, or with their digests."""
        theirs = all_as_theirs(values)
        if f"{point}/names" in self:
            names = [str(name) for name in self[f"{point}/names"]]
            for row, name in enumerate(names):
                value = theirs[name].astype(np.float64).ravel()
                digest = [np.linalg.norm(value), value.sum()]
                np.testing.assert_allclose(digest, self[f"{point}/norm_sum"][row], **SUMS)
                first = np.resize(value, 4)
                np.testing.assert_allclose(first, self[f"{point}/first4"][row], **near)
            assert set(names) == set(theirs)
            return
        stored = [key for key in self.stored if key.startswith(f"{self.name}/{point}/")]
        assert len(stored) == len(theirs)
        for key in stored:
            name = key.removeprefix(f"{self.name}/{point}/")
            np.testing.assert_allclose(theirs[name], self.stored[key], err_msg=name, **near)

    def assert_terms(self, at: str, terms: dict[str, torch.Tensor], **near: float) -> None:
        for theirs, ours in TERMS.items():
            if theirs in ("rec_o", "rec_w") and not self.settings.reconstruction:
                continue  # The published code computes them all the same, and leaves them out.
            value = sum(terms[name].item() for name in ours if name in terms)
            np.testing.assert_allclose(value, self[f"{at}/{theirs}"], **near)


def batch_of(
    stored: dict[str, np.ndarray], at: str, dtype: torch.dtype = torch.float64
) -> BatchOverTime:
    """Returns a stored batch without its padding."""
    windows = {}
    for modality in ("video", "audio"):
        is_real = torch.from_numpy(stored[f"{at}/{modality}_mask"]).bool()
        values = torch.from_numpy(stored[f"{at}/{modality}"]).to(dtype)
        seconds = torch.from_numpy(stored[f"{at}/{modality}_seconds"])
        lengths = is_real.sum(dim=1)
        np.testing.assert_array_equal(lengths, stored[f"{at}/{modality}_length"])
        windows[modality] = Windows(values[is_real], seconds[is_real], lengths, math.nan)
    label = torch.from_numpy(stored[f"{at}/label"])
    classes = torch.from_numpy(stored[f"{at}/class_text"]).to(dtype)
    return BatchOverTime(windows["video"], windows["audio"], classes[label], classes, label)


def alone(windows: Windows) -> list[Windows]:
    """Returns each clip by itself."""
    sizes = windows.lengths.tolist()
    return [
        Windows(values, starts, torch.tensor([len(values)]), windows.hop_s)
        for values, starts in zip(
            windows.values.split(sizes), windows.starts_s.split(sizes), strict=True
        )
    ]


def is_ours(stored: dict[str, np.ndarray], name: str) -> bool:
    """Whether a case is one of those that our settings reach.

    Left out are options that no published configuration uses: the optimiser SAM, a table of times,
    and no encoders.
    """
    return (
        "sam" not in str(stored[f"{name}/cfg/optimizer"])
        and str(stored[f"{name}/cfg/time_type"]) in ("sinusoid", "none")
        and bool(stored[f"{name}/cfg/encoders"])
    )


def names() -> list[str]:
    path = shared_path("reference", FILE)
    if not path.exists():
        return ["absent"]
    with np.load(path) as file:
        return [str(name) for name in file["cases"] if is_ours(file, str(name))]


@pytest.fixture(scope="module")
def stored() -> dict[str, np.ndarray]:
    with np.load(shared_folder("reference", FILE)) as file:
        return dict(file)


@pytest.fixture(params=names())
def case(stored: dict[str, np.ndarray], request: pytest.FixtureRequest) -> Case:
    return Case(stored, request.param)


def all_losses(
    settings: tcaf.Settings, network: torch.nn.ModuleDict, batch: BatchOverTime, padding: int = 0
) -> dict[str, torch.Tensor]:
    """Returns the losses of a batch with so much more padding."""
    clips = {
        modality: padded(
            windows,
            Cuts(
                torch.zeros_like(windows.lengths),
                windows.lengths,
                int(windows.lengths.max()) + padding,
            ),
        )
        for modality, windows in (("audio", batch.audio), ("video", batch.video))
    }
    return tcaf.losses(settings, network, batch, clips)


def test_embeddings_and_losses(case: Case) -> None:
    network = case.network().eval()
    batch, by_number = case.batch(0), case.settings
    in_seconds = by_number.model_copy(update={"scores_with_time_stamps": True})
    with torch.no_grad():
        case.assert_terms("f64/eval", all_losses(by_number, network, batch), **EXACT)
        theta_w = tcaf.embed_classes(by_number, network, batch.text)
        np.testing.assert_allclose(theta_w.numpy(), case["eval/theta_w"], **EXACT)
        for settings, together, each_alone in (
            (in_seconds, "eval/theta_o", "eval/alone/theta_o"),
            (by_number, "eval/get_embeddings/theta_o", "eval/get_embeddings_alone/theta_o"),
        ):
            theta = tcaf.embed_clips(settings, network, batch.video, batch.audio)
            np.testing.assert_allclose(theta.numpy(), case[together], **EXACT)
            each = torch.cat(
                [
                    tcaf.embed_clips(settings, network, video, audio)
                    for video, audio in zip(alone(batch.video), alone(batch.audio), strict=True)
                ]
            )
            np.testing.assert_allclose(each.numpy(), case[each_alone], **EXACT)


def test_what_padding_does_to_batch_statistics_is_a_setting(case: Case) -> None:
    total = all_losses(case.settings, case.network().train(), case.batch(0), padding=5)["total"]
    np.testing.assert_allclose(total.item(), case["f64/train_padded5/total"], **EXACT)
    sound = case.settings.model_copy(update={"counts_padding": False})
    longer, shorter = (
        all_losses(sound, case.network().train(), case.batch(0), padding=rows)["total"].item()
        for rows in (5, 0)
    )
    np.testing.assert_allclose(longer, shorter, **EXACT)


def test_tokens_of_windows(stored: dict[str, np.ndarray]) -> None:
    case = Case(stored, "tiny")
    network, batch = case.network().eval(), case.batch(0)
    clips = tcaf.sequences(case.settings, batch.video, batch.audio, 0, at_random=False)
    with torch.no_grad():
        tokens = attended(case.settings, network, clips, in_seconds=True)
    real = np.concatenate(
        [np.ones((len(tokens), 1), bool), clips["audio"].is_real, clips["video"].is_real], axis=1
    )
    np.testing.assert_allclose(tokens.numpy()[real], case["eval/sequence"][real], **EXACT)


def test_clips_of_one_window(stored: dict[str, np.ndarray]) -> None:
    case = Case(stored, "tiny")
    network, batch = case.network().eval(), batch_of(stored, "one_window/batch")
    for with_seconds, at in ((True, "eval"), (False, "eval/get_embeddings")):
        settings = case.settings.model_copy(update={"scores_with_time_stamps": with_seconds})
        with torch.no_grad():
            theta = tcaf.embed_clips(settings, network, batch.video, batch.audio)
        np.testing.assert_allclose(theta.numpy(), stored[f"one_window/{at}/theta_o"], **EXACT)


def test_losses_in_float32(case: Case) -> None:
    network = case.network().float()
    batch = case.batch(0, torch.float32)
    for mode in ("eval", "train"):
        terms = all_losses(case.settings, network.train(mode == "train"), batch)
        case.assert_terms(f"f32/{mode}", terms, rtol=5e-5, atol=0)


def test_gradients_and_running_statistics(case: Case) -> None:
    network = case.network().train()
    step = tcaf.steps(case.settings, network, case.batch(0))
    terms = next(step)
    case.assert_terms("f64/train", terms, **EXACT)
    case.assert_state("bn_after_forward", running(network), **EXACT)
    terms["total"].backward()
    norms = dict(zip(map(str, case["grad_norm/names"]), case["grad_norm/values"], strict=True))
    gradients = all_as_theirs(
        {n: p.grad for n, p in network.named_parameters() if p.grad is not None}
    )
    for name, gradient in gradients.items():
        np.testing.assert_allclose(np.linalg.norm(gradient), norms[name], err_msg=name, **EXACT)
        if f"grad/{name}" in case:
            np.testing.assert_allclose(gradient, case[f"grad/{name}"], **EXACT)
    assert {name for name, norm in norms.items() if norm} <= set(gradients)
    assert next(step, None) is None
    case.assert_state("bn_after_get_embeddings", running(network), **EXACT)


@pytest.mark.parametrize("refreshes", [True, False])
def test_three_optimiser_steps(case: Case, refreshes: bool) -> None:
    assert_three_steps(tcaf, case, refreshes, "A_enc.fc.1.running_mean")


def test_dropout_is_drawn_in_the_published_order(case: Case) -> None:
    keys = ("encoder", "projection", "text", "token", "attention")
    shares = dict(zip(keys, map(float, case["cfg/dropouts"]), strict=True))
    settings = case.settings.model_copy(
        update={f"{key}_dropout": share for key, share in shares.items()}
    )
    network = case.network(settings).train()
    torch.manual_seed(int(case["train_dropout/manual_seed"]))
    total = all_losses(settings, network, case.batch(0))["total"].item()
    np.testing.assert_allclose(total, case["f64/train_dropout/total"], **EXACT)


def test_the_number_of_parameters_is_published(case: Case) -> None:
    count = sum(parameter.numel() for parameter in case.network().parameters())
    assert count == int(case["parameters"])
