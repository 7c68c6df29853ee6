"""Rows a second of a corpus job in one process and in two, a thread each.

    OMP_NUM_THREADS=1 python benchmarks/corpus.py ENCODER [--rows 2000] [--shard_rows 100] [--rounds 3]

ENCODER is a checkpoint of BERT's; the head on it is new, which costs what a trained one costs. Texts have 25 words on
average. Jobs in one process and in two take turns, and the best of each counts, since a machine may have other work. A
rate is that of the second half of a job's shards, when all processes have started: starting takes seconds, whatever
the corpus.
"""

import json
import random
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import torch
import typer
from transformers import AutoTokenizer

from modeling_bert_crf import BiLSTMCRFForTokenClassification
from modeling_bert_crf.corpus.engines import here, in_processes
from modeling_bert_crf.corpus.job import Order, run_job
from modeling_bert_crf.opening.tagger import open_tagger

LABELS = ["O", *(f"{part}-{name}" for name in ("LOC", "MISC", "ORG", "PER") for part in "BI")]
TEXT = "The council of a river town wrote Mirel Orvane letters about old and new bridges near Zask in the rain"


def main(
    encoder: str,
    rows: int = 2000,
    shard_rows: Annotated[int, typer.Option("--shard_rows")] = 100,
    rounds: int = 3,
) -> None:
    """Print the rates, and how many times faster two processes are."""
    torch.set_num_threads(1)
    draw = random.Random(0)
    with TemporaryDirectory() as name:
        folder = Path(name)
        texts = (" ".join(draw.choices(TEXT.split(), k=draw.randint(10, 40))) for _ in range(rows))
        (folder / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        tokenizer = AutoTokenizer.from_pretrained(encoder)
        BiLSTMCRFForTokenClassification.from_encoder(encoder, LABELS, tokenizer).save_pretrained(folder / "tagger")
        tokenizer.save_pretrained(folder / "tagger")
        tagger = open_tagger(str(folder / "tagger"))
        best = {1: 0.0, 2: 0.0}
        for _ in range(rounds):
            for count in best:
                times: list[tuple[float, float, int]] = []
                engine = here if count == 1 else partial(in_processes, count=count)

                def timed(job, shards, tagger, engine=engine, times=times):
                    for done in engine(job, shards, tagger):
                        times.append((time.perf_counter(), time.process_time(), done.rows))
                        yield done

                inputs, output = [str(folder / "texts.jsonl")], str(folder / "out/")
                order = Order(str(folder / "tagger"), None, "cpu", inputs, output, None, None, {}, shard_rows)
                run_job(replace(order, start_over=True), tagger, timed)
                half = times[len(times) // 2 - 1 :]
                made = sum(one[-1] for one in half[1:])
                rate = made / (half[-1][0] - half[0][0])
                best[count] = max(best[count], rate)
                print(f"{count} process{'es' * (count > 1)}: {rate:,.1f} rows a second", flush=True)
                if count == 1:
                    print(f"{made / (half[-1][1] - half[0][1]):,.1f} rows in a second of the core's time", flush=True)
    print(f"best: {best[1]:,.1f} and {best[2]:,.1f} rows a second, ratio {best[2] / best[1]:.2f}")


if __name__ == "__main__":
    typer.run(main)
