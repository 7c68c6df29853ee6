"""`bert-crf tag`: what goes in, what comes out, and what is said when it cannot."""

import io
import json
import os
import pty
import resource
import shutil
import signal
import subprocess
import sys
from itertools import count, islice, permutations
from pathlib import Path
from random import Random

import pytest
import torch
from conftest import LABELS, WORDS
from exports import brat, exports_of
from rich.text import Text
from typer.testing import CliRunner

from bert_crf_command import inputs
from bert_crf_command.app import app
from bert_crf_command.formats import InputFormat
from bert_crf_command.frame import CommandError
from bert_crf_command.inputs import Item
from bert_crf_command.outputs import BLOCK, find_entities, output_file
from bert_crf_command.terminal import write_terminal
from modeling_bert_crf import BertBiLSTMCRFForTokenClassification, BertBiLSTMCRFPipeline
from modeling_bert_crf.readers.files import read_conll
from modeling_bert_crf.readers.formats import FORMATS
from modeling_bert_crf.training.dataset import TaggingCollator, TaggingDataset

TEXTS = ["Ada Lovelace visited Paris, in the rain.", "rain in Paris . Ada"]


@pytest.fixture
def tagger(model, tokenizer):
    return BertBiLSTMCRFPipeline(model=model, tokenizer=tokenizer)


@pytest.fixture
def folder(model, tokenizer, tmp_path):
    """A finished tagger's folder."""
    model.save_pretrained(tmp_path / "tagger")
    tokenizer.save_pretrained(tmp_path / "tagger")
    return tmp_path / "tagger"


@pytest.fixture
def run(folder, tmp_path, monkeypatch):
    """Run the command in an empty folder, and return what it writes."""
    monkeypatch.chdir(tmp_path)

    def run(*argv, stdin="", code=0):
        result = CliRunner().invoke(app, ["tag", str(folder), *map(str, argv)], input=stdin)
        assert result.exit_code == code, result.output
        return result.stdout if code == 0 else result.stderr

    return run


def rows_of(text):
    return [rounded(json.loads(line)) for line in text.splitlines()]


def rounded(found):
    """Cut scores to what does not depend on the batch that a text was in."""
    if isinstance(found, list):
        return [rounded(one) for one in found]
    if isinstance(found, dict):
        return {key: round(value, 3) if key == "score" else rounded(value) for key, value in found.items()}
    return found


def test_texts_become_json_lines_with_what_the_pipeline_finds(run, tagger):
    rows = rows_of(run(*TEXTS))

    assert [row["text"] for row in rows] == TEXTS
    assert [row["entities"] for row in rows] == rounded(tagger(TEXTS))
    assert all(row["entities"] for row in rows)


def test_files_are_read_by_their_ending_and_keep_what_they_say(run, tagger, tmp_path):
    (tmp_path / "a.txt").write_text(f"\ufeff{TEXTS[0]}\r\n\n  \n{TEXTS[1]}\n")
    (tmp_path / "b.jsonl").write_text(
        json.dumps({"id": 7, "text": TEXTS[0], "half": "\ud800"}) + "\n\n" + json.dumps({"tokens": TEXTS[1].split()})
    )
    (tmp_path / "c.tsv").write_text("Ada\nLovelace\n\n#rain\n")

    rows = rows_of(run("--input", "a.txt", "-i", "b.jsonl", "-i", "c.tsv"))

    one, two = rounded(tagger(TEXTS))
    (split,) = rounded(tagger([TEXTS[1].split()], is_split_into_words=True))
    assert rows[:2] == [
        {"file": "a.txt", "line": 1, "text": TEXTS[0], "entities": one},
        {"file": "a.txt", "line": 4, "text": TEXTS[1], "entities": two},
    ]
    assert rows[2] == {"id": 7, "text": TEXTS[0], "half": "\ud800", "entities": one}
    assert rows[3] == {"tokens": TEXTS[1].split(), "text": TEXTS[1], "entities": split}
    assert [(row["file"], row["line"], row["tokens"]) for row in rows[4:]] == [
        ("c.tsv", 1, ["Ada", "Lovelace"]),
        ("c.tsv", 4, ["#rain"]),
    ]


