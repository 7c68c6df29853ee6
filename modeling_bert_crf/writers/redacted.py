"""Texts that can be shown to others: a type stands in the place of each entity."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from ..doors.terminal import Writable
from ..readers.documents import Annotation, Document

__all__ = ["write_redacted"]


def write_redacted(documents: Iterable[Document], file: Writable, options: Any) -> None:
    """Write texts, each with a line feed at its end, with `[TYPE]` in the place of an entity.

    Entities that overlap are one, with the type of the longest, so that no part of any of them is left. If
    `options.consistent` is true, it is `[TYPE-1]` and so on: the same number for the same text and type in a document.
    Nothing else that the input says is written: its other columns may hold the same names.
    """
    for document in documents:
        file.write("".join(_pieces(document, options.consistent)) + "\n")


def _pieces(document: Document, consistent: bool) -> Iterator[str]:
    text, end = document.text, 0
    numbers: dict[tuple[str, str], int] = {}
    counts: Counter[str] = Counter()
    for one in _regions(document.annotations):
        yield text[end : one.start]
        end = one.end
        if not consistent:
            yield f"[{one.kind}]"
            continue
        name = one.kind, " ".join(text[one.start : one.end].split())
        if name not in numbers:
            counts[one.kind] += 1
            numbers[name] = counts[one.kind]
        yield f"[{one.kind}-{numbers[name]}]"
    yield text[end:]


def _regions(annotations: Iterable[Annotation]) -> Iterator[Annotation]:
    """Yield what entities cover, in order: those that overlap as one."""
    order = sorted(annotations, key=lambda one: (one.start, -one.end))
    group: list[Annotation] = []
    end = 0
    for one in [*order, None]:
        if group and (one is None or one.start >= end):
            longest = max(group, key=lambda member: member.end - member.start)
            yield Annotation(group[0].start, end, longest.kind)
            group = []
        if one is not None:
            group, end = [*group, one], max(end, one.end) if group else one.end
