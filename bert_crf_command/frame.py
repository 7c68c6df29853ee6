"""What all verbs of `bert-crf` have in common: a mistake ends in one sentence, and nothing that is said steers the
terminal."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand
from typer.main import get_command

__all__ = [
    "CommandError",
    "Model",
    "Revision",
    "Verbose",
    "fail",
    "in_one_sentence",
    "reason",
    "say",
    "show_traceback",
    "verb",
    "visible",
]

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A tagger: its folder, or its name on the Hub. A stock `...ForTokenClassification` is one, too.",
    ),
]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit of a model on the Hub.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="When the model cannot be opened: show the original error.")]
"""Arguments of every verb that opens a model."""


class CommandError(Exception):
    """A user's mistake, or something missing on the machine: one sentence that says what, where, and the cure."""


def verb(function: Callable[..., None], text: str | None = None, cls: type[TyperCommand] = TyperCommand) -> Any:
    """Make a verb of a function, for `app.py`; `text` is its help, by default what the function's docstring says."""
    alone = typer.Typer(add_completion=False, rich_markup_mode="rich")
    alone.command(function.__name__, help=text, cls=cls)(function)
    return get_command(alone)


def reason(error: BaseException) -> str:
    """Say in one line why something failed."""
    said = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
    return said.splitlines()[0].rstrip(".")


def visible(text: str, breaks: bool = False) -> str:
    """Return a text as it can be shown, as the package's function of this name does.

    Importing the package takes seconds, so it is imported only for a text that needs it.
    """
    if text.isascii() and text.isprintable():
        return text
    from modeling_bert_crf.doors import terminal

    return terminal.visible(text, breaks=breaks)


def show_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Write down an error that nobody expected, as the package's function of this name does."""
    from modeling_bert_crf.doors import terminal

    terminal.show_traceback(kind, error, trace)


def say(text: Any, err: bool = False) -> None:
    """Write a line on standard output, or on standard error. What a program reads of it stays as it is."""
    is_read = not err and not sys.stdout.isatty()
    typer.echo(os.fsencode(str(text)) if is_read else visible(str(text)), err=err)


def fail(name: str, error: Any) -> NoReturn:
    """Say in one sentence why a verb cannot go on, and end the program."""
    say(f"bert-crf {name}: error: {error}", err=True)
    raise typer.Exit(1)


@contextmanager
def in_one_sentence(name: str, *kinds: type[Exception], verbose: bool = False) -> Iterator[None]:
    """End a verb in one sentence for a `CommandError`, and for errors of other kinds whose text is one sentence.

    Args:
        name: of the verb.
        kinds: of errors.
        verbose: whether to show first the error that such an error was made of.
    """
    from modeling_bert_crf.doors.terminal import visible_logs

    with visible_logs():
        try:
            yield
        except (CommandError, *kinds) as error:
            if verbose and (cause := error.__cause__) is not None:
                show_traceback(type(cause), cause, cause.__traceback__)
            fail(name, error)
