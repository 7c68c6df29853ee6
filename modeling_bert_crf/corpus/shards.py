"""A corpus cut into shards, and one shard from its rows to its file.

A shard is a range of rows of one source. Its file is whole or absent, and the same bytes whenever it is made: rows are
read in the same portions wherever the reading begins, and no portion is of two shards.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import pyarrow as pa

from ..pipeline_crf import BiLSTMCRFPipeline
from ..readers.sentences import DataError
from .places import Place
from .rows import Bad, Rows
from .sources import Source, read_rows, reason
from .writing import JsonShard, ParquetShard

__all__ = ["Done", "Job", "Shard", "Worker", "cut", "entities_of"]


class Shard(NamedTuple):
    """Rows of a source, from the one of number `first` on; `number` is that of the shard in the corpus."""

    number: int
    source: int
    first: int
    rows: int


class Done(NamedTuple):
    """What came of a shard: how many rows it has, and how many of them are bad; or why it could not be made."""

    number: int
    rows: int
    bad: int
    failure: str = ""


@dataclass(frozen=True)
class Job:
    """All that a worker needs, wherever it is.

    Attributes:
        model, revision, device: what `open_tagger` opens.
        options: of the pipeline.
        sources: the inputs.
        folder: of the output.
        form: `"parquet"` or `"jsonl"`.
        every: rows of a shard.
        longest: most characters of a text.
        fails: whether a bad row ends the job.
    """

    model: str
    revision: str | None
    device: str | None
    options: dict[str, Any]
    sources: Sequence[Source]
    folder: Place
    form: str
    every: int
    longest: int
    fails: bool

    def shards(self) -> list[Shard]:
        """Cut the sources into shards, in their order."""
        return cut([source.rows for source in self.sources], self.every)

    def file_of(self, number: int) -> Place:
        """Return the place of a shard."""
        return self.folder.inside(f"part-{number:0{self._digits}d}.{self.form}")

    def errors_of(self, number: int) -> Place:
        """Return the place where a shard's bad rows are named until the job is finished."""
        return self.folder.inside(f"_job/errors/{number:0{self._digits}d}.jsonl")

    @cached_property
    def _digits(self) -> int:
        """How wide numbers are, so that the order of the names is that of the rows."""
        last = sum(-(-source.rows // self.every) for source in self.sources) - 1
        return max(5, len(str(last)))


def cut(rows: Sequence[int], every: int) -> list[Shard]:
    """Cut sources of so many rows into shards."""
    ranges = [(source, first, count) for source, count in enumerate(rows) for first in range(0, count, every)]
    return [
        Shard(number, source, first, min(every, count - first)) for number, (source, first, count) in enumerate(ranges)
    ]


def entities_of(tagger: BiLSTMCRFPipeline, values: Sequence[Any], options: dict[str, Any]) -> list[Any]:
    """Tag texts and lists of words; return for each its entities, and None for one that is `Bad`."""
    found: list[Any] = [None] * len(values)
    for by_words in (False, True):
        chosen = [
            index
            for index, value in enumerate(values)
            if not isinstance(value, Bad) and isinstance(value, list) == by_words
        ]
        if chosen:
            inputs = [values[index] for index in chosen]
            for index, entities in zip(chosen, tagger(inputs, is_split_into_words=by_words, **options), strict=True):
                found[index] = entities
    return found


class Worker:
    """Makes shards, one after the other, with a tagger that is opened once.

    Args:
        job: what is to be done.
        tagger: if it is open already.
    """

    def __init__(self, job: Job, tagger: BiLSTMCRFPipeline | None = None):
        import torch

        from ..opening.tagger import open_tagger

        device = None if job.device is None else torch.device(job.device)
        self.job = job
        self._tagger = tagger or open_tagger(job.model, job.revision, device)
        self._source, self._rows, self._rest = -1, iter(()), None

    def __call__(self, shard: Shard) -> Done:
        """Make a shard."""
        job, bad = self.job, []
        name = job.sources[shard.source].name
        kind = ParquetShard if job.form == "parquet" else JsonShard
        try:
            with job.file_of(shard.number).written() as file:
                with closing(kind(file, job.sources[shard.source].schema)) as written:
                    for rows in self._read(shard):
                        faults = written.write(rows, entities_of(self._tagger, rows.values, job.options))
                        for number, value, fault in zip(rows.numbers, rows.values, faults, strict=True):
                            if rule := value.rule if isinstance(value, Bad) else fault.rule if fault else "":
                                bad.append({"file": name, "row": number + 1, "error": rule})
                        if bad and job.fails:
                            raise DataError(f"{name}:{bad[0]['row']}: {bad[0]['error']}")
                if bad:  # they stand there before the shard does
                    with job.errors_of(shard.number).written() as errors:
                        lines = (json.dumps(one, ensure_ascii=False) for one in bad)
                        errors.writelines(line.encode("utf-8", "backslashreplace") + b"\n" for line in lines)
        except DataError as error:
            return Done(shard.number, 0, 0, str(error))
        except OSError as error:
            return Done(shard.number, 0, 0, f"{job.folder.name}: cannot be written: {reason(error)}")
        return Done(shard.number, shard.rows, len(bad))

    def _read(self, shard: Shard) -> Iterator[Rows]:
        """Read a shard's rows. Where the reading cannot begin anywhere, it goes on from the last shard, if it can."""
        source, end = self.job.sources[shard.source], shard.first + shard.rows
        try:
            if self._source != shard.source or not self._is_ahead(source, shard.first):
                self._source = shard.source
                self._rows = read_rows(source, shard.first, self.job.every, self.job.longest)
                self._rest = next(self._rows, None)
            while self._rest is not None and self._rest.numbers[0] < end:
                rows = self._rest
                if (part := rows.between(shard.first, end)).numbers:
                    yield part
                if rows.numbers[-1] >= end:
                    return
                self._rest = next(self._rows, None)
        except (OSError, pa.ArrowException) as error:
            self._source = -1
            raise DataError(f"{source.name}: cannot be read: {reason(error)}") from None

    def _is_ahead(self, source: Source, first: int) -> bool:
        """Say whether the way to a row from where the reading stands is shorter than that from anywhere else."""
        if self._rest is None or self._rest.numbers[0] > first:
            return False
        return not source.can_begin_anywhere or self._rest.numbers[-1] >= first
