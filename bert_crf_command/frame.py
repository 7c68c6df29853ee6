"""What all commands have in common: a mistake ends in one sentence, and nothing that is said steers the terminal."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from .errors import CommandError

_UsageError = typer.BadParameter.__base__  # for which typer has no name of its own


class Commands(TyperGroup):
    """The group of all commands."""

    def main(self, *args: Any, standalone_mode: bool = True, **options: Any) -> Any:
        """Run a command, and end as a shell expects it."""
        try:
            with _signals_unwind():
                return super().main(*args, standalone_mode=standalone_mode, **options)
        except Exception as error:  # that nobody foresaw
            if not standalone_mode:
                raise
            from modeling_bert_crf.doors.terminal import show_traceback

            show_traceback(type(error), error, error.__traceback__)
            sys.exit(1)

    def make_context(self, *args: Any, **options: Any) -> Any:
        """Read the options that stand before the command's name."""
        with _visible_usage():
            return super().make_context(*args, **options)

    def invoke(self, ctx: Any) -> Any:
        """Read the rest of the line, and run what it says."""
        with _visible_usage():
            return super().invoke(ctx)


def visible(text: str, breaks: bool = False) -> str:
    """Return a text as the package's function of this name does, which is not loaded for nothing: it takes seconds."""
    if text.isascii() and text.isprintable():
        return text
    from modeling_bert_crf.doors import terminal

    return terminal.visible(text, breaks=breaks)


def say(text: Any, err: bool = False) -> None:
    """Write a line on standard output, or on standard error. What a program reads of it stays as it is."""
    is_read = not err and not sys.stdout.isatty()
    typer.echo(os.fsencode(str(text)) if is_read else visible(str(text)), err=err)


def fail(command: str, error: Any) -> NoReturn:
    """Say in one sentence why a command cannot go on, and end it."""
    say(f"bert-crf {command}: error: {error}", err=True)
    raise typer.Exit(1)


@contextmanager
def mistakes(command: str, *kinds: type[Exception], verbose: bool = False) -> Iterator[None]:
    """End a command in one sentence for a `CommandError` and for errors of other kinds that have one to say.

    Args:
        command: its name.
        kinds: of errors.
        verbose: whether to show before what such an error came from.
    """
    from modeling_bert_crf.doors.terminal import show_traceback, visible_logs

    with visible_logs():
        try:
            yield
        except (CommandError, *kinds) as error:
            if verbose and (cause := error.__cause__) is not None:
                show_traceback(type(cause), cause, cause.__traceback__)
            fail(command, error)


@contextmanager
def _visible_usage() -> Iterator[None]:
    try:
        yield
    except _UsageError as error:
        error.message = visible(error.message)
        raise


@contextmanager
def _signals_unwind() -> Iterator[None]:
    """Let what asks a process to end undo what is half done, as Ctrl-C does; a second time, it ends at once."""

    def unwind(number: int, frame: Any) -> None:
        signal.signal(number, signal.SIG_DFL)
        sys.exit(128 + number)  # what a shell says of a process that a signal has ended

    names = ("SIGTERM", "SIGHUP") if threading.current_thread() is threading.main_thread() else ()
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    numbers = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]  # nohup ignores one
    for number in numbers:
        signal.signal(number, unwind)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)
