"""Whether `bert-crf suggest --labelled` finds labels that are wrong: 5 % of the entities of Danish DDT are damaged.

    python benchmarks/label_errors.py DATA_SET ENCODER [--folds 3] [--epochs 3] [--bf16]

DATA_SET is a folder with train.conll, ENCODER a pretrained encoder. Of the training entities 5 % are damaged at
random: a third is dropped, a third is moved by a word at one of its ends, a third gets another type. The sentences are
ranked out-of-fold, by taggers that are trained on the damaged labels of the other folds. What is reported is which
share of the damaged sentences stands in the first 5 % of the ranking, for each way to rank, and in random order.

The taggers' emissions are kept in runs/label_errors, a file a fold, so that a run that was stopped goes on, and
another ranking costs no training. The result stands in benchmarks/label_errors.json, without a word of the data.
"""

import argparse
import json
import os
import random
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from math import log
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from modeling_bert_crf.crf import LinearChainCRF
from modeling_bert_crf.pipeline_crf import pad
from modeling_bert_crf.readers.conversion import spans_to_tags
from modeling_bert_crf.readers.files import read_conll
from modeling_bert_crf.readers.sentences import Sentence
from modeling_bert_crf.readers.tags import find_labels
from modeling_bert_crf.schemes import Span, constraints, entity_types, tags_to_spans
from modeling_bert_crf.suggestions.doubts import Judgement, judge
from modeling_bert_crf.suggestions.folds import folds_of, train_tagger
from modeling_bert_crf.suggestions.reading import Chain, read_chains
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
) -> dict[int, tuple[torch.Tensor, Any]]:
    """Let each sentence be read by a tagger that has not seen it: its emissions (n, K), and the tagger's CRF."""
    CACHE.mkdir(parents=True, exist_ok=True)
    read: dict[int, Any] = {}
    for number, fold in enumerate(folds_of(sentences, folds)):
        path = CACHE / f"{folds}-{options['num_train_epochs']}-{number}.pt"
        if not path.exists():
            held_out = set(fold)
            seen = [one for index, one in enumerate(sentences) if index not in held_out]
            print(f"fold {number + 1} of {folds}: {len(seen)} sentences", flush=True)
            tagger = train_tagger(seen, "IOB2", labels, Recipe(encoder, options, ""))
            chains = read_chains(tagger, [sentences[index] for index in fold], "IOB2")
            found = {index: chain.emissions.float() for index, chain in zip(fold, chains, strict=True)}
            torch.save((found, tagger.model.crf.state_dict()), path.with_suffix(".new"))
            os.replace(path.with_suffix(".new"), path)
        found, scores = torch.load(path)
        read |= {index: (one, scores) for index, one in found.items()}
    return read


def scores_of(
    sentences: Sequence[Sentence], labels: list[str], read: dict[int, tuple[torch.Tensor, Any]]
) -> dict[str, list[float]]:
    """Rank sentences in several ways; the first is the one of `bert-crf suggest`."""
    ids = {label: index for index, label in enumerate(labels)}
    config = SimpleNamespace(labels=labels, span_scheme="IOB2")
    scores: dict[str, list[float]] = defaultdict(lambda: [0.0] * len(sentences))
    by_tagger = defaultdict(list)
    for index, (_, state) in read.items():
        by_tagger[id(state)].append(index)
    for own in by_tagger.values():
        crf = LinearChainCRF(len(labels)).double()
        crf.load_state_dict(read[own[0]][1])
        rules = (crf.allowed_starts, crf.allowed_ends, crf.allowed_transitions)
        for buffer, rule in zip(rules, constraints(labels, "IOB2"), strict=True):
            buffer.copy_(torch.tensor(rule))
        chains = []
        for index in own:
            one = sentences[index]
            tags = torch.tensor([ids[tag] for tag in one.tags])
            chains.append(Chain(one, list(range(len(tags))), one.tags, read[index][0].double(), tags))
        found = judge(SimpleNamespace(config=config, crf=crf), chains)
        for index, chain, judgement in zip(own, chains, found, strict=True):
            for name, value in _scores(crf, chain, judgement).items():
                scores[name][index] = value
    return scores


def _scores(crf: LinearChainCRF, chain: Chain, judgement: Judgement) -> dict[str, float]:
    doubts = judgement.doubts
    grid, mask = pad([chain.emissions])
    with torch.inference_mode():
        nll = crf(grid, chain.tags[None], mask).item()
    return {
        "the least probable place": max((1 - one.probability for one in doubts), default=0.0),
        "the other thing": max((one.other_probability for one in doubts), default=0.0),
        "difference": max((one.other_probability - one.probability for one in doubts), default=-1.0),
        "odds": max(
            (log(one.other_probability + 1e-9) - log(one.probability + 1e-9) for one in doubts), default=-99.0
        ),
        "-log P(labels)": nll,
        "-log P(labels) by word": nll / max(1, len(chain.tags)),
        "log P(best) - log P(labels)": judgement.improbability,
    }


def found_in(scores: Sequence[float], done: dict[int, list[str]], first: int) -> dict[str, float]:
    """Say which share of the damaged sentences stands among the first, and of those with each kind of damage."""
    leading = set(sorted(range(len(scores)), key=lambda index: -scores[index])[:first])
    shares = {"all": len(leading & done.keys()) / len(done)}
    for kind in KINDS:
        own = {index for index, kinds in done.items() if kind in kinds}
        shares[kind] = len(leading & own) / len(own)
    return {name: round(share, 4) for name, share in shares.items()}


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
    counted = Counter(kind for own in done.values() for kind in own)
    options = {"num_train_epochs": given.epochs, "use_cpu": True, "bf16": given.bf16}
    read = emissions_of(wrong, labels, given.encoder, given.folds, options)
    scores = scores_of(wrong, labels, read)
    rng = random.Random(SEED)
    scores["random"] = [rng.random() for _ in wrong]
    first = round(SHARE * len(wrong))
    result = {"sentences": len(wrong), "damaged_sentences": len(done), "damaged": dict(counted), "first": first}
    result |= {"folds": given.folds, "epochs": given.epochs, "encoder": Path(given.encoder).parent.name}
    result["found"] = {name: found_in(values, done, first) for name, values in scores.items()}
    for name, found in result["found"].items():
        print(f"{name:<40} {found}")
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
