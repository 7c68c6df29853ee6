"""A chain over stock softmax taggers that are trained already, beside the other ways to decode them.

    python benchmarks/wrap.py DATA ENCODER CACHE [--only REGEX]     what is left of the data sets
    python benchmarks/wrap.py --table                               what there is, as tables

DATA is as for `accuracy.py`; ENCODER is a BERT checkpoint. CACHE is a folder for the taggers, three for each data set,
`stock-<data set>-<seed>`. Those that are not there yet are trained: by `make_softmax` of `accuracy.py`, two epochs at
a rate of 1e-4, one thread, bfloat16 by autocast. Nothing is chosen on dev, so that dev is new to them. Then every way
to decode is tried on test; the chain is fitted to one half of dev and tried on test, for several random halves. A run
leaves one JSON file for each tagger in benchmarks/wrap/, without text; one that has its file is skipped.
"""

import argparse
import itertools
import json
import os
import random
import re
import shutil
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from accuracy import EPOCHS, System, common, make_softmax
from transformers import AutoTokenizer, pipeline, set_seed

from modeling_bert_crf import BiLSTMCRFPipeline
from modeling_bert_crf.doors.files import whole
from modeling_bert_crf.fitting.chains import Reading, read_sentences
from modeling_bert_crf.fitting.choice import choose
from modeling_bert_crf.fitting.comparison import Row, StockPipeline, by_chain, by_stock_pipeline, word_by_word
from modeling_bert_crf.fitting.likelihood import unfitted
from modeling_bert_crf.fitting.paths import Counts, Reader
from modeling_bert_crf.opening.tagger import open_stock
from modeling_bert_crf.readers.files import read_conll
from modeling_bert_crf.readers.tags import find_labels
from modeling_bert_crf.scores.calibration import calibration_error
from modeling_bert_crf.training.dataset import TaggingDataset

RESULTS = Path(__file__).parent / "wrap"
SEEDS, RATE, TRAINED_EPOCHS = (42, 43, 44), 1e-4, 2
HALVES = 6
"""How many random halves of dev the chain is fitted to, one after another; each dev is halved three times."""


def train(data: Path, encoder: str, seed: int, folder: Path) -> None:
    """Train a stock softmax tagger, and save it."""
    set_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    splits = {name: read_conll(data / f"{name}.conll") for name in ("train", "dev")}
    labels = find_labels(splits["train"], "IOB2")
    datasets = {name: TaggingDataset(split, tokenizer, labels) for name, split in splits.items()}
    scratch = Path("runs") / f"wrap-{os.getpid()}"
    options = common(scratch, TRAINED_EPOCHS, seed) | {"bf16": True}
    options |= {"eval_strategy": "no", "save_strategy": "no", "load_best_model_at_end": False}
    trainer = make_softmax(encoder, tokenizer, datasets, System(softmax_rate=RATE), options)
    trainer.train()
    with whole(folder) as new:
        trainer.model.save_pretrained(new)
        tokenizer.save_pretrained(new)
    shutil.rmtree(scratch, ignore_errors=True)


def as_dictionary(row: Row) -> dict[str, Any]:
    found = {"way": row.name, **row.counts._asdict(), "f1": row.counts.f1, "illegal": row.illegal}
    return found | {"calibration_error": calibration_error(row.confidences) if row.confidences else None}


def decode(data: Path, stock: Path) -> dict[str, Any]:
    """Try all ways to decode a tagger on test, and fits of its chain to halves of dev."""
    model, tokenizer = open_stock(str(stock))
    tagger, config = BiLSTMCRFPipeline(model=model, tokenizer=tokenizer), model.config
    reader = Reader(config.labels, config.span_scheme, model.crf)
    dev, test = (read_sentences(tagger, read_conll(data / f"{name}.conll"), "IOB2") for name in ("dev", "test"))
    host = pipeline("token-classification", model=str(stock), pipeline_class=StockPipeline)
    rows = word_by_word(test.tags, test.gold, config.span_scheme, config.scheme)
    rows += by_stock_pipeline(host, test.sentences, config.span_scheme)
    plain = by_chain("chain, not fitted", test.chains, reader, unfitted(model.crf), {})
    rows += [plain, likely(plain)]
    fits = [fit_half(dev, test, reader, seed) for seed in range(HALVES)]
    return {"sentences": len(test.sentences), "rows": list(map(as_dictionary, rows)), "fits": fits}