def test_texts_are_read_from_what_annotation_tools_write(run, tagger, tmp_path):
    """Their annotations do not count: they may be at fault, or not be there at all."""
    wrong = [(text, [(3, 99, "X"), (3, 2, "Y")]) for text in TEXTS]
    exports = exports_of(wrong)
    found = rounded(tagger(TEXTS))
    brat(tmp_path / "folder", wrong)
    (tmp_path / "folder" / "1.ann").unlink()
    files = ["folder"]
    for name in ("label-studio", "argilla 2", "spacy array", "plain objects", "doccano", "bioc xml", "pubtator"):
        ending = {"bioc xml": "xml", "pubtator": "pubtator"}.get(name, "json")
        files.append(f"{name}.{ending}")
        (tmp_path / files[-1]).write_bytes(exports[name][1].encode())
    (tmp_path / "new.json").write_text(json.dumps([{"id": 5, "data": {"text": TEXTS[0]}}]))

    for file in files:
        rows = rows_of(run("--input", file))
        assert [row["text"].rstrip("\n") for row in rows] == TEXTS
        assert [row["entities"] for row in rows] == found
    (row,) = rows_of(run("--input", "new.json"))
    assert row == {"id": "5", "text": TEXTS[0], "entities": found[0]}
    (tmp_path / "words.json").write_text(json.dumps([{"tokenized_text": TEXTS[1].split(), "ner": []}]))
    (split,) = rounded(tagger([TEXTS[1].split()], is_split_into_words=True))
    assert rows_of(run("-i", "words.json"))[0]["entities"] == split


