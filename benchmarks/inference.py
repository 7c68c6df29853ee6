"""Texts to entities on one CPU thread: how fast, in how much memory, and how soon after the start.

    python benchmarks/inference.py speed OURS STOCK test.conll [--every 4] [--onnx FOLDER] [--json inference.json]
    python benchmarks/inference.py long OURS test.conll [--unit text]
    python benchmarks/inference.py stream [--texts 1000000]

`speed`: OURS is a trained tagger, STOCK a `BertForTokenClassification` on the same encoder, FOLDER what `bert-crf
export` wrote. All tag the same texts, the file's sentences detokenised by simple rules, one after another in a random
order in each round; the least time counts. F1 is strict, by the entities' characters. Start (imports, loading, a first
text) and peak memory are measured in a process of its own for each.

`long`: the peak memory of a process that tags one text of 50,000, 100,000 and 200,000 words.

`stream`: memory while a generator of short texts is tagged by a tiny model.
"""

import json
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

MIB = 2**10  # of getrusage's KiB
Tagger = Callable[[list[str]], list[list[dict[str, Any]]]]
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def load_ours(folder: str, **arguments: Any) -> Tagger:
    import torch
    from transformers import AutoModelForTokenClassification, AutoTokenizer
    from transformers.utils import logging

    from modeling_bert_crf import BiLSTMCRFPipeline

    torch.set_num_threads(1)
    logging.disable_progress_bar()
    model = AutoModelForTokenClassification.from_pretrained(folder)
    return BiLSTMCRFPipeline(model=model, tokenizer=AutoTokenizer.from_pretrained(folder), **arguments)


def load_stock(folder: str, batch_size: int) -> Tagger:
    import torch
    from transformers import pipeline
    from transformers.utils import logging

    torch.set_num_threads(1)
    logging.disable_progress_bar()
    return pipeline("token-classification", model=folder, aggregation_strategy="first", batch_size=batch_size)


def load_onnx(folder: str, int8: bool = False) -> Tagger:
    sys.path.insert(0, folder)  # the export brings its own decoder, without torch
    from runtime import OnnxTagger

    return OnnxTagger(folder, int8=int8, threads=1)


def variants(ours: str, stock: str, onnx: str | None) -> dict[str, Callable[[], Tagger]]:
    """The table's rows: how to load each."""
    rows: dict[str, Callable[[], Tagger]] = {
        f"stock pipeline, batch {size}": lambda size=size: load_stock(stock, size) for size in (1, 8, 32)
    }
    rows["ours, batch 1"] = lambda: load_ours(ours, batch_size=1)
    rows["ours"] = lambda: load_ours(ours)
    if onnx:
        rows["ours, ONNX float32"] = lambda: load_onnx(onnx)
        if any(Path(onnx).glob("*.int8.onnx")):
            rows["ours, ONNX int8"] = lambda: load_onnx(onnx, int8=True)
    return rows


@app.command()
def speed(
    ours: str,
    stock: str,
    file: str,
    onnx: Annotated[str | None, typer.Option(help="An export, for rows of ONNX Runtime.")] = None,
    every: Annotated[int, typer.Option(help="Take each n-th sentence.")] = 1,
    rounds: int = 3,
    only: Annotated[str | None, typer.Option(help="Of the rows, one: load, tag, and print the costs as JSON.")] = None,
    output: Annotated[Path | None, typer.Option("--json", help="Where to write the figures.")] = None,
) -> None:
    """Compare sentences a second, F1, start and memory."""
    start = time.perf_counter()
    rows = variants(ours, stock, onnx)
    if only:
        tagger = rows[only]()
        tagger(["Ada Lovelace wrote to Babbage."])
        costs = {"start_seconds": time.perf_counter() - start}
        tagger(json.loads(sys.stdin.read()))
        print(json.dumps({**costs, "peak_mib": peak()}))
        return
    from modeling_bert_crf.readers.files import read_conll
    from modeling_bert_crf.training.splitter_choice import detokenise

    sentences = read_conll(file)[::every]
    split = [detokenise(sentence.words) for sentence in sentences]
    texts = [text for text, _ in split]
    words = sum(len(sentence.words) for sentence in sentences)
    gold = [characters(offsets, sentence.tags) for (_, offsets), sentence in zip(split, sentences, strict=True)]
    results = {name: {"f1": 0.0, "seconds": float("inf")} for name in rows}
    for name in rows:
        again = [sys.executable, *sys.argv, "--only", name]
        child = subprocess.run(again, input=json.dumps(texts), stdout=subprocess.PIPE, text=True, check=True)
        results[name] |= json.loads(child.stdout.splitlines()[-1])
    taggers = {name: load() for name, load in rows.items()}
    for _ in range(rounds):
        for name in random.sample(list(rows), len(rows)):
            begin = time.perf_counter()
            found = taggers[name](texts)
            results[name]["seconds"] = min(results[name]["seconds"], time.perf_counter() - begin)
            results[name]["f1"] = f1(gold, found)
    report(results, len(texts), words, output)


