"""Where a command computes: on a GPU that it reserves for itself, or on the CPU."""

from __future__ import annotations

import logging
from typing import Literal

from avca_pipeline.errors import PipelineError
from avca_pipeline.runtime import gpus
from avca_pipeline.runtime.lazy import torch

logger = logging.getLogger(__name__)


def choose_device(
    wanted: Literal["auto", "cpu", "cuda"], num_threads: int | None, jobs_per_gpu: int, caller: str
) -> str:
    """Returns ``cuda`` where a GPU is usable, else ``cpu``; gives torch its threads and its GPU.

    Args:
        wanted: ``auto`` for a GPU if there is one.
        num_threads: of the CPU; ``None`` for as many as torch chooses.
        jobs_per_gpu: how many jobs may use one GPU at a time.
        caller: begins the lines of the log, such as ``avca train``.

    Raises:
        PipelineError: a GPU is wanted, and there is none that torch can use.
    """
    names, why_none = ([], "") if wanted == "cpu" else gpus.visible_or_why()
    if names:
        name = gpus.reserve(names, jobs_per_gpu)
        gpus.choose(name)
        logger.info(f"{caller}: on {name}")
    if num_threads:
        torch.set_num_threads(num_threads)
    # torch is asked only where there is something to ask about: it looks at every GPU.
    is_usable = bool(names) and torch.cuda.is_available()
    if wanted == "cuda" and not is_usable:
        because = "torch cannot use it" if names else why_none
        raise PipelineError(
            f"--device cuda: there is no usable GPU ({because}); leave it out to use the CPU"
        )
    if wanted == "auto" and not names and gpus.is_expected():
        logger.warning(f"{caller}: CUDA shows no GPU ({why_none}); on the CPU")
    elif names and not is_usable:
        logger.warning(f"{caller}: torch cannot use this GPU; on the CPU instead")
    elif not names:
        logger.info(f"{caller}: on the CPU")
    return "cuda" if is_usable else "cpu"
