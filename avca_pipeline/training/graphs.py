"""A training step as a CUDA graph: the host gives the GPU thousands of operations by one call.

The networks are small, and what takes the time of a step on a GPU is the host, which queues its
operations one by one. A graph of them is recorded once in each training and replayed for each
batch: https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs

What is recorded is what Python did in that one step. A method whose steps wait for the GPU, or do
not do the same each time, cannot be replayed. So a graph is tried before it is used: it must give
the losses of the step itself. The trial leaves no trace in network, optimiser or random numbers.
Thus all batches of a training are replayed, or none, and a training that was interrupted goes on as
it would have.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator

from avca_pipeline.runtime.lazy import torch
from avca_pipeline.training.step import Step

logger = logging.getLogger(__name__)

TRIED_BATCHES = 3
"""Batches of the trial, as many as torch recommends before a graph is recorded."""
TOLERANCE = 1e-3
"""Relative difference of the losses of a trial. The same kernels run in the same order, so that
there is none where their choice does not depend on recording; what is not the same each time, such
as frozen random numbers, makes a difference of a few percent.
"""

Record = Callable[[Step], Callable[[], None]]


def use_graph(step: Step, batches: torch.Tensor, record: Record | None = None) -> None:
    """Has a step replay a graph of itself, or says in the log why it does not.

    Args:
        step: network and optimiser stay as they are.
        batches: ``(batches, 2, batch)``, batches for the trial.
        record: records a step; returns what replays it.
    """
    tried, step.is_tried = batches[:TRIED_BATCHES], True
    try:
        with _without_trace(step):
            expected = step.on(tried)  # The first batches also make constants, and may wait.
        with _without_trace(step), _no_waiting(step):
            step.on(tried[:1])
        with _without_trace(step):
            step.run = (record or _record)(step)
        with _without_trace(step):
            found = step.on(tried)
    except RuntimeError as error:  # torch has no narrower class for what cannot be recorded
        reason = str(error).splitlines()[0]
    else:
        if torch.allclose(found, expected, rtol=TOLERANCE, equal_nan=True):
            return
        reason = "a replay gives other losses"
    step.run = step
    logger.info(f"training queues each operation by itself, without a CUDA graph: {reason}")


@contextlib.contextmanager
def _without_trace(step: Step) -> Iterator[None]:
    """Afterwards network, optimiser and random numbers are as they were before, in their place."""
    tensors = [
        *step.network.parameters(),
        *step.network.buffers(),
        *step.optimiser.means,
        *step.optimiser.squares,
        *step.optimiser.steps,
    ]
    before = [tensor.detach().clone() for tensor in tensors]
    devices = [step.rows.device.index or 0] if step.rows.is_cuda else []
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        with torch.no_grad():
            for tensor, value in zip(tensors, before, strict=True):
                tensor.copy_(value)
        step.optimiser.zero_grad()


@contextlib.contextmanager
def _no_waiting(step: Step) -> Iterator[None]:
    """Within it, what waits for the GPU raises an error, which it must not while it is recorded."""
    if not step.rows.is_cuda:
        yield
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says that it does not find all
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def _record(step: Step) -> Callable[[], None]:
    """Records a step on a GPU, after a few real ones on the same stream, as torch asks for."""
    generator = torch.cuda.default_generators[step.rows.device.index or 0]
    spare = generator.clone_state()
    stream, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
    stream.wait_stream(torch.cuda.current_stream())
    try:
        with torch.cuda.stream(stream):  # which is left even where recording fails
            for _ in range(TRIED_BATCHES):
                step()
            step.optimiser.zero_grad()
            with torch.cuda.graph(graph, stream=stream):
                step()
    except RuntimeError:
        generator.graphsafe_set_state(spare)  # The other one may believe that it is recorded still.
        raise
    finally:
        torch.cuda.current_stream().wait_stream(stream)
    return graph.replay
