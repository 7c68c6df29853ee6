"""Heads and recipes against a tuned softmax: the same encoder, epochs, batch and checkpoint rule for all.

    python benchmarks/accuracy.py DATA ENCODER [--only REGEX]      what is left of the queue, one run after another
    python benchmarks/accuracy_table.py                           the tables and the plot, from all runs that are there

DATA holds a folder for each data set with train.conll, dev.conll and test.conll; ENCODER is a BERT checkpoint. A run
is some minutes' work on one thread. It leaves one JSON file in benchmarks/accuracy/, with scores, times and each
sentence's counts of entities, but no text. Start the queue as often as you like, also twice at once: a run that has
its file, or that another process has claimed, is skipped.

Choices are made on dev: the softmax's learning rate, and the epoch whose weights are kept. Test is scored once a run.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import transformers
from torch import nn
from transformers import (
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorForTokenClassification,
    Trainer,
    TrainingArguments,
    set_seed,
)

from modeling_bert_crf import BiLSTMCRFForTokenClassification
from modeling_bert_crf.crf import UNKNOWN, LinearChainCRF
from modeling_bert_crf.readers.files import read_conll
from modeling_bert_crf.readers.tags import find_labels
from modeling_bert_crf.schemes import tags_to_spans
from modeling_bert_crf.scores.metrics import make_compute_metrics, score_tags
from modeling_bert_crf.training.dataset import TaggingCollator, TaggingDataset
from modeling_bert_crf.training.trainer import CRFTrainer
from modeling_bert_crf.training.training_arguments import CRFTrainingArguments

RESULTS = Path(__file__).parent / "accuracy"
EPOCHS = {"wnut17": 4, "ncbi_disease": 3, "uner_danish_ddt": 4}
SEEDS = (42, 43, 44)
RATES = (5e-5, 1e-4, 2e-4, 4e-4, 8e-4)  # of the softmax, from which dev chooses: three, and on while it likes the last
ENCODER_RATE = 1e-4  # ours, for an encoder of MiniLM's size
BATCH = 16


@dataclass
class System:
    """A tagger and how it is trained: the stock token classifier with the host's Trainer, or ours."""

    softmax_rate: float | None = None
    config: dict[str, Any] = field(default_factory=dict)
    arguments: dict[str, Any] = field(default_factory=dict)
    trainer: type[CRFTrainer] = CRFTrainer


def queue() -> Iterator[tuple[str, str, int]]:
    """The runs in the order in which they are wanted: data set, system, seed."""
    yield from ((data, "default", SEEDS[0]) for data in EPOCHS)
    for data in EPOCHS:
        yield from ((data, name, SEEDS[0]) for name in rates_to_try(data))
    for seed in SEEDS[1:]:
        for data in EPOCHS:
            yield data, "default", seed
            if chosen := best_rate(data):
                yield data, chosen, seed
    yield from ((data, name, SEEDS[0]) for name, data in CHANGED)


def rates_to_try(data: str) -> list[str]:
    """The softmax's rates that are wanted: the first three, and the next as long as dev likes the last one best."""
    names = [f"softmax {rate:g}" for rate in RATES]
    wanted = 3
    while wanted < len(names) and best_of(data, names[:wanted]) == names[wanted - 1]:
        wanted += 1
    return names[:wanted]


def best_rate(data: str) -> str | None:
    """The softmax whose rate dev likes best, once all that are wanted have run."""
    return best_of(data, rates_to_try(data))


def best_of(data: str, names: Sequence[str]) -> str | None:
    runs = {name: load(data, name, SEEDS[0]) for name in names}
    return None if None in runs.values() else max(runs, key=lambda name: runs[name]["dev"]["strict"]["f1"])


def file_of(data: str, system: str, seed: int) -> Path:
    return RESULTS / f"{data}-{system.replace(' ', '_')}-{seed}.json"


def load(data: str, system: str, seed: int) -> dict[str, Any] | None:
    path = file_of(data, system, seed)
    return json.loads(path.read_text()) if path.exists() else None


def run_queue(data_folder: Path, encoder: str, only: str) -> None:
    torch.set_num_threads(1)
    RESULTS.mkdir(exist_ok=True)
    head = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(head, cwd=RESULTS.parent, capture_output=True, text=True).stdout.strip()
    versions = {"torch": torch.__version__, "transformers": transformers.__version__, "commit": commit}
    while job := next((job for job in queue() if re.search(only, " ".join(map(str, job))) and claim(*job)), None):
        data, system, seed = job
        print(f"{data}, {system}, seed {seed}", flush=True)
        try:
            result = run(data_folder / data, encoder, SYSTEMS[system], EPOCHS[data], seed) | {"versions": versions}
            whole = file_of(*job).with_suffix(".new")
            whole.write_text(json.dumps(result) + "\n")
            os.replace(whole, file_of(*job))
        finally:
            file_of(*job).with_suffix(".running").unlink()
        print(f"  dev {result['dev']['strict']['f1']:.4f}  test {result['test']['strict']['f1']:.4f}", flush=True)


