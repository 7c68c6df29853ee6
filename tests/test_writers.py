"""What labelled texts are written as: each format by its tool's documentation, and read again."""

import io
import json
import os
import re
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from bert_crf_command.app import app
from bert_crf_command.formats import OutputFormat
from modeling_bert_crf import BertBiLSTMCRFPipeline
from modeling_bert_crf.readers.documents import Annotation, Document
from modeling_bert_crf.readers.files import read_conll
from modeling_bert_crf.readers.sentences import DataError
from modeling_bert_crf.schemes import tags_to_spans
from modeling_bert_crf.splitters import without_blanks
from modeling_bert_crf.writers.docbin import spelt
from modeling_bert_crf.writers.formats import FORMATS, Options, write_documents
from modeling_bert_crf.writers.layout import apart, lay_out

FACE = "\U0001f600"
TEXT = f"{FACE} Ada met Mr\r\nBabbage."
ADA, BABBAGE = Annotation(2, 5, "PER", 0.75), Annotation(10, 21, "PER", 0.25)


def document(text=TEXT, annotations=(ADA, BABBAGE), **facts):
    return Document(text, list(annotations), "in.jsonl", "1", **facts)


def written(name, *documents, **options):
    """Write documents in a format, and return the file's text."""
    file = io.StringIO()
    write_documents(documents, name, file, Options(**options))
    return file.getvalue()


def test_the_command_offers_every_format():
    assert {form.value for form in OutputFormat} == {*FORMATS, "terminal", "html", "parquet"}


def test_json_lines_have_entities_as_bert_crf_tag_writes_them():
    one = document(name="a", meta={"from": "x", "labels": []}, words=[(2, 5)], sentences=[(0, 22)])
    gold = document(annotations=[ADA._replace(score=None)])
    first, second = map(json.loads, written("jsonl", one, gold).splitlines())
    assert list(first) == ["id", "from", "text", "entities", "tokens", "sents"]
    assert first == {
        "id": "a",
        "from": "x",
        "text": TEXT,
        "entities": [
            {"entity_group": "PER", "score": 0.75, "word": "Ada", "start": 2, "end": 5},
            {"entity_group": "PER", "score": 0.25, "word": "Mr\r\nBabbage", "start": 10, "end": 21},
        ],
        "tokens": [{"start": 2, "end": 5}],
        "sents": [{"start": 0, "end": 22}],
    }
    assert second == {"text": TEXT, "entities": [{"entity_group": "PER", "word": "Ada", "start": 2, "end": 5}]}


def test_doccano_counts_units_of_javascript_and_the_file_shows_it_where_it_matters():
    plain = document("Ada", [Annotation(0, 3, "PER")], name="7", meta={"label": "old", "source": "x"})
    first, second = map(json.loads, written("doccano", document(), plain).splitlines())
    assert first == {
        "text": TEXT,
        "label": [
            {"start_offset": 3, "end_offset": 6, "label": "PER", "text": "Ada"},
            {"start_offset": 11, "end_offset": 22, "label": "PER", "text": "Mr\r\nBabbage"},
        ],
    }
    assert TEXT.encode("utf-16-le")[22:44].decode("utf-16-le") == "Mr\r\nBabbage"
    assert second == {"id": "7", "source": "x", "text": "Ada", "label": [[0, 3, "PER"]]}


def test_prodigy_has_tokens_where_words_are_known():
    words = [(0, 1), (2, 5), (6, 9), (10, 12), (14, 21), (21, 22)]
    one = document(words=words, annotations=[ADA, BABBAGE, Annotation(14, 18, "X")])
    first, second = map(
        json.loads,
        written("prodigy", one, document()).splitlines(),
    )
    assert first["spans"] == [
        {"start": 2, "end": 5, "label": "PER", "score": 0.75, "token_start": 1, "token_end": 1},
        {"start": 10, "end": 21, "label": "PER", "score": 0.25, "token_start": 3, "token_end": 4},
        {"start": 14, "end": 18, "label": "X"},
    ]
    assert first["tokens"][1:4] == [
        {"text": "Ada", "start": 2, "end": 5, "id": 1, "ws": True},
        {"text": "met", "start": 6, "end": 9, "id": 2, "ws": True},
        {"text": "Mr", "start": 10, "end": 12, "id": 3, "ws": False},
    ]
    assert "tokens" not in second


