"""Entities on a page of HTML that needs nothing but itself."""

from collections import Counter
from collections.abc import Iterable

from modeling_bert_crf import BiLSTMCRFPipeline
from modeling_bert_crf.doors.terminal import Writable
from modeling_bert_crf.pages.palette import HUES
from modeling_bert_crf.pages.render import render

from .outputs import Result, colours, pieces

__all__ = ["write_page"]


def write_page(results: Iterable[Result], tagger: BiLSTMCRFPipeline, file: Writable) -> None:
    """Write all texts with their entities marked, below a legend that counts them."""
    texts = [(item.place, list(pieces(item.text, found))) for item, found in results]
    counts = Counter(entity["entity_group"] for _, parts in texts for _, entity in parts if entity is not None)
    kinds = {kind: hue for kind, hue in colours(tagger, HUES).items() if kind in counts}
    order = list(kinds)
    page = render(
        "entities.html",
        title="Entities",
        model=tagger.model.name_or_path,
        texts=texts,
        kinds=[{"name": kind, "hue": hue, "count": counts[kind]} for kind, hue in kinds.items()],
        index={kind: order.index(kind) for kind in order},
    )
    file.write(page)