def test_what_a_json_line_says_is_known_holds(run, tagger, tmp_path):
    texts, known = ["Ada visited Paris.", "the rain"], [[0, 3, "LOC"], [12, 17, ["PER", "LOC"]]]
    lines = [{"text": texts[0], "known": known}, {"text": texts[1]}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    rows = rows_of(run("--input", "a.jsonl"))
    assert [row["known"] for row in rows[:1]] == [known]
    assert [rounded(row["entities"]) for row in rows] == [rounded(found) for found in tagger(texts, known=[known, []])]
    assert rounded(rows[0]["entities"]) != rounded(tagger(texts[0]))


@pytest.mark.parametrize(
    ("known", "sentence"),
    [
        ("PER", "'known' must be a list of [start, end, type], got 'PER'"),
        ([[0, 2, "PER"]], "a known entity must begin and end where words do, as (0, 3) does"),
        ([[0, 3, "CITY"]], "something known must be (start, end, type), with a type or several of "),
    ],
)
def test_what_cannot_be_known_is_refused_with_its_line(run, tmp_path, known, sentence):
    lines = [{"text": "the rain"}, {"text": "Ada visited Paris.", "known": known}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    said = run("--input", "a.jsonl", code=1)
    assert f"a.jsonl:2: {sentence}" in said


def test_what_can_be_read_can_be_named():
    assert {one.value for one in InputFormat} - {"txt"} <= set(FORMATS)


def test_standard_input_and_the_column_that_is_asked_for(run):
    assert [row["line"] for row in rows_of(run(stdin="Ada\n\nParis\n"))] == [1, 3]
    assert len(rows_of(run("rain", "-", stdin="Ada\n"))) == 2
    asked = ("--input_format", "jsonl", "--column", "body")
    (row,) = rows_of(run(*asked, "--input", "-", stdin='{"body": "Ada", "text": 3}'))
    assert (row["text"], row["body"]) == ("Ada", "Ada")
    (row,) = rows_of(run("--input_format", "conll", "--column", "1", stdin="1\tAda\tX\n2\tParis\tX\n"))
    assert row["tokens"] == ["Ada", "Paris"]
    assert run(stdin="") == ""


COLUMNS = "Ada NNP B-PER\nvisited VBD O\n\n-DOCSTART- -X- O\n\n# newdoc\nParis NNP B-LOC\nin IN O\n\nrain NN O\n"


def test_columns_keep_their_borders_and_their_gold_tags(run, tagger, tmp_path):
    (tmp_path / "a.conll").write_text(COLUMNS)

    written = run("--input", "a.conll", "--format", "conll")

    sentences = [["Ada", "visited"], ["Paris", "in"], ["rain"]]
    by_word = tagger(sentences, is_split_into_words=True, aggregation_strategy="none", ignore_labels=[])
    gold = iter(["B-PER", "O", "B-LOC", "O", "O"])
    rows = ["\n".join(f"{e['word']}\t{next(gold)}\t{e['entity']}" for e in words) for words in by_word]
    assert written == f"{rows[0]}\n\n-DOCSTART-\tO\tO\n\n{rows[1]}\n\n{rows[2]}\n\n"


def test_words_that_columns_cannot_hold_are_written_so_that_they_are_read_back(run, tmp_path):
    words = [["Ada", "a\tb", "\n", " ", "-DOCSTART-", "#"], ["Ada", "#x", "Paris"]]
    (tmp_path / "odd.jsonl").write_text("".join(json.dumps({"tokens": one}) + "\n" for one in words))

    written = run("--input", "odd.jsonl", "--format", "conll")

    (tmp_path / "out.conll").write_text(written)
    assert [one.words for one in read_conll(tmp_path / "out.conll")] == words
    assert written.count("# cells = JSON\n") == 1
    again = rows_of(run("--input", "out.conll", "--format", "jsonl"))
    assert [row["tokens"] for row in again] == words
    assert [row["entities"] for row in again] == [row["entities"] for row in rows_of(run("--input", "odd.jsonl"))]


def test_conllu_is_tagged_by_its_words(run, tmp_path):
    rows = [
        "# text = Ada",
        "1-2\tAda's" + "\t_" * 8,
        "1\tAda" + "\t_" * 8,
        "2\t's" + "\t_" * 7 + "\tSpaceAfter=No",
        "",
    ]
    (tmp_path / "a.conllu").write_text("\n".join(rows))
    (row,) = rows_of(run("--input", "a.conllu"))
    assert (row["tokens"], row["line"]) == (["Ada", "'s"], 3)
    written = [line.split("\t")[:2] for line in run("--input", "a.conllu", "--format", "conll").splitlines() if line]
    assert written == [["Ada", "_"], ["'s", "SpaceAfter=No"]]


@pytest.mark.parametrize(
    "config", [{}, {"text_unit": "text"}, {"word_splitter": "unicode_clitics"}, {"tag_scheme": None}]
)
def test_texts_become_columns_of_the_words_that_the_model_sees(make_model, tokenizer, tmp_path, config):
    labels = LABELS if "tag_scheme" not in config else ["O", "LOC", "PER"]
    model = make_model(labels, **config)
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    text = "Ada's in Paris. The rain, Ada! rain"

    argv = ["tag", str(tmp_path / "model"), text, "rain", "-o", str(tmp_path / "out.conll")]
    assert CliRunner().invoke(app, argv).exit_code == 0

    tagger = BertBiLSTMCRFPipeline(model=model, tokenizer=tokenizer)
    expected = tagger([text, "rain"], aggregation_strategy="none", ignore_labels=[])
    sentences = read_conll(tmp_path / "out.conll")
    assert len(sentences) == (2 if config.get("text_unit") == "text" else 3)
    assert [word for sentence in sentences for word in sentence.words] == [e["word"] for one in expected for e in one]
    assert [tag for sentence in sentences for tag in sentence.tags] == [e["entity"] for one in expected for e in one]
    assert any(tag != "O" for sentence in sentences for tag in sentence.tags)


def test_the_options_reach_the_pipeline(run, tagger):
    scores = sorted(entity["score"] for entity in rounded(tagger(TEXTS[0])))
    (row,) = rows_of(run(TEXTS[0], "--threshold", scores[1] - 0.001))
    assert sorted(entity["score"] for entity in row["entities"]) == scores[1:]
    texts = [" ".join(words) for words in permutations(WORDS[:4])]
    marginal = rows_of(run(*texts, "--decoding", "marginal", "--batch_size", 3, "--device", "cpu"))
    assert [row["entities"] for row in marginal] == rounded(tagger(texts, decoding="marginal", batch_size=3))
    assert [row["entities"] for row in marginal] != rounded(tagger(texts, batch_size=3))


def test_input_without_an_end_is_tagged_block_by_block(tagger):
    read = count()
    items = (Item(["Ada", "Paris"] if next(read) in (0, 5) else "Ada") for _ in count())

    results = list(islice(find_entities(tagger, items), 12))

    assert [item.is_split for item, _ in results] == [index in (0, 5) for index in range(12)]
    alone = [tagger([["Ada", "Paris"]], is_split_into_words=True)[0], tagger("Ada")]
    assert rounded([entities for _, entities in results[:2]]) == rounded(alone)
    assert next(read) <= 2 * BLOCK


def test_a_document_may_hold_rows_without_words(make_model, tokenizer):
    tagger = BertBiLSTMCRFPipeline(model=make_model(context_size=7), tokenizer=tokenizer)
    rows = [["Ada"], [], ["in", "Paris"], [], ["Ada", "Lovelace"]]
    found = [entities for _, entities in find_entities(tagger, map(Item, rows))]
    (together,) = tagger([rows], is_split_into_words=True)

    assert sum(map(len, found)) == len(together) > 2
    assert [entity["word"] for one in found for entity in one] == [entity["word"] for entity in together]
    for row, entities in zip(rows, found, strict=True):
        assert all(" ".join(row)[slice(one["start"], one["end"])] == one["word"] for one in entities)


def test_sentences_of_a_column_file_are_read_among_their_neighbours(make_model, tokenizer, tmp_path):
    """As they are in evaluation: within the document, as far as the model's context goes."""
    make_model(context_size=7).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    rng = Random(0)
    lines = []
    for length in rng.choices(range(1, 6), k=60):
        lines += [*([] if len(lines) % 2 else ["-DOCSTART-", ""]), *rng.choices(WORDS, k=length), ""]
    (tmp_path / "in.conll").write_text("\n".join(lines))
    argv = ["tag", tmp_path / "model", "--input", tmp_path / "in.conll", "-o", tmp_path / "out.conll"]
    assert CliRunner().invoke(app, [*map(str, argv)]).exit_code == 0

    tags = {}
    for size in (0, 7):
        model = BertBiLSTMCRFForTokenClassification.from_pretrained(tmp_path / "model").eval()
        sentences = read_conll(tmp_path / "out.conll")
        dataset = TaggingDataset(sentences, tokenizer, LABELS, context_size=size)
        with torch.no_grad():
            tags[size] = dataset.tags_of(model(**TaggingCollator(tokenizer.pad_token_id)(list(dataset))).paths)
    assert [sentence.tags for sentence in sentences] == tags[7] != tags[0]
    assert len({sentence.document for sentence in sentences}) > 2


BAD_FILES = {
    "bytes.txt": b"Ada\nAd\xe4\n",
    "cut.jsonl": b'{"text": "Ada"}\n{"text": \n',
    "list.jsonl": b'{"text": "Ada"}\n[1]\n',
    "column.jsonl": b'{"txt": "Ada"}\n',
    "number.jsonl": b'{"text": 7}\n',
    "half.jsonl": b'{"text": "Ada \\ud800"}\n',
    "deep.jsonl": b'{"text": ' + b"[" * 100_000 + b"\n",
    "ragged.conll": b"Ada\tO\nParis\n",
    "count.conll": b"1\tAda\n2\tParis\n",
    "wide.txt": "Ada in Paris".encode("utf-16"),
    "notes.txt": b"Ada\n",
}


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["bytes.txt"], "bytes.txt:2: must be UTF-8, got byte 0xe4"),
        (["cut.jsonl"], "cut.jsonl:2: must hold one JSON object a line, got Expecting value"),
        (["list.jsonl"], "list.jsonl:2: must hold one JSON object a line, got '[1]'"),
        (["column.jsonl"], "column.jsonl:1: must have a column named text or tokens or words, got txt; name it with"),
        (["number.jsonl"], "number.jsonl:1: 'text' must be a text or a list of words, got '7'"),
        (["half.jsonl"], "half.jsonl:1: 'text' must be Unicode text, got half a character, '\\ud800'"),
        (["deep.jsonl"], "deep.jsonl:1: must hold one JSON object a line, got maximum recursion depth"),
        (["ragged.conll"], "ragged.conll:2: must have 2 columns as line 1, got 1: 'Paris'"),
        (
            ["count.conll"],
            "count.conll: the first column counts the words (1, 2) and does not hold them: name the column",
        ),
        (["wide.txt"], "wide.txt: must be UTF-8, got UTF-16: convert it, as with iconv -f UTF-16 -t UTF-8"),
        (["gone.txt"], "gone.txt: cannot be read: No such file or directory"),
        (["sub.txt"], "sub.txt: cannot be read: Is a directory"),
        (["notes.txt", "--output", "gone/a.html"], "gone/a.html: cannot be written: No such file or directory"),
        (["notes.txt", "--device", "abacus"], "--device abacus: must be a device of torch's"),
        (["notes.txt", "--device", "cuda:0"], "--device cuda:0: cannot be used: "),
    ],
)
def test_a_users_mistake_is_said_in_one_sentence_and_leaves_nothing_half_written(run, tmp_path, argv, sentence):
    for name, content in BAD_FILES.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "sub.txt").mkdir()
    (tmp_path / "out.html").write_text("what was there")
    before = sorted(os.listdir(tmp_path))

    argv = ["--input", *argv] if "--output" in argv else ["--output", "out.html", "--input", *argv]
    said = run(*argv, code=1)

    assert said.startswith(f"bert-crf tag: error: {sentence}")
    assert said.count("\n") == 1
    assert sorted(os.listdir(tmp_path)) == before
    assert (tmp_path / "out.html").read_text() == "what was there"