def report(results: dict[str, dict[str, float]], sentences: int, words: int, output: Path | None) -> None:
    """Print the table, and write the figures."""
    best = min(figures["seconds"] for name, figures in results.items() if name.startswith("stock"))
    print(f"{sentences} sentences, {words} words, one thread")
    print(f"{'':<26}{'sentences/s':>12}{'words/s':>9}{'x best stock':>14}{'F1':>7}{'start s':>9}{'peak MiB':>10}")
    for name, row in results.items():
        row |= {
            "sentences_per_second": sentences / row["seconds"],
            "words_per_second": words / row["seconds"],
            "ratio": best / row["seconds"],
        }
        print(
            f"{name:<26}{row['sentences_per_second']:>12.1f}{row['words_per_second']:>9.0f}{row['ratio']:>14.2f}"
            f"{row['f1']:>7.2f}{row['start_seconds']:>9.1f}{row['peak_mib']:>10.0f}"
        )
    if output:
        output.write_text(json.dumps({"sentences": sentences, "words": words, "rows": results}, indent=1) + "\n")


def characters(offsets: list[tuple[int, int]], tags: list[str]) -> set[tuple[int, int, str]]:
    """The gold entities, by their characters."""
    from modeling_bert_crf.schemes import tags_to_spans

    return {(offsets[start][0], offsets[end - 1][1], kind) for start, end, kind in tags_to_spans(tags, "IOB2")}


def f1(gold: list[set[tuple[int, int, str]]], found: list[list[dict[str, Any]]]) -> float:
    """Percent, over all texts."""
    got = [{(entity["start"], entity["end"], entity["entity_group"]) for entity in entities} for entities in found]
    right = sum(len(wanted & one) for wanted, one in zip(gold, got, strict=True))
    return 200 * right / max(1, sum(map(len, gold)) + sum(map(len, got)))


def peak() -> float:
    """The most memory that this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MIB


@app.command()
def long(
    ours: str,
    file: str,
    unit: Annotated[str, typer.Option(help="What is one chain: sentence or text.")] = "sentence",
    words: Annotated[int | None, typer.Option(help="Of the sizes, one: print the costs as JSON.")] = None,
) -> None:
    """Tag one long text, made of the file's sentences over and over."""
    if words is None:
        for size in (50_000, 100_000, 200_000):
            again = [sys.executable, *sys.argv, "--words", str(size)]
            costs = json.loads(subprocess.run(again, stdout=subprocess.PIPE, text=True, check=True).stdout)
            more = costs["peak"] - costs["before"]
            print(
                f"{size:>9,} words, one chain a {unit}: {more:6.0f} MiB above the model's {costs['before']:.0f}, "
                f"{1024 * more / size:.1f} KiB a word; {costs['seconds']:.0f} s, {costs['entities']} entities",
                flush=True,
            )
        return
    from modeling_bert_crf.readers.files import read_conll
    from modeling_bert_crf.training.splitter_choice import detokenise

    tagger = load_ours(ours)
    tagger.model.config.text_unit = unit
    count, parts = 0, []
    for sentence in cycle(read_conll(file)):
        parts.append(detokenise(sentence.words[: words - count])[0])
        count += len(sentence.words)
        if count >= words:
            break
    tagger(parts[:100])
    before, start = peak(), time.perf_counter()
    found = tagger("\n".join(parts))
    costs = {"before": before, "peak": peak(), "seconds": time.perf_counter() - start, "entities": len(found)}
    print(json.dumps(costs))


@app.command()
def stream(texts: int = 1_000_000) -> None:
    """Tag a generator of short texts with a tiny model, and print the memory on the way."""
    tagger = tiny_tagger()
    sizes = random.Random(0)
    vocabulary = ["Ada", "Paris", "rain", "in", "the", "sang", "."]
    pulled = 0

    def read() -> Iterator[str]:
        nonlocal pulled
        for number in range(1, texts + 1):
            pulled = number
            yield " ".join(sizes.choices(vocabulary, k=sizes.randint(1, 8)))

    ahead, entities, start = 0, 0, time.perf_counter()
    for done, found in enumerate(tagger(read()), start=1):
        ahead = max(ahead, pulled - done)
        entities += len(found)
        if done in (texts // 100, texts // 10, texts // 2, texts):
            now = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20
            seconds = time.perf_counter() - start
            print(f"{done:>9,} texts: {now:.0f} MiB (peak {peak():.0f}), {seconds:.0f} s", flush=True)
    print(f"{entities:,} entities; at most {ahead:,} texts were read ahead")


def tiny_tagger() -> Tagger:
    """An untrained tagger in which Python does most of the work."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizer

    from modeling_bert_crf import BiLSTMCRFForTokenClassification, BiLSTMCRFPipeline

    torch.manual_seed(0)
    torch.set_num_threads(1)
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "Ada", "Paris", "rain", "in", "the", "sang", "."]
    tokenizer = BertTokenizer(
        vocab={token: index for index, token in enumerate(tokens)}, do_lower_case=False, model_max_length=64
    )
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    config = BertConfig(vocab_size=len(tokens), max_position_embeddings=64, initializer_range=1.0, **sizes)
    with TemporaryDirectory() as folder:
        BertModel(config).save_pretrained(folder)
        model = BiLSTMCRFForTokenClassification.from_encoder(folder, ["O", "B-PER", "I-PER"], tokenizer)
    return BiLSTMCRFPipeline(model=model, tokenizer=tokenizer)


if __name__ == "__main__":
    app()
