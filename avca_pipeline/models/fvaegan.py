"""f-VAEGAN-D2: made-up features of the unseen classes turn zero-shot learning into classification.

Xian, Sharma, Schiele, Akata: F-VAEGAN-D2: A Feature Generating Framework for Any-Shot Learning
(CVPR 2019, https://arxiv.org/abs/1903.10132).

A generator ``G`` makes a feature from noise ``z`` and a class's text embedding ``w``. It is the
decoder of a variational autoencoder, whose encoder turns a real feature ``x`` into a normal
distribution with mean ``μ`` and deviation ``σ``, and the opponent of two critics: ``D(x, w)``, and
``D2(x)``, which does not see the text. With ``z' = μ + σ · noise`` and ``x̂`` on the line between
real and made-up feature, the losses of a batch are

    critics:    mean D(G(z, w), w) - mean D(x, w) + gradient_penalty · mean (|∇ D(x̂, w)| - 1)²
                and the same for D2 without w
    G, encoder: autoencoder_weight · Σ [BCE(G(z', w), x) + KL(N(μ, σ²) ‖ N(0, 1))]
                - adversarial_weight · [mean D(G(z', w), w) + mean D(G(z, w), w)]

Critics and generator take turns. Then a linear softmax classifier is trained on real features of
the seen classes and made-up features of the unseen ones; a second classifier, for ZSL, on made-up
features alone. The distance of a clip to a class is the negative log-probability of the class.

What it assumes: the generator, which has only met seen classes, makes the right features for a text
embedding it has not met. What it cannot model: anything about a clip beyond one feature vector; and
what the classifier learns of an unseen class is as good as the made-up features, whatever their
number.

Adapted as published: the features are audio and video side by side, audio first, scaled together
to unit length. The last layer is a sigmoid and reconstruction is cross-entropy, which suits
features that are not negative; the published numbers are for the ``main`` features only. The
generator's loss has no term of ``D2``.

Differs from the published code in two ways that ``batches_per_epoch: 1``, ``critic_steps: 1`` and
``chosen_on_test: true`` bring back for comparison. That code stops after 50 single batches because
of a misplaced ``break``. And it chooses the epochs of generator and classifier on the clips that it
reports: here the generator's is chosen on validation, as for all methods, like the bias of
calibrated stacking, and the classifier is the one after its last epoch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
from pydantic import Field

from avca_pipeline.errors import PipelineError
from avca_pipeline.evaluation.distances import Distances
from avca_pipeline.models import Batch, ClassKnowledge, Dims, ModelSettings
from avca_pipeline.models.defaults import trainable
from avca_pipeline.nn.blocks import in_blocks
from avca_pipeline.nn.softmax import fit_softmax
from avca_pipeline.runtime.lazy import torch

CITATIONS = ("xian2019fvaegan",)
__all__ = [
    "Settings", "adapt_to_classes", "build", "distances", "embed_classes", "embed_clips", "steps",
    "trainable",
]  # fmt: skip

SYNTHESIS_SEED = 0
"""Seed of made-up features: each epoch is judged on the same random numbers."""


class Settings(ModelSettings):
    """Hyper-parameters of f-VAEGAN-D2; the defaults are those for UCF-GZSL, main split."""

    works_on_one_modality: ClassVar[bool] = True

    batch_size: int = Field(default=64, ge=2)
    """Number of clips in a batch."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Weight decay of the optimiser Adam, the classic kind that is added to the gradient."""
    beta1: float = Field(default=0.5, ge=0, lt=1)
    """Decay rate of the optimiser Adam's running mean of the gradient."""
    lr_patience: int = Field(default=1000, ge=0)
    """Number of epochs without a better validation HM after which the learning rate is divided by
    ten; the default is so large that this never happens.
    """
    latent_dim: int = Field(default=300, ge=1)
    """Dimension of the noise."""
    generator_hidden: int = Field(default=512, ge=1)
    """Width of the hidden layer of the generator."""
    encoder_hidden: int = Field(default=300, ge=1)
    """Width of the hidden layer of the encoder."""
    critic_hidden: int = Field(default=512, ge=1)
    """Width of the hidden layer of both critics."""
    critic_steps: int = Field(default=5, ge=1)
    """Number of steps of the critics for each step of the generator and the encoder."""
    gradient_penalty: float = Field(default=10.0, ge=0)
    """Weight of the critics' gradient penalty."""
    adversarial_weight: float = Field(default=100_000.0, ge=0)
    """Weight of the critic's score in the generator's loss."""
    autoencoder_weight: float = Field(default=1.0, ge=0)
    """Weight of the autoencoder's loss in the generator's loss."""
    synthetic_per_class: int = Field(default=1000, ge=1)
    """Number of generated features of each unseen class. Published: 10,000 for VGGSound-GZSL."""
    classifier_epochs: int = Field(default=30, ge=1)
    """Number of epochs of the classifier, over real and generated features."""
    classifier_batch: int = Field(default=1000, ge=1)
    """Number of features in a batch of the classifier. Published: the number of generated features
    of one class.
    """
    classifier_learning_rate: float = Field(default=1e-3, gt=0)
    """Learning rate of the classifier's optimiser, Adam."""

    def check_features(self, video: torch.Tensor, audio: torch.Tensor) -> None:
        """Checks that no feature is negative, for the generator could not make it up.

        Raises:
            PipelineError: one is.
        """
        if any((features < 0).any() for features in (video, audio)):
            raise PipelineError(
                "fvaegan: found negative features, but it makes up features between 0 and 1; use a "
                "feature set with scaling: none, of backbones without negative features"
            )