def test_a_model_that_is_none_of_ours_is_said_in_one_sentence(folder, encoder_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{")
    for name in ("weightless", "cut", "poor"):
        (tmp_path / name).mkdir()
        for file in ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"):
            (tmp_path / name / file).write_bytes((folder / file).read_bytes())
    (tmp_path / "weightless" / "model.safetensors").unlink()
    (tmp_path / "cut" / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-9])
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    del weights["crf.transitions"]
    save_file(weights, tmp_path / "poor" / "model.safetensors", {"format": "pt"})
    unloaded = "its model (config.json, model.safetensors) cannot be loaded:"
    for name, sentence in {
        "./gone": "./gone: no such folder",
        "someone/gone": "someone/gone: no such folder, and not to be had from the Hub: ",
        "empty": "empty: this folder holds no model, it has no config.json; name a run's --output_dir",
        "broken": "broken: its config.json cannot be read: ",
        str(encoder_folder): f"{encoder_folder}: no tagger can be made of it: the model must be a stock token classif",
        "weightless": f"weightless: {unloaded} weightless must hold its weights as model.safetensors; an old pytorch",
        "cut": f"cut: {unloaded} Error while deserializing header: ",
        "poor": f"poor: {unloaded} the weights in poor must be those that the configuration describes, got 1 missing, "
        "'crf.transitions'",
    }.items():
        result = CliRunner().invoke(app, ["tag", name, "Ada"])
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith(f"bert-crf tag: error: {sentence}")
        assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["notes.md"], "notes.md is a file: write --input notes.md"),
        (["--input", "notes.md"], "notes.md: must end in .txt, .jsonl, .json"),
        (["--input", "-", "-"], "standard input can be read once only"),
        (["Ada", "--format", "xml"], "'xml' is not one of 'terminal', 'jsonl', 'conll', 'html'"),
        (["Ada", "--threshold", "2"], "'--threshold': Input should be less than or equal to 1"),
    ],
)
def test_a_wrong_command_is_refused_before_anything_is_loaded(run, tmp_path, monkeypatch, argv, sentence):
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "notes.md").write_text("Ada\n")
    assert sentence in run(*argv, code=2)


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to("target")
    with pytest.raises(KeyboardInterrupt), output_file(tmp_path / "link") as file:  # noqa: PT012
        file.write("half")
        raise KeyboardInterrupt
    assert (tmp_path / "target").read_text() == "old"
    with output_file(tmp_path / "link") as file:
        file.write("new")
    assert (tmp_path / "target").read_text() == "new"
    assert (tmp_path / "link").is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["link", "target"]