def claim(data: str, system: str, seed: int) -> bool:
    """Say whether this process may make a run: nobody has made it, or is at it."""
    path = file_of(data, system, seed)
    mark = path.with_suffix(".running")
    if path.exists():
        return False
    if mark.exists() and not Path(f"/proc/{mark.read_text()}").exists():  # left by a process that was stopped
        mark.unlink(missing_ok=True)
    try:
        with mark.open("x") as file:
            file.write(str(os.getpid()))
    except FileExistsError:
        return False
    return True


def run(folder: Path, encoder: str, system: System, epochs: int, seed: int, **options: Any) -> dict[str, Any]:
    """Train one tagger and score it; the default also by the ways of decoding that cost no training.

    `options` are further training arguments of the host, the same for every system.
    """
    set_seed(seed)
    splits = {name: read_conll(folder / f"{name}.conll") for name in ("train", "dev", "test")}
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    labels = find_labels(splits["train"], "IOB2")
    context = system.config.get("context_size", 0)
    datasets = {name: TaggingDataset(split, tokenizer, labels, context_size=context) for name, split in splits.items()}
    output = Path("runs") / f"accuracy-{os.getpid()}"
    make = make_ours if system.softmax_rate is None else make_softmax
    trainer = make(encoder, tokenizer, datasets, system, common(output, epochs, seed) | options)
    start, cpu = time.monotonic(), time.process_time()
    trainer.train()
    seconds = {"train_wall": time.monotonic() - start, "train_cpu": time.process_time() - cpu}
    result: dict[str, Any] = {"epochs": epochs, "batch": BATCH, "seed": seed}
    result["curve"] = [entry["eval_f1"] for entry in trainer.state.log_history if "eval_f1" in entry]
    for name in ("dev", "test"):
        start, cpu = time.monotonic(), time.process_time()
        tags = trainer.tag(datasets[name])[0]
        seconds |= {f"{name}_wall": time.monotonic() - start, f"{name}_cpu": time.process_time() - cpu}
        result[name] = score(datasets[name].gold, tags)
    if system is SYSTEMS["default"]:
        for way, decode in WAYS_TO_DECODE.items():
            with decode(trainer.model):
                result[way] = {
                    name: score(datasets[name].gold, trainer.tag(datasets[name])[0]) for name in ("dev", "test")
                }
    shutil.rmtree(output)
    return result | {"seconds": seconds, "words": {name: sum(len(s.words) for s in splits[name]) for name in splits}}


def score(gold: Sequence[list[str]], tags: Sequence[list[str]]) -> dict[str, Any]:
    return score_tags(gold, tags, "IOB2") | {"counts": count(gold, tags)}


def by_marginals(model: BiLSTMCRFForTokenClassification) -> AbstractContextManager[Any]:
    """Decode the tagging with the most right tags to be expected."""
    return patch.object(model.crf, "decode", model.crf.decode_by_marginals)


def without_constraints(model: BiLSTMCRFForTokenClassification) -> AbstractContextManager[Any]:
    """Decode paths that the tag scheme forbids, too."""
    free = LinearChainCRF(model.config.num_labels)
    free.load_state_dict(model.crf.state_dict())
    return patch.object(model.crf, "decode", free.decode)


WAYS_TO_DECODE = {"by marginals": by_marginals, "without constraints": without_constraints}


def common(output: Path, epochs: int, seed: int) -> dict[str, Any]:
    options: dict[str, Any] = {"output_dir": str(output), "num_train_epochs": epochs, "seed": seed, "use_cpu": True}
    options |= {"per_device_train_batch_size": BATCH, "per_device_eval_batch_size": 32, "disable_tqdm": True}
    options |= {"eval_strategy": "epoch", "save_strategy": "epoch", "save_total_limit": 1, "save_only_model": True}
    options |= {"load_best_model_at_end": True, "metric_for_best_model": "f1", "greater_is_better": True}
    return options | {"weight_decay": 0.01, "warmup_steps": 0.1, "logging_steps": 1000}


