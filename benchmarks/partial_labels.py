"""Training data that are labelled only in part: what the chain learns from them, and what "missing means O" does.

    python benchmarks/partial_labels.py DATA ENCODER OUT [REGEX]     the runs whose names match, one after another

DATA holds a folder for each data set with train.conll, dev.conll and test.conll. OUT is where runs are kept: one that
is there is not made again, so the command may be stopped, started again, and started twice with two REGEX. Each run is
`bert-crf train` on one thread, with one seed, the same epochs for all runs of a data set, and the epoch chosen on dev,
whose labels are whole. Figures go to benchmarks/partial_labels.json, and no text does.

    full         all labels
    missing      half of the training entities, drawn at random, are unlabelled: their words have the tag O
    partial      the same entities are unlabelled. In a sentence that lost one, the others are known, and each other
                 word is unknown: `_`, or after a known entity all tags but those that go on with it
    halves-missing, halves-partial
                 the sentences are halved at random, and each half is labelled with three types of its own; the second
                 run says so with --annotated_types
    half-1, half-2
                 a tagger for each half and its types. Their counts are added up
"""

import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

EPOCHS = {"wnut17": 3, "ncbi_disease": 2}
SEED = 42
RESULTS = Path(__file__).with_suffix(".json")
PARTS = ("train", "dev", "test")

Sentence = list[tuple[str, str]]
"""Words with their tags, in IOB2."""


def main(data: str, encoder: str, out: str, pattern: str = "") -> None:
    for name, options in runs(Path(data), Path(out)):
        folder = Path(out, name)
        if re.search(pattern, name) and not (folder / "metrics.json").exists():
            print(name, flush=True)
            train(folder, options, encoder)
            summarise(Path(out))


