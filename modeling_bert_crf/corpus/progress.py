"""How far a job is, how fast it goes, and how long it will take."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta

from .shards import Done

__all__ = ["watched"]

SECONDS = 10
"""How often a line is written where no terminal shows it in one place."""


def watched(
    results: Iterable[Done], done: int, total: int, clock: Callable[[], float] = time.monotonic
) -> Iterator[Done]:
    """Pass on what came of shards, and say on standard error how many rows are done.

    Args:
        results: one for each shard.
        done: rows that were done earlier.
        total: rows of the job.
    """
    began = said = clock()
    new, alive = 0, sys.stderr.isatty()
    for result in results:
        new += result.rows
        now = clock()
        if alive or now - said >= SECONDS or done + new == total:
            said = now
            line = _line(done + new, total, new / max(now - began, 1e-9))
            print(f"\r\x1b[K{line}" if alive else line, end="" if alive else "\n", file=sys.stderr, flush=True)
        yield result
    if alive and new:
        print(file=sys.stderr)


def _line(done: int, total: int, rate: float) -> str:
    left = timedelta(seconds=round((total - done) / rate)) if rate else "unknown time"
    return f"{done:,} of {total:,} rows, {rate:,.0f} a second, {left} left"
