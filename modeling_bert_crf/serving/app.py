"""The addresses of the service, and what they answer."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Annotated, Any

from fastapi import Body, FastAPI, HTTPException
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response

from .batches import Batches, Tag
from .gate import Gate
from .limits import Limits
from .metrics import CONTENT_TYPE, Metrics
from .requests import EXAMPLES, FOUND, Request, job_of, sentence_of

__all__ = ["build_app"]

_REFUSALS = {
    408: "The request takes too long to arrive.",
    413: "The request is too large.",
    422: "The request cannot be understood; the answer says why.",
    429: "Too many requests are waiting; `Retry-After` says when to try again.",
    503: "The answer takes too long; `Retry-After` says when to try again.",
}


def build_app(name: str, tag: Tag, limits: Limits | None = None) -> FastAPI:
    """Build the service, an ASGI application.

    Args:
        name: of the tagger, as `/health` says it.
        tag: answers batches of requests; see `taggers.answers_to`.
        limits: of the service.
    """
    limits, metrics = limits or Limits(), Metrics()
    batches = Batches(tag, limits, metrics)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with batches:
            yield

    # The pages that show a description in a browser load scripts from elsewhere.
    app = FastAPI(
        title="bert-crf serve",
        version=version("modeling-bert-crf"),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.add_middleware(Gate, limits=limits, metrics=metrics)

    @app.post(
        "/tag",
        response_class=JSONResponse,
        responses={
            200: {
                "description": "What the pipeline returns for the text, or for the list of texts.",
                "content": {"application/json": {"example": FOUND}},
            },
            **{status: {"description": said} for status, said in _REFUSALS.items()},
        },
    )
    async def tag_texts(request: Annotated[Request, Body(openapi_examples=EXAMPLES)]) -> Any:
        """Find the entities of a text, or of several."""
        try:
            found = await batches.answer(job_of(request, limits))
        except ValueError as error:
            raise HTTPException(422, str(error)) from None
        return JSONResponse(found[0] if isinstance(request.text, str) else found)

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Say that the service is up, and which tagger it serves."""
        return {"status": "ok", "model": name}

    @app.get("/metrics", response_class=Response)
    async def figures() -> Response:
        """Return the service's figures in the text form of Prometheus."""
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    @app.exception_handler(RequestValidationError)
    async def say(_: Any, error: RequestValidationError) -> JSONResponse:
        return JSONResponse({"detail": sentence_of(error.errors())}, 422)

    return app
