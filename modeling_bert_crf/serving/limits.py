"""How much the service takes on at once, and how long it waits."""

from dataclasses import dataclass

__all__ = ["RETRY", "Limits"]

RETRY = {"Retry-After": "1"}
"""The header of an answer that says: not now."""


@dataclass(frozen=True)
class Limits:
    """The limits of a service; beyond each of them a request is refused at once, with the reason.

    Attributes:
        queue: requests at a time: being received, waiting and being tagged.
        size: bytes of a request.
        texts: of a request.
        paths: most probable taggings that a request may ask for.
        timeout: seconds that a request may take to arrive, and then to be answered.
        batch_characters: requests share a batch until it has so many; a longer one is a batch by itself.
        batch_wait: seconds that a request waits for others while the tagger is idle.
    """

    queue: int = 256
    size: int = 200_000
    texts: int = 1024
    paths: int = 100
    timeout: float = 30.0
    batch_characters: int = 8192
    batch_wait: float = 0.005
