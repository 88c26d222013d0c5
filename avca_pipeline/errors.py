"""The one kind of error a user can cause."""

from __future__ import annotations

import datetime
import errno
import reprlib
import unicodedata

from avca_pipeline.runtime.addresses import redacted

MAX_SHOWN = 200


class PipelineError(ValueError):
    """A mistake in the config or in a file: one line that names it and says what to do.

    The command line prints the message alone and exits with code 1. Bugs of ours raise anything
    else and keep their traceback.

    Args:
        messages: mostly one; a config may have several mistakes, with a line for each.
    """

    def __init__(self, *messages: str) -> None:
        super().__init__(*messages)

    @property
    def lines(self) -> list[str]:
        """The messages, each in one line."""
        return [one_line(redacted(str(message))) for message in self.args]

    def __str__(self) -> str:
        return "\n".join(self.lines)


class FormatError(PipelineError):
    """A file that is not what its name promises: damaged, of another version, or not ours."""


class TransientError(PipelineError):
    """An error that may pass by itself: a server, a network or a disk does not answer for now.

    It says nothing about a clip, and the next run tries again.
    """


def one_line(text: str) -> str:
    """Returns a text that any terminal shows as one line, in the order in which it is written.

    Line breaks, control characters and bytes that are no UTF-8 may stand in the name of a file;
    they are written as escapes. So are the characters that reverse the direction of what follows.
    """
    return "".join(_escaped(char) if _breaks_a_line(char) else char for char in text)


def abbreviated(value: object) -> str:
    """Returns a value as Python writes it, with YAML's true, false and empty, cut short.

    A YAML file of a few hundred bytes can stand for a list with a billion entries.
    """
    try:
        text = _short.repr(value)
    except ValueError:  # Python does not write whole numbers with thousands of digits.
        return "a number with thousands of digits"
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


class _Short(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = self.maxlong = 100
        self.maxlist = self.maxtuple = self.maxdict = 12
        self.maxlevel = 3

    def repr_NoneType(self, _value: None, _level: int) -> str:
        """Returns what an empty value of YAML is called."""
        return "empty"

    def repr_date(self, value: datetime.date, _level: int) -> str:
        """Returns a date as YAML has it."""
        return value.isoformat()

    def repr_bool(self, value: bool, _level: int) -> str:
        """Returns the word as YAML has it."""
        return str(value).lower()


_short = _Short()


def _breaks_a_line(char: str) -> bool:
    is_control = unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")
    return is_control or unicodedata.bidirectional(char) in (
        "LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"
    )  # fmt: skip


def _escaped(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # how Python keeps a byte that is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")


# Errors of the machine, not of the file that was being read or written.
_MACHINE = frozenset(
    {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EROFS,
        errno.EMFILE,
        errno.ENFILE,
        errno.ESTALE,
        errno.ENODEV,
        errno.ENXIO,
        errno.ENOTCONN,
    }
)


# Errors of one file, and perhaps of its disk: the next run tries again.
MAY_PASS = frozenset(
    (errno.EIO, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EACCES, errno.EPERM, errno.EBUSY)
)


def machine_trouble(error: BaseException | None) -> str:
    """Returns what the machine lacks if that caused an error, else an empty text."""
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, OSError) and error.errno in _MACHINE:
            return error.strerror or str(error)
        inner = getattr(error, "exc_info", None)  # yt-dlp's errors keep theirs there
        error = (inner[1] if inner else None) or error.__cause__ or error.__context__
    return ""