def test_gliner_counts_words_up_to_the_last_one():
    nested = Annotation(14, 21, "LAST")
    (row,) = json.loads(written("gliner", document(annotations=[ADA, BABBAGE, nested], name="a")))
    assert row == {
        "id": "a",
        "tokenized_text": [FACE, "Ada", "met", "Mr", "Babbage", "."],
        "ner": [[1, 1, "PER"], [3, 4, "PER"], [4, 4, "LAST"]],
    }


def test_spacy_is_an_array_of_pairs_and_holds_no_other_keys():
    rows = json.loads(written("spacy", document(meta={"a": 1}), document("rain", [])))
    assert rows == [[TEXT, {"entities": [[2, 5, "PER"], [10, 21, "PER"]]}], ["rain", {"entities": []}]]
    assert json.loads(written("spacy")) == []


def test_label_studio_gets_predictions_of_a_model_and_annotations_of_people():
    gold = [one._replace(score=None) for one in (ADA, BABBAGE)]
    tasks = json.loads(written("label-studio", document(name="a", meta={"from": "x"}), document(annotations=gold)))
    region = {
        "id": "e1",
        "from_name": "label",
        "to_name": "text",
        "type": "labels",
        "score": 0.25,
        "value": {"start": 10, "end": 21, "text": "Mr\r\nBabbage", "labels": ["PER"]},
    }
    assert tasks[0]["data"] == {"id": "a", "from": "x", "text": TEXT}
    assert list(tasks[0]) == ["data", "predictions"]
    assert tasks[0]["predictions"][0]["model_version"] == "bert-crf"
    assert tasks[0]["predictions"][0]["score"] == 0.5
    assert tasks[0]["predictions"][0]["result"][1] == region
    assert list(tasks[1]) == ["data", "annotations"]
    assert "score" not in tasks[1]["annotations"][0]["result"][1]
    (empty,) = json.loads(written("label-studio", document(annotations=[]), model="bert-crf mine"))
    assert empty["predictions"] == [{"model_version": "bert-crf mine", "result": []}]


def test_label_studios_configuration_names_all_types_and_keeps_blanks():
    file, kinds = io.StringIO(), ["PER", 'a "b" & <c>']
    FORMATS["label-studio"].beside(kinds, file)
    root = ElementTree.fromstring(file.getvalue())
    assert [label.get("value") for label in root.iter("Label")] == kinds
    assert (root.find("Labels").get("name"), root.find("Labels").get("toName")) == ("label", "text")
    assert (root.find("Text").get("name"), root.find("Text").get("value")) == ("text", "$text")
    assert "white-space: pre-wrap" in root.find("Style").text


def test_brat_is_a_folder_with_two_files_for_each_text(tmp_path):
    options = Options(dict.fromkeys(["LOC"]))
    names = ["a", "A", "../up", "a"]
    write_documents([document(name=name) for name in names], "brat", tmp_path / "out", options)
    stems = ["000002", "000003", "000004", "a"]
    ends = [f"{stem}{ending}" for stem in stems for ending in (".ann", ".txt")]
    assert sorted(os.listdir(tmp_path / "out")) == sorted(["annotation.conf", *ends])
    assert (tmp_path / "out" / "a.txt").read_bytes().decode() == TEXT
    assert (tmp_path / "out" / "a.ann").read_bytes().decode() == ("T1\tPER 2 5\tAda\nT2\tPER 10 21\tMr  Babbage\n")
    assert (tmp_path / "out" / "annotation.conf").read_text().startswith("[entities]\nLOC\nPER\n\n[relations]\n")
    assert os.listdir(tmp_path) == ["out"]


def test_a_type_that_brat_cannot_hold_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"in\.jsonl:1: a type in brat must not hold blanks, got 'work of art'"):
        write_documents([document("x", [Annotation(0, 1, "work of art")])], "brat", tmp_path / "out", Options())


