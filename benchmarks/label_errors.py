"""Whether `bert-crf suggest --labelled` finds labels that are wrong: 5 % of the entities of Danish DDT are damaged.

    python benchmarks/label_errors.py DATA_SET ENCODER [--folds 3] [--epochs 3] [--bf16]

DATA_SET is a folder with train.conll, ENCODER a pretrained encoder. Of the training entities 5 % are damaged at random:
a third is dropped, a third is moved by a word at one of its ends, a third gets another type. The sentences are ranked
out-of-fold, by taggers that are trained on the damaged labels of the other folds. What is reported is which share of
the damaged sentences stands in the first 5 % of the ranking, for each way to rank, and in random order.

The taggers' emissions are kept in runs/label_errors, a file a fold, so that a run that was stopped goes on, and
another ranking costs no training. The result stands in benchmarks/label_errors.json, without a word of the data.
"""

import argparse
import json
import os
import random
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from modeling_bert_crf.readers.conversion import spans_to_tags
from modeling_bert_crf.readers.files import read_conll
from modeling_bert_crf.readers.sentences import Sentence
from modeling_bert_crf.readers.tags import find_labels
from modeling_bert_crf.schemes import Span, entity_types, tags_to_spans
from modeling_bert_crf.suggestions.folds import folds_of, train_tagger
from modeling_bert_crf.suggestions.reading import read_labelled
from modeling_bert_crf.suggestions.recipe import Recipe

SHARE = 0.05
SEED = 7
KINDS = ("dropped", "moved", "retyped")
CACHE = Path("runs/label_errors")


def damaged(sentences: Sequence[Sentence], seed: int) -> tuple[list[Sentence], dict[int, list[str]]]:
    """Damage entities of sentences in IOB2; say of each sentence that lost one what was done to it."""
    rng = random.Random(seed)
    spans = [tags_to_spans(one.tags, "IOB2") for one in sentences]
    places = [(number, index) for number, own in enumerate(spans) for index in range(len(own))]
    kinds = entity_types(find_labels(sentences, "IOB2"), "IOB2")
    chosen = rng.sample(places, round(SHARE * len(places)))
    changed: dict[int, dict[int, Span | None]] = {}
    done: dict[int, list[str]] = {}
    for order, (number, index) in enumerate(chosen):
        own, changes = spans[number], changed.setdefault(number, {})
        kind = KINDS[order % len(KINDS)]
        start, end, name = own[index]
        if kind == "dropped":
            changes[index] = None
        elif kind == "retyped":
            changes[index] = (start, end, rng.choice([other for other in kinds if other != name]))
        else:
            before = own[index - 1][1] if index else 0
            after = own[index + 1][0] if index + 1 < len(own) else len(sentences[number].words)
            moves = [(start - 1, end), (start + 1, end), (start, end - 1), (start, end + 1)]
            moves = [(left, right) for left, right in moves if before <= left < right <= after]
            if not moves:  # a word that makes a sentence, or stands between two entities
                kind, changes[index] = "dropped", None
            else:
                changes[index] = (*rng.choice(moves), name)
        done.setdefault(number, []).append(kind)
    result = list(sentences)
    for number, changes in changed.items():
        kept = [changes.get(index, span) for index, span in enumerate(spans[number])]
        words = len(sentences[number].words)
        result[number] = replace(
            sentences[number], tags=spans_to_tags([span for span in kept if span is not None], words, "IOB2")
        )
    return result, done


def emissions_of(
    sentences: Sequence[Sentence], labels: list[str], encoder: str, folds: int, options: dict[str, Any]
) -> dict[int, torch.Tensor]:
    """Let each sentence be read by a tagger that has not seen it; (n, K), and then the three scores of its CRF."""
    CACHE.mkdir(parents=True, exist_ok=True)
    read: dict[int, Any] = {}
    for number, fold in enumerate(folds_of(sentences, folds)):
        path = CACHE / f"{folds}-{options['num_train_epochs']}-{number}.pt"
        if not path.exists():
            held_out = set(fold)
            seen = [one for index, one in enumerate(sentences) if index not in held_out]
            print(f"fold {number + 1} of {folds}: {len(seen)} sentences", flush=True)
            tagger = train_tagger(seen, "IOB2", labels, Recipe(encoder, options, ""))
            chains = read_labelled(tagger, [sentences[index] for index in fold], "IOB2")
            found = {index: chain.emissions.float() for index, chain in zip(fold, chains, strict=True)}
            torch.save((found, tagger.model.crf.state_dict()), path.with_suffix(".new"))
            os.replace(path.with_suffix(".new"), path)
        found, scores = torch.load(path)
        read |= {index: (one, scores) for index, one in found.items()}
    return read


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("encoder")
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--bf16", action="store_true", help="encode in bfloat16: faster, where the CPU can do it")
    given = parser.parse_args(argv)
    torch.set_num_threads(1)
    sentences = read_conll(given.data / "train.conll")
    labels = find_labels(sentences, "IOB2")
    wrong, done = damaged(sentences, SEED)
    print(
        len(sentences), sum(map(len, done.values())), len(done), Counter(kind for own in done.values() for kind in own)
    )
    options = {"num_train_epochs": given.epochs, "use_cpu": True, "bf16": given.bf16}
    read = emissions_of(wrong, labels, given.encoder, given.folds, options)
    print(len(read))


if __name__ == "__main__":
    main(sys.argv[1:])
