"""What one confirmed entity tells of the others: sentences tagged without it, and given it.

    python benchmarks/known_spans.py MODEL FILE [--seeds 3]

In each sentence of FILE (columns) with two entities or more one is drawn at random and given to the pipeline as known.
F1 is that of the others: the given entity, and whatever the tagger finds over it, count on neither side. Prints a line
for each seed of the draw, and the mean.
"""

import argparse
import random
import statistics
from pathlib import Path

from modeling_bert_crf import BiLSTMCRFPipeline
from modeling_bert_crf.opening.tagger import open_tagger
from modeling_bert_crf.readers.files import read_conll
from modeling_bert_crf.readers.sentences import Sentence
from modeling_bert_crf.schemes import tags_to_spans

Span = tuple[int, int, str]


def spans_of(sentence: Sentence) -> list[Span]:
    """Return the entities of a sentence in characters of its words joined by blanks, as the pipeline has them."""
    starts = [0]
    for word in sentence.words:
        starts.append(starts[-1] + len(word) + 1)
    return [(starts[first], starts[end] - 1, kind) for first, end, kind in tags_to_spans(sentence.tags, "IOB2")]


def others(spans: list[Span], given: Span) -> set[Span]:
    """Return the entities that do not touch the given one."""
    return {one for one in spans if one[1] <= given[0] or given[1] <= one[0]}


def found_by(tagger: BiLSTMCRFPipeline, sentences: list[list[str]], known: list[list[Span]]) -> list[list[Span]]:
    answers = tagger(sentences, is_split_into_words=True, known=known)
    return [[(one["start"], one["end"], one["entity_group"]) for one in answer] for answer in answers]


def f1(pairs: list[tuple[set[Span], set[Span]]]) -> float:
    right = sum(len(gold & found) for gold, found in pairs)
    return 200 * right / max(1, sum(len(gold) + len(found) for gold, found in pairs))


def main() -> None:
    """Tag and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("file", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    tagger = open_tagger(arguments.model)
    sentences = [one for one in read_conll(arguments.file) if len(spans_of(one)) > 1]
    gold, words = [spans_of(one) for one in sentences], [one.words for one in sentences]
    plain = found_by(tagger, words, [[] for _ in words])
    print(f"{len(sentences)} sentences with two entities or more, {sum(map(len, gold))} entities")
    figures = []
    for seed in range(arguments.seeds):
        draw = random.Random(seed)
        given = [draw.choice(spans) for spans in gold]
        told = found_by(tagger, words, [[one] for one in given])
        left = [others(spans, one) for spans, one in zip(gold, given, strict=True)]
        before, after = (
            f1([(rest, others(found, one)) for rest, found, one in zip(left, answers, given, strict=True)])
            for answers in (plain, told)
        )
        figures.append((before, after))
        print(f"seed {seed}: F1 of the others {before:.2f} without, {after:.2f} given one")
    before, after = (statistics.fmean(one) for one in zip(*figures, strict=True))
    print(f"mean: {before:.2f} without, {after:.2f} given one")


if __name__ == "__main__":
    main()