def test_columns_have_borders_between_documents_but_not_between_single_sentences():
    single = document("Ada met", [Annotation(0, 3, "PER")])
    both = document("Ada met. Rain fell", [Annotation(0, 3, "PER")])
    named = document("rain", [], name="r")
    sentence, border = "Ada\tB-PER\nmet\tO\n\n", "-DOCSTART-\tO\n\n"
    two = f"{border}Ada\tB-PER\nmet\tO\n.\tO\n\nRain\tO\nfell\tO\n\n"
    text = written("conll", single, single, both, single, single, named)
    assert text == sentence * 2 + two + border + sentence * 2 + f"{border}rain\tO\n\n"


def test_words_are_cut_where_an_entity_ends_and_no_sentence_ends_within_one():
    text = "Babbages. A\u0301da rains"
    entities = [Annotation(0, 7, "PER"), Annotation(7, 14, "X"), Annotation(5, 7, "Y")]
    words, spans = lay_out(document(text, entities))
    assert [text[start:end] for start, end in words] == ["Babba", "ge", "s", ".", "A\u0301da", "rains"]
    assert spans == [(0, 2, "PER"), (2, 5, "X"), (1, 2, "Y")]
    own = document(text, entities[:1], words=[(0, 9), (10, 20)])
    assert lay_out(own)[0] == [(0, 7), (7, 9), (10, 20)]
    assert written("conll", document(text, entities[:2])).count("\n\n") == 1
    with pytest.raises(DataError, match=r"in\.jsonl:1: an entity must hold a word, got ' ' \(PER, from 1 to 2\)"):
        lay_out(document("a b", [Annotation(1, 2, "PER")]))


OVERLAPPING = [Annotation(4, 9, "A"), Annotation(0, 5, "B"), Annotation(4, 6, "C"), Annotation(9, 10, "D")]


def test_of_entities_that_overlap_one_is_kept_if_that_is_asked_for():
    one = document("0123456789", OVERLAPPING)
    assert [kept.kind for kept in apart(one, "longest").annotations] == ["B", "D"]
    assert [kept.kind for kept in apart(one, "first").annotations] == ["B", "D"]
    longer = document("0123456789", [*OVERLAPPING, Annotation(3, 9, "E")])
    assert [kept.kind for kept in apart(longer, "longest").annotations] == ["E", "D"]
    said = (
        r"in\.jsonl:1: this format holds no entities that overlap, got '01234' \(B, from 0 to 5\) and "
        r"'45678' \(A, from 4 to 9\); --on_overlap longest or first keeps one of them"
    )
    for name in ("conll", "spacy"):
        with pytest.raises(DataError, match=said):
            written(name, one)
    assert json.loads(written("spacy", one, on_overlap="first"))[0][1] == {"entities": [[0, 5, "B"], [9, 10, "D"]]}


def test_redacted_texts_have_types_in_the_place_of_entities():
    text = "Ada  L. met Bo, Ada L. and Bo"
    entities = [Annotation(0, 7, "PER"), Annotation(12, 14, "PER"), Annotation(16, 22, "PER"), Annotation(27, 29, "X")]
    assert written("redacted", document(text, entities)) == "[PER] met [PER], [PER] and [X]\n"
    assert (
        written("redacted", document(text, entities), document(text, entities[1:]), consistent=True)
        == "[PER-1] met [PER-2], [PER-1] and [X-1]\nAda  L. met [PER-1], [PER-2] and [X-1]\n"
    )


def test_redacted_texts_have_nothing_else_that_the_input_says():
    one = document("Ada", [Annotation(0, 3, "PER")], name="Ada", meta={"author": "Ada"}, words=[(0, 3)])
    assert written("redacted", one) == "[PER]\n"


