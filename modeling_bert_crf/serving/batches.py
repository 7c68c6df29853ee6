"""Requests that wait, and the batches that they share.

One thread tags. While it works on a batch others wait, and go together into the next one. Where it is idle, a request
waits some milliseconds for others.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from time import perf_counter
from typing import Any, NamedTuple

from fastapi import HTTPException

from .gate import log_fault
from .limits import RETRY, Limits
from .metrics import Metrics

__all__ = ["Answer", "Batches", "Job", "Tag"]


class Job(NamedTuple):
    """What a request asks for: texts, what is known of each, if anything, and how to read what was found in them."""

    texts: list[str]
    known: list[Any] | None
    options: tuple[tuple[str, Any], ...]

    @property
    def size(self) -> int:
        """How many characters the texts have."""
        return sum(map(len, self.texts))


Answer = list[list[dict[str, Any]]]
Tag = Callable[[Sequence[Job]], Sequence[Answer | ValueError]]
"""Answers several jobs at once, each with what was found in its texts or with what is wrong with it."""


class Waiting(NamedTuple):
    """A request that waits for its answer."""

    job: Job
    answer: "asyncio.Future[Answer | ValueError | None]"  # None: the tagger has failed
    since: float  # by the clock of the event loop


class Batches:
    """Puts requests into batches, between `async with Batches(...) as batches` and its end.

    Args:
        tag: answers a batch. It is called in a thread of its own, one batch at a time.
        limits: of the service.
        metrics: where batches are counted.
    """

    def __init__(self, tag: Tag, limits: Limits, metrics: Metrics):
        self._tag, self._limits, self._metrics = tag, limits, metrics
        self._waiting: deque[Waiting] = deque()

    async def __aenter__(self) -> "Batches":
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "tagger")
        self._work_ahead = asyncio.create_task(self._work())
        return self

    async def __aexit__(self, *_: Any) -> None:
        self._work_ahead.cancel()
        self._thread.shutdown(wait=False)

    async def answer(self, job: Job) -> Answer:
        """Wait for the answer to a job.

        Raises:
            ValueError: with what is wrong with it.
            HTTPException: if it takes too long, or the tagger has failed.
        """
        if not job.texts:
            return []
        loop = asyncio.get_running_loop()
        waiting = Waiting(job, loop.create_future(), loop.time())
        self._waiting.append(waiting)
        self._arrived.set()
        try:
            async with asyncio.timeout(self._limits.timeout):
                answer = await waiting.answer
        except TimeoutError:
            said = f"no answer within {self._limits.timeout:g} s: try again later, or with fewer texts"
            raise HTTPException(503, said, RETRY) from None
        finally:
            with suppress(ValueError):  # it is in a batch
                self._waiting.remove(waiting)
        if answer is None:
            raise HTTPException(500, "the tagger has failed")
        if isinstance(answer, ValueError):
            raise answer
        return answer

    async def _work(self) -> None:
        """Tag one batch after the other."""
        loop = asyncio.get_running_loop()
        while True:
            await self._arrived.wait()
            if self._waiting and sum(one.job.size for one in self._waiting) < self._limits.batch_characters:
                await asyncio.sleep(self._waiting[0].since + self._limits.batch_wait - loop.time())
            batch = self._take()
            if not self._waiting:
                self._arrived.clear()
            if not batch:
                continue
            began = perf_counter()
            answers: Sequence[Answer | ValueError | None] = [None] * len(batch)
            try:
                answers = await loop.run_in_executor(self._thread, self._tag, [one.job for one in batch])
            except Exception as error:  # which must not end the service
                log_fault(error)
            self._count(batch, perf_counter() - began)
            for one, answer in zip(batch, answers, strict=True):
                if not one.answer.done():  # it may have waited too long
                    one.answer.set_result(answer)

    def _take(self) -> list[Waiting]:
        """Take what fits a batch, in the order of arrival; at least one request, however long."""
        batch, room = [], self._limits.batch_characters
        while self._waiting and (not batch or self._waiting[0].job.size <= room):
            batch.append(self._waiting.popleft())
            room -= batch[-1].job.size
        return batch

    def _count(self, batch: Sequence[Waiting], seconds: float) -> None:
        self._metrics.batches += 1
        self._metrics.batch_seconds += seconds
        self._metrics.texts += sum(len(one.job.texts) for one in batch)
        self._metrics.characters += sum(one.job.size for one in batch)
