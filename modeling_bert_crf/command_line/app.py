"""`bert-crf`: what can be done with a finished model from a terminal; one module for each command."""

import typer

from .demo import demo

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def main() -> None:
    """Use a BERT -> BiLSTM -> CRF tagger."""


# Register each command here: app.command("name")(function). Modules import torch inside the function, so that --help
# is quick. A user's mistake ends in `raise typer.BadParameter(...)`, or in one sentence on stderr and `typer.Exit(1)`.
app.command("demo")(demo)