@given(st.lists(st.tuples(st.integers(0, 29), st.integers(1, 12), st.sampled_from("ABC")), max_size=8), st.booleans())
def test_redaction_leaves_no_part_of_any_entity(spans, consistent):
    text = "".join(chr(0x4E00 + index) for index in range(30))  # each letter once
    annotations = [Annotation(start, min(30, start + length), kind) for start, length, kind in spans]
    shown = written("redacted", document(text, annotations), consistent=consistent)
    covered = {text[index] for one in annotations for index in range(one.start, one.end)}
    assert {letter for letter in shown if letter in text} == {*text} - covered
    assert re.sub(r"\[[ABC](-\d+)?\]", "", shown) == "".join(letter for letter in text if letter not in covered) + "\n"


# Texts as people write them: letters, emoji in pieces, marks, joiners, both directions, every line break.
LETTERS = st.sampled_from(
    [*"aZé0 ,.'-\t\n\r\u2028\u00a0\u0301\u200d\ufe0f\u05d0\u0627\u0e01\u4e00\ufeff\x85\x0c\x1c#|", FACE, "\U0001f468"]
)
TEXTS = st.lists(st.one_of(LETTERS, st.just("\r\n"), st.just("Ada ")), max_size=30).map("".join)
KINDS = st.sampled_from(["PER", "creative-work", "\u5730", "B", "_"])


@st.composite
def documents(draw, overlaps=True):
    """Draw a document whose entities may end anywhere but hold something; it may say where its words are."""
    text = draw(TEXTS)
    borders = draw(st.lists(st.integers(0, len(text)), max_size=8))
    if not overlaps:
        borders = sorted(set(borders))
    pairs = [sorted(pair) for pair in zip(borders[::2], borders[1::2], strict=False)]
    scored = draw(st.booleans())
    annotations = [
        Annotation(start, end, draw(KINDS), draw(st.floats(0, 1)) if scored else None)
        for start, end in pairs
        if text[start:end].strip()
    ]
    name = draw(st.sampled_from(["", "doc-1", "\u05d0/b", "7"]))
    meta = draw(
        st.dictionaries(st.sampled_from(["source", "\u00fc", "n"]), st.one_of(st.none(), TEXTS, st.integers()))
    )
    own = [match.span() for match in re.finditer(r"\S+", text)] if draw(st.booleans()) else None
    return Document(text, annotations, "made", "1", name, own, None, meta)


# What the tools' documentation says of their files, in so many words: each file as (text, [(start, end, type)]).
def parse_jsonl(text):
    for row in map(json.loads, text.split("\n")[:-1]):
        yield row["text"], [(one["start"], one["end"], one["entity_group"]) for one in row["entities"]]


def parse_doccano(text):
    for row in map(json.loads, text.split("\n")[:-1]):
        units = row["text"].encode("utf-16-le")
        labels = [one if isinstance(one, list) else [*one.values()][:3] for one in row["label"]]
        yield row["text"], [(*(len(units[: 2 * at].decode("utf-16-le")) for at in one[:2]), one[2]) for one in labels]


def parse_prodigy(text):
    for row in map(json.loads, text.split("\n")[:-1]):
        for token in row.get("tokens", []):
            assert row["text"][token["start"] : token["end"]] == token["text"]
        for one in row["spans"]:
            if "token_start" in one:
                assert row["tokens"][one["token_start"]]["start"] == one["start"]
                assert row["tokens"][one["token_end"]]["end"] == one["end"]
        yield row["text"], [(one["start"], one["end"], one["label"]) for one in row["spans"]]


def parse_spacy(text):
    for content, said in json.loads(text):
        yield content, [tuple(one) for one in said["entities"]]


def parse_label_studio(text):
    for task in json.loads(text):
        (answer,) = task.get("predictions") or task["annotations"]
        values = [one["value"] for one in answer["result"]]
        assert all(task["data"]["text"][one["start"] : one["end"]] == one["text"] for one in values)
        yield task["data"]["text"], [(one["start"], one["end"], *one["labels"]) for one in values]


def parse_brat(folder):
    for path in sorted(folder.glob("*.txt")):
        lines = path.with_suffix(".ann").read_bytes().decode().split("\n")[:-1]
        found = [line.split("\t")[1].split(" ") for line in lines]
        yield path.read_bytes().decode(), [(int(start), int(end), kind) for kind, start, end in found]


