"""Rows through a network in blocks of one size, so that a row's bits are its own.

A library of linear algebra chooses its kernels by the size of a matrix, and each kernel rounds in
its own way. With blocks of one size a row becomes the same number whether it comes alone or among
thousands.
"""

from __future__ import annotations

from collections.abc import Callable

from avca_pipeline.runtime.lazy import torch

BLOCK_ROWS = 256


def in_blocks(
    function: Callable[..., torch.Tensor], *inputs: torch.Tensor, size: int = BLOCK_ROWS
) -> torch.Tensor:
    """Returns ``(rows, …)``, what a function makes of rows.

    Args:
        function: gets a block of each input and returns a row for each of theirs.
        *inputs: ``(rows, …)`` each, one row at least.
        size: of all blocks; the last row fills up the last one.
    """
    blocks = zip(*(rows.split(size) for rows in inputs), strict=True)
    made = [function(*(_filled(block, size) for block in of_inputs)) for of_inputs in blocks]
    return torch.cat(made)[: len(inputs[0])]


def _filled(block: torch.Tensor, size: int) -> torch.Tensor:
    missing = size - len(block)
    if not missing:
        return block
    return torch.cat([block, block[-1:].expand(missing, *block.shape[1:])])
