"""All checks, one after the other."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .agreement import check_agreement
from .characters import check_characters
from .copies import check_copies
from .findings import ERROR, NOTE, SEVERITIES, Finding
from .layout import check_layout
from .parts import Part
from .spans import check_spans
from .subtokens import Encoder, check_subtokens
from .types import check_types

__all__ = ["CHECKS", "Diagnosis", "diagnose", "gravest"]

CHECKS: tuple[Callable[[Sequence[Part]], Iterator[Finding]], ...] = (
    check_types,
    check_copies,
    check_agreement,
    check_spans,
    check_layout,
    check_characters,
)
"""What is asked of all parts. Of these checks none reads a file or knows a model."""


@dataclass
class Diagnosis:
    """What was found.

    Attributes:
        parts: of the data.
        findings: the gravest first.
        model: that the data were held against; empty if none was.
    """

    parts: Sequence[Part]
    findings: list[Finding]
    model: str = ""

    def count(self, severity: str) -> int:
        """Count the findings of a severity."""
        return sum(finding.severity == severity for finding in self.findings)

    @property
    def kinds(self) -> list[str]:
        """The types of entities in all parts."""
        return sorted(set().union(*(part.types for part in self.parts)))

    def as_json(self) -> str:
        """Write all of it as JSON."""
        findings = [
            {**asdict(one), "examples": [{**example._asdict(), "text": example.text} for example in one.examples]}
            for one in self.findings
        ]
        return json.dumps(
            {
                "parts": [_facts(part) for part in self.parts],
                "model": self.model or None,
                "counts": {severity: self.count(severity) for severity in SEVERITIES},
                "findings": findings,
            },
            ensure_ascii=False,
            indent=1,
        )


def _facts(part: Part) -> dict[str, Any]:
    return {
        "name": part.name,
        "files": [source._asdict() for source in part.sources],
        "scheme": part.scheme,
        "documents": part.documents,
        "sentences": len(part.sentences),
        "words": part.words,
        "entities": part.types.total(),
        "types": dict(sorted(part.types.items())),
    }


def diagnose(parts: Sequence[Part], found: Sequence[Finding] = (), encoder: Encoder | None = None) -> Diagnosis:
    """Look for all that may be wrong with data.

    Args:
        parts: as they were read.
        found: what was noticed while they were read.
        encoder: that they are meant for; None if there is none yet.
    """
    findings = [*found, *(finding for check in CHECKS for finding in check(parts))]
    if encoder is not None:
        findings += check_subtokens(parts, encoder)
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    return Diagnosis(parts, findings, "" if encoder is None else encoder.name)


def gravest(parts: Sequence[Part], most: int = 5) -> list[str]:
    """Return the gravest findings on parts that were read already, each in one line.

    Notes are left out. All errors are named; warnings, as long as there are no more than `most` lines.
    """
    findings = [finding for finding in diagnose(parts).findings if finding.severity != NOTE]
    errors = sum(finding.severity == ERROR for finding in findings)
    shown = findings[: max(most, errors)]
    lines = [f"{finding.severity}: {finding.line()}" for finding in shown]
    if rest := len(findings) - len(shown):
        lines.append(f"and {rest} more; bert-crf diagnose shows all, with examples")
    return lines
