"""How fast texts with spans are read, and in how much memory: each format beside `json.loads` and the splitter.

    python benchmarks/reading.py [--documents 100000] [--only REGEX]

writes invented documents of 1 kB in each format into a temporary folder, reads them as a run does (to words, tags and
sentences, with the splitter of Unicode's words), and prints a line for each: documents a second; the share of the
speed at which the same texts are read by `json.loads` from JSON lines and split into words and sentences; and by how
many MB the most memory of the process grows. The formats are read one after the other in one process; --only reads
those whose names match.
"""

import argparse
import json
import multiprocessing
import random
import re
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from exports import brat, exports_of

from modeling_bert_crf.readers.files import read_file
from modeling_bert_crf.splitters import split_sentences, split_texts

NAMES = {"PER": ["Ada Lovelace", "Zoe O'Neill", "Jean-Paul"], "LOC": ["Oslo", "Tr\u00e6l\u00f8y"], "ORG": ["AT&T"]}
WORDS = ["the", "rain", "in", "spring", "was", "heavy", "and", "nobody", "went", "out,", "since", "it", "cold;"]
WORDS += ["later", "they", "met,", "(once)", "sang"]


def documents(count: int) -> Iterator[tuple[str, list[tuple[int, int, str]]]]:
    """Yield invented texts of 1,000 characters or a few more, each with ten to twenty spans."""
    draw = random.Random(0)
    for _ in range(count):
        text, spans = "", []
        while len(text) < 1000:
            if draw.random() < 0.08:
                kind = draw.choice(list(NAMES))
                name = draw.choice(NAMES[kind])
                spans.append((len(text), len(text) + len(name), kind))
                text += name
            else:
                text += draw.choice(WORDS)
            text += draw.choice([" ", " ", " ", " ", " ", " ", ". "])
        yield text, spans


def grown() -> float:
    """Return the largest memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def read(path: Path, splits: bool) -> tuple[float, float]:
    """Return the seconds of the processor, and the MB, that reading a path takes; `splits` reads it by hand."""
    before, start = grown(), time.process_time()
    if splits:
        with path.open(encoding="utf-8") as file:
            for line in file:
                text = json.loads(line)["text"]
                split_sentences(text, split_texts(None, [text], "unicode_words")[0])
    else:
        for _ in read_file(path):
            pass
    return time.process_time() - start, grown() - before


def main() -> None:
    """Write, read and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--only", default="", help="regular expression on the names of the formats")
    given = parser.parse_args()
    count = given.documents
    alone = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as temporary:
        data, folder = list(documents(count)), Path(temporary)
        paths = {}
        for name, (file, text) in exports_of(data).items():
            paths[name] = folder / f"{name}-{file}".replace(" ", "-")
            paths[name].write_text(text, encoding="utf-8")
        paths["brat"] = brat(folder / "brat", data)
        with alone.Pool(1) as pool:
            base, _ = pool.apply(read, (paths["plain"], True))
            print(f"{'json.loads and the splitter':28} {count / base:8,.0f} documents a second")
            for name, path in paths.items():
                if not re.search(given.only, name):
                    continue
                seconds, memory = pool.apply(read, (path, False))
                print(f"{name:28} {count / seconds:8,.0f} {base / seconds:6.2f} of that {memory:8.1f} MB")


if __name__ == "__main__":
    main()
