"""Broken files of every format: each ends in one sentence that names the file, the place and the rule."""

import contextlib
import json
import random
import re

import pytest
from exports import brat, exports_of, label_studio_task, project

from modeling_bert_crf.readers.files import read_file
from modeling_bert_crf.readers.sentences import DataError

TEXT = "Ada Lovelace met Jean-Paul in Oslo.\nShe left."
GOOD = [(0, 12, "PER"), (30, 34, "LOC")]
# What is wrong with the second annotation of the second text, and what is said.
FAULTS = {
    "empty": ((30, 30, "LOC"), "must not be empty"),
    "reversed": ((34, 30, "LOC"), "must not end before it starts"),
    "out of the text": ((30, 99, "LOC"), "must lie in the text|must cover '.*' as it says|separated by tabs"),
    "before the text": ((-3, 4, "LOC"), "must lie in the text|must cover|must have a type, a start|separated by tabs"),
    "blanks": ((3, 4, "LOC"), "must not cover blanks alone"),
    "twice": ((0, 12, "PER"), "must stand there once"),
    "without a type": ((30, 34, ""), "must have a type|must have a type, a start and an end"),
    "overlapping": ((4, 16, "LOC"), "annotations must not overlap, since a word has one tag"),
}
FORMATS = [name for name in exports_of([]) if name not in ("doccano labels", "plain objects", "own predictions")]


def broken(folder, name, second):
    """Write a good text and a broken one in a format; return the path."""
    data = [(TEXT, GOOD), (TEXT, [GOOD[0], second])]
    if name == "brat":
        return brat(folder / "brat", data)
    file, text = exports_of(data)[name]
    (folder / file).write_bytes(text.encode())
    return folder / file


def said_of(path, **options):
    """Return the one sentence with which reading ends."""
    with pytest.raises(DataError) as info:
        list(read_file(path, **options))
    said = str(info.value)
    assert "\n" not in said
    return said


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", [*FORMATS, "brat"])
def test_a_broken_annotation_is_named(name, fault, tmp_path):
    second, rule = FAULTS[fault]
    path = broken(tmp_path, name, second)
    said = said_of(path)

    assert re.search(rule, said)
    place = r"/1\.ann" if name == "brat" else r":\d+" if name != "pubtator" else ":6|:9"
    if fault == "overlapping":
        assert said.startswith(f"{path}: annotations")
        assert re.search("characters 4 to 16 with .* characters 0 to 12", said)
    else:
        assert re.match(re.escape(str(path)) + f"({place})", said)


def test_the_record_is_named_by_its_number(tmp_path):
    second, _ = FAULTS["empty"]
    places = {name: said_of(broken(tmp_path, name, second)).split(": ")[0].rpartition(":")[2] for name in FORMATS}

    assert set(places.values()) == {"2", "6"}
    assert [name for name, place in places.items() if place == "6"] == ["pubtator"]  # of which it is the line


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_that_ends_early_is_no_shorter_file(name, tmp_path):
    path = broken(tmp_path, name, GOOD[1])
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - 40])

    rule = "must be JSON|must hold one JSON object a line|must be XML|must be id, start, end|must cover|must be a line"
    assert re.search(rule, said_of(path))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "latin-1"])
def test_a_file_in_another_encoding_is_refused(name, encoding, tmp_path):
    path = broken(tmp_path, name, GOOD[1])
    text = path.read_text().replace("Jean", "J\u00e9an").replace("\\u00e9", "\u00e9")
    path.write_bytes(text.encode(encoding))

    rule = r"must be UTF-8, got|must be XML, got not well-formed"
    assert re.search(rule, said_of(path))


