"""What every request has to pass that carries something: room for it, its size, and the time in which it arrives."""

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any

from fastapi import HTTPException
from fastapi.responses import JSONResponse

from .limits import RETRY, Limits
from .metrics import Metrics

__all__ = ["Gate", "log_fault"]

logger = logging.getLogger(__name__)
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


class Gate:
    """Refuses what is too much before it is read, so that what the service holds in memory has a bound."""

    def __init__(self, app: Any, limits: Limits, metrics: Metrics):
        self.app, self.limits, self.metrics = app, limits, metrics

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        began, status = perf_counter(), 0

        async def watched(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        if self.metrics.open >= self.limits.queue:
            refusal = JSONResponse({"detail": "too many requests are waiting: try again later"}, 429, RETRY)
            await refusal(scope, receive, watched)
        else:
            self.metrics.open += 1
            try:
                await self.app(scope, self._bounded(dict(scope["headers"]), receive), watched)
            except Exception as error:  # the host would log its text, which may quote a user's
                log_fault(error)
                if not status:
                    await JSONResponse({"detail": "the service has failed"}, 500)(scope, receive, watched)
            finally:
                self.metrics.open -= 1
        self.metrics.answered(status, perf_counter() - began)

    def _bounded(self, headers: dict[bytes, bytes], receive: Receive) -> Receive:
        """Make what receives a request's body give up if that is too large, or takes too long."""
        limits, size = self.limits, 0
        deadline = asyncio.get_running_loop().time() + limits.timeout
        announced = headers.get(b"content-length", b"0")
        too_large = HTTPException(413, f"a request must be at most {limits.size:,} bytes")

        async def bounded() -> Any:
            nonlocal size
            if announced.isdigit() and int(announced) > limits.size:
                raise too_large
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, f"a request must arrive within {limits.timeout:g} s") from None
            size += len(message.get("body", b""))
            if size > limits.size:
                raise too_large
            return message

        return bounded


def log_fault(error: BaseException) -> None:
    """Log what kind of error nobody foresaw, and where. Its text is left out, since it may quote a user's."""
    frames = traceback.extract_tb(error.__traceback__)
    logger.error("%s at %s", type(error).__name__, " < ".join(f"{one.name}:{one.lineno}" for one in reversed(frames)))
