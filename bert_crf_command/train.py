"""`bert-crf train`: the program that trains. `run_ner.py` is the same program in a checkout.

What needs no torch is answered here at once; the run itself is in `program.py`.
"""

import sys
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperCommand

from .frame import CommandError, verb, visible
from .options import Program, read_command_line

__all__ = ["COMMAND", "RUN_NER", "TRAIN", "train", "train_with"]

RUN_NER = Program(
    name="run_ner.py",
    usage="run_ner.py [CONFIG.yaml | --OPTION VALUE ...]   (no argument: a demo; --help: every option)",
    start="python run_ner.py",
    script="run_ner.py",
)
TRAIN = Program(
    name="bert-crf train",
    usage="bert-crf train [demo | CONFIG.yaml | --OPTION VALUE ...]   (--help: every option)",
    start="bert-crf train",
    script="-m bert_crf_command train",
)
WAYS = """\
bert-crf train demo           an invented corpus and a small BERT from scratch, in runs/demo; offline, under a minute
bert-crf train config.yaml    with the options in a YAML or JSON file
bert-crf train --help         every option
bert-crf train --model_name_or_path google-bert/bert-base-cased --train_file train.conll \\
    --validation_file dev.conll --test_file test.conll --do_train --do_eval --do_predict --output_dir runs/mine
"""


def train_with(argv: Sequence[str], program: Program) -> None:
    """Run what a command line asks for; `["demo"]` asks for the demo."""
    try:
        line = None if list(argv) == ["demo"] else read_command_line(argv, program)
    except CommandError as error:
        sys.exit(visible(f"{program.name}: error: {error}"))
    from .program import start  # imports torch

    start(line, program)


class _Raw(TyperCommand):
    """A command that leaves its arguments as they are, to a parser of its own."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.args = list(args)
        return []


def train(context: typer.Context) -> None:
    """Train a tagger on labelled sentences, evaluate it, and write its card."""
    if not context.args:
        typer.echo(f"usage: {TRAIN.usage}\n\n{WAYS}", err=True, nl=False)
        raise typer.Exit(2)
    train_with(context.args, TRAIN)


COMMAND = verb(train, cls=_Raw)
