"""`bert-crf convert`, and the way of labelled data through every format and back."""

import json
import os
import tempfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_writers import FACE, KINDS, documents
from typer.testing import CliRunner

from bert_crf_command.app import app
from modeling_bert_crf.readers.conversion import spans_to_tags
from modeling_bert_crf.readers.documents import Annotation, Document
from modeling_bert_crf.readers.files import read_conll
from modeling_bert_crf.readers.formats import read_documents
from modeling_bert_crf.readers.sentences import Sentence
from modeling_bert_crf.writers.formats import FORMATS, Options, write_documents
from modeling_bert_crf.writers.merging import at_blanks, documents_of_sentences

WITH_META = ("jsonl", "doccano", "prodigy", "label-studio")
READ = (*WITH_META, "brat", "spacy", "pubtator", "gliner")
"""Formats of spans that are written and read; `read_documents` knows each by its content."""
NEW = ("id", "tokens", "sents")
"""What the metadata of a document may gain on its way."""


def through(form, given):
    """Write documents in a format, and read them again."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"out{FORMATS[form].ending}"
        if FORMATS[form].ending:
            with path.open("w", encoding="utf-8", newline="\n") as file:
                write_documents(given, form, file, Options())
        else:
            write_documents(given, form, path, Options())
        return [replace(one, source="out") for one in read_documents(path)]


def held(document, form):
    """What a format holds of a document."""
    spans = {one[:3] for one in document.annotations}
    name = "" if form == "spacy" else document.name
    meta = {key: value for key, value in document.meta.items() if key not in NEW} if form in WITH_META else {}
    return document.text, spans, name, meta, (document.words or None) if form in ("jsonl", "prodigy") else None


@st.composite
def several(draw, form):
    """Draw three documents that a format can hold, each with a name of its own and no entity twice."""
    found = []
    for name in "abc":
        one = draw(documents(overlaps=form != "spacy"))
        if form == "pubtator":
            title, *others = one.text.replace("\r", " ").split("\n")
            one = replace(one, text="\n".join([title, " ".join(others)]))
        found.append(replace(one, name=name, annotations=list(dict.fromkeys(map(unscored, one.annotations)))))
    return found


def unscored(annotation):
    return annotation._replace(score=None)


def there_and_back(form, data):
    given = data.draw(several(form))
    read = through(form, given)
    assert [held(one, form) for one in read] == [held(one, form) for one in given]
    assert through(form, read) == read


SPANS = [form for form in READ if form != "gliner"]


@pytest.mark.parametrize("form", SPANS)
@settings(max_examples=70, deadline=None)
@given(data=st.data())
def test_what_is_written_and_read_and_written_stays(form, data):
    there_and_back(form, data)


@pytest.mark.slow
@pytest.mark.parametrize("form", SPANS)
@settings(max_examples=700, deadline=None)
@given(data=st.data())
def test_two_thousand_documents_stay(form, data):
    there_and_back(form, data)


def test_sentences_and_words_stay_in_json_lines():
    one = Document(f"{FACE} Ada sang. Rain", [], "made", "1", "a", [(0, 1), (2, 5), (12, 16)], [(0, 11), (12, 16)])
    (read,) = through("jsonl", [one])
    assert (read.words, read.sentences, read.meta) == (one.words, one.sentences, {"id": "a"})


def test_what_doccano_counts_in_units_of_javascript_is_read_again():
    (read,) = through("doccano", [Document(f"{FACE} Ada", [Annotation(2, 5, "PER")], "made", "1")])
    assert read.annotations == [Annotation(2, 5, "PER")]


WORDS = st.text(st.characters(exclude_characters=" \n\x1a", exclude_categories=["Cs"]), min_size=1, max_size=4)


@st.composite
def tagged(draw):
    """Draw sentences with tags, as a file of documents, or of sentences, has them.

    At the end of a word there is no blank: a reader of spans takes it for no part of an entity.
    """
    found, has_borders, document = [], draw(st.booleans()), 0
    for _ in range(draw(st.integers(1, 5))):
        document += has_borders and (not document or draw(st.booleans()))
        words = draw(st.lists(WORDS.filter(lambda word: word == word.strip()), min_size=1, max_size=5))
        start = draw(st.integers(0, len(words)))
        end = draw(st.integers(start, len(words)))
        tags = spans_to_tags([(start, end, draw(KINDS))] if start < end else [], len(words), "IOB2")
        found.append(Sentence(words, tags, "made", [1] * len(words), str(document)))
    return found


@pytest.mark.parametrize("form", [*(form for form in READ if form != "pubtator"), "conll"])
@settings(max_examples=40, deadline=None)
@given(sentences=tagged())
def test_words_tags_sentences_and_documents_stay_in_every_format(form, sentences):
    texts = list(documents_of_sentences(sentences, "IOB2"))
    if form != "conll":
        texts = [at_blanks(one) for one in (texts if form == "gliner" else through(form, texts))]
    read = back_in_columns(texts)
    if form == "gliner":  # which knows of no sentences
        assert [pair for one in read for pair in pairs(one)] == [pair for one in sentences for pair in pairs(one)]
        return
    assert list(map(pairs, read)) == list(map(pairs, sentences))
    if form == "spacy" or (form == "brat" and sentences[0].document == "0"):
        return  # spaCy knows of no documents, and in brat each text is one
    changes = [[one.document != other.document for one, other in pairwise(several)] for several in (read, sentences)]
    assert changes[0] == changes[1]


def pairs(sentence):
    return list(zip(sentence.words, sentence.tags, strict=True))


def back_in_columns(texts):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "out.conll"
        with path.open("w", encoding="utf-8", newline="\n") as file:
            write_documents(texts, "conll", file, Options())
        return read_conll(path)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run the command in an empty folder, and return what it says."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")

    def run(*argv, code=0):
        result = CliRunner().invoke(app, ["convert", *map(str, argv)])
        assert result.exit_code == code, result.output
        return result.stdout if code == 0 else result.stderr

    return run


GOLD = "Ada\tB-PER\nLovelace\tI-PER\nsang\tO\n\nin\tO\nParis\tB-LOC\n\n"


def test_labelled_data_go_into_a_tool_and_come_back(run, tmp_path):
    (tmp_path / "gold.conll").write_text(GOLD)
    assert run("gold.conll", "tasks.json", "--format", "label-studio") == (
        "tasks.json: 2 texts, 2 entities: LOC 1, PER 1\ntasks.json.xml: the labelling configuration of these tasks\n"
    )
    assert '<Label value="PER"/>' in (tmp_path / "tasks.json.xml").read_text()
    assert run("tasks.json", "folder", "--format", "brat") == "folder: 2 texts, 2 entities: LOC 1, PER 1\n"
    assert (tmp_path / "folder" / "000001.txt").read_text() == "Ada Lovelace sang"
    assert run("folder", "-", "--format", "redacted") == "[PER] sang\nin [LOC]\n"
    assert run("tasks.json", "again.conll", "--split_at_blanks").startswith("again.conll: 2 texts")
    assert (tmp_path / "again.conll").read_text() == GOLD


def test_other_schemes_and_spellings_are_understood(run, tmp_path):
    (tmp_path / "in.conll").write_text("Ada\tU-PER\nin\tO\nNew\tB-LOC\nYork\tL-LOC\n")
    run("in.conll", "out.jsonl")
    (row,) = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    assert [(one["word"], one["entity_group"]) for one in row["entities"]] == [("Ada", "PER"), ("New York", "LOC")]
    (tmp_path / "nouns.conll").write_text("Ada\tNOUN\nsang\tVERB\n")
    run("nouns.conll", "out.jsonl")
    (row,) = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    assert [(one["word"], one["entity_group"]) for one in row["entities"]] == [("Ada", "NOUN"), ("sang", "VERB")]
    (tmp_path / "broken.conll").write_text("Ada\tI-PER\nin\tO\nRome\tB-LOC\nBo\tI-PER\n")
    assert "--repair_tags" in run("broken.conll", "out.jsonl", code=1)
    assert run("broken.conll", "out.jsonl", "--repair_tags") == "out.jsonl: 1 text, 3 entities: LOC 1, PER 2\n"


def test_what_a_reader_leaves_out_is_said(run, tmp_path):
    task = {"data": {"text": "Ada"}, "annotations": []}
    answer = {"result": [{"value": {"start": 0, "end": 3, "labels": ["PER"], "text": "Ada"}}]}
    (tmp_path / "in.json").write_text(json.dumps([task, task | {"annotations": [answer]}]))
    result = CliRunner().invoke(app, ["convert", "in.json", "out.jsonl"])
    assert result.stdout == "out.jsonl: 1 text, 1 entities: PER 1\n"
    assert "tasks that nobody has annotated left out: 1" in result.stderr


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["gone.conll", "out.jsonl"], "gone.conll: no such file"),
        (["empty.conll", "out.jsonl"], "empty.conll: must hold at least one"),
        (["nobody.json", "out.jsonl"], "nobody.json: must hold at least one labelled text, got none"),
        (
            ["over.jsonl", "out.conll"],
            "over.jsonl:1: this format holds no entities that overlap, got 'Ada L' (PER, from",
        ),
        (
            ["over.jsonl", "out.json", "--format", "pubtator"],
            "over.jsonl:2: a text in PubTator must be a title and an",
        ),
        (["over.jsonl", "old", "--format", "brat"], "old: must be a new folder or an empty one"),
        (["over.jsonl", "-", "--format", "brat"], "brat is a folder of files: it needs a path, not standard output"),
        (["over.jsonl", "gone/out.jsonl"], "gone/out.jsonl: cannot be written: No such file or directory"),
        (["over.jsonl", "out.jsonl", "--data_format", "xml"], "--data_format must be one of conll, "),
        (["over.jsonl", "-", "--format", "docbin"], "docbin is a binary file: it needs a path, not standard output"),
        (["half.jsonl", "out", "--format", "brat"], "half.jsonl:2: "),
    ],
)
def test_a_fault_is_said_in_one_sentence_and_leaves_nothing_half_written(run, tmp_path, argv, sentence):
    (tmp_path / "empty.conll").write_text("")
    (tmp_path / "nobody.json").write_text('[{"data": {"text": "Ada"}, "annotations": []}]')
    overlapping = {"text": "Ada L", "entities": [[0, 3, "PER"], [0, 5, "PER"]]}
    (tmp_path / "over.jsonl").write_text(f'{json.dumps(overlapping)}\n{{"text": "a\\nb\\nc", "entities": []}}\n')
    (tmp_path / "half.jsonl").write_text('{"text": "Ada", "entities": [[0, 3, "PER"]]}\n{"text": "Ada", "enti')
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "a.txt").write_text("mine")
    (tmp_path / "out.jsonl").write_text("what was there")
    before = sorted(os.listdir())

    said = run(*argv, code=1)

    assert said.startswith(f"bert-crf convert: error: {sentence}")
    assert said.count("\n") == 1
    assert sorted(os.listdir()) == before
    assert (tmp_path / "out.jsonl").read_text() == "what was there"


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (
            ["in.conll", "out.json"],
            "out.json: must end in .jsonl, .conll, .tsv, .spacy, or --format must say",
        ),
        (["in.conll", "out.txt", "--format", "html"], "--format must be one of jsonl, conll, label-studio, "),
        (["in.conll", "out.jsonl", "--consistent"], "--consistent is for --format redacted, got jsonl"),
        (["in.conll", "out.conll", "--on_overlap", "last"], "'last' is not one of 'error', 'longest', 'first'"),
    ],
)
def test_a_wrong_command_is_refused(run, argv, sentence):
    assert sentence in run(*argv, code=2)
