"""What there is to work on, in lines for the terminal."""

from .dataset import StreamingTaggingDataset, TaggingDataset
from .run import Split


def overview(datasets: dict[str, TaggingDataset | StreamingTaggingDataset], splits: dict[str, Split]) -> str:
    """Count what there is to work on, and say how its tags were read."""
    lines = []
    for split, dataset in datasets.items():
        source, target = (scheme or "no scheme" for scheme in (splits[split].scheme, dataset.scheme))
        tags = f"tags in {source}" + (f", written as {target}" if source != target else "")
        if isinstance(dataset, StreamingTaggingDataset):
            lines.append(f"{split}: streamed, {tags}")
            continue
        words = sum(len(sentence.words) for sentence in dataset.sentences)
        cut = f", {dataset.cut_sentences:,} of them in several windows" if dataset.cut_sentences else ""
        lines.append(f"{split}: {len(dataset.sentences):,} sentences, {words:,} words{cut}, {tags}")
    return "\n".join(lines) + "\n"
