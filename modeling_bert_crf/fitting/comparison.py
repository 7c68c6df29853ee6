"""Ways to decode one classifier, compared on labelled sentences: word by word, by the stock pipeline, by a chain.

The entities of the stock pipeline, which knows no words, are compared by their characters in the words joined by
blanks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from transformers import TokenClassificationPipeline
from transformers.pipelines.token_classification import AggregationStrategy

from ..readers.conversion import first_violation
from ..readers.partial import known_spans
from ..readers.sentences import Sentence
from ..schemes import OUTSIDE, tags_to_spans
from ..scores.calibration import calibration_error
from ..scores.known import known_part
from ..scores.mistakes import strict_spans
from .chains import Reading
from .choice import Choice
from .likelihood import ChainFit, Chains, unfitted
from .paths import Counts, Reader, add
from .places import GoldPlaces, Place, count_places, place_of

STRATEGIES = ("simple", "first", "average", "max")
"""How the stock pipeline joins sub-tokens."""
BATCH = 16
"""Texts that the stock pipeline's model reads at once."""


@dataclass
class Row:
    """What one way to decode finds.

    Attributes:
        name: of the way.
        counts: of entities; an entity is right if its characters and its type are.
        illegal: sentences whose tags break the rules; None where there are no tags to look at.
        confidences: the score of each entity that is found, and whether it is right; empty where there are none.
    """

    name: str
    counts: Counts
    illegal: int | None = None
    confidences: list[tuple[float, bool]] = field(default_factory=list)

    def line(self) -> str:
        """Write the row of a table."""
        counts = self.counts
        figures = [f"{100 * share:9.2f}" for share in (counts.precision, counts.recall, counts.f1)]
        illegal = "" if self.illegal is None else f"{self.illegal}"
        calibration = f"{calibration_error(self.confidences):.3f}" if self.confidences else ""
        return f"{self.name:<34} {' '.join(figures)} {illegal:>8} {calibration:>12}"


HEADING = f"{'':<34} {'precision':>9} {'recall':>9} {'F1':>9} {'illegal':>8} {'calibration':>12}"


def word_by_word(
    tags: Sequence[list[str]], right: Sequence[list[str]], scheme: str | None, rules: str | None
) -> list[Row]:
    """Read tags that were chosen word by word: illegal ones strictly, as seqeval does, and as conlleval reads them.

    Args:
        tags: of each sentence.
        right: gold tags.
        scheme: by which both are read.
        rules: the scheme whose rules tags should obey; None if there are none.
    """
    tags = [known_part(one, other, scheme)[1] for one, other in zip(right, tags, strict=True)]
    gold = [set(known_spans(one, scheme)) for one in right]
    lenient = Row(
        "argmax, as conlleval reads it", count_places([set(tags_to_spans(one, scheme)) for one in tags], gold)
    )
    if rules is None:
        return [lenient]
    illegal = sum(first_violation(one, rules) is not None for one in tags)
    strict = Row("argmax, strict", count_places([set(strict_spans(one, rules)) for one in tags], gold))
    return [replace(row, illegal=illegal) for row in (strict, lenient)]


class StockPipeline(TokenClassificationPipeline):
    """The host's pipeline in two parts, so that its model reads each text once, whatever is made of it then."""

    def postprocess(self, all_outputs: Any, **unused: Any) -> Any:
        """Return what the model says of a text, for `entities`."""
        return all_outputs

    def entities(self, outputs: Any, strategy: str) -> list[dict[str, Any]]:
        """Find the entities of a text as the host does."""
        return super().postprocess(outputs, aggregation_strategy=AggregationStrategy(strategy))


def by_stock_pipeline(pipeline: StockPipeline, sentences: Sequence[Sentence], scheme: str | None) -> list[Row]:
    """Let the stock pipeline find the entities of the words joined by blanks, by each of its strategies."""
    texts = [" ".join(sentence.words) for sentence in sentences]
    gold = [GoldPlaces([one], scheme) for one in sentences]
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))  # so that little of a batch is padding
    outputs = dict(zip(order, pipeline([texts[index] for index in order], batch_size=BATCH), strict=True))
    rows = []
    for strategy in STRATEGIES:
        found: list[set[Place]] = []
        confidences = []
        for index, (text, right) in enumerate(zip(texts, gold, strict=True)):
            entities = pipeline.entities(outputs[index], strategy)
            places = {place_of(text, one): one["score"] for one in entities if one["entity_group"] != OUTSIDE}
            places = {place: score for place, score in places.items() if not right.is_open(place)}
            found.append(set(places))
            confidences += [(float(score), place in right.there) for place, score in places.items()]
        counts = count_places(found, [one.there for one in gold])
        rows.append(Row(f"stock pipeline, {strategy}", counts, None, confidences))
    return rows


def by_chain(name: str, chains: Chains, reader: Reader, fit: ChainFit, biases: Mapping[str, float]) -> Row:
    """Let a chain find the entities, as our pipeline does if it is given words."""
    paths = reader.paths(chains, fit, biases)
    return Row(name, add(reader.count(paths, reader.gold(chains))), 0, reader.confidences(chains, fit, paths))


def compare(reading: Reading, pipeline: StockPipeline, model: Any, choice: Choice) -> list[Row]:
    """Compare all ways to decode a classifier.

    Args:
        reading: the sentences.
        pipeline: of the stock classifier.
        model: a tagger made of it, its chain not fitted.
        choice: of a fit of the chain to these sentences.
    """
    config = model.config
    reader = Reader(config.labels, config.span_scheme, model.crf)
    return [
        *word_by_word(reading.tags, reading.gold, config.span_scheme, config.scheme),
        *by_stock_pipeline(pipeline, reading.sentences, config.span_scheme),
        by_chain("chain, not fitted", reading.chains, reader, unfitted(model.crf), {}),
        Row("chain, fitted on other folds", add(choice.chosen.counts), 0, choice.confidences),
    ]


__all__ = [
    "HEADING",
    "STRATEGIES",
    "Row",
    "StockPipeline",
    "by_chain",
    "by_stock_pipeline",
    "compare",
    "word_by_word",
]
