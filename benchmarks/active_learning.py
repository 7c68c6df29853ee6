"""Whether labelling what `bert-crf suggest` asks for is worth more than labelling at random.

    python benchmarks/active_learning.py DATA_SET ENCODER [--frozen]

DATA_SET is a folder with train.conll, dev.conll and test.conll; ENCODER a pretrained encoder. A pool of 1,500 training
sentences is drawn. In the first round 200 of them, drawn at random, are labelled, the same for all strategies; in each
of three further rounds a tagger that was trained on what is labelled so far ranks the rest, and 200 more are labelled.
After each round a tagger is trained anew on all of it, and scored on test. Three seeds draw pool and first round.

With --frozen the encoder stands still, and its states are made once: so the strategies can be tried, on dev, in a
twentieth of the time. The default was chosen so; the others are then compared as the program trains. Each round's
figures stand in benchmarks/active_learning.json; a run that was stopped goes on.
"""

import argparse
import json
import os
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from modeling_bert_crf import BiLSTMCRFPipeline
from modeling_bert_crf.opening.building import build
from modeling_bert_crf.pipeline_crf import pad
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


class Trained:
    """A tagger that was trained as the program trains."""

    def __init__(self, sentences: Sequence[Sentence], labels: list[str], encoder: str, seed: int):
        self.pipeline = train_tagger(sentences, "IOB2", labels, Recipe(encoder, OPTIONS | {"seed": seed}, ""))

    def chains(self, sentences: Sequence[Sentence]) -> list[list[dict[str, Any]]]:
        """Return the two best paths of each sentence, as the pipeline does."""
        return self.pipeline([one.words for one in sentences], is_split_into_words=True, num_paths=2)


class Frozen:
    """A BiLSTM and a CRF on an encoder that stands still."""

    states: dict[int, Tensor] = {}
    opened: Any = None

    def __init__(self, sentences: Sequence[Sentence], labels: list[str], encoder: str, seed: int):
        from transformers import AutoTokenizer

        torch.manual_seed(seed)
        tokenizer = AutoTokenizer.from_pretrained(encoder)
        from modeling_bert_crf import BiLSTMCRFForTokenClassification

        model = build(BiLSTMCRFForTokenClassification, encoder, labels, tokenizer, {})
        self.pipeline = BiLSTMCRFPipeline(model=model, tokenizer=tokenizer)
        if Frozen.opened is not None:  # its word shapes are drawn anew for each model, and are part of the states
            model.word_shapes.load_state_dict(Frozen.opened)
        Frozen.opened = model.word_shapes.state_dict()
        self._train(sentences, {label: index for index, label in enumerate(labels)}, seed)

    def _states(self, sentences: Sequence[Sentence]) -> list[Tensor]:
        missing = [one for one in sentences if id(one) not in Frozen.states]
        for start in range(0, len(missing), 256):
            block = missing[start : start + 256]
            texts = self.pipeline.preprocess([one.words for one in block], is_split_into_words=True)
            with torch.inference_mode():
                read = self.pipeline._read_windows(texts, None, 512, None)
            Frozen.states |= {id(one): state.clone() for one, state in zip(block, read, strict=True)}
        return [Frozen.states[id(one)] for one in sentences]

    def _train(self, sentences: Sequence[Sentence], ids: dict[str, int], seed: int) -> None:
        model, states = self.pipeline.model, self._states(sentences)
        parameters = [one for name in ("lstm", "classifier", "crf") for one in getattr(model, name).parameters()]
        optimiser = torch.optim.AdamW(parameters, lr=2e-3)
        tags = [torch.tensor([ids[tag] for tag in one.tags]) for one in sentences]
        rng, epochs = random.Random(seed), 15
        schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, epochs)
        model.train()
        for _ in range(epochs):
            order = list(range(len(sentences)))
            rng.shuffle(order)
            for start in range(0, len(order), 16):
                batch = order[start : start + 16]
                grid, mask = pad([states[index] for index in batch])
                gold = pad([tags[index] for index in batch])[0]
                loss = model.crf(model.emit(grid, mask), gold, mask).sum() / mask.sum()
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
            schedule.step()
        model.eval()

    def chains(self, sentences: Sequence[Sentence]) -> list[list[dict[str, Any]]]:
        found = []
        for start in range(0, len(sentences), 256):
            block = sentences[start : start + 256]
            texts = self.pipeline.preprocess([one.words for one in block], is_split_into_words=True)
            states = self._states(block)
            with torch.inference_mode():
                emissions = []
                for state in states:
                    grid, mask = pad([state])
                    emissions.append(self.pipeline.model.emit(grid, mask)[0])
            found += self.pipeline.postprocess(texts, emissions, num_paths=2)
        return found


