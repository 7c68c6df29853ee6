"""What became of the annotations of a data set, on its way from spans over text to words and tags."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from .sentences import shown_name

__all__ = ["FATES", "Account"]

FATES = {
    "kept": "as they were",
    "moved": "their ends moved to those of words, or off blanks",
    "split": "a word was split at their end",
    "dropped": "left out",
}
"""What may become of a span, and what that means."""
SHOWN = 3
"""How many examples of each are shown."""


@dataclass
class Account:
    """Counts of spans by type and fate, with the first examples.

    Attributes:
        counts: for each type how many spans met which fate.
        examples: for each fate but `kept` where the first ones stand, and what they are.
        notes: what else was found, such as relations that are ignored, and how often.
    """

    counts: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    examples: dict[str, list[str]] = field(default_factory=dict)
    notes: Counter[str] = field(default_factory=Counter)

    def keep(self, kind: str) -> None:
        """Count a span that is as it was."""
        self.counts[kind]["kept"] += 1

    def add(self, fate: str, kind: str, where: str, text: str, why: str = "") -> None:
        """Count a span that is not kept, and take it as an example if it is among the first ones of its fate."""
        self.counts[kind][fate] += 1
        if len(shown := self.examples.setdefault(fate, [])) < SHOWN:
            shown.append(f"{where}: {shown_name(kind)} {text!r:.80}" + (f" ({why})" if why else ""))

    def total(self, fate: str) -> int:
        """Count the spans of all types that met a fate."""
        return sum(counts[fate] for counts in self.counts.values())

    def lines(self) -> list[str]:
        """Draw the counts as a table, with the examples and notes below."""
        lines = []
        if self.counts:
            rows: list[tuple[str, ...]] = [("type", "spans", *FATES)]
            for kind, counts in sorted(self.counts.items()):
                numbers = (f"{counts[fate]:,}" if fate else f"{counts.total():,}" for fate in ("", *FATES))
                rows.append((shown_name(kind), *numbers))
            if len(self.counts) > 1:
                every = sum((counts for counts in self.counts.values()), Counter())
                rows.append(("all", f"{every.total():,}", *(f"{every[fate]:,}" for fate in FATES)))
            first, *others = (max(map(len, column)) for column in zip(*rows, strict=True))
            for kind, *cells in rows:
                right = (cell.rjust(width) for cell, width in zip(cells, others, strict=True))
                lines.append("  ".join([kind.ljust(first), *right]))
        for fate, meaning in FATES.items():
            if fate in self.examples:
                lines.append(f"{fate}, {meaning}; the first:")
                lines += [f"  {example}" for example in self.examples[fate]]
        return lines + [f"{note}: {count:,}" for note, count in sorted(self.notes.items())]
