"""What a run shows on the terminal: tables of scores, and tagged sentences."""

from collections.abc import Sequence
from typing import Any

from rich.cells import cell_len

from ..doors.terminal import visible
from ..readers.sentences import Sentence
from ..schemes import tags_to_spans

__all__ = ["bracketed", "score_line", "score_table"]


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
        error, without = (f"{calibration[name]:.3f}" for name in ("error", "error_at_1"))
        before = "" if calibration["error"] == calibration["error_at_1"] else f" ({without} before the temperature)"
        lines.append(f"calibration error {error}{before}")
    return "\n".join(lines)


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
