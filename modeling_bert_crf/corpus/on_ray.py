"""The shards of a job on a Ray cluster: actors that hold the model, as many as there is work and room for.

Ray Data hands out the shards, and hands out again what an actor had that was killed; what a shard is, and that it is
whole or absent, is the job's affair as everywhere. Inputs and outputs must be where all machines see them.
"""

import logging
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from ..opening.tagger import OpeningError
from ..pipeline_crf import BiLSTMCRFPipeline
from ..readers.sentences import DataError
from .shards import Done, Job, Shard, Worker

__all__ = ["LOCAL", "on_ray"]

LOCAL = "local"
"""The address of a cluster that is begun on this machine, and ends with the job."""
SECONDS = 10
"""How long a cluster may take to answer."""


def on_ray(
    job: Job, shards: Sequence[Shard], tagger: BiLSTMCRFPipeline | None, address: str = LOCAL, count: int | None = None
) -> Iterator[Done]:
    """Make shards on a Ray cluster.

    Each actor takes a GPU, if the cluster has some and the job's device is no other, or else a core.

    Args:
        tagger: not used; each actor opens the model.
        address: of the cluster.
        count: most actors; None means as many as the cluster has room for, also when it grows.

    Raises:
        DataError: if Ray is not installed, there is no cluster, or it fails.
    """
    with _cluster(address) as (total, data):
        from ray.exceptions import RayError

        on_gpu = total.get("GPU", 0) > 0 if job.device is None else job.device.startswith("cuda")
        room = max(1, int(total.get("GPU" if on_gpu else "CPU", 1)))
        model = os.path.abspath(job.model) if os.path.isdir(job.model) else job.model
        # Ray shows an actor the GPU that it may use, and no other.
        there = replace(job, model=model, device="cuda" if on_gpu else job.device or "cpu")
        rows = data.from_items([shard._asdict() for shard in shards], override_num_blocks=len(shards))
        results = rows.map_batches(
            _Actor,
            fn_constructor_args=(there,),
            batch_size=1,
            compute=data.ActorPoolStrategy(
                min_size=1,
                max_size=count,
                initial_size=min(room, count or room, len(shards)),
                max_tasks_in_flight_per_actor=2,
            ),
            **({"num_gpus": 1} if on_gpu else {"num_cpus": 1}),
        )
        try:
            for row in results.iter_rows():
                yield Done(int(row["number"]), int(row["rows"]), int(row["bad"]), str(row["failure"]))
        except RayError as error:
            raise DataError(f"--ray {address}: {_last_line(error)}: the same command goes on") from error


@contextmanager
def _cluster(address: str) -> Iterator[tuple[Mapping[str, float], Any]]:
    """Join a cluster, or begin one; give what it has, and Ray Data."""
    try:
        import ray
        from ray import data
    except ImportError:
        raise DataError("--ray needs Ray: pip install 'modeling-bert-crf[ray]'") from None
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a cluster that is begun here tells nobody of it
    is_joined = ray.is_initialized()
    try:
        if not is_joined:
            _check_answer(address)
            dashboard: dict[str, Any] = {"include_dashboard": False} if address == LOCAL else {}
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **dashboard)
    except Exception as error:  # Ray raises a bare one if its processes are slow to start
        raise DataError(f"--ray {address}: there is no cluster that can be reached: {_last_line(error)}") from None
    context, loud = data.DataContext.get_current(), logging.getLogger("ray.data")
    bars, level = context.enable_progress_bars, loud.level
    try:
        context.enable_progress_bars = False  # the job has its own line
        loud.setLevel(logging.ERROR)
        yield ray.cluster_resources(), data
    finally:
        context.enable_progress_bars = bars
        loud.setLevel(level)
        if not is_joined:
            ray.shutdown()


def _check_answer(address: str) -> None:
    """Raise OSError if nobody answers at an address, where Ray would wait, and could not be stopped."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), SECONDS).close()


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__).rstrip(".")


class _Actor:
    """Holds the model, and makes shards."""

    def __init__(self, job: Job):
        self._job = job
        self._worker: Worker | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        shards = [Shard(*map(int, values)) for values in zip(*(batch[name] for name in Shard._fields), strict=True)]
        try:  # not before: what is wrong with a model should be said in its own words, not in Ray's
            self._worker = self._worker or Worker(self._job)
            done = [self._worker(shard) for shard in shards]
        except OpeningError as error:
            done = [Done(shard.number, 0, 0, str(error)) for shard in shards]
        return {name: [getattr(one, name) for one in done] for name in Done._fields}
