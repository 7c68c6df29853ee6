"""The result of all checks as lines for a terminal."""

from collections.abc import Iterator, Sequence

from .diagnosis import Diagnosis
from .findings import SEVERITIES, Finding
from .parts import Part, plural

__all__ = ["as_lines", "summary"]

Line = tuple[str, str]
"""A word that may be coloured, and what follows it."""


def as_lines(diagnosis: Diagnosis) -> Iterator[Line]:
    """Yield lines: what was read, in tables, then the findings, each with its examples, then how many there are."""
    for row in _table(
        [("part", "files", "format", "scheme", "documents", "sentences", "words", "entities")], diagnosis
    ):
        yield "", row
    if diagnosis.kinds:
        yield "", ""
        head = ("type", *(part.name for part in diagnosis.parts))
        rows = [(kind, *(f"{part.types[kind]:,}" for part in diagnosis.parts)) for kind in diagnosis.kinds]
        for row in _aligned([head, *rows], 1):
            yield "", row
    for finding in diagnosis.findings:
        yield "", ""
        yield from _finding(finding)
    yield "", ""
    yield "", summary(diagnosis)


def _table(rows: list[tuple[str, ...]], diagnosis: Diagnosis) -> Iterator[str]:
    rows += [
        (
            part.name,
            files(part),
            formats(part),
            part.scheme or "none",
            *(f"{count:,}" for count in (part.documents, len(part.sentences), part.words, part.types.total())),
        )
        for part in diagnosis.parts
    ]
    return _aligned(rows, 4)


def files(part: Part) -> str:
    """Name the files of a part."""
    first = part.sources[0].path if part.sources else ""
    return first if len(part.sources) < 2 else f"{first} and {len(part.sources) - 1} more"


def formats(part: Part) -> str:
    """Name the formats that the files of a part are in."""
    return ", ".join(dict.fromkeys(source.format or "?" for source in part.sources))


def _aligned(rows: Sequence[Sequence[str]], left: int) -> Iterator[str]:
    """Draw a table whose first columns hold words, and the others numbers."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (
            cell.ljust(width) if index < left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(cells).rstrip()


def _finding(finding: Finding) -> Iterator[Line]:
    where = f"{finding.part}: " if finding.part else ""
    yield finding.severity, f" [{finding.code}] {where}{finding.text}" + f"; {finding.cure}" * bool(finding.cure)
    for place, text in finding.examples:
        yield "", f"  {place}: {text}" if place else f"  {text}"


def summary(diagnosis: Diagnosis) -> str:
    """Count the findings of each severity."""
    return ", ".join(plural(diagnosis.count(severity), severity) for severity in SEVERITIES)
