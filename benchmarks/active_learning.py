"""Whether labelling what `bert-crf suggest` asks for is worth more than labelling at random.

    python benchmarks/active_learning.py DATA_SET ENCODER [--by entropy probability margin]

DATA_SET is a folder with train.conll and test.conll; ENCODER a pretrained encoder. A pool of 1,500 training
sentences is drawn. In the first round 200 of them, drawn at random, are labelled, the same for all strategies; in each
of three further rounds a tagger that was trained on what is labelled so far ranks the rest, and 200 more are labelled.
After each round a tagger is trained anew on all of it, and scored on test. Three seeds draw pool and first round.

A run is some minutes' work on one thread. Its figures stand in benchmarks/active_learning.json, round by round; a
queue that was stopped goes on where it was. Taggers read in bfloat16, to spare time. At the end a table is printed,
and the curves are drawn in docs/images/active_learning.svg.
"""

import argparse
import json
import os
import random
import sys
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from matplotlib import pyplot

from modeling_bert_crf import BiLSTMCRFPipeline
from modeling_bert_crf.fitting.places import places_of
from modeling_bert_crf.readers.files import read_conll
from modeling_bert_crf.readers.sentences import Sentence
from modeling_bert_crf.readers.tags import find_labels
from modeling_bert_crf.schemes import tags_to_spans
from modeling_bert_crf.suggestions.folds import train_tagger
from modeling_bert_crf.suggestions.recipe import Recipe
from modeling_bert_crf.suggestions.uncertainty import BY, entities_of, uncertainty
from modeling_bert_crf.suggestions.variety import varied

RESULTS = Path(__file__).with_suffix(".json")
SEEDS = (42, 43, 44)
POOL, ROUND, ROUNDS = 1500, 200, 4
OPTIONS = {"num_train_epochs": 5, "per_device_train_batch_size": 8, "use_cpu": True, "bf16": True}
FIRST: dict[int, BiLSTMCRFPipeline] = {}
"""The tagger of the first round, by seed."""


def chains_of(tagger: BiLSTMCRFPipeline, sentences: Sequence[Sentence]) -> list[list[dict[str, Any]]]:
    """Return the two best paths of each sentence."""
    return tagger([one.words for one in sentences], is_split_into_words=True, num_paths=2)


def f1_of(tagger: BiLSTMCRFPipeline, sentences: Sequence[Sentence]) -> float:
    """Score a tagger's best paths, strictly."""
    right = found = there = 0
    for one, chains in zip(sentences, chains_of(tagger, sentences), strict=True):
        own = {(entity["start"], entity["end"], entity["entity_group"]) for entity in entities_of(chains)}
        gold = places_of(one.words, tags_to_spans(one.tags, "IOB2"))
        right, found, there = right + len(own & gold), found + len(own), there + len(gold)
    return 2 * right / max(1, found + there)


def order_of(strategy: str, tagger: Any, rest: Sequence[Sentence], rng: random.Random) -> list[int]:
    """Rank what is not labelled yet, as `bert-crf suggest --by` does, or at random."""
    if strategy == "random":
        return rng.sample(range(len(rest)), len(rest))
    scores = [uncertainty(chains, strategy) for chains in chains_of(tagger, rest)]
    return varied([one.words for one in rest], sorted(range(len(rest)), key=lambda index: -scores[index]))