def f1_of(tagger: Any, sentences: Sequence[Sentence]) -> float:
    """Score a tagger's best paths, strictly."""
    right = found = there = 0
    for one, chains in zip(sentences, tagger.chains(sentences), strict=True):
        starts, start = {}, 0
        for index, word in enumerate(one.words):
            starts[start] = index
            start += len(word) + 1
        own = set()
        for entity in entities_of(chains):
            first = starts[entity["start"]]
            own.add((first, first + entity["word"].count(" ") + 1, entity["entity_group"]))
        gold = set(tags_to_spans(one.tags, "IOB2"))
        right, found, there = right + len(own & gold), found + len(own), there + len(gold)
    return 2 * right / max(1, found + there)


def order_of(strategy: str, tagger: Any, rest: Sequence[Sentence], rng: random.Random) -> list[int]:
    """Rank what is not labelled yet; a strategy is `random`, or one of `BY` with what is done beside."""
    if strategy == "random":
        return rng.sample(range(len(rest)), len(rest))
    by, *more = strategy.split(", ")
    scores = [uncertainty(chains, by) for chains in tagger.chains(rest)]
    if "by word" in more:
        scores = [score / max(1, len(one.words)) for score, one in zip(scores, rest, strict=True)]
    ranking = sorted(range(len(rest)), key=lambda index: -scores[index])
    return ranking if "with copies" in more else varied([one.words for one in rest], ranking)


def run(
    kind: Any, strategy: str, seed: int, train: Sequence[Sentence], test: Sequence[Sentence], encoder: str
) -> list[dict[str, Any]]:
    """Label four rounds; say of each what was labelled and what the tagger's F1 then was."""
    rng = random.Random(seed)
    labels = find_labels(train, "IOB2")
    pool = rng.sample(list(train), POOL)
    labelled, rest = pool[:ROUND], pool[ROUND:]
    rounds = []
    for number in range(1, ROUNDS + 1):
        tagger = kind(labelled, labels, encoder, seed)
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


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("encoder")
    parser.add_argument("--frozen", action="store_true")
    given = parser.parse_args(argv)
    torch.set_num_threads(1)
    train = read_conll(given.data / "train.conll")
    test = read_conll(given.data / ("dev.conll" if given.frozen else "test.conll"))
    name = "frozen encoder, dev" if given.frozen else "test"
    strategies = ["random", *BY]
    if given.frozen:
        strategies += [f"{BY[0]}, by word", f"{BY[0]}, with copies", f"{BY[1]}, by word"]
    for seed in SEEDS:
        for strategy in strategies:
            results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
            own = results.setdefault(name, {}).setdefault(strategy, {})
            if str(seed) in own:
                continue
            own[str(seed)] = run(Frozen if given.frozen else Trained, strategy, seed, train, test, given.encoder)
            RESULTS.with_suffix(".new").write_text(json.dumps(results, indent=1) + "\n")
            os.replace(RESULTS.with_suffix(".new"), RESULTS)


if __name__ == "__main__":
    main(sys.argv[1:])
