"""The one kind of error a user can cause."""

from __future__ import annotations


class PipelineError(ValueError):
    """A mistake in the config or in a file: one line that names it and says what to do.

    The command line prints the message alone and exits with code 1. Bugs of ours raise anything
    else and keep their traceback.
    """


class FormatError(PipelineError):
    """A file that is not what its name promises: damaged, of another version, or not ours."""
