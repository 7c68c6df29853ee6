"""What a command says when it cannot go on."""

import traceback
from typing import Annotated, NoReturn

import typer

Verbose = Annotated[bool, typer.Option("--verbose", help="When the model cannot be opened: show the original error.")]
"""The option of every command that opens a model."""


class CommandError(Exception):
    """A user's mistake, or something missing on the machine: one sentence that says what, where, and the cure."""


def reason(error: BaseException) -> str:
    """Say in one line why something failed."""
    said = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
    return said.splitlines()[0].rstrip(".")


def complain(command: str, error: Exception, verbose: bool) -> NoReturn:
    """Say in one sentence why a command cannot go on, after the errors that it came from if they are wanted; exit."""
    if verbose and error.__cause__ is not None:
        typer.echo(_shown("".join(traceback.format_exception(error.__cause__))), err=True)
    typer.echo(f"bert-crf {command}: error: {error}", err=True)
    raise typer.Exit(1) from None


def _shown(text: str) -> str:
    """Write control characters as their names, so that what stood in a file cannot steer the terminal."""
    return "".join(letter if letter.isprintable() or letter == "\n" else ascii(letter)[1:-1] for letter in text)