def runs(data: Path, out: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Write the data of all runs, and yield the name of each with its options."""
    for corpus in EPOCHS:
        whole = {part: read(data / corpus / f"{part}.conll") for part in PARTS}
        lost, partial = without_half(whole["train"])
        for name, train_part in (("full", whole["train"]), ("missing", lost), ("partial", partial)):
            yield f"{corpus}-{name}", options_of(corpus, out, name, {**whole, "train": train_part})
        if corpus == "wnut17":
            yield from halves(corpus, whole, out)


def halves(corpus: str, whole: dict[str, list[Sentence]], out: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the runs on sentences that are halved, each half labelled with its own types."""
    rng = random.Random(SEED)
    kinds = sorted({tag[2:] for sentence in whole["train"] for _, tag in sentence if tag != "O"})
    rng.shuffle(kinds)
    order = list(range(len(whole["train"])))
    rng.shuffle(order)
    own = [sorted(kinds[: len(kinds) // 2]), sorted(kinds[len(kinds) // 2 :])]
    numbers = [sorted(order[: len(order) // 2]), sorted(order[len(order) // 2 :])]
    train_parts = [
        [only(whole["train"][number], types) for number in half] for half, types in zip(numbers, own, strict=True)
    ]
    files = [write(out / f"{corpus}-train-half-{number}.conll", part) for number, part in enumerate(train_parts, 1)]
    options = options_of(corpus, out, "full", whole) | {"train_file": [str(file) for file in files]}
    yield f"{corpus}-halves-missing", options
    said = [word for file, types in zip(files, own, strict=True) for word in (str(file), ",".join(types))]
    yield f"{corpus}-halves-partial", options | {"annotated_types": said}
    for number, (part, types) in enumerate(zip(train_parts, own, strict=True), 1):
        mine = {name: [only(sentence, types) for sentence in whole[name]] for name in ("dev", "test")}
        yield f"{corpus}-half-{number}", options_of(corpus, out, f"half-{number}", {"train": part, **mine})


def read(path: Path) -> list[Sentence]:
    blocks = path.read_text("utf-8").split("\n\n")
    return [[tuple(line.split("\t")) for line in block.splitlines()] for block in blocks if block.strip()]


def write(path: Path, sentences: Sequence[Sentence]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "\n\n".join("\n".join("\t".join(pair) for pair in sentence) for sentence in sentences)
    path.write_text(text + "\n", "utf-8")
    return path


def only(sentence: Sentence, kinds: Sequence[str]) -> Sentence:
    """Return a sentence in which other types than these have no labels."""
    return [(word, tag if tag[2:] in kinds else "O") for word, tag in sentence]


def entities(sentence: Sentence) -> list[range]:
    """Return the words of each entity."""
    found: list[range] = []
    for index, (_, tag) in enumerate(sentence):
        if tag.startswith("B-"):
            found.append(range(index, index + 1))
        elif tag != "O":
            found[-1] = range(found[-1].start, index + 1)
    return found


def without_half(sentences: Sequence[Sentence]) -> tuple[list[Sentence], list[Sentence]]:
    """Return sentences of which half of the entities have no labels, once with O in their place, once with sets."""
    rng = random.Random(SEED)
    places = [(number, words) for number, one in enumerate(sentences) for words in entities(one)]
    lost: dict[int, list[range]] = {}
    for number, words in rng.sample(places, len(places) // 2):
        lost.setdefault(number, []).append(words)
    missing, partial = [], []
    for number, sentence in enumerate(sentences):
        mine = lost.get(number, [])
        kept = [words for words in entities(sentence) if words not in mine]
        tags = ["O"] * len(sentence)
        for words in kept:
            tags[words.start : words.stop] = [sentence[index][1] for index in words]
        missing.append([(word, tag) for (word, _), tag in zip(sentence, tags, strict=True)])
        if mine:
            known = {index for words in kept for index in words}
            after = {words.stop: sentence[words.start][1][2:] for words in kept}
            for index in set(range(len(sentence))) - known:
                tags[index] = f"!I-{after[index]}" if index in after else "_"
        partial.append([(word, tag) for (word, _), tag in zip(sentence, tags, strict=True)])
    return missing, partial


def options_of(corpus: str, out: Path, name: str, parts: dict[str, list[Sentence]]) -> dict[str, Any]:
    files = {part: str(write(out / f"{corpus}-{name}-{part}.conll", parts[part])) for part in PARTS}
    splits = {"train_file": files["train"], "validation_file": files["dev"], "test_file": files["test"]}
    return {**splits, "num_train_epochs": EPOCHS[corpus]}


def train(folder: Path, options: dict[str, Any], encoder: str) -> None:
    fixed: dict[str, Any] = {"model_name_or_path": encoder, "output_dir": folder, "seed": SEED}
    if any(folder.glob("checkpoint-*")):  # of a run that was stopped
        fixed["resume_from_checkpoint"] = True
    words = ["--do_train", "--do_eval", "--do_predict", "--use_cpu", "--disable_tqdm", "True"]
    for name, value in (fixed | options).items():
        words += [f"--{name}", *map(str, value if isinstance(value, list) else [value])]
    command = [sys.executable, "-m", "bert_crf_command", "train", *words]
    with open(f"{folder}.log", "w") as log:
        subprocess.run(command, stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True)


def summarise(out: Path) -> None:
    """Write the figures of all runs that are there."""
    found = {path.parent.name: json.loads(path.read_text()) for path in sorted(out.glob("*/metrics.json"))}
    figures = {name: row(metrics["scores"]["test"]) for name, metrics in found.items()}
    both = [figures[name] for name in ("wnut17-half-1", "wnut17-half-2") if name in figures]
    if len(both) == 2:
        figures["wnut17-half-1 and half-2"] = scored(
            *(sum(one[name] for one in both) for name in ("correct", "predicted", "gold"))
        )
    RESULTS.write_text(json.dumps({"epochs": EPOCHS, "seed": SEED, "test": figures}, indent=1) + "\n")


def row(test: dict[str, Any]) -> dict[str, Any]:
    return scored(*(test["errors"][name] for name in ("correct", "predicted", "gold")))


def scored(correct: int, predicted: int, gold: int) -> dict[str, Any]:
    f1 = 2 * correct / max(1, predicted + gold)
    precision, recall = correct / max(1, predicted), correct / max(1, gold)
    shares = {"f1": f1, "precision": precision, "recall": recall}
    counts = {"correct": correct, "predicted": predicted, "gold": gold}
    return {name: round(100 * share, 2) for name, share in shares.items()} | counts


if __name__ == "__main__":
    if not 4 <= len(sys.argv) <= 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