def build(settings: Settings, dims: Dims) -> torch.nn.ModuleDict:
    """Returns the network's parts by name."""
    nn = torch.nn
    clip, text, latent = dims.audio + dims.video, dims.text, settings.latent_dim

    def critic(dim: int) -> torch.nn.Sequential:
        layers = nn.Sequential(
            nn.Linear(dim, settings.critic_hidden), nn.LeakyReLU(0.2),
            nn.Linear(settings.critic_hidden, 1),
        )  # fmt: skip
        for name, parameter in layers.named_parameters():
            if name.endswith("weight"):
                nn.init.normal_(parameter, 0.0, 0.02)
            else:
                nn.init.zeros_(parameter)
        return layers

    return nn.ModuleDict(
        {
            "generator": nn.Sequential(
                nn.Linear(latent + text, settings.generator_hidden), nn.ReLU(),
                nn.Linear(settings.generator_hidden, clip), nn.Sigmoid(),
            ),
            "encoder": nn.Sequential(nn.Linear(clip + text, settings.encoder_hidden), nn.ReLU()),
            "mean": nn.Linear(settings.encoder_hidden, latent),
            "log_variance": nn.Linear(settings.encoder_hidden, latent),
            "critic": critic(clip + text),
            "unconditional_critic": critic(clip),
        }
    )  # fmt: skip


def steps(
    settings: Settings, network: torch.nn.ModuleDict, batch: Batch
) -> Iterator[dict[str, torch.Tensor]]:
    """Yields the critics' loss terms, once or more often, then those of generator and encoder.

    Negatives are of no use here. The generator is judged on the noise that the critics saw last.
    """
    real = unit_length(batch.video, batch.audio)
    for _ in range(settings.critic_steps):
        noise = _normal(len(real), settings, real)
        shares = [torch.rand(len(real), 1, device=real.device) for _ in range(2)]
        yield critic_losses(settings, network, real, batch.text, noise, shares)
    jitter = _normal(len(real), settings, real)
    yield generator_losses(settings, network, real, batch.text, noise, jitter)


