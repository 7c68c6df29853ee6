"""A job from its first look at the inputs to its last file."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from ..doors.lock import locked
from ..opening.records import configuration_record, digested, tokenizer_record, weights_record
from ..pipeline_crf import BiLSTMCRFPipeline
from ..readers.sentences import DataError
from .engines import here, in_processes
from .ledger import Ledger
from .places import place_of
from .progress import watched
from .shards import Done, Job, Shard
from .sources import TYPED, Source, find_sources

__all__ = ["LONGEST", "SHARD_ROWS", "Engine", "Order", "Summary", "run_job"]

SHARD_ROWS, LONGEST = 10_000, 1_000_000

Engine = Callable[[Job, Sequence[Shard], BiLSTMCRFPipeline], Iterator[Done]]


@dataclass(frozen=True)
class Order:
    """What a user asks of a job.

    Attributes:
        model, revision, device: what `open_tagger` opens.
        inputs: files, patterns, folders, names of data sets.
        output: the folder of the shards.
        form: `"parquet"` or `"jsonl"`; None takes parquet for inputs whose columns have types, else JSON lines.
        column: what is tagged; None looks for `text`, then for words.
        options: of the pipeline.
        shard_rows: how many rows a shard has.
        longest: most characters of a text; a longer one is a bad row.
        fails: whether a bad row ends the job.
        start_over: whether to remove what another job has made in the folder.
    """

    model: str
    revision: str | None
    device: str | None
    inputs: Sequence[str]
    output: str
    form: str | None = None
    column: str | None = None
    options: dict[str, Any] | None = None
    shard_rows: int = SHARD_ROWS
    longest: int = LONGEST
    fails: bool = False
    start_over: bool = False


class Summary(NamedTuple):
    """What a job has done: rows and shards in all, how many shards were made now, how many rows were bad, where they
    are named."""

    rows: int
    shards: int
    made: int
    bad: int
    errors: str


def run_job(order: Order, tagger: BiLSTMCRFPipeline, engine: Engine | None = None, processes: int = 1) -> Summary:
    """Do a job, or what is left of it.

    Args:
        order: what is asked for.
        tagger: the opened model.
        engine: who makes the shards; None takes this process, or so many `processes` of this machine.

    Raises:
        DataError: if an input cannot be read, the folder has another job, or a shard cannot be made.
        FolderInUseError: if another process works on the folder.
    """
    folder = place_of(order.output.rstrip("/"))
    ledger = Ledger(folder)
    sources, form = _sources(order, ledger)
    job = Job(
        order.model,
        order.revision,
        order.device,
        order.options or {},
        sources,
        folder,
        form,
        order.shard_rows,
        order.longest,
        order.fails,
    )
    counted = {str(one.identity): [one.rows, list(one.offsets)] for one in sources if one.kind not in TYPED}
    with locked(folder.path, option="--output") if folder.is_here else nullcontext():
        ledger.begin(_record(job, tagger), counted, order.start_over)
        shards = job.shards()
        left = ledger.left(job, shards)
        if left:
            ledger.sweep()
            chosen = engine or (here if processes == 1 else partial(in_processes, count=processes))
            total = sum(shard.rows for shard in shards)
            done = total - sum(shard.rows for shard in left)
            for one in watched(chosen(job, left, tagger), done, total):
                if one.failure:
                    raise DataError(one.failure)
            ledger.sweep()  # an engine may go on when one of its workers is killed
            if lost := ledger.left(job, shards):
                raise DataError(
                    f"{folder.name}: must be where all machines write, got {len(lost):,} shards of {len(left):,} that "
                    f"were made and are not there, such as {job.file_of(lost[0].number).name}"
                )
        return Summary(
            sum(shard.rows for shard in shards), len(shards), len(left), ledger.finish(), ledger.errors.name
        )


def _sources(order: Order, ledger: Ledger) -> tuple[list[Source], str]:
    """Find the inputs, and the form of the output."""
    sources = find_sources(order.inputs, order.column, order.shard_rows, order.form == "parquet", ledger.counted)
    form = order.form or ("parquet" if all(one.kind in TYPED for one in sources) else "jsonl")
    return sources, form


def _record(job: Job, tagger: BiLSTMCRFPipeline) -> dict[str, Any]:
    """Return what decides the result of a job."""
    digest = hashlib.blake2b(digest_size=8)
    for source in job.sources:
        digest.update(json.dumps([source.identity, source.rows, source.column]).encode())
    rows = sum(source.rows for source in job.sources)
    return {
        "model": weights_record(job.model, tagger.model),
        "tokenizer": tokenizer_record(tagger.tokenizer),
        **configuration_record(tagger.model.config.to_dict()),
        **{f"--{name}": value for name, value in sorted(job.options.items())},
        "inputs": digested(f"{len(job.sources)} with {rows:,} rows", digest),
        "--format": job.form,
        "--shard_rows": job.every,
        "--longest": job.longest,
    }
