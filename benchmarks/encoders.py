"""The recipe on encoders of other families and sizes, beside the stock softmax at the same budget.

    python benchmarks/encoders.py DATA NAME ENCODER [--only REGEX]     what is left of an encoder's four runs
    python benchmarks/encoders.py --table                              what there is, as a table

DATA is as for `accuracy.py`; NAME is what the table calls ENCODER, a folder or a checkpoint of the Hub. Two epochs,
one seed, the epoch chosen on dev, one thread, bfloat16 by autocast (half the time of float32 where the CPU has it;
the CRF stays in float32). A run leaves one JSON file in benchmarks/encoders/; one that has its
file is skipped, so that the command can be started again.
"""

import argparse
import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
import transformers
from accuracy import System, run

RESULTS = Path(__file__).parent / "encoders"
DATA = ("wnut17", "ncbi_disease")
EPOCHS, SEED = 2, 42
RATES = {"MiniLM (22.7 M)": 1e-4}
"""Encoder rates that are not the host's default, as the recipe chooses them by size; ours and the softmax's alike."""


def run_all(data_folder: Path, name: str, encoder: str, only: str) -> None:
    torch.set_num_threads(1)
    RESULTS.mkdir(exist_ok=True)
    rate = RATES.get(name, 5e-5)
    systems = {"softmax": System(softmax_rate=rate), "default": System(arguments={"learning_rate": rate})}
    for system in systems:
        for data in DATA:
            path = RESULTS / f"{re.sub('[^a-z0-9]+', '_', name.lower()).strip('_')}-{system}-{data}.json"
            if path.exists() or not re.search(only, f"{system} {data}"):
                continue
            print(f"{name}, {system}, {data}", flush=True)
            result = run(data_folder / data, encoder, systems[system], EPOCHS, SEED, bf16=True)
            facts = {"encoder": name, "system": system, "data": data, "learning_rate": rate, "bf16": True}
            versions = {"torch": torch.__version__, "transformers": transformers.__version__}
            whole = path.with_suffix(".new")
            whole.write_text(json.dumps(facts | result | {"versions": versions}) + "\n")
            os.replace(whole, path)
            print(f"  dev {result['dev']['strict']['f1']:.4f}  test {result['test']['strict']['f1']:.4f}", flush=True)


def table() -> str:
    """Draw strict entity F1 of dev and test, in per cent, of all runs that are there."""
    runs = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    found = {(one["encoder"], one["system"], one["data"]): one for one in runs}
    lines = ["| encoder | data | stock softmax, dev / test | this package, dev / test |", "| --- | --- | --- | --- |"]
    for encoder in sorted({one["encoder"] for one in runs}):
        for data in DATA:
            cells = []
            for system in ("softmax", "default"):
                one = found.get((encoder, system, data))
                figures = [f"{100 * one[split]['strict']['f1']:.1f}" for split in ("dev", "test")] if one else ["-"]
                cells.append(" / ".join(figures))
            lines.append(f"| {encoder} | {data} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines)


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("name", nargs="?")
    parser.add_argument("encoder", nargs="?")
    parser.add_argument("--only", default="", help="regular expression on 'SYSTEM DATA'")
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args(argv)
    if arguments.table:
        print(table())
    elif arguments.encoder is None:
        parser.error("DATA, NAME and ENCODER are needed")
    else:
        run_all(arguments.data, arguments.name, arguments.encoder, arguments.only)


if __name__ == "__main__":
    main(sys.argv[1:])
