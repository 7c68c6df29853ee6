"""`bert-crf`: what can be done with a finished model from a terminal; one module for each command."""

from importlib.metadata import version
from typing import Annotated

import typer

from .demo import demo
from .export import export
from .frame import Commands
from .report import report
from .tag import tag

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
    """Use an encoder -> BiLSTM -> CRF tagger."""


# Register each command here: app.command("name")(function). Its module imports `modeling_bert_crf` in the function, so
# that --help is quick. A user's mistake ends in `typer.BadParameter`, or in a `CommandError` within `mistakes`.
app.command("tag")(tag)
app.command("export")(export)
app.command("report")(report)
app.command("demo")(demo)
