"""Entities on a terminal: coloured where it has colours, in brackets where it has none."""

from collections import Counter
from collections.abc import Iterable
from typing import TextIO

from rich.console import Console
from rich.style import Style
from rich.text import Text

from modeling_bert_crf import BiLSTMCRFPipeline
from modeling_bert_crf.doors.terminal import visible
from modeling_bert_crf.pages.palette import probability

from .outputs import Result, colours, pieces

__all__ = ["write_terminal"]

# Of the sixteen colours that every terminal has, those on which black can be read.
PALETTE = ("cyan", "yellow", "green", "magenta", "bright_blue", "red", "white", "bright_green")


def write_terminal(results: Iterable[Result], tagger: BiLSTMCRFPipeline, file: TextIO) -> None:
    """Write texts with their entities marked, and at the end how many there are of each type."""
    console = Console(file=file, highlight=False, emoji=False, markup=False)
    coloured = console.color_system is not None and not console.no_color
    styles = {
        kind: Style.parse(f"black on {colour}" if coloured else "none")
        for kind, colour in colours(tagger, PALETTE).items()
    }
    counts: Counter[str] = Counter()
    texts = 0
    for item, entities in results:
        texts += 1
        line = Text()
        if item.place:
            line.append(f"{visible(item.place, alone=True)}  ", "dim")
        for words, entity in pieces(item.text, entities):
            if entity is None:
                line.append(visible(words, breaks=True, alone=True))
                continue
            kind = entity["entity_group"]
            counts[kind] += 1
            _append(
                line,
                visible(words, breaks=True, alone=True),
                visible(kind, alone=True),
                entity["score"],
                styles[kind],
                coloured,
            )
        # Only on a terminal, where somebody looks at it, is a text broken into lines.
        console.print(line, soft_wrap=not console.is_terminal)
    console.print(_legend(counts, styles, texts, coloured), soft_wrap=not console.is_terminal)


def _append(line: Text, words: str, kind: str, score: float, style: Style, coloured: bool) -> None:
    figure = probability(score)
    if coloured:
        line.append(f" {words}", style + Style(bold=True)).append(f" {kind} {figure} ", style)
    else:
        line.append(f"[{words} {kind} {figure}]")


def _legend(counts: Counter[str], styles: dict[str, Style], texts: int, coloured: bool) -> Text:
    legend = Text().append(f"{texts:,} {'text' if texts == 1 else 'texts'}:  ", "dim")
    if not counts:
        return legend.append("no entities")
    for kind in [kind for kind in styles if kind in counts]:
        name = visible(kind, alone=True)
        legend.append(f" {name} " if coloured else name, styles[kind]).append(f" {counts[kind]:,}  ")
    legend.rstrip()
    return legend