def likely(row: Row) -> Row:
    """Return what is left of a row by `threshold=0.5`: entities that are more likely right than wrong."""
    kept = [one for one in row.confidences if one[0] >= 0.5]
    counts = Counts(sum(right for _, right in kept), len(kept), row.counts.gold)
    return Row(f"{row.name}, threshold 0.5", counts, row.illegal, kept)


def fit_half(dev: Reading, test: Reading, reader: Reader, seed: int) -> dict[str, Any]:
    """Fit a chain to one half of dev; seeds 0 and 1 take the halves of one parting, 2 and 3 those of the next."""
    order = list(range(len(dev.sentences)))
    random.Random(seed // 2).shuffle(order)
    half = dev.chains.of(sorted(order[seed % 2 :: 2]))
    start, cpu = time.monotonic(), time.process_time()
    choice = choose(half, reader.rules, reader.labels, reader.scheme)
    seconds = {"wall": time.monotonic() - start, "cpu": time.process_time() - cpu}
    row = by_chain("chain, fitted", test.chains, reader, choice.fit, choice.biases)
    return {
        **as_dictionary(row),
        "chosen": choice.chosen.name,
        "biases": choice.biases,
        "temperature": choice.fit.temperature,
        "seconds": seconds,
    }


def run_all(data_folder: Path, encoder: str, cache: Path, only: str) -> None:
    torch.set_num_threads(1)
    RESULTS.mkdir(exist_ok=True)
    for data, seed in itertools.product(EPOCHS, SEEDS):
        name = f"{data}-{seed}"
        path = RESULTS / f"{name}.json"
        if path.exists() or not re.search(only, name):
            continue
        stock = cache / f"stock-{name}"
        if not stock.exists():
            print(f"{name}: training", flush=True)
            train(data_folder / data, encoder, seed, stock)
        print(f"{name}: decoding", flush=True)
        versions = {"torch": torch.__version__, "transformers": transformers.__version__}
        result = {"data": data, "seed": seed, **decode(data_folder / data, stock), "versions": versions}
        new = path.with_suffix(".new")
        new.write_text(json.dumps(result, indent=1) + "\n")
        os.replace(new, path)


def table() -> str:
    """Draw strict F1 in per cent, calibration error and illegal tags on test: means over the taggers of a data set."""
    results = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    sets = {data: [one for one in results if one["data"] == data] for data in EPOCHS}
    heading = " | ".join(f"{data}: F1, calibration error, illegal" for data in sets)
    lines = [f"| way to decode, mean of {len(SEEDS)} taggers | {heading} |", "| --- |" + " --- |" * len(sets)]
    for place, row in enumerate(results[0]["rows"]):
        cells = [cell([one["rows"][place] for one in group]) for group in sets.values()]
        lines.append(f"| {row['way']} | {' | '.join(cells)} |")
    cells = [cell([fit for one in group for fit in one["fits"]]) for group in sets.values()]
    lines.append(f"| chain, fitted to half of dev, mean of {HALVES} halves | {' | '.join(cells)} |")
    gains = [
        [fit["f1"] - of(one, "chain, not fitted") for one in group for fit in one["fits"]] for group in sets.values()
    ]
    for name, summary in (("lowest", min), ("highest", max)):
        cells = [f"{100 * summary(group):+.2f}" for group in gains]
        lines.append(f"| what a fit changes on test, {name} | {' | '.join(cells)} |")
    slowest = max(fit["seconds"]["cpu"] for one in results for fit in one["fits"])
    return "\n".join([*lines, "", f"The slowest of the fits took {slowest:.1f} s of CPU."])


def of(result: dict[str, Any], way: str) -> float:
    return next(row["f1"] for row in result["rows"] if row["way"] == way)


def cell(rows: list[dict[str, Any]]) -> str:
    shown = [f"{100 * statistics.fmean(row['f1'] for row in rows):.2f}"]
    for name, form in (("calibration_error", ".3f"), ("illegal", ".0f")):
        known = [row[name] for row in rows if row[name] is not None]
        shown.append(format(statistics.fmean(known), form) if known else "-")
    return ", ".join(shown)


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("encoder", nargs="?")
    parser.add_argument("cache", type=Path, nargs="?")
    parser.add_argument("--only", default="", help="regular expression on the name of the data set")
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args(argv)
    if arguments.table:
        print(table())
    elif arguments.cache is None:
        parser.error("DATA, ENCODER and CACHE are needed")
    else:
        run_all(arguments.data, arguments.encoder, arguments.cache, arguments.only)


if __name__ == "__main__":
    main(sys.argv[1:])