def run(
    strategy: str, seed: int, train: Sequence[Sentence], test: Sequence[Sentence], encoder: str
) -> list[dict[str, Any]]:
    """Label four rounds; say of each what was labelled and what the tagger's F1 then was."""
    rng = random.Random(seed)
    labels = find_labels(train, "IOB2")
    pool = rng.sample(list(train), POOL)
    labelled, rest = pool[:ROUND], pool[ROUND:]
    rounds: list[dict[str, Any]] = []
    for number in range(1, ROUNDS + 1):
        if number == 1 and seed in FIRST:  # the same for all strategies
            tagger = FIRST[seed]
        else:
            tagger = train_tagger(labelled, "IOB2", labels, Recipe(encoder, OPTIONS | {"seed": seed}, ""))
            FIRST.setdefault(seed, tagger)
        rounds.append(
            {
                "sentences": len(labelled),
                "words": sum(len(one.words) for one in labelled),
                "entities": sum(len(tags_to_spans(one.tags, "IOB2")) for one in labelled),
                "f1": round(f1_of(tagger, test), 4),
            }
        )
        print(f"  {strategy}, seed {seed}, round {number}: {rounds[-1]}", flush=True)
        if number < ROUNDS:
            order = order_of(strategy, tagger, rest, rng)
            labelled = labelled + [rest[index] for index in order[:ROUND]]
            rest = [rest[index] for index in sorted(order[ROUND:])]
    return rounds


def summary(runs: dict[str, dict[str, Any]]) -> dict[str, list[float]]:
    """Return each strategy's F1 by round, the mean of its seeds, and at the end the mean of rounds 2 to 4."""
    table = {}
    for strategy, seeds in runs.items():
        means = [mean(one[number]["f1"] for one in seeds.values()) for number in range(ROUNDS)]
        table[strategy] = [round(value, 4) for value in [*means, mean(means[1:])]]
    return table


def table(means: dict[str, list[float]]) -> Iterator[str]:
    """Write the means as a table of the docs."""
    yield (
        "| choice | "
        + " | ".join(f"{ROUND * number} sentences" for number in range(1, ROUNDS + 1))
        + " | rounds 2 to 4 |"
    )
    yield "|---|" + "--:|" * (ROUNDS + 1)
    for strategy, values in means.items():
        yield f"| {strategy} | " + " | ".join(f"{100 * value:.1f}" for value in values) + " |"


def draw(runs: dict[str, dict[str, Any]], path: Path) -> None:
    """Draw the mean of the seeds, round by round, in colours that can be seen on light and on dark."""
    figure, axes = pyplot.subplots(figsize=(6.2, 3.4))
    grey = "#7a828e"
    for (strategy, values), colour in zip(
        summary(runs).items(), (grey, "#2f81f7", "#d29922", "#3fb950"), strict=False
    ):
        sizes = [ROUND * number for number in range(1, ROUNDS + 1)]
        axes.plot(sizes, [100 * value for value in values[:-1]], marker="o", color=colour, label=strategy)
    axes.set(xlabel="labelled sentences", ylabel="F1 on test", xticks=sizes)
    axes.tick_params(colors=grey)
    axes.xaxis.label.set_color(grey)
    axes.yaxis.label.set_color(grey)
    axes.spines[:].set_color(grey)
    axes.legend(frameon=False, labelcolor=grey)
    figure.savefig(path, transparent=True, bbox_inches="tight", metadata={"Date": None})


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("encoder")
    parser.add_argument("--by", nargs="+", default=[BY[0]], choices=BY, help="rankings to try beside random choice")
    given = parser.parse_args(argv)
    torch.set_num_threads(1)
    train, test = (read_conll(given.data / f"{name}.conll") for name in ("train", "test"))
    for seed, strategy in product(SEEDS, ("random", *given.by)):
        results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"runs": {}}
        own = results["runs"].setdefault(strategy, {})
        if str(seed) in own:
            continue
        own[str(seed)] = run(strategy, seed, train, test, given.encoder)
        results |= {"pool": POOL, "round": ROUND, "options": OPTIONS, "mean_f1": summary(results["runs"])}
        RESULTS.with_suffix(".new").write_text(json.dumps(results, indent=1) + "\n")
        os.replace(RESULTS.with_suffix(".new"), RESULTS)
    runs = json.loads(RESULTS.read_text())["runs"]
    print(*table(summary(runs)), sep="\n")
    draw(runs, RESULTS.parent.parent / "docs/images/active_learning.svg")


if __name__ == "__main__":
    main(sys.argv[1:])
