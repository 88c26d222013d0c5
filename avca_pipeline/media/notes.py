"""What was done to a clip while it was decoded, for the table of features.

A clip that was mended is not silently the same as one that needed no mending. Decoders add to the
notes of the clip at hand, of which a process has one at a time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, fields


@dataclass
class Notes:
    """What was done to one clip.

    Attributes:
        gap_s: seconds of silence put where the time stamps of the sound, or of the picture held
            where those of the picture, leave a gap.
        num_jumps: how often the time stamps restarted or jumped, and went on as if they had not.
        num_damaged: packets that could not be decoded and were left out.
        tilt_deg: by how many degrees the file asks its picture to be turned beyond quarter turns,
            which was not done.
        late_s: seconds of the clip before its first picture, from which the frames of its windows
            are counted; sound is silent before it begins, and is never late.
        on_host: why the CPU has prepared frames that were to be prepared on the device.
        decoded_on_cpu: why the CPU has decoded what was to be decoded on the GPU.
    """

    gap_s: float = 0.0
    num_jumps: int = 0
    num_damaged: int = 0
    tilt_deg: float = 0.0
    late_s: float = 0.0
    on_host: str = ""
    decoded_on_cpu: str = ""

    def restore(self, before: Notes) -> None:
        """Restores the values of an earlier copy: notes of a failed attempt do not count."""
        for column in fields(self):
            setattr(self, column.name, getattr(before, column.name))


_current: ContextVar[Notes | None] = ContextVar("notes", default=None)


def current() -> Notes:
    """Returns the notes of the clip at hand; outside of `taking_notes` nobody reads them."""
    return _current.get() or Notes()


@contextlib.contextmanager
def taking_notes() -> Iterator[Notes]:
    """Yields the notes that decoders add to inside the block."""
    notes = Notes()
    token = _current.set(notes)
    try:
        yield notes
    finally:
        _current.reset(token)
