"""Damage files of every format at random, and read them: each is read, or refused in one sentence that names it.

    python tests/fuzz_readers.py [--minutes 10] [--seed 0]

Bytes are flipped, cut out, doubled and moved, tokens of JSON and XML put in each other's places, numbers changed, and
the files of two formats joined. Whatever else happens than a reading or a `DataError` of one line with the file's name
is printed with the seed that made it, and makes the exit status 1.
"""

import argparse
import logging
import random
import re
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

from exports import brat, exports_of

from modeling_bert_crf.readers.files import read_file
from modeling_bert_crf.readers.sentences import DataError

DATA = [
    ("Ada met Zoe\u0308 in Oslo.\nIt rained, \U0001f327 all day.", [(0, 3, "PER"), (8, 12, "PER"), (16, 20, "LOC")]),
    ("Nobody went out.", []),
    ("Jean-Paul\u2019s d\u00e9j\u00e0 vu, AT&T <b>", [(0, 9, "PER"), (20, 24, "ORG")]),
]
COLUMNS = "Ada\tB-PER\nmet\tO\nZoe\tB-PER\n\n# id = 2\nOslo\tB-LOC\n\n"
CONLLU = "# sent_id = 1\n1\tAda\tAda\tPROPN\tNNP\t_\t0\troot\t_\tname=B-PER\n2\tmet\t_\t_\t_\t_\t_\t_\t_\tname=O\n\n"
VALUES = [
    b"null",
    b"-1",
    b"1e400",
    b"[]",
    b"{}",
    b'""',
    b"true",
    b"99999999999999999999",
    b'"\\ud800"',
    b"NaN",
    b"0.5",
]
TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|-?\d+|<[^>]*>|[\[\]{}:,\t\n|]')


def files_of(folder: Path) -> dict[str, tuple[Path, bytes]]:
    """Write each format whole; return what is damaged, and what reads it."""
    made = {name: (f"{number}-{file}", text) for number, (name, (file, text)) in enumerate(exports_of(DATA).items())}
    made |= {"columns": ("c.conll", COLUMNS), "conllu": ("c.conllu", CONLLU)}
    found = {name: (folder / file, text.encode()) for name, (file, text) in made.items()}
    pair = brat(folder / "brat", DATA) / "0.ann"
    return found | {"brat": (pair, pair.read_bytes())}


def damaged(draw: random.Random, whole: bytes, other: bytes) -> bytes:
    """Return a file with one to four faults."""
    for _ in range(draw.randint(1, 4)):
        start = draw.randrange(len(whole) + 1)
        end = min(len(whole), start + draw.choice([1, 2, 5, 30, 200]))
        tokens = list(TOKEN.finditer(whole))
        kind = draw.randrange(8)
        if kind == 0 and whole:
            place = draw.randrange(len(whole))
            whole = whole[:place] + bytes([draw.randrange(256)]) + whole[place + 1 :]
        elif kind == 1:
            whole = whole[:start] + whole[end:]
        elif kind == 2:
            whole = whole[:end] + whole[start:end] + whole[end:]
        elif kind == 3 and tokens:
            one = draw.choice(tokens)
            whole = whole[: one.start()] + draw.choice(VALUES) + whole[one.end() :]
        elif kind == 4 and tokens:
            one, two = draw.choice(tokens), draw.choice(tokens)
            whole = whole[: one.start()] + two[0] + whole[one.end() :]
        elif kind == 5 and (numbers := list(re.finditer(rb"\d+", whole))):
            one = draw.choice(numbers)
            whole = whole[: one.start()] + str(int(one[0][:9]) + draw.randint(-9, 9)).encode() + whole[one.end() :]
        elif kind == 6:
            whole = whole[:start] + other[draw.randrange(len(other)) :]
        else:
            whole = whole[:start]
    return whole


def fault_of(path: Path) -> str | None:
    """Read a file; return what is wrong with how that ended."""
    try:
        for _ in read_file(path):
            pass
    except DataError as error:
        said = str(error)
        names = path.name in said or path.stem in said or str(path.parent) in said
        return None if names and "\n" not in said else f"says {said!r}"
    except Exception:
        return traceback.format_exc()
    return None


def main() -> int:
    """Damage and read until the time is over."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("error")
    end, seed, faults, tried = time.monotonic() + 60 * given.minutes, given.seed, Counter(), Counter()
    with tempfile.TemporaryDirectory() as temporary:
        files = files_of(Path(temporary))
        while time.monotonic() < end:
            draw = random.Random(seed)
            name = draw.choice(list(files))
            path, whole = files[name]
            path.write_bytes(damaged(draw, whole, files[draw.choice(list(files))][1]))
            tried[name] += 1
            if fault := fault_of(path):
                faults[name] += 1
                print(f"seed {seed}, {name}: {fault}", flush=True)
            if name == "brat":
                path.write_bytes(whole)
            seed += 1
    print(f"{sum(tried.values()):,} files of {len(tried)} formats, {sum(faults.values())} faults")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