def test_a_pipe_is_written_to_and_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDWR | os.O_NONBLOCK)
    with output_file(tmp_path / "pipe") as file:
        file.write("Ada")
    assert os.read(reader, 9) == b"Ada"
    os.close(reader)
    assert Path(tmp_path / "pipe").is_fifo()


def test_the_terminal_shows_entities_and_is_not_steered_by_texts(run, tagger, monkeypatch):
    text = "Ada visited [bold]Paris \x1b[2J\x9b1m\tin the rain"
    found = tagger(text)
    expected = text
    for entity in reversed(found):
        figures = f" {entity['entity_group']} {entity['score']:.2f}]"
        expected = f"{expected[: entity['start']]}[{entity['word']}{figures}{expected[entity['end'] :]}"
    expected = expected.replace("\x1b", "\u241b").replace("\x9b", "\ufffd")

    plain = run(text, "--format", "terminal")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "300")
    coloured = run(text, "--format", "terminal")
    monkeypatch.setenv("NO_COLOR", "1")
    colourless = run(text, "--format", "terminal")

    shown, legend = plain.splitlines()
    assert shown.split() == expected.split()
    kinds = {entity["entity_group"] for entity in found}
    assert legend.split() == ["1", "text:"] + [
        part
        for kind in ("LOC", "PER")
        if kind in kinds
        for part in (kind, str(len([e for e in found if e["entity_group"] == kind])))
    ]
    assert ";30;4" in coloured  # black on a colour
    assert ";30;4" not in colourless
    assert colourless.splitlines()[0].split() == expected.split()
    for steering in ("\x1b[2J", "\x9b"):
        assert steering not in plain + coloured + colourless


