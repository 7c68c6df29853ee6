"""An example to train on without any download: a small corpus of invented sentences, and an untrained BERT."""

import random
import re
import shlex
import shutil
import string
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import torch
from transformers import BertConfig, BertModel, BertTokenizer

from ..doors.files import follow_umask
from ..doors.lock import locked
from ..doors.terminal import show
from ..readers.conversion import spans_to_tags
from ..readers.sentences import DataError

__all__ = ["SPLITS", "example_arguments", "write_example"]

SPLITS = {"train": 500, "validation": 150, "test": 300}
"""How many sentences each split has."""

EXAMPLES = ["Brond Tair moved from Port Kest to Zask last spring .", "Brond hired Tair ."]
"""Texts to try the demo's tagger on: it is sure of one, and cannot be of the other."""

# Names of all types are made of the same stems, and some words that look like names are none. So only the context
# tells what a word is, and sometimes it does not: in "Brond hired Tair" either may be a firm or a person.
_TEMPLATES = """
{PER} moved from {LOC} to {LOC} last spring .
The board of {ORG} elected {PER} as its new chair .
{ORG} will open a second office in {LOC} , said {PER} .
Last week {PER} and {PER} visited the harbour of {LOC} .
Shares of {ORG} fell after {ORG} published its results .
Doctor {PER} has worked at {ORG} for twenty years .
It rained in {LOC} all day , so {PER} stayed at home .
A spokeswoman for {ORG} declined to comment on the report .
The road between {LOC} and {LOC} is closed until Friday .
{PER} , who grew up in {LOC} , now leads {ORG} .
Nobody at the meeting knew who had written the letter .
The train to {LOC} leaves at nine , but {PER} was late .
According to {PER} , the figures of {ORG} are wrong .
Fishermen near {LOC} caught little this winter .
{SHORT ORG} hired {PER} in March .
{SHORT PER} hired {PER} in March .
{SHORT LOC} beat {SHORT LOC} to the title of greenest town .
{SHORT ORG} beat {SHORT ORG} to the contract .
{SHORT PER} beat {SHORT PER} in the final .
They drank {NONE} tea and played the {NONE} waltz .
The {NONE} engine was sold to {ORG} in {LOC} .
"""
# fmt: off
_ONSETS = [
    "b", "br", "c", "ch", "d", "dr", "f", "fl", "g", "gr", "h", "j", "k", "kl", "l", "m", "n", "p", "pr", "r", "s",
    "sh", "st", "t", "tr", "v", "w", "z",
]
# fmt: on
_NUCLEI = ["a", "e", "i", "o", "u", "ai", "ea", "ie", "oa", "ou"]
_CODAS = ["l", "ll", "m", "n", "nd", "nt", "r", "rd", "rk", "rn", "s", "sk", "ss", "t", "th", "x", "ck"]
_FIRST_NAMES = ["a", "o", "i", "en", "ah", "ia", "us", "el"]
_PLACE_ENDINGS = ["ford", "ville", "burg", "ton", "mouth", "stad", "haven", "by"]
_FIRM_ENDINGS = [["Group"], ["Holding"], ["Bank"], ["and", "Sons"], ["Airlines"], ["Labs"]]
_MARK = ".demo"


def example_arguments(folder: Path, start: str) -> list[str]:
    """Write the example into a folder, say the command that trains on it, and return that command's options.

    A folder that an earlier call made is replaced.

    Args:
        folder: where to write.
        start: what the command begins with.

    Raises:
        DataError: if the folder exists and the demo did not make it.
        FolderInUseError: if another demo runs in it.
    """
    if folder.exists():
        if not (folder / _MARK).exists():
            raise DataError(f"{folder}: the demo's folder exists and the demo did not make it: move it away")
        with locked(folder):  # not one that runs
            shutil.rmtree(folder)
    (folder / "input").mkdir(parents=True)
    (folder / _MARK).touch()
    places = write_example(folder / "input")
    options: dict[str, object] = {"model_name_or_path": places["encoder"], "output_dir": folder}
    options |= {f"{split}_file": places[split] for split in SPLITS}
    options["card_examples"] = EXAMPLES
    options |= {"num_train_epochs": 10, "learning_rate": 1e-3, "head_learning_rate": 3e-3}
    values = {name: value if isinstance(value, list) else [str(value)] for name, value in options.items()}
    command = [word for name, words in values.items() for word in (f"--{name}", *words)]
    command += ["--do_train", "--do_eval", "--do_predict"]
    show(f"The demo runs: {start}", shlex.join(command), "\n")
    return command


