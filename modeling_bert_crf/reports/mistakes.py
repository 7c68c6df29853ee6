"""Mistakes in their sentences: in words, and laid out for pages of HTML."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from ..pages.palette import probability
from ..pages.render import render
from ..schemes import Span
from ..scores.judged import Group, Judged, Mistake, groups
from ..scores.mistakes import KINDS

__all__ = ["MISTAKES", "describe", "laid_out", "make_mistakes_page", "mistakes_section", "title_of"]

MISTAKES = tuple(kind for kind in KINDS if kind != "correct")
MOST_GROUPS, MOST_EXAMPLES, MOST_OFTEN = 12, 5, 5
"""How much of each a report shows."""


def title_of(group: Group) -> str:
    """Say in words what the mistakes of a group are.

    >>> title_of(Group("type", "PER", "LOC", [], []))
    'PER taken for LOC'
    """
    gold, found = group.gold, group.predicted
    return {
        "type": f"{gold} taken for {found}",
        "boundary": f"{gold} with other borders",
        "boundary_and_type": f"{gold} taken for {found}, with other borders",
        "missed": f"{gold} missed",
        "spurious": f"{found} found where there is none",
    }[group.kind]


def describe(judged: Judged, mistake: Mistake) -> str:
    """Say in words what a mistake is, with the probabilities of its entities.

    >>> judged = Judged(["Ada", "sang"], [(0, 1, "PER")], [], {(0, 1, "PER"): 0.25})
    >>> describe(judged, Mistake("missed", (0, 1, "PER"), None))
    'missed: "Ada" is PER (0.25)'
    """
    sides = [_said(judged, span, word) for span, word in ((mistake.gold, "is"), (mistake.predicted, "found as"))]
    seen = {True: "; seen in training", False: "; not seen in training", None: ""}[mistake.seen]
    return f"{mistake.kind.replace('_', ' ')}: {', '.join(filter(None, sides))}{seen}"


def _said(judged: Judged, span: Span | None, word: str) -> str:
    if span is None:
        return ""
    value = judged.probability(span)
    figure = "" if value is None else f" ({probability(value)})"
    return f'"{judged.text(span)}" {word} {span[2]}{figure}'


def mistakes_section(chosen: Sequence[tuple[Judged, list[Mistake]]], sentences: int) -> dict[str, Any]:
    """Lay out the section of a report: the most frequent mistakes first, and of each the worst sentences.

    Args:
        chosen: as `choose` returns them.
        sentences: how many there are, with and without mistakes.
    """
    found = groups(chosen)
    total = sum(len(group.examples) for group in found)
    shown = [
        {
            "title": title_of(group),
            "count": len(group.examples),
            "share": len(group.examples) / total,
            "often": group.often[:MOST_OFTEN],
            "examples": [laid_out(judged, [mistake]) for judged, mistake in group.examples[:MOST_EXAMPLES]],
        }
        for group in found[:MOST_GROUPS]
    ]
    counts = {"sentences": sentences, "with_mistakes": len(chosen), "mistakes": total}
    return {**counts, "groups": shown, "others": len(found) - len(shown)}


def make_mistakes_page(chosen: Sequence[tuple[Judged, list[Mistake]]], sentences: int, title: str, source: str) -> str:
    """Return a page of sentences with mistakes, the worst first, in which kinds and types can be switched off.

    Args:
        chosen: as `choose` returns them.
        sentences: how many were looked at.
        title: of the page.
        source: what the sentences and the tagger are.
    """
    every = [one for _, mistakes in chosen for one in mistakes]
    types = sorted({kind for one in every for kind in one.types})
    counts = {
        "kinds": [(kind, count) for kind in MISTAKES if (count := sum(one.kind == kind for one in every))],
        "types": [(kind, sum(kind in one.types for one in every)) for kind in types],
        "training": [
            (name, count)
            for name, seen in (("seen", True), ("not seen", False), ("unknown", None))
            if (count := sum(one.seen is seen for one in every))
        ],
    }
    return render(
        "mistakes.html",
        title=title,
        source=source,
        sentences=sentences,
        total=len(every),
        counts=counts,
        articles=[laid_out(*pair, counts) for pair in chosen],
    )


def laid_out(judged: Judged, mistakes: Sequence[Mistake], counts: dict[str, Any] | None = None) -> dict[str, Any]:
    """Lay out a sentence for a page.

    Args:
        judged: the sentence.
        mistakes: those that are described below it. All are marked in it.
        counts: the switches of the page, by whose numbers the mistakes are classed.

    Returns:
        `place`; `parts`, the pieces of the text; and `mistakes`, each with its `text` and its `switches`.
    """
    return {
        "place": judged.place,
        "parts": _parts(judged),
        "mistakes": [{"text": describe(judged, one), "switches": _switches(one, counts)} for one in mistakes],
    }


def _switches(mistake: Mistake, counts: dict[str, Any] | None) -> str:
    """Name the classes of a mistake: the numbers of its kind, its types, and whether training has seen it."""
    if counts is None:
        return ""
    training = {True: "seen", False: "not seen", None: "unknown"}[mistake.seen]
    own = {"kinds": [mistake.kind], "types": mistake.types, "training": [training]}
    numbers = {name: {value: index for index, (value, _) in enumerate(rows)} for name, rows in counts.items()}
    return " ".join(f"{name}{numbers[name][value]}" for name, values in own.items() for value in values)


def _parts(judged: Judged) -> list[dict[str, str]]:
    """Cut a sentence where entities begin and end.

    Returns:
        Of each piece the `blank` before it, its `text`, its `marks` (right, or gold and found), and as `label` what is
        to be said where an entity ends.
    """
    entities = {"gold": set(judged.gold), "found": set(judged.predicted)}
    borders = {border for spans in entities.values() for span in spans for border in span[:2]}
    parts = []
    for start, end in pairwise(sorted({0, len(judged.words), *borders})):
        here = {
            name: span for name, spans in entities.items() for span in spans if span[0] <= start and end <= span[1]
        }
        if here and here.get("gold") == here.get("found"):
            here = {"right": here["gold"]}
        labels = [_label(judged, span, name) for name, span in here.items() if span[1] == end]
        text = " ".join(judged.words[start:end])
        parts.append(
            {"blank": " " if start else "", "text": text, "marks": " ".join(here), "label": ", ".join(labels)}
        )
    return parts


def _label(judged: Judged, span: Span, name: str) -> str:
    value = None if name == "gold" else judged.probability(span)
    figure = "" if value is None else f" {probability(value)}"
    return ("" if name == "right" else f"{name} ") + span[2] + figure
