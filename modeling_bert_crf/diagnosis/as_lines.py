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
        [("part", "documents", "sentences", "words", "entities", "scheme", "format", "files")], diagnosis
    ):
        yield "", row
    if diagnosis.kinds:
        yield "", ""
        head = ("type", *(part.name for part in diagnosis.parts))
        rows = [(kind, *(f"{part.types[kind]:,}" for part in diagnosis.parts)) for kind in diagnosis.kinds]
        for row in _aligned([head, *rows], range(1, len(head))):
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
            *(f"{count:,}" for count in (part.documents, len(part.sentences), part.words, part.types.total())),
            part.scheme or "none",
            formats(part),
            files(part),
        )
        for part in diagnosis.parts
    ]
    return _aligned(rows, range(1, 5))


def files(part: Part) -> str:
    """Name the files of a part."""
    first = part.sources[0].path if part.sources else ""
    return first if len(part.sources) < 2 else f"{first} and {len(part.sources) - 1} more"


def formats(part: Part) -> str:
    """Name the formats that the files of a part are in."""
    return ", ".join(dict.fromkeys(source.format or "?" for source in part.sources))


def _aligned(rows: Sequence[Sequence[str]], numbers: range) -> Iterator[str]:
    """Draw a table, of which some columns hold numbers."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (
            cell.rjust(width) if index in numbers else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(cells).rstrip()


def _finding(finding: Finding) -> Iterator[Line]:
    where = f"{finding.part}: " if finding.part else ""
    yield finding.severity, f" [{finding.code}] {where}{finding.text}" + f"; {finding.cure}" * bool(finding.cure)
    for one in finding.examples:
        yield "", f"  {one.place}: {one.text}" if one.place else f"  {one.text}"


def summary(diagnosis: Diagnosis) -> str:
    """Count the findings of each severity."""
    return ", ".join(plural(diagnosis.count(severity), severity) for severity in SEVERITIES)