PARSERS = {
    "jsonl": parse_jsonl,
    "doccano": parse_doccano,
    "prodigy": parse_prodigy,
    "spacy": parse_spacy,
    "label-studio": parse_label_studio,
}


def round_trip(form, drawn):
    """Write documents, and read them with this file's parser."""
    if form == "brat":
        with tempfile.TemporaryDirectory() as folder:
            write_documents(drawn, form, Path(folder) / "out", Options())
            found = list(parse_brat(Path(folder) / "out"))
    else:
        found = list(PARSERS[form](written(form, *drawn)))
    given = [(one.text, [annotation[:3] for annotation in one.annotations]) for one in drawn]
    assert found == given if form != "brat" else sorted(found) == sorted(given)  # a folder has an order of its own


@pytest.mark.parametrize("form", [*PARSERS, "brat"])
@settings(max_examples=70, deadline=None)
@given(data=st.data())
def test_what_is_written_says_what_the_documents_say(form, data):
    round_trip(form, data.draw(st.lists(documents(overlaps=form != "spacy"), max_size=3)))


def test_what_spacys_binary_file_needs_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "spacy.tokens", None)
    with pytest.raises(DataError, match=r"a \.spacy file needs spaCy: pip install spacy"):
        write_documents([], "docbin", tmp_path / "out.spacy", Options())


@settings(max_examples=100, deadline=None)
@given(documents())
def test_spacys_tokens_make_up_the_whole_text_and_end_where_entities_do(one):
    tokens, blanks = spelt(one)
    assert "".join(token + " " * blank for token, blank in zip(tokens, blanks, strict=True)) == one.text
    assert all(tokens)
    starts, ends, place = set(), set(), 0
    for token, blank in zip(tokens, blanks, strict=True):
        starts.add(place)
        ends.add(place + len(token))
        place += len(token) + blank
    borders = [without_blanks(one.text, *entity[:2]) for entity in one.annotations]
    assert {start for start, _ in borders} <= starts
    assert {end for _, end in borders} <= ends


@settings(max_examples=200, deadline=None)
@given(documents(overlaps=False))
def test_columns_and_words_keep_all_entities_and_all_characters_that_are_no_blanks(one):
    words, spans = lay_out(one)
    pieces = [one.text[start:end] for start, end in words]
    # A word has no blanks at its ends, but an entity may.
    found = [(words[first][0], words[last - 1][1], kind) for first, last, kind in spans]
    assert found == [(*without_blanks(one.text, *annotation[:2]), annotation.kind) for annotation in one.annotations]

    (row,) = json.loads(written("gliner", one))
    assert row["tokenized_text"] == pieces
    assert [(first, last + 1, kind) for first, last, kind in row["ner"]] == spans

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "out.conll"
        path.write_bytes(written("conll", one).encode())
        sentences = read_conll(path) if pieces else []
    assert [word for sentence in sentences for word in sentence.words] == pieces
    tags = [tag for sentence in sentences for tag in sentence.tags]
    assert [span[:2] for span in tags_to_spans(tags, "IOB2")] == [span[:2] for span in spans]


@pytest.fixture
def run(model, tokenizer, tmp_path, monkeypatch):
    """Run `bert-crf tag` with a finished tagger, in an empty folder."""
    model.save_pretrained(tmp_path / "mine")
    tokenizer.save_pretrained(tmp_path / "mine")
    monkeypatch.chdir(tmp_path)

    def run(*argv, code=0):
        result = CliRunner().invoke(app, ["tag", "mine", *map(str, argv)])
        assert result.exit_code == code, result.output
        return result.stdout if code == 0 else result.stderr

    return run


COLUMNS = "Ada\nvisited\n\n-DOCSTART-\n\nParis\nin\n\nrain\nAda\n\n-DOCSTART-\n\n.\n"


