"""Who tags the shards of a job on this machine: this process, or several.

An engine is given a job and its shards, and yields what came of each, in any order.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice

from ..pipeline_crf import BiLSTMCRFPipeline
from ..readers.sentences import DataError
from .shards import Done, Job, Shard, Worker

__all__ = ["here", "in_processes"]


def here(job: Job, shards: Sequence[Shard], tagger: BiLSTMCRFPipeline) -> Iterator[Done]:
    """Make shards in this process, with a tagger that is open."""
    yield from map(Worker(job, tagger), shards)


def in_processes(job: Job, shards: Sequence[Shard], tagger: BiLSTMCRFPipeline, count: int) -> Iterator[Done]:
    """Make shards in several processes of this machine, which share its cores.

    They end with this one, in whatever way it ends. Each opens the tagger anew.

    Raises:
        DataError: if one of them was killed.
    """
    before = multiprocessing.active_children()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    context = multiprocessing.get_context("spawn")  # a fork would share threads and GPUs that cannot be shared
    pool = ProcessPoolExecutor(count, context, _begin, (job, max(1, cores // count)))
    try:
        waiting = iter(shards)
        pending: set[Future[Done]] = {pool.submit(_make, shard) for shard in islice(waiting, 2 * count)}
        while pending:
            finished, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in finished:
                yield future.result()
            pending |= {pool.submit(_make, shard) for shard in islice(waiting, len(finished))}
        pool.shutdown()
    except BrokenProcessPool:
        raise DataError(
            "a process of the job was ended from outside, as when memory runs out: the same command goes on; use "
            "fewer --processes"
        ) from None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for child in multiprocessing.active_children():
            if child not in before:
                child.terminate()


_workers: list[Worker] = []
"""The one of this process."""


def _begin(job: Job, threads: int) -> None:
    import torch

    torch.set_num_threads(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _workers.append(Worker(job))


def _end_with_parent() -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
    os.kill(os.getpid(), signal.SIGKILL)


def _make(shard: Shard) -> Done:
    return _workers[0](shard)
