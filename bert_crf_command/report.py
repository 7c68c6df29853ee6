"""`bert-crf report`: one HTML file about a finished run."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    run: Annotated[Path, typer.Argument(help="The --output_dir of a finished run.", metavar="RUN_DIR")],
    output: Annotated[
        Path | None, typer.Option(help="File to write; by default report.html in the run's folder.")
    ] = None,
) -> None:
    """Write one self-contained HTML page with a run's scores, errors, calibration, transitions and settings."""
    from modeling_bert_crf.reports.page import ReportError, make_report, read_metrics

    path = output or run / "report.html"
    try:
        path.write_text(make_report(read_metrics(run)), encoding="utf-8")
    except ReportError as error:
        typer.echo(f"bert-crf report: {error}", err=True)
        raise typer.Exit(1) from None
    except OSError as error:
        typer.echo(f"bert-crf report: {path} cannot be written: {error.strerror}", err=True)
        raise typer.Exit(1) from None
    typer.echo(path)
