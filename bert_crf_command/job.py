"""`bert-crf tag` on a corpus: the options of a job, and what is said of it."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand

from .frame import CommandError, in_one_sentence, reason, say

if TYPE_CHECKING:  # since importing it takes seconds
    from modeling_bert_crf import BiLSTMCRFPipeline
    from modeling_bert_crf.corpus.job import Engine

__all__ = ["JobOptions", "Longest", "OnBadRow", "OnError", "Processes", "Ray", "ShardRows", "StartOver", "WithRay"]


class OnBadRow(StrEnum):
    """What a row does that cannot be tagged."""

    SKIP = "skip"
    FAIL = "fail"


OnError = Annotated[
    OnBadRow | None,
    typer.Option(
        "--on_error",
        help="A row that cannot be tagged (no text, half a character) is named and passed over, or ends the command. "
        "If not given, a job skips it, and all else fails.",
    ),
]
Longest = Annotated[
    int | None,
    typer.Option(
        "--longest",
        min=1,
        metavar="CHARACTERS",
        help="Of a job: a longer text is a bad row, since a text takes some KiB of memory a word. 1,000,000 if not "
        "given.",
    ),
]
ShardRows = Annotated[
    int | None, typer.Option("--shard_rows", min=1, help="Of a job: rows of a shard; 10,000 if not given.")
]
Processes = Annotated[
    int | None,
    typer.Option(
        "--processes",
        min=1,
        help="Of a job: how many processes tag; 1 if not given, with --ray all that fit.",
    ),
]
Ray = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="[ADDRESS]",
        help="Of a job: let a Ray cluster tag; without ADDRESS, one on this machine that ends with the job. `auto` is "
        "the cluster that this machine belongs to. Needs the extra `ray`.",
    ),
]
StartOver = Annotated[
    bool, typer.Option("--start_over", help="Of a job: remove the shards that are there, also those of another job.")
]


class WithRay(TyperCommand):
    """A command whose option `--ray` may stand without a value."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line."""
        if "--ray" in args:
            after = args.index("--ray") + 1
            if after == len(args) or args[after].startswith("-"):
                args = [*args[:after], "local", *args[after:]]
        return super().parse_args(ctx, args)


class JobOptions(NamedTuple):
    """The options that only a job has; None, or False, where they were not given."""

    longest: int | None
    shard_rows: int | None
    processes: int | None
    ray: str | None
    start_over: bool

    def is_meant(
        self,
        output: str | None,
        form: str | None,
        texts: Sequence[str],
        files: Sequence[str],
        input_format: str | None,
    ) -> bool:
        """Say whether a command line means a job.

        Raises:
            typer.BadParameter: if its parts do not fit together.
        """
        is_folder = output is not None and (output.endswith("/") or "://" in output or Path(output).is_dir())
        is_job = is_folder and form in (None, "parquet", "jsonl")
        if is_job:
            if texts or "-" in files or not files:
                raise typer.BadParameter("a job reads what --input names, and no TEXT and no standard input")
            if input_format is not None:
                raise typer.BadParameter(
                    "--input_format is not for a job: the endings of its inputs say what they hold"
                )
            return True
        if form == "parquet":
            raise typer.BadParameter(f"--format parquet needs a folder, --output NAME/, got {output or 'none'}")
        given = [name for name, value in self._asdict().items() if value not in (None, False)]
        if given:
            raise typer.BadParameter(f"--{given[0]} is for a job, whose output is a folder: --output NAME/")
        return False

    def _engine(self) -> "Engine | None":
        """Return who tags, unless it is this machine's own processes."""
        if self.ray is None:
            return None
        from modeling_bert_crf.corpus.on_ray import on_ray

        return partial(on_ray, address=self.ray, count=self.processes)

    def run(
        self,
        model: tuple[str, str | None, str | None],
        files: Sequence[str],
        output: str,
        form: str | None,
        column: str | None,
        options: dict[str, Any],
        fails: bool,
        opened: Callable[[], "BiLSTMCRFPipeline"],
        verbose: bool = False,
    ) -> None:
        """Do a job, and say what came of it.

        Args:
            model: its name, its revision, and its device.
            opened: opens it.
        """
        from modeling_bert_crf.corpus.job import LONGEST, SHARD_ROWS, Order, run_job
        from modeling_bert_crf.doors.lock import FolderInUseError
        from modeling_bert_crf.opening.tagger import OpeningError
        from modeling_bert_crf.readers.sentences import DataError

        limits = (self.shard_rows or SHARD_ROWS, self.longest or LONGEST)
        form = None if form is None else str(form)
        order = Order(*model, files, output, form, column, options, *limits, fails, self.start_over)
        with in_one_sentence("tag", DataError, OpeningError, FolderInUseError, verbose=verbose):
            try:
                done = run_job(order, opened(), self._engine(), self.processes or 1)
            except OSError as error:
                raise CommandError(f"{output}: cannot be written: {reason(error)}") from None
        say(f"{done.rows:,} rows in {done.shards:,} shards, {done.made:,} of them made now: {output}", err=True)
        if done.bad:
            say(f"{done.bad:,} {'row is' if done.bad == 1 else 'rows are'} bad: see {done.errors}", err=True)
