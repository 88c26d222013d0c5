"""Blocks that networks of several layers are built from: linear blocks, and attention of tokens."""

from __future__ import annotations

from collections.abc import Callable

from avca_pipeline.runtime.lazy import torch


def dropout(share: float, bits: int) -> torch.nn.Module:
    """Returns dropout that decides with so many random bits: torch's own has 53, ours has 16."""
    if bits == 53:
        return torch.nn.Dropout(share)
    from avca_pipeline.nn.dropout import Dropout  # The class needs torch when it is defined.

    return Dropout(share)


def linear_blocks(
    dim_in: int,
    dim_out: int,
    new_dropout: Callable[[], torch.nn.Module],
    *,
    hidden: int = 0,
    last_momentum: float = 0.1,
) -> torch.nn.Sequential:
    """Returns one or two blocks of linear layer, batch norm, ReLU and dropout.

    Args:
        dim_in: width of the input.
        dim_out: width of the output.
        new_dropout: returns a new dropout.
        hidden: width between two blocks; 0 for one block.
        last_momentum: of the second block's batch norm, if there is a second block.
    """
    nn = torch.nn
    if not hidden:
        return nn.Sequential(
            nn.Linear(dim_in, dim_out), nn.BatchNorm1d(dim_out), nn.ReLU(), new_dropout()
        )
    last_norm = nn.BatchNorm1d(dim_out, momentum=last_momentum)
    return nn.Sequential(
        nn.Linear(dim_in, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), new_dropout(),
        nn.Linear(hidden, dim_out), last_norm, nn.ReLU(), new_dropout(),
    )  # fmt: skip


def attention_layer(
    token_dim: int,
    heads: int,
    head_dim: int,
    hidden: int,
    new_dropout: Callable[[], torch.nn.Module],
    *,
    shares_norm: bool = False,
) -> torch.nn.ModuleDict:
    """Returns the parts of a layer of self-attention and a feed-forward network, for `attend`.

    Args:
        token_dim: width of the tokens.
        heads: number of attention heads.
        head_dim: width of a head.
        hidden: width of the feed-forward network's hidden layer.
        new_dropout: returns a new dropout.
        shares_norm: whether both halves have one and the same normalisation.
    """
    nn = torch.nn
    width = heads * head_dim
    own_norm = {} if shares_norm else {"feed_forward_norm": nn.LayerNorm(token_dim)}
    return nn.ModuleDict(
        {
            "attention_norm": nn.LayerNorm(token_dim),
            "qkv": nn.Linear(token_dim, 3 * width, bias=False),
            "out": nn.Sequential(nn.Linear(width, token_dim), new_dropout()),
            **own_norm,
            "feed_forward": nn.Sequential(
                nn.Linear(token_dim, hidden), nn.GELU(), new_dropout(),
                nn.Linear(hidden, token_dim), new_dropout(),
            ),
        }
    )  # fmt: skip


def attend(
    parts: torch.nn.ModuleDict,
    tokens: torch.Tensor,
    heads: int,
    allowed: torch.Tensor | None = None,
) -> torch.Tensor:
    """Returns the tokens after a layer, ``(batch, tokens, token dim)`` like those before it.

    Normalisation comes first in both halves, and both halves are added to what they are given.

    Args:
        parts: from `attention_layer`.
        tokens: ``(batch, tokens, token dim)``.
        heads: number of attention heads.
        allowed: ``(batch, tokens, tokens)``, whether the token of the row may look at that of the
            column, one at least for each row; all look at all without it.
    """
    query, key, value = (
        part.unflatten(-1, (heads, -1)).transpose(1, 2)
        for part in parts["qkv"](parts["attention_norm"](tokens)).chunk(3, dim=-1)
    )
    scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
    if allowed is not None:
        scores = scores.masked_fill(~allowed[:, None], -torch.inf)
    mixed = (scores.softmax(dim=-1) @ value).transpose(1, 2).flatten(2)
    tokens = parts["out"](mixed) + tokens
    norm = parts["feed_forward_norm" if "feed_forward_norm" in parts else "attention_norm"]
    added: torch.Tensor = parts["feed_forward"](norm(tokens))
    return added + tokens
