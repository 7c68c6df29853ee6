"""What a request may say, as OpenAPI describes it."""

from typing import Annotated, Any, Literal

from fastapi import HTTPException
from pydantic import BaseModel, ConfigDict, Field

from ..words import unicode_fault
from .batches import Job
from .limits import Limits

__all__ = ["EXAMPLES", "FOUND", "Request", "job_of", "sentence_of"]

EXAMPLES: dict[str, Any] = {
    "a text": {"value": {"text": "Ada Lovelace wrote to Babbage."}},
    "several texts": {"value": {"text": ["Ada Lovelace wrote to Babbage.", "It rained."], "threshold": 0.5}},
    "the three most probable taggings": {"value": {"text": "Ada Lovelace wrote to Babbage.", "num_paths": 3}},
    "an entity that is known": {"value": {"text": "Ada wrote to Babbage.", "known": [[0, 3, "PER"]]}},
}
FOUND = [{"entity_group": "PER", "score": 0.98, "word": "Ada Lovelace", "start": 0, "end": 12}]

Known = tuple[int, int, str | list[str]]


class Request(BaseModel):
    """A text or several, and how to tag them: as the arguments of the pipeline of the same names say it."""

    model_config = ConfigDict(extra="forbid")

    text: str | list[str] = Field(description="A text, or a list of texts.")
    threshold: Annotated[float, Field(ge=0, le=1)] = Field(0.0, description="Leave out what is less probable.")
    decoding: Literal["viterbi", "marginal"] = Field(
        "viterbi", description="The most probable tagging, or the one with the most right tags to be expected."
    )
    num_paths: Annotated[int, Field(ge=1)] | None = Field(
        None, description="Return so many of the most probable taggings of each sentence, instead of the best one."
    )
    known: list[Known] | list[list[Known]] | None = Field(
        None,
        description="What is known of the text, or, in a list for each, of the texts: `[start, end, type]`, an entity "
        "of exactly these characters and of this type (or of one of a list), or with the type `O` a stretch without "
        "any.",
    )


def job_of(request: Request, limits: Limits) -> Job:
    """Check what the form of a request does not show, and return what is to be done.

    Raises:
        HTTPException: if it asks for too much.
        ValueError: if a text holds half a character, or something is known of another number of texts.
    """
    alone = isinstance(request.text, str)
    texts = [request.text] if isinstance(request.text, str) else request.text
    if len(texts) > limits.texts:
        raise HTTPException(413, f"a request must have at most {limits.texts:,} texts, got {len(texts):,}")
    if request.num_paths is not None and request.num_paths > limits.paths:
        raise ValueError(f"num_paths must be from 1 to {limits.paths}, got {request.num_paths}")
    for number, text in enumerate(texts, start=1):
        if fault := unicode_fault(text):
            raise ValueError(f"text {number} {fault}")
    known: Any = request.known
    if known is not None:
        known = [known] if alone else known
        if len(known) != len(texts):
            raise ValueError(f"known must say something of each of {len(texts)} texts, got {len(known)}")
    options = {"threshold": request.threshold, "decoding": request.decoding, "num_paths": request.num_paths}
    return Job(texts, known, tuple(options.items()))


def sentence_of(errors: Any) -> str:
    """Say in one sentence what is wrong with the form of a request, and repeat nothing of it."""
    place = [str(one) for one in errors[0]["loc"] if one != "body"]
    said = dict.fromkeys(one["msg"] for one in errors)
    if errors[0]["type"] == "json_invalid" or not place:
        return f"the body must be a JSON object as /openapi.json describes it: {'; '.join(said)}"
    return f"{place[0]!r} must be as /openapi.json describes it: {'; '.join(said)}"
