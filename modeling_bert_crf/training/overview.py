"""What a run begins with, in lines for the terminal: its data, and the parameters that it trains."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ..readers.partial import UNKNOWN_TAG, is_known
from .dataset import StreamingTaggingDataset, TaggingDataset
from .splits import Split

__all__ = ["group_table", "overview"]


def overview(datasets: Mapping[str, TaggingDataset | StreamingTaggingDataset], splits: Mapping[str, Split]) -> str:
    """Count the sentences and words of each split, and say how its tags were read, and what became of spans."""
    lines = []
    for split, dataset in datasets.items():
        lines += [f"{split}: {line}" for line in splits[split].account.lines()]
        source, target = (scheme or "no scheme" for scheme in (splits[split].scheme, dataset.scheme))
        tags = f"tags in {source}" + (f", written as {target}" if source != target else "")
        if isinstance(dataset, StreamingTaggingDataset):
            lines.append(f"{split}: streamed, {tags}")
            continue
        words = sum(len(sentence.words) for sentence in dataset.sentences)
        cut = f", {dataset.cut_sentences:,} of them in several windows" if dataset.cut_sentences else ""
        lines.append(f"{split}: {len(dataset.sentences):,} sentences, {words:,} words{cut}, {tags}")
        lines += [f"{split}: {line}" for line in _open_lines(dataset)]
    return "\n".join(lines) + "\n"


def _open_lines(dataset: TaggingDataset) -> list[str]:
    """Say how many words are known in part only, and that they are not scored."""
    counts = Counter(tag for tags in dataset.gold for tag in tags if not is_known(tag))
    unknown = counts.pop(UNKNOWN_TAG, 0)
    lines = [f"{unknown:,} words have an unknown tag"] if unknown else []
    if counts:
        (tag, _), *_ = counts.most_common(1)
        lines.append(f"{counts.total():,} words may have one of several tags, as by {tag!r:.60}")
    return lines


def group_table(groups: Sequence[Mapping[str, Any]]) -> str:
    """Draw the groups of parameters, with their sizes, learning rates and decay, as a table."""
    rows = [("group", "parameters", "learning rate", "decay")]
    for group in groups:
        count = sum(parameter.numel() for parameter in group["params"])
        rows.append((group["name"], f"{count:,}", f"{group['lr']:g}", f"{group['weight_decay']:g}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) if index == 0 else cell.rjust(width) for index, (cell, width) in enumerate(cells))
        for cells in (zip(row, widths, strict=True) for row in rows)
    )