def critic_losses(
    settings: Settings,
    network: torch.nn.ModuleDict,
    real: torch.Tensor,
    text: torch.Tensor,
    noise: torch.Tensor,
    shares: list[torch.Tensor],
) -> dict[str, torch.Tensor]:
    """Returns both critics' loss terms and their ``total``; only critics get a gradient.

    Args:
        settings: hyper-parameters.
        network: from `build`.
        real: ``(batch, clip dim)``, clips.
        text: ``(batch, text dim)`` of their classes.
        noise: ``(batch, latent_dim)`` to generate from.
        shares: of the real clip in the mixtures that the gradient penalty looks at, ``(batch, 1)``
            for each critic.
    """
    with torch.no_grad():
        made_up = network["generator"](torch.cat([noise, text], dim=1))
    terms: dict[str, torch.Tensor] = {}
    for name, share in zip(("critic", "unconditional_critic"), shares, strict=True):
        condition = [text] if name == "critic" else []
        judge = network[name]
        mixed = (share * real + (1 - share) * made_up).requires_grad_()
        slope = torch.autograd.grad(
            judge(torch.cat([mixed, *condition], dim=1)).sum(), mixed, create_graph=True
        )[0].norm(dim=1)
        terms |= {
            f"{name}_real": -judge(torch.cat([real, *condition], dim=1)).mean(),
            f"{name}_made_up": judge(torch.cat([made_up, *condition], dim=1)).mean(),
            f"{name}_penalty": settings.gradient_penalty * ((slope - 1) ** 2).mean(),
        }
    return terms | {"total": torch.stack(list(terms.values())).sum()}


def generator_losses(
    settings: Settings,
    network: torch.nn.ModuleDict,
    real: torch.Tensor,
    text: torch.Tensor,
    noise: torch.Tensor,
    jitter: torch.Tensor,
) -> dict[str, torch.Tensor]:
    """Returns the terms of generator and encoder and their ``total``; critics get no gradient.

    As in the published code, no term uses the unconditional critic.

    Args:
        settings: hyper-parameters.
        network: from `build`.
        real: ``(batch, clip dim)``, clips.
        text: ``(batch, text dim)`` of their classes.
        noise: ``(batch, latent_dim)`` to generate from.
        jitter: ``(batch, latent_dim)``, standard normal, by which the encoding varies.
    """
    frozen = {name: value.detach() for name, value in network["critic"].named_parameters()}

    def judged(clips: torch.Tensor) -> torch.Tensor:
        both = torch.cat([clips, text], dim=1)
        judgements: torch.Tensor = torch.func.functional_call(network["critic"], frozen, (both,))
        return judgements.mean()

    hidden = network["encoder"](torch.cat([real, text], dim=1))
    mean, log_variance = network["mean"](hidden), network["log_variance"](hidden)
    encoded = jitter * (0.5 * log_variance).exp() + mean
    decoded = network["generator"](torch.cat([encoded, text], dim=1))
    made_up = network["generator"](torch.cat([noise, text], dim=1))
    divergence = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum()
    terms = {
        "reconstruction": torch.nn.functional.binary_cross_entropy(decoded, real, reduction="sum"),
        "divergence": divergence,
        "judged_decoded": -judged(decoded),
        "judged_made_up": -judged(made_up),
    }
    autoencoder = terms["reconstruction"] + terms["divergence"]
    adversarial = terms["judged_decoded"] + terms["judged_made_up"]
    total = settings.adversarial_weight * adversarial + settings.autoencoder_weight * autoencoder
    return terms | {"total": total}