def test_each_type_has_one_colour_and_a_narrow_terminal_folds_the_lines(tagger, monkeypatch):
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm-256color", "COLUMNS": "30"}.items():
        monkeypatch.setenv(name, value)
    written = io.StringIO()
    entities = [
        {"entity_group": kind, "score": 0.5, "start": at, "end": at + 3} for at, kind in ((0, "PER"), (8, "LOC"))
    ]
    write_terminal([(Item("Ada and Rome, " * 5), entities)] * 2, tagger, written)

    lines = [Text.from_ansi(line) for line in written.getvalue().splitlines()]
    assert len(lines) > 6
    assert max(line.cell_len for line in lines) <= 30
    colours = {"LOC": set(), "PER": set()}
    for line in lines:
        for start, end, style in line.spans:
            kind = line.plain[start:end].split()[:1]
            if kind and kind[0] in colours:
                colours[kind[0]].add(style.bgcolor.name)
    assert len(colours["LOC"]) == len(colours["PER"]) == 1
    assert colours["LOC"] != colours["PER"]


OSC52 = "\x1b]52;c;cm0gLXJm\x07"  # fills the clipboard
RIGHT_TO_LEFT = "\u05de\u05e9\u05d4"


def test_directions_of_a_text_end_with_it_and_label_and_score_stay_in_place():
    text, kind = f"Ada \u202eevil\u2066 and {RIGHT_TO_LEFT} 1948, x", "\u05d0\u05d3\u05dd"
    spans = [(0, 9), (15, 23)]
    entities = [{"entity_group": kind, "score": 0.5, "start": start, "end": end} for start, end in spans]

    class Tagger:
        class model:
            class config:
                labels = ("O", f"B-{kind}", f"I-{kind}")
                span_scheme = "IOB2"

    written = io.StringIO()
    write_terminal([(Item(text, f"{RIGHT_TO_LEFT}.txt:3"), entities)], Tagger, written)

    line, legend = written.getvalue().splitlines()
    label = f"\u2068{kind}\u2069 0.50]"
    place = f"\u2068{RIGHT_TO_LEFT}.txt:3\u2069"
    assert line == f"{place}  [Ada \ufffdevil {label}\ufffd and [\u2068{RIGHT_TO_LEFT} 1948\u2069 {label}, x"
    assert legend == f"1 text:  \u2068{kind}\u2069 2"