def make_ours(
    encoder: str, tokenizer: Any, datasets: dict[str, TaggingDataset], system: System, options: dict[str, Any]
) -> CRFTrainer:
    model = BiLSTMCRFForTokenClassification.from_encoder(encoder, datasets["train"].labels, tokenizer, **system.config)
    return system.trainer(
        model=model,
        args=CRFTrainingArguments(**options | {"learning_rate": ENCODER_RATE} | system.arguments),
        train_dataset=datasets["train"],
        eval_dataset=datasets["dev"],
        data_collator=TaggingCollator(tokenizer.pad_token_id),
    )


class LayerDecayTrainer(CRFTrainer):
    """Each encoder layer at 0.9 of the rate of the layer above it, the embeddings at the lowest."""

    def parameter_groups(self, model: nn.Module) -> list[dict[str, Any]]:
        layers = model.config.num_hidden_layers
        below = {
            parameter: layers - 1 - int(found[1]) if (found := re.search(r"layer\.(\d+)\.", name)) else layers
            for name, parameter in model.base_model.named_parameters()
        }
        groups = []
        for group in super().parameter_groups(model):
            if not group["name"].startswith("encoder"):
                groups.append(group)
                continue
            for depth in range(layers + 1):
                own = [parameter for parameter in group["params"] if below[parameter] == depth]
                groups.append(group | {"params": own, "lr": group["lr"] * 0.9**depth})
        return groups


class SoftmaxTrainer(Trainer):
    """The host's Trainer, with the way from argmax to the tags of words."""

    def tag(self, dataset: TaggingDataset) -> tuple[list[list[str]]]:
        predicted = self.predict(dataset).predictions.argmax(-1)
        for row, path in zip(dataset, predicted, strict=True):
            words = np.array(row["word_mask"], dtype=bool)
            path[: len(words)][~words] = UNKNOWN
            path[len(words) :] = UNKNOWN
        return (dataset.tags_of(predicted),)


def make_softmax(
    encoder: str, tokenizer: Any, datasets: dict[str, TaggingDataset], system: System, options: dict[str, Any]
) -> SoftmaxTrainer:
    labels = datasets["train"].labels
    names = {"id2label": dict(enumerate(labels)), "label2id": {label: index for index, label in enumerate(labels)}}

    def compute_metrics(prediction: Any) -> dict[str, float]:
        prediction.predictions = prediction.predictions.argmax(-1)
        return make_compute_metrics(labels)(prediction)

    return SoftmaxTrainer(
        model=AutoModelForTokenClassification.from_pretrained(encoder, **names),
        args=TrainingArguments(**options, learning_rate=system.softmax_rate, dataloader_pin_memory=False),
        train_dataset=datasets["train"],
        eval_dataset=datasets["dev"],
        data_collator=DataCollatorForTokenClassification(tokenizer),
        compute_metrics=compute_metrics,
    )


SYSTEMS = {f"softmax {rate:g}": System(softmax_rate=rate) for rate in RATES} | {
    "default": System(),
    "no BiLSTM": System(config={"num_lstm_layers": 0}),
    # Transitions that stay 0 and forbid nothing leave each word a softmax of its own.
    "no CRF": System(config={"tag_scheme": None}, arguments={"crf_learning_rate": 0.0}),
    "no word shape": System(config={"word_shape_size": 0}),
    "no frozen start": System(arguments={"frozen_steps": 0.0}),
    "one learning rate": System(arguments={"head_learning_rate": ENCODER_RATE, "crf_learning_rate": ENCODER_RATE}),
    "context 64": System(config={"context_size": 64}),
    "layer decay 0.9": System(trainer=LayerDecayTrainer),
}
TWO = ("wnut17", "ncbi_disease")
CHANGED = [
    *product(("no BiLSTM", "no CRF", "no word shape", "no frozen start", "one learning rate"), TWO),
    ("context 64", "ncbi_disease"),  # of the others the sentences stand in no order
    ("no word shape", "uner_danish_ddt"),  # the most capitals that the tokenizer takes away
    *product(("layer decay 0.9",), TWO),
]
"""One part of the default left out or added: one run each."""


def count(gold: Sequence[list[str]], predicted: Sequence[list[str]]) -> list[list[int]]:
    """Count each sentence's entities, strictly: found and right, found, in the gold data."""
    counts = []
    for wanted, found in zip(gold, predicted, strict=True):
        # An entity that an I- opens is none.
        spans = {span for span in tags_to_spans(found, "IOB2") if found[span[0]].startswith("B-")}
        truth = set(tags_to_spans(wanted, "IOB2"))
        counts.append([len(spans & truth), len(spans), len(truth)])
    return counts


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("encoder")
    parser.add_argument("--only", default="", help="regular expression on 'DATA SYSTEM SEED'")
    arguments = parser.parse_args(argv)
    run_queue(arguments.data, arguments.encoder, arguments.only)


if __name__ == "__main__":
    main(sys.argv[1:])
