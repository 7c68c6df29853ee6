"""What a training step costs: ours against the stock softmax, and against our model with a pytorch-crf head.

    python benchmarks/training_speed.py ENCODER [rounds, 20]
    python benchmarks/training_speed.py ENCODER train.conll [every, 4]      every fourth batch of an epoch

Steps: all models take the same batch of 16 rows of 64 sub-tokens in one process and one thread, one after another, in
a random order in each round: forward, backward, AdamW. Prints the minimum over the rounds of each, and the ratios.

Epoch: the stock script's batches, in a random order with the stock collator, against ours; in turn, and summed.
"""

import random
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torchcrf import CRF
from transformers import AutoModelForTokenClassification, AutoTokenizer, DataCollatorForTokenClassification
from transformers.utils import logging

from modeling_bert_crf import BiLSTMCRFForTokenClassification
from modeling_bert_crf.crf import UNKNOWN
from modeling_bert_crf.readers.files import read_conll
from modeling_bert_crf.training.batch_order import EpochLengthSampler
from modeling_bert_crf.training.dataset import TaggingCollator, TaggingDataset

LABELS = ["O", *(f"{prefix}-{kind}" for kind in "ABCD" for prefix in "BI")]
ROWS, LENGTH = 16, 64


class PytorchCRF(nn.Module):
    """Our model with the head that people build by hand: the CRF of pytorch-crf over the same words."""

    def __init__(self, model: BiLSTMCRFForTokenClassification):
        super().__init__()
        self.model, self.crf = model, CRF(len(LABELS), batch_first=True)

    def forward(self, labels: Tensor, **batch: Tensor) -> Tensor:
        words, mask = self.model.encode(**batch)
        tags = labels[labels != UNKNOWN].split(mask.sum(1).tolist())
        tags = nn.utils.rnn.pad_sequence(tags, batch_first=True)
        return -self.crf(self.model.emit(words, mask), tags, mask=mask, reduction="token_mean")


def make_batch(vocab_size: int) -> dict[str, Tensor]:
    """A full batch: every row as long as it can be, three sub-tokens in four begin a word."""
    word_mask = torch.rand(ROWS, LENGTH) < 0.75
    word_mask[:, [0, -1]] = False
    labels = torch.where(word_mask, torch.randint(0, 2, (ROWS, LENGTH)), UNKNOWN)  # O and B-A: legal anywhere
    ids = torch.randint(1000, vocab_size, (ROWS, LENGTH))
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "word_mask": word_mask.long(), "labels": labels}


def step_of(model: nn.Module, loss_of: Callable[[], Tensor]) -> Callable[[], None]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)

    def step() -> None:
        loss_of().backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def steps(encoder: str, rounds: int) -> None:
    torch.set_num_threads(1)
    softmax = AutoModelForTokenClassification.from_pretrained(encoder, num_labels=len(LABELS)).train()
    variants: dict[str, dict[str, Any]] = {"ours": {}, "without BiLSTM": {"num_lstm_layers": 0}}
    taggers = {
        name: BiLSTMCRFForTokenClassification.from_encoder(encoder, LABELS, **config).train()
        for name, config in variants.items()
    }
    by_hand = PytorchCRF(BiLSTMCRFForTokenClassification.from_encoder(encoder, LABELS)).train()
    batch = make_batch(softmax.config.vocab_size)
    stock = {name: values for name, values in batch.items() if name != "word_mask"}
    work = {"stock softmax": step_of(softmax, lambda: softmax(**stock).loss)}
    for name, model in taggers.items():
        work[name] = step_of(model, lambda model=model: model(**batch).loss)
    work["ours with pytorch-crf"] = step_of(by_hand, lambda: by_hand(**batch))
    best = dict.fromkeys(work, float("inf"))
    for _ in range(rounds):
        for name in random.sample(list(work), len(work)):
            start = time.perf_counter()
            work[name]()
            best[name] = min(best[name], time.perf_counter() - start)
    print(f"{ROWS} x {LENGTH} sub-tokens, minimum of {rounds} rounds")
    for name, seconds in best.items():
        print(f"{name:<24} {1000 * seconds:8.1f} ms   {seconds / best['stock softmax']:.3f} of the stock softmax")


def epoch(encoder: str, path: str, every: int, batch: int = 16) -> None:
    """Time every n-th batch of an epoch: the stock's, ours in the stock's random order, and ours of like length."""
    torch.set_num_threads(1)
    sentences = read_conll(path)
    labels = sorted({tag for sentence in sentences for tag in sentence.tags})
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    dataset = TaggingDataset(sentences, tokenizer, labels)
    softmax = AutoModelForTokenClassification.from_pretrained(encoder, num_labels=len(labels)).train()
    tagger = BiLSTMCRFForTokenClassification.from_encoder(encoder, labels, tokenizer).train()
    stock, ours = DataCollatorForTokenClassification(tokenizer), TaggingCollator(tokenizer.pad_token_id)
    mixed = random.Random(0).sample(range(len(dataset)), len(dataset))
    alike = list(EpochLengthSampler(batch, dataset.lengths, seed=0))
    systems = {
        "stock softmax": (softmax, mixed, stock, ("input_ids", "labels")),
        "ours, random order": (tagger, mixed, ours, tuple(dataset[0])),
        "ours": (tagger, alike, ours, tuple(dataset[0])),
    }
    inputs: dict[str, Any] = {}
    work = {
        name: step_of(model, lambda model=model, name=name: model(**inputs[name]).loss)
        for name, (model, *_) in systems.items()
    }
    seconds, fed = dict.fromkeys(systems, 0.0), dict.fromkeys(systems, 0)
    for start in range(0, len(dataset), batch * every):
        for name in random.sample(list(systems), len(systems)):
            _, order, collator, columns = systems[name]
            rows = [dataset[index] for index in order[start : start + batch]]
            begin = time.perf_counter()
            inputs[name] = collator([{column: row[column] for column in columns} for row in rows])
            work[name]()
            seconds[name] += time.perf_counter() - begin
            fed[name] += inputs[name]["input_ids"].numel()
    print(
        f"every {every}. batch of {batch} sentences, {len(dataset):,} sentences, {sum(dataset.lengths):,} sub-tokens"
    )
    for name, spent in seconds.items():
        share = spent / seconds["stock softmax"]
        print(f"{name:<20} {fed[name]:>8,} sub-tokens fed  {spent:7.1f} s   {share:.3f} of the stock softmax")


def main(encoder: str, what: str = "20", every: str = "4") -> None:
    logging.set_verbosity_error()
    if what.isdigit():
        steps(encoder, int(what))
    else:
        epoch(encoder, what, int(every))


if __name__ == "__main__":
    main(*sys.argv[1:])