def write_example(folder: Path, seed: int = 0) -> dict[str, Path]:
    """Write the example's encoder and corpus; equal seeds write equal files.

    Args:
        folder: where to write; must exist.
        seed: of the names, the sentences and the encoder's weights.

    Returns:
        Where things are: `encoder` (a folder), `train`, `validation`, `test` (CoNLL files). No name of the test part
        stands in the training part.
    """
    rng = random.Random(seed)
    stems = list(_stems(rng, 1400))
    # The names of validation and test are made of stems that do not occur in training.
    shares = {"train": stems[:900], "validation": stems[900:1100], "test": stems[1100:]}
    places = {split: folder / f"{split}.conll" for split in SPLITS} | {"encoder": folder / "encoder"}
    corpus = {split: [_sentence(rng, shares[split]) for _ in range(count)] for split, count in SPLITS.items()}
    for split, sentences in corpus.items():
        blocks = ("".join(f"{word}\t{tag}\n" for word, tag in rows) for rows in sentences)
        places[split].write_text("\n".join(blocks), encoding="utf-8")
    _write_encoder(places["encoder"], [" ".join(word for word, _ in rows) for rows in corpus["train"]], seed)
    follow_umask(folder)
    return places


def _stems(rng: random.Random, count: int) -> Iterator[str]:
    """Yield so many different capitalised syllables."""
    seen: set[str] = set()
    while len(seen) < count:
        stem = (rng.choice(_ONSETS) + rng.choice(_NUCLEI) + rng.choice(_CODAS)).capitalize()
        if stem not in seen:
            seen.add(stem)
            yield stem


def _sentence(rng: random.Random, stems: list[str]) -> list[tuple[str, str]]:
    """Fill the slots of a template with names; return words with their tags."""
    words: list[str] = []
    spans = []
    for piece in re.split(r"[{}]", rng.choice(_TEMPLATES.strip().splitlines())):
        slot = piece.split()
        if not slot or slot[-1] not in _NAMES:
            words += slot
            continue
        kind = slot[-1]
        name = [rng.choice(stems)] if slot[0] == "SHORT" else _NAMES[kind](rng, stems)
        if kind != "NONE":
            spans.append((len(words), len(words) + len(name), kind))
        words += name
    return list(zip(words, spans_to_tags(spans, len(words), "IOB2"), strict=True))


def _person(rng: random.Random, stems: list[str]) -> list[str]:
    first, last = rng.choice(stems) + rng.choice(_FIRST_NAMES), rng.choice(stems)
    return rng.choice([[first, last], [first, last], [last]])


def _place(rng: random.Random, stems: list[str]) -> list[str]:
    stem = rng.choice(stems)
    town = stem + rng.choice(_PLACE_ENDINGS)
    return rng.choice([[town], [town], [stem], ["Port", stem]])


def _firm(rng: random.Random, stems: list[str]) -> list[str]:
    stem = rng.choice(stems)
    return rng.choice([[stem, *rng.choice(_FIRM_ENDINGS)], [stem, *rng.choice(_FIRM_ENDINGS)], [stem]])


def _thing(rng: random.Random, stems: list[str]) -> list[str]:
    return [rng.choice(stems)]


_NAMES = {"PER": _person, "LOC": _place, "ORG": _firm, "NONE": _thing}


def _write_encoder(folder: Path, texts: list[str], seed: int) -> None:
    """Write an untrained BERT, with a tokenizer for the words of these texts."""
    # The vocabulary is the frequent words and single letters. A trained one would differ from run to run, since the
    # trainer of WordPiece breaks ties by chance.
    counts = Counter(" ".join(texts).split())
    letters = sorted(set(string.ascii_letters).union(*counts))
    frequent = sorted(word for word, count in counts.items() if count >= 5 and len(word) > 1)
    tokens = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *letters,
        *(f"##{letter}" for letter in letters),
        *frequent,
    ]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    tokenizer = BertTokenizer(vocab=vocabulary, do_lower_case=False, model_max_length=128)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=192,
        max_position_embeddings=128,
    )
    state = torch.random.get_rng_state()
    torch.manual_seed(seed)
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    torch.random.set_rng_state(state)
    tokenizer.save_pretrained(folder)
