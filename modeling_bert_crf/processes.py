"""Work that several processes share. Ships with every checkpoint."""

import os
from collections.abc import Callable, Sequence
from typing import Any

from torch import distributed


def share(inputs: Sequence[Any], run: Callable[[Sequence[Any], Sequence[int]], list[Any]]) -> list[Any]:
    """Run on this process's share of the inputs, and return what all processes found, in the order of the inputs.

    Each process must be given the same inputs. Of n processes each takes every n-th input, so that long inputs which
    stand together go to different processes.

    Args:
        inputs: a list, or whatever else can be sliced.
        run: is given some of the inputs and their numbers, which count from 1; returns one result for each.

    Raises:
        ValueError: if this is one of several processes, and they are not connected yet.
        RuntimeError: if another process failed; the one that failed raises its own error.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise ValueError(
                "split_between_processes needs connected processes: create accelerate's PartialState() before"
            )
        return run(inputs, range(1, len(inputs) + 1))
    process, count = distributed.get_rank(), distributed.get_world_size()
    own, failure = None, None
    try:
        own = run(inputs[process::count], range(process + 1, len(inputs) + 1, count))
    except Exception as error:  # the other processes wait for this one: they must be told first
        failure = error
    gathered: list[Any] = [None] * count
    distributed.all_gather_object(gathered, (own, None if failure is None else repr(failure)))
    if failure is not None:
        raise failure
    results: list[Any] = [None] * len(inputs)
    for other, (found, message) in enumerate(gathered):
        if message is not None:
            raise RuntimeError(f"process {other} failed: {message}")
        results[other::count] = found
    return results


__all__ = ["share"]
