"""`bert-crf`: a program of verbs, each in a module of its own that is imported when the verb is used."""

import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any, cast

import typer
from typer.core import TyperGroup

from .frame import show_traceback, visible

__all__ = ["VERBS", "Commands", "app", "main"]

VERBS = ("train", "diagnose", "tag", "evaluate", "errors", "compare", "convert", "wrap", "threshold", "upgrade")
VERBS += ("suggest", "export", "serve", "report", "demo")
"""Each is a module of this package whose `COMMAND` was made by `frame.verb`. It imports `modeling_bert_crf` within its
functions, so that `--help` is quick. A user's mistake ends in `typer.BadParameter`, or `in_one_sentence`."""

# typer has no name for the base of `BadParameter`, which has the `message` that is wanted here, too.
_UsageError = cast(type[typer.BadParameter], typer.BadParameter.__base__)


class _Verbs(Mapping[str, Any]):
    """The verbs by their names, each imported when it is asked for."""

    def __getitem__(self, name: str) -> Any:
        if name not in VERBS:
            raise KeyError(name)
        return import_module(f".{name}", __package__).COMMAND

    def __iter__(self) -> Iterator[str]:
        return iter(VERBS)

    def __len__(self) -> int:
        return len(VERBS)


class Commands(TyperGroup):
    """The group of all verbs."""

    def __init__(self, **options: Any):
        super().__init__(**options)
        self.commands = cast(Any, _Verbs())  # typer only reads of it

    def main(self, *args: Any, standalone_mode: bool = True, **options: Any) -> Any:
        """Run a verb, and end as a shell expects it."""
        try:
            with _signals_unwind():
                return super().main(*args, standalone_mode=standalone_mode, **options)
        except Exception as error:  # that nobody foresaw
            if not standalone_mode:
                raise
            show_traceback(type(error), error, error.__traceback__)
            sys.exit(1)

    def make_context(self, *args: Any, **options: Any) -> Any:
        """Read the options that stand before the verb."""
        with _visible_usage():
            return super().make_context(*args, **options)

    def invoke(self, ctx: Any) -> Any:
        """Read the rest of the line, and run what it says."""
        with _visible_usage():
            return super().invoke(ctx)


app = typer.Typer(cls=Commands, no_args_is_help=True, add_completion=False, rich_markup_mode="rich")


def _say_version(asked: bool) -> None:
    if asked:
        typer.echo(f"bert-crf {version('modeling-bert-crf')}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Say the version and exit.")
    ] = False,
) -> None:
    """Train and use an encoder -> BiLSTM -> CRF tagger."""
    if not sys.stderr.isatty():  # a bar that is written to a file is a line of carriage returns
        for name in ("HF_HUB_DISABLE_PROGRESS_BARS", "HF_DATASETS_DISABLE_PROGRESS_BARS"):
            os.environ.setdefault(name, "1")


@contextmanager
def _visible_usage() -> Iterator[None]:
    """Make what a message quotes of a wrong command line safe for the terminal."""
    try:
        yield
    except _UsageError as error:
        error.message = visible(error.message)
        raise


@contextmanager
def _signals_unwind() -> Iterator[None]:
    """Let a signal that asks the process to end undo what is half done, as Ctrl-C does; the second one ends it."""

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
