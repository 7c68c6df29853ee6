"""What a command says when it cannot go on."""

from typing import Annotated

import typer

Verbose = Annotated[bool, typer.Option("--verbose", help="When the model cannot be opened: show the original error.")]
"""The option of every command that opens a model."""


class CommandError(Exception):
    """A user's mistake, or something missing on the machine: one sentence that says what, where, and the cure."""


def reason(error: BaseException) -> str:
    """Say in one line why something failed."""
    said = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
    return said.splitlines()[0].rstrip(".")