def test_a_message_shows_what_it_quotes_and_steers_no_terminal(run, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    (tmp_path / "keys.jsonl").write_text(json.dumps({f"{OSC52}\u202ekey\nbert-crf: done": 1}), encoding="utf-8")
    said = run("--input", "keys.jsonl", code=1)
    shown = r"'\x1b]52;c;cm0gLXJm\x07\u202ekey\nbert-crf: done'"
    assert f"keys.jsonl:1: must have a column named text or tokens or words, got {shown}; name it" in said
    assert said.count("\n") == 1

    shutil.copytree(folder, tmp_path / "other")
    (tmp_path / "other" / "config.json").write_text(json.dumps({"model_type": f"bert{OSC52}"}))
    result = CliRunner().invoke(app, ["tag", "other", "Ada"])
    assert result.stderr.endswith(r", got 'bert\x1b]52;c;cm0gLXJm\x07'" + "\n")

    (tmp_path / "notes\x1b[2J").touch()
    assert "notes\u241b[2J is a file: write --input notes\u241b[2J" in run("notes\x1b[2J", code=2)
    for result in (CliRunner().invoke(app, [OSC52]), CliRunner().invoke(app, ["--input", f"--{OSC52}"])):
        assert result.exit_code == 2
        assert not {"\x1b", "\x07"} & {*result.output}


def test_an_error_that_nobody_foresaw_steers_no_terminal(run, monkeypatch):
    def fails(file, source):
        raise RuntimeError(f"a bug at {OSC52}")

    monkeypatch.setattr(inputs, "number_lines", fails)
    said = run(code=1)
    assert said.startswith("Traceback (most recent call last):\n")
    assert said.endswith("RuntimeError: a bug at \u241b]52;c;cm0gLXJm\u2407\n")


@pytest.mark.parametrize("form", ["jsonl", "conll", "html"])
def test_data_on_a_terminal_steer_it_as_little(run, tmp_path, form):
    """In a file they are what they are."""
    word = f"rain\x9b2J\x7f{RIGHT_TO_LEFT}"
    text = json.dumps({"tokens": ["Ada", word, "\u202eParis"]})
    (tmp_path / "in.jsonl").write_text(text)
    master, slave = pty.openpty()
    try:
        run("--input", "in.jsonl", "--format", form, "-o", os.ttyname(slave))
        seen = b""
        while not seen.endswith(b"</html>" if form == "html" else b"\n\r\n" if form == "conll" else b"}\r\n"):
            seen += os.read(master, 100_000)
    finally:
        os.close(master)
        os.close(slave)
    seen = seen.decode()
    assert f"rain\ufffd2J\u2421\u2068{RIGHT_TO_LEFT}\u2069" in seen
    assert "\ufffdParis" in seen
    assert not {"\x9b", "\x7f", "\u202e"} & {*seen}

    run("--input", "in.jsonl", "--format", form, "-o", "out")
    assert word in (tmp_path / "out").read_text(encoding="utf-8")
    assert "\u202eParis" in (tmp_path / "out").read_text(encoding="utf-8")


def test_help_and_version():
    shown = CliRunner().invoke(app, ["tag", "--help"])
    assert shown.exit_code == 0
    for promise in ("Exit codes", "130", "Python files beside the weights are not executed", "a text a line"):
        assert promise in " ".join(shown.stdout.split())
    assert CliRunner().invoke(app, ["--version"]).stdout == "bert-crf 0.2.0\n"


def test_ctrl_c_ends_quietly_and_leaves_nothing(run, tmp_path, monkeypatch):
    def interrupted(file, source):
        assert list(tmp_path.glob(".saving-*"))
        raise KeyboardInterrupt

    monkeypatch.setattr(inputs, "number_lines", interrupted)
    assert run("-o", "out.jsonl", code=130) == ""
    assert os.listdir(tmp_path) == ["tagger"]


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_to_end_leaves_all_as_it_was(run, tmp_path, monkeypatch, name):
    (tmp_path / "out.jsonl").write_text("what was there")
    number = getattr(signal, name)

    def interrupted(file, source):
        assert list(tmp_path.glob(".saving-*"))
        os.kill(os.getpid(), number)
        yield 1, "Ada"

    monkeypatch.setattr(inputs, "number_lines", interrupted)
    assert run("-o", "out.jsonl", code=128 + number) == ""
    assert sorted(os.listdir(tmp_path)) == ["out.jsonl", "tagger"]
    assert (tmp_path / "out.jsonl").read_text() == "what was there"
    assert signal.getsignal(number) is signal.SIG_DFL


def test_a_signal_that_is_ignored_stays_ignored(run, tmp_path, monkeypatch):
    """As `nohup` asks for it."""
    read = inputs.number_lines

    def interrupted(file, source):
        os.kill(os.getpid(), signal.SIGHUP)
        yield from read(file, source)

    monkeypatch.setattr(inputs, "number_lines", interrupted)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        run("-o", "out.jsonl", stdin="Ada\n")
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
    assert (tmp_path / "out.jsonl").read_text().count("\n") == 1


UNREADABLE = "/proc/self/mem"
"""A file that can be opened, and fails when it is read."""


@pytest.mark.skipif(not os.path.exists(UNREADABLE), reason="this system has no file that fails when it is read")
def test_an_input_that_fails_is_not_taken_for_the_output(run, folder, error_of, command, tmp_path):
    said = "/proc/self/mem: cannot be read: Input/output error"
    for output in ([], ["-o", "out.jsonl"]):
        assert run("--input", UNREADABLE, "--input_format", "txt", *output, code=1) == f"bert-crf tag: error: {said}\n"
    (tmp_path / "in.txt").symlink_to(UNREADABLE)
    result = CliRunner().invoke(app, ["export", str(folder), "exported", "--sentences", "in.txt"])
    assert result.stderr == "bert-crf export: error: in.txt: cannot be read: Input/output error\n"
    assert error_of(command(train_file=UNREADABLE)) == f"run_ner.py: error: {said}"
    assert sorted(path.name for path in tmp_path.iterdir() if path.name not in ("in.txt", "tagger")) == sorted(
        f"{split}.conll" for split in ("train", "validation", "test")
    )


def test_a_report_is_written_whole_or_not_at_all(tmp_path):
    (tmp_path / "metrics.json").write_text(json.dumps({"scores": {}, "labels": ["O", "B-X"] * 500}))
    (tmp_path / "report.html").write_text("the page before")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2048, limits[1]))
    try:
        result = CliRunner().invoke(app, ["report", str(tmp_path)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    page = tmp_path / "report.html"
    assert (result.exit_code, result.stderr) == (
        1,
        f"bert-crf report: error: {page}: cannot be written: File too large\n",
    )
    assert page.read_text() == "the page before"
    assert sorted(os.listdir(tmp_path)) == ["metrics.json", "report.html"]

    assert CliRunner().invoke(app, ["report", str(tmp_path)]).stdout == f"{page}\n"
    assert page.read_text().endswith("</html>")


def test_a_full_disk_is_said_in_one_sentence(monkeypatch):
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        refused = pytest.raises(CommandError, match="standard output: cannot be written: No space left")
        with refused, output_file(None) as file:
            file.write("Ada")


def test_a_reader_that_has_enough_ends_the_command_quietly(folder, tmp_path):
    (tmp_path / "many.txt").write_text("Ada visited Paris in the rain\n" * 250)
    command = f"{sys.executable} -m bert_crf_command tag {folder} --input {tmp_path}/many.txt | head -n 1"
    done = subprocess.run(
        ["bash", "-c", f"{command}; exit ${{PIPESTATUS[0]}}"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert json.loads(done.stdout)["line"] == 1
    assert done.stderr == ""