@pytest.mark.parametrize(
    ("record", "rule"),
    [
        ({"text": 3, "entities": []}, "must have a column of words"),
        ({"text": "a", "entities": [[0, 7, "a\nb"]]}, r"has 1 characters, got 'a\\nb' at \[0, 7\)"),
        ({"text": "a", "entities": 1, "a\nb": 1}, r"must have a column of words .*, got text, entities, 'a\\nb'"),
        ({"text": "a", "entities": [["0", 1, "X"]], "label": [[0, 1, "X"]]}, "must have one list of annotations"),
        (
            {"text": "a", "entities": [{"start": "0", "end": 1, "label": "X"}]},
            "start of an annotation must be a w",
        ),
        ({"text": "a", "entities": [{"start": 0, "end": 1.0, "label": "X"}]}, "end of an annotation must be a whole"),
        ({"text": "a", "entities": [{"start": 0, "end": True, "label": "X"}]}, "must be a whole number, got True"),
        (
            {"text": "a", "entities": [{"start": 0, "label": "X"}]},
            "end of an annotation must be a whole",
        ),
        ({"text": "a", "entities": [[0, 1, "X"], "b"]}, r"must hold annotations such as \[start, end, type\]"),
        ({"text": "a", "entities": [[0, 1, "X"], [0, 1, 7]]}, "must have a type, got 7"),
        ({"text": "a \ud800", "entities": [[0, 1, "X"]]}, "'text' must be Unicode text, got half a character"),
        ({"text": "a", "entities": [[0, 1, "\ud800"]]}, "the type must be Unicode text"),
        ({"text": "a", "spans": [], "tokens": [{"start": 1, "end": 0}], "answer": "accept"}, "'tokens' must be parts"),
        ({"text": "a", "spans": 4, "answer": "accept", "_input_hash": 1}, "'spans' must be a list"),
        ({"tokenized_text": ["a", ""], "ner": []}, "'tokenized_text' must be a list of words"),
        ({"tokenized_text": ["a"], "ner": [[0, 1, "X"]]}, "must be words from 0 to 0"),
        ({"tokenized_text": ["a"], "ner": [[0, 0]]}, "'ner' must be a list of"),
        ({"tokenized_text": ["a"]}, "must have a field 'ner', got tokenized_text"),
        (["a", {"entities": 3}], "'entities' must be a list"),
        ({"fields": {"text": "a"}, "responses": {"q": [3]}}, "'responses' must hold objects"),
        ({"fields": {"text": 3}}, "'text' must be a text"),
        ({"passages": [{"offset": "0", "text": "a"}]}, "a passage must have an 'offset'"),
        ({"passages": [{"text": "a", "annotations": [{"infons": {}}]}]}, "must have 'infons' and 'locations'"),
        ({"passages": 3}, "must be a document with 'passages'"),
        ({"data": {"a": 1}, "annotations": []}, "must have one field with a text, got a; name it with --text_column"),
        ({"data": {"text": "a"}, "annotations": 3}, "'annotations' must be a list"),
        ({"data": {"text": "a"}, "annotations": [{"result": 3}]}, "'result' must be a list"),
    ],
)
def test_a_broken_record_is_named(record, rule, tmp_path):
    path = tmp_path / "data.jsonl"
    path.write_text(json.dumps(record) + "\n")

    assert re.match(f"{re.escape(str(path))}:1: .*{rule}", said_of(path))


def test_an_annotation_that_covers_other_than_it_says_is_refused(tmp_path):
    task = label_studio_task(1, TEXT, GOOD)
    task["annotations"][0]["result"][1]["value"]["text"] = "Bergen"
    path = tmp_path / "data.json"
    path.write_text(json.dumps([task]))

    assert said_of(path) == (f"{path}:1: an annotation must cover 'Bergen' as it says, got 'Oslo' for LOC at [30, 34)")


@pytest.mark.parametrize(
    ("files", "rule"),
    [
        ({"a.txt": "Ada"}, "must be a file, or a folder with pairs of .txt and .ann, got no .ann"),
        ({"a.ann": "T1\tPER 0 3\tAda\n"}, "a.ann: must have its text beside it, got no a.txt"),
        ({"a.txt": "Ada", "a.ann": "T1\tPER 0 x\tAda\n"}, "a.ann:1: must have a type, a start and an end"),
        ({"a.txt": "Ada", "a.ann": "\nPER 0 3 Ada\n"}, "a.ann:2: must be like T1, tab, PER 0 3, tab, Ada"),
        (
            {"a.txt": "Ada", "a.ann": "T1\tPER 0 3\tBob\n"},
            "a.ann: an annotation must cover 'Bob' as it says",
        ),
        ({"a.txt": b"\xc3", "a.ann": ""}, "a.txt: must be UTF-8, got byte 0xc3"),
        ({"a.txt": "", "a.ann": ""}, "must hold at least one sentence, got none"),
    ],
)
def test_a_broken_folder_is_named(files, rule, tmp_path):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    assert rule in said_of(tmp_path)


def test_spacys_own_files_need_spacy(tmp_path):
    path = tmp_path / "train.spacy"
    path.write_bytes(b"\x78\x9c\x03\x00\x00\x00\x00\x01")

    assert re.search(r"train.spacy: (a .spacy file needs spaCy|must be a DocBin)", said_of(path))


INSERTS = [b"", b"}", b"]", b"[", b'"', b",", b"\n", b"\xff", b"-", b"null", b"1e9", b"\t", b"{}", b"\\", b"0"]


def test_random_damage_ends_in_one_sentence_or_in_a_reading(tmp_path):
    """Whatever a byte is changed to, cut or doubled: no other error comes out."""
    draw, said = random.Random(5), []
    for file, text in exports_of(project(3, seed=4, without="\r\n")).values():
        whole = text.encode()
        for _ in range(25):
            place, length = draw.randrange(len(whole)), draw.choice([0, 1, 1, 5])
            path = tmp_path / file
            path.write_bytes(whole[:place] + draw.choice(INSERTS) + whole[place + length :])
            with contextlib.suppress(DataError):
                said += list(read_file(path))

    assert said