def adapt_to_classes(
    settings: Settings, network: torch.nn.ModuleDict, knowledge: ClassKnowledge
) -> Iterator[torch.nn.ModuleDict]:
    """Yields two classifiers after each epoch: ``among_all`` classes, and ``among_unseen`` only.

    The buffer ``unseen`` has the columns of the classes that ``among_unseen`` tells apart.
    """
    generator = torch.Generator().manual_seed(SYNTHESIS_SEED)
    unseen = torch.from_numpy(np.flatnonzero(knowledge.is_unseen)).to(knowledge.text.device)
    with torch.no_grad():
        real = unit_length(knowledge.video, knowledge.audio)
        noise = torch.randn(
            len(unseen), settings.synthetic_per_class, settings.latent_dim, generator=generator
        )
        made_up = synthesised(settings, network, knowledge.text[unseen], noise)
    # The number of a made-up clip's class, counted among unseen classes only.
    number = torch.arange(len(unseen), device=unseen.device)
    number = number.repeat_interleave(settings.synthetic_per_class)
    epochs_among_all = _classifier_epochs(
        settings,
        torch.cat([real, made_up]),
        torch.cat([knowledge.column, unseen[number]]),
        len(knowledge.text),
        generator,
    )
    epochs_among_unseen = _classifier_epochs(settings, made_up, number, len(unseen), generator)
    for among_all, among_unseen in zip(epochs_among_all, epochs_among_unseen, strict=True):
        adapted = torch.nn.ModuleDict({"among_all": among_all, "among_unseen": among_unseen})
        adapted.register_buffer("unseen", unseen)
        yield adapted


def synthesised(
    settings: Settings,
    network: torch.nn.ModuleDict,
    text: torch.Tensor,
    noise: torch.Tensor,
) -> torch.Tensor:
    """Returns made-up clips, class after class, ``(classes * synthetic_per_class, clip dim)``.

    Args:
        settings: hyper-parameters.
        network: from `build`.
        text: ``(classes, text dim)``.
        noise: ``(classes, synthetic_per_class, latent_dim)``.
    """
    return torch.cat(
        [
            network["generator"](torch.cat([own.to(vector), vector.expand(len(own), -1)], dim=1))
            for vector, own in zip(text, noise, strict=True)
        ]
    )


def embed_clips(
    settings: Settings, network: torch.nn.ModuleDict, video: torch.Tensor, audio: torch.Tensor
) -> torch.Tensor:
    """Returns the features themselves, as the classifiers see them, ``(clips, clip dim)``."""
    return unit_length(video, audio)


def embed_classes(
    settings: Settings, network: torch.nn.ModuleDict, text: torch.Tensor
) -> torch.Tensor:
    """Returns the direction in which the classifier looks for a class, ``(classes, clip dim)``."""
    return torch.nn.functional.normalize(network.get_parameter("among_all.weight"), dim=1)


def distances(
    settings: Settings, network: torch.nn.ModuleDict, clips: np.ndarray, classes: np.ndarray
) -> Distances:
    """Returns negative log-probabilities of the two classifiers, see `adapt_to_classes`."""
    unit = torch.from_numpy(clips).to(network.get_parameter("among_all.weight"))
    among_all, among_unseen = (
        -in_blocks(network[name], unit).double().log_softmax(dim=1).cpu().numpy()
        for name in ("among_all", "among_unseen")
    )
    zsl = np.full(among_all.shape, np.inf)
    zsl[:, network.get_buffer("unseen").cpu().numpy()] = among_unseen
    return Distances(among_all, zsl=zsl)


def unit_length(video: torch.Tensor, audio: torch.Tensor) -> torch.Tensor:
    """Returns both modalities side by side, scaled together, ``(clips, clip dim)``."""
    return torch.nn.functional.normalize(torch.cat([audio, video], dim=1), dim=1)


def _normal(num_clips: int, settings: Settings, like: torch.Tensor) -> torch.Tensor:
    return torch.randn(num_clips, settings.latent_dim, device=like.device, dtype=like.dtype)


def _classifier_epochs(
    settings: Settings,
    clips: torch.Tensor,
    label: torch.Tensor,
    num_classes: int,
    generator: torch.Generator,
) -> Iterator[torch.nn.Linear]:
    """Yields a classifier of clips after each epoch; what is random is drawn at once."""
    return fit_softmax(
        clips,
        label,
        torch.randn(num_classes, clips.shape[1], generator=generator).to(clips),
        torch.randperm(len(clips), generator=generator).to(clips.device),
        epochs=settings.classifier_epochs,
        batch_size=settings.classifier_batch,
        learning_rate=settings.classifier_learning_rate,
        beta1=settings.beta1,
    )
