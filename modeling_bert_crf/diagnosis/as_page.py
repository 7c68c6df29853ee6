"""The result of all checks as a page of HTML that needs no other file."""

from ..pages.render import render
from .as_lines import files, formats, summary
from .diagnosis import Diagnosis
from .findings import SEVERITIES

__all__ = ["as_page"]


def as_page(diagnosis: Diagnosis) -> str:
    """Return the page: what was read, then the findings with their examples, which can be chosen by severity."""
    return render(
        "diagnosis.html",
        title="Diagnosis of labelled data",
        parts=[(part, files(part), formats(part)) for part in diagnosis.parts],
        kinds=diagnosis.kinds,
        model=diagnosis.model,
        findings=diagnosis.findings,
        counts={severity: diagnosis.count(severity) for severity in SEVERITIES},
        summary=summary(diagnosis),
    )
