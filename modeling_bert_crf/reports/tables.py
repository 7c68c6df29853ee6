"""What a run shows on the terminal: tables of scores, and tagged sentences."""

from collections.abc import Sequence
from typing import Any

from rich.cells import cell_len

from ..doors.terminal import visible
from ..readers.sentences import Sentence
from ..schemes import tags_to_spans
from ..scores.mistakes import KINDS

__all__ = ["bracketed", "measure_lines", "score_line", "score_table"]

_OVERLAPS = {
    "strict": "the same words, the same type",
    "exact": "the same words, any type",
    "partial": "the same words, a part counts half",
    "type": "a word in common, the same type",
}


def score_table(split: str, scores: dict[str, Any]) -> str:
    """Write the scores of a split as a table of percentages, with a row for each type."""
    if "strict" not in scores:
        accuracy, macro = (f"{100 * scores[name]:.1f}" for name in ("accuracy", "macro_f1"))
        return f"{split}: accuracy of the words {accuracy}, macro F1 {macro}"
    strict, conlleval = scores["strict"], scores["conlleval"]
    support = sum(row["support"] for row in strict["types"].values())
    rows = [(visible(name), row) for name, row in strict["types"].items()]
    width = max([16, *(cell_len(name) for name, _ in rows)])
    lines = [f"{split:<{width}} precision  recall      F1  entities"]
    rows += [("all, strict", strict | {"support": support}), ("all, conlleval", conlleval | {"support": support})]
    for name, row in rows:
        figures = "  ".join(
            f"{100 * row[key]:{size}.1f}" for key, size in (("precision", 9), ("recall", 6), ("f1", 6))
        )
        lines.append(f"{name}{' ' * (width - cell_len(name))} {figures}  {row['support']:8,}")
    if calibration := scores.get("calibration"):
        error, without = (calibration.get(name, calibration["error"]) for name in ("error", "error_at_1"))
        before = "" if error == without else f" ({without:.3f} before the temperature)"
        lines.append(f"calibration error {error:.3f}{before}")
    return "\n".join(lines)


def measure_lines(scores: dict[str, Any]) -> list[str]:
    """Write what stands beside a table of scores: the interval, and what became of the entities."""
    interval, what = scores["interval"], "strict F1" if "strict" in scores else "share of words with the right tag"
    low, high = (f"{100 * interval[end]:.2f}" for end in ("low", "high"))
    lines = [f"95 % interval of the {what}: {low} to {high} ({interval['resamples']:,} resamples of the sentences)"]
    if "errors" not in scores:
        return lines
    rows = [*scores["errors"]["types"].items(), ("all", scores["errors"])]
    names = [visible(name) for name, _ in rows]
    width = max([16, *map(cell_len, names)])
    kinds = ("gold", *KINDS)
    heads = [kind.replace("boundary_and_type", "both").replace("correct", "right") for kind in kinds]
    lines += ["", " " * width + "".join(f"{head:>10}" for head in heads)]
    for name, (_, row) in zip(names, rows, strict=True):
        lines.append(name + " " * (width - cell_len(name)) + "".join(f"{row[kind]:>10,}" for kind in kinds))
    lines.append("")
    for name, text in _OVERLAPS.items():
        row = scores["overlap"][name]
        figures = " ".join(f"{100 * row[figure]:7.2f}" for figure in ("precision", "recall", "f1"))
        lines.append(f"right is {text:<34} {figures}")
    for name, row in scores.get("forms", {}).items():
        recall = f", recall {100 * row['correct'] / row['gold']:.2f}" if row["gold"] else ""
        lines.append(f"{name} in training: {row['gold']:,} entities{recall}")
    return lines


def score_line(split: str, scores: dict[str, Any]) -> str:
    """Write the one figure that stands for a split."""
    if "strict" in scores:
        return f"{split} F1 (strict): {100 * scores['strict']['f1']:.1f}"
    return f"{split} macro F1 (words): {100 * scores['macro_f1']:.1f}"


def bracketed(sentences: Sequence[Sentence], tags: Sequence[list[str]], scheme: str | None) -> str:
    """Write sentences with their predicted entities, and the types of these, in brackets.

    Args:
        sentences: whose words are shown.
        tags: predicted for them.
        scheme: of these tags.
    """
    lines = []
    for sentence, predicted in zip(sentences, tags, strict=False):
        spans = {span[0]: span for span in tags_to_spans(predicted, scheme)}
        words, index = [], 0
        while index < len(sentence.words):
            _, end, kind = spans.get(index, (index, index + 1, ""))
            text = visible(" ".join(sentence.words[index:end]))
            words.append(f"[{text} | {visible(kind)}]" if kind else text)
            index = end
        lines.append("  " + " ".join(words))
    return "\n".join(["", *lines, ""])