def test_what_is_found_is_written_in_each_format(run, model, tokenizer, tmp_path):
    (tmp_path / "in.conll").write_text(COLUMNS)
    (tmp_path / "in.jsonl").write_text(json.dumps({"id": 7, "body": f"{FACE} Ada, Paris", "label": "x", "n": None}))
    texts = ["Ada visited", "Paris in\nrain Ada", ".", f"{FACE} Ada, Paris"]
    tagger = BertBiLSTMCRFPipeline(model=model, tokenizer=tokenizer)
    words = [["Ada", "visited"], ["Paris", "in"], ["rain", "Ada"], ["."]]
    alone = [*tagger(words, is_split_into_words=True), tagger(texts[3])]
    spans = [[(one["start"], one["end"], one["entity_group"]) for one in found] for found in alone]
    joined = [*spans[1], *((start + 9, end + 9, kind) for start, end, kind in spans[2])]
    expected = [*zip(texts, [spans[0], joined, spans[3], spans[4]], strict=True)]
    assert sum(map(len, spans)) > 4

    given = ["--column", 0, "--input", "in.conll"], ["--column", "body", "--input", "in.jsonl"]
    for form, parse in PARSERS.items():
        if form != "jsonl":
            found = [one for options in given for one in parse(run(*options, "--format", form))]
            assert found == expected, form
    run(*given[0], "--format", "brat", "-o", "folder")
    assert list(parse_brat(tmp_path / "folder")) == expected[:3]
    assert "\nPER\n" in (tmp_path / "folder" / "annotation.conf").read_text()
    run(*given[1], "--format", "label-studio", "-o", "tasks.json")
    (task,) = json.loads((tmp_path / "tasks.json").read_text())
    assert task["data"] == {"id": "7", "body": texts[3], "n": None, "text": texts[3]}
    assert task["predictions"][0]["model_version"] == "bert-crf mine"
    assert [one["score"] for one in task["predictions"][0]["result"]] == pytest.approx(
        [one["score"] for one in alone[4]]
    )
    configuration = ElementTree.parse(tmp_path / "tasks.json.xml")
    assert [label.get("value") for label in configuration.iter("Label")] == ["LOC", "PER"]
    assert sorted(os.listdir()) == ["folder", "in.conll", "in.jsonl", "mine", "tasks.json", "tasks.json.xml"]


def test_redacted_texts_come_out_as_lines(run, tmp_path):
    found = json.loads(run("Ada visited Paris, Ada", "--format", "jsonl"))["entities"]
    expected = "Ada visited Paris, Ada"
    for one in reversed(found):
        expected = f"{expected[: one['start']]}[{one['entity_group']}]{expected[one['end'] :]}"
    assert found
    assert run("Ada visited Paris, Ada", "--format", "redacted") == f"{expected}\n"
    assert re.search(r"\[(PER|LOC)-1\]", run("Ada visited Paris, Ada", "--format", "redacted", "--consistent"))


def test_a_folder_that_holds_something_is_refused_before_the_model_is_opened(run, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a.txt").write_text("mine")
    (tmp_path / "mine" / "config.json").write_text("{")
    said = run("Ada", "--format", "brat", "-o", "full", code=1)
    assert said == (
        "bert-crf tag: error: full: must be a new folder or an empty one, since brat fills it with a file a text\n"
    )
    assert os.listdir(tmp_path / "full") == ["a.txt"]
    assert "brat is a folder of files: it needs a path, not standard output" in run("Ada", "--format", "brat", code=1)


def test_a_folder_is_written_whole_or_not_at_all(run, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "in.jsonl").write_text('{"text": "Ada"}\n{"txt": 1}\n')
    before = sorted(os.listdir())
    for path in ("new", "empty"):
        assert "in.jsonl:2: must have a column" in run("--input", "in.jsonl", "--format", "brat", "-o", path, code=1)
    assert sorted(os.listdir()) == before
    assert "gone/new: cannot be written: No such file" in run("Ada", "--format", "brat", "-o", "gone/new", code=1)
    run("Ada", "--format", "brat", "-o", "empty")
    assert sorted(os.listdir("empty")) == ["000001.ann", "000001.txt", "annotation.conf"]


def test_pseudonyms_are_for_redacted_texts(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    said = run("Ada", "--consistent", "--format", "brat", code=2)
    assert "--consistent is for --format redacted, got brat" in said
