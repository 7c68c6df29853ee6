"""`bert-crf report`: one HTML file about a finished run."""

from pathlib import Path
from typing import Annotated

import typer

from .frame import in_one_sentence, say, verb

__all__ = ["COMMAND", "report"]


def report(
    run: Annotated[Path, typer.Argument(help="The --output_dir of a finished run.", metavar="RUN_DIR")],
    output: Annotated[
        Path | None, typer.Option(help="File to write; by default report.html in the run's folder.")
    ] = None,
) -> None:
    """Write one self-contained HTML page with a run's scores, mistakes, calibration, transitions and settings.

    It shows sentences of the data that the run was tested on.
    """
    from modeling_bert_crf.reports.errors import ReportError
    from modeling_bert_crf.reports.page import make_report
    from modeling_bert_crf.reports.runs import read_judged, read_metrics

    from .outputs import output_file

    path = output or run / "report.html"
    with in_one_sentence("report", ReportError):
        metrics = read_metrics(run)
        page = make_report(metrics, read_judged(run, metrics))
        with output_file(path) as file:
            file.write(page)
    say(path)


COMMAND = verb(report)
