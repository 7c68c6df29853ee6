"""Texts with spans, as annotation tools export them: each format is known by its content and read alike."""

import json
import logging

import pyarrow
import pytest
from exports import brat, exports_of, label_studio_row, label_studio_task, lines, utf16
from pyarrow import parquet

from modeling_bert_crf.readers.account import Account
from modeling_bert_crf.readers.documents import Annotation, Document
from modeling_bert_crf.readers.files import read_file
from modeling_bert_crf.readers.formats import find_format, read_documents
from modeling_bert_crf.readers.marks import Ask
from modeling_bert_crf.readers.sentences import DataError
from modeling_bert_crf.readers.spans import SpanRules, sentences_of

TEXT = "Ada Lovelace met Jean-Paul in Oslo.\nShe left."
SPANS = [(0, 12, "PER"), (17, 26, "PER"), (30, 34, "LOC")]
SECOND = "No names here \U0001f600, Z\u00fcrich aside."
SECOND_SPANS = [(17, 23, "LOC")]
DATA = [(TEXT, SPANS), (SECOND, SECOND_SPANS)]


FILES = exports_of(DATA)


@pytest.fixture
def write(tmp_path):
    def write(text, name="data.jsonl"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


@pytest.mark.parametrize("name", FILES)
def test_a_format_is_known_by_its_content(write, name):
    file, text = FILES[name]
    documents = list(read_documents(write(text, file)))

    assert [one.text for one in documents] == [TEXT, SECOND] if name != "pubtator" else [TEXT, SECOND + "\n"]
    assert [[tuple(mark[:3]) for mark in one.annotations] for one in documents] == [SPANS, SECOND_SPANS]


def test_a_folder_of_brats_is_read(tmp_path):
    folder = brat(tmp_path / "corpus", DATA)
    documents = list(read_documents(folder))

    assert [(one.text, one.name, one.place) for one in documents] == [(TEXT, "0", "0.txt"), (SECOND, "1", "1.txt")]
    assert [[tuple(mark[:3]) for mark in one.annotations] for one in documents] == [SPANS, SECOND_SPANS]
    assert [one.text for one in read_documents(folder / "0.ann")] == [TEXT]  # once it trained to an F1 of 1


WORDS = [
    ["Ada", "Lovelace", "met", "Jean-Paul", "in", "Oslo", "."],
    ["She", "left", "."],
    ["No", "names", "here", "\U0001f600", ",", "Z\u00fcrich", "aside", "."],
]
TAGS = [["B-PER", "I-PER", "O", "B-PER", "O", "B-LOC", "O"], ["O"] * 3, ["O"] * 5 + ["B-LOC", "O", "O"]]


@pytest.mark.parametrize("name", FILES)
def test_all_formats_give_the_same_sentences(write, name, caplog):
    file, text = FILES[name]
    with caplog.at_level(logging.WARNING):
        sentences = list(read_file(write(text, file)))

    assert [one.words for one in sentences] == WORDS
    assert [one.tags for one in sentences] == TAGS
    assert sentences[0].document == sentences[1].document != sentences[2].document
    assert "read as " in caplog.text


def test_words_of_gliner_and_prodigy_stay(write):
    gliner = {"tokenized_text": ["Ada", "L.", "sang"], "ner": [[0, 1, "person"]]}
    (read,) = read_file(write(lines(gliner)))
    assert (read.words, read.tags) == (["Ada", "L.", "sang"], ["B-person", "I-person", "O"])

    tokens = [{"text": "Ada", "start": 0, "end": 3, "id": 0}, {"text": " ", "start": 3, "end": 4, "id": 1}]
    tokens.append({"text": "sang.", "start": 4, "end": 9, "id": 2})
    record = {"text": "Ada sang.", "tokens": tokens, "spans": [{"start": 0, "end": 3, "label": "PER"}]}
    (read,) = read_file(write(lines(record)))
    assert (read.words, read.tags) == (["Ada", "sang."], ["B-PER", "O"])


def document(text, *spans, **more):
    return Document(text, [Annotation(*span) for span in spans], "data.jsonl", "7", **more)


def tagged(rules, *documents, account=None):
    sentences = sentences_of(documents, rules, account)
    return [list(zip(one.words, one.tags, strict=True)) for one in sentences]


def test_a_word_is_split_where_a_span_ends_inside_it():
    account = Account()
    read = tagged(None, document("Oslo-based Ada's", (0, 4, "LOC"), (11, 14, "PER")), account=account)

    assert read == [[("Oslo", "B-LOC"), ("-based", "O"), ("Ada", "B-PER"), ("'s", "O")]]
    assert dict(account.counts) == {"LOC": {"split": 1}, "PER": {"split": 1}}
    assert account.examples["split"] == [
        "data.jsonl:7, characters 0 to 4: LOC 'Oslo'",
        "data.jsonl:7, characters 11 to 14: PER 'Ada'",
    ]


def test_a_span_may_be_moved_to_the_ends_of_words_or_left_out():
    one = document("Oslo-based Ada", (0, 4, "LOC"), (11, 14, "PER"))
    account = Account()

    assert tagged(SpanRules(on_misaligned="expand"), one) == [[("Oslo-based", "B-LOC"), ("Ada", "B-PER")]]
    assert tagged(SpanRules(on_misaligned="drop"), one, account=account) == [[("Oslo-based", "O"), ("Ada", "B-PER")]]
    assert dict(account.counts) == {"LOC": {"dropped": 1}, "PER": {"kept": 1}}
    with pytest.raises(DataError, match=r"must end where words do, got LOC 'Oslo' at data.jsonl:7, char"):
        tagged(SpanRules(on_misaligned="error"), one)


def test_spans_that_share_a_word_overlap_once_they_are_moved():
    one = document("Oslo-Bergen", (0, 4, "LOC"), (5, 11, "LOC"))

    assert tagged(None, one) == [[("Oslo", "B-LOC"), ("-", "O"), ("Bergen", "B-LOC")]]
    with pytest.raises(DataError, match="must not overlap"):
        tagged(SpanRules(on_misaligned="expand"), one)
    assert tagged(SpanRules(on_misaligned="expand", on_overlap="first"), one) == [[("Oslo-Bergen", "B-LOC")]]


def test_blanks_at_the_ends_of_a_span_are_no_part_of_an_entity():
    account = Account()

    assert tagged(None, document("to Ada now", (2, 7, "PER")), account=account) == [
        [("to", "O"), ("Ada", "B-PER"), ("now", "O")]
    ]
    assert dict(account.counts) == {"PER": {"moved": 1}}


def test_a_span_over_what_is_in_no_word_gets_a_word_of_its_own():
    # A joiner by itself is no word of Unicode's.
    joiner = "\u200d"
    assert tagged(None, document(f"a {joiner} b", (2, 3, "X")))[0][1] == (joiner, "B-X")

    def letters(texts):
        return [[(i, i + 1) for i, letter in enumerate(text) if letter == "a"] for text in texts]

    one = document("xa-ay a", (0, 5, "X"))
    assert tagged(SpanRules(letters), one) == [[("x", "B-X"), ("a", "I-X"), ("a", "I-X"), ("y", "I-X"), ("a", "O")]]


def test_of_spans_that_overlap_one_is_left_or_the_data_are_refused():
    nested = [(0, 11, "ORG"), (0, 4, "LOC"), (9, 20, "PER")]
    one = document("Oslo Bank & Sons & Daughters", *nested)
    account = Account()

    with pytest.raises(
        DataError, match=r"data.jsonl: annotations must not overlap, .*got LOC 'Oslo' at data.jsonl:7,.*PER"
    ):
        tagged(None, one)
    first = tagged(SpanRules(on_overlap="first", on_misaligned="expand"), one, account=account)
    assert [tag for _, tag in first[0]] == ["B-ORG", "I-ORG", "I-ORG", "O", "O", "O"]
    assert dict(account.counts) == {"ORG": {"kept": 1}, "LOC": {"dropped": 1}, "PER": {"dropped": 1}}
    assert account.examples["dropped"][0] == "data.jsonl:7, characters 0 to 4: LOC 'Oslo' (overlaps ORG 'Oslo Bank &')"

    longest = tagged(SpanRules(on_overlap="longest"), document("a bb cc d", (0, 4, "X"), (2, 9, "Y")))
    assert [tag for _, tag in longest[0]] == ["O", "B-Y", "I-Y", "I-Y"]


def test_of_many_overlaps_the_count_and_the_first_three_are_named():
    many = [document("a b", (0, 3, "X"), (0, 1, f"Y{number}")) for number in range(1005)]

    with pytest.raises(DataError, match=r"Y0 'a' .*Y1 'a' .*Y2 'a' [^Y]*, and 1,002 more; --on_overlap longest"):
        tagged(None, *many)


def test_no_sentence_ends_inside_an_entity():
    text = "He read Stop. Go on. Then\nhe left. So."
    inside = tagged(None, document(text, (8, 19, "WORK"), (21, 28, "X")))

    assert ["".join(word + " " for word, _ in one) for one in inside] == [
        "He read Stop . Go on . ",
        "Then he left . ",
        "So . ",
    ]
    assert len(tagged(SpanRules(by_sentence=False), document(text))) == 1
    assert len(tagged(None, document(text, sentences=[(0, 7), (8, 25), (26, 38)]))) == 3
    assert len(tagged(None, document(text, (3, 12, "X"), sentences=[(0, 7), (8, 25), (26, 38)]))) == 2


@pytest.mark.parametrize(
    ("unit", "place_of"),
    [
        ("UTF-16 units", utf16),
        ("bytes of UTF-8", lambda text, place: len(text[:place].encode())),
        ("a line break of two characters as one", lambda text, place: len(text[:place].replace("\r\n", "\n"))),
    ],
)
def test_offsets_in_other_units_are_known_by_the_text_of_a_span(tmp_path, unit, place_of):
    text = "\U0001f600\u00fc A\u0308da saw\r\nthe \U0001f1f3\U0001f1f4 of Oslo, Oslo."
    if "line" in unit:
        text = "Ada saw\r\n\r\nOslo."
    start = text.rindex("Oslo")
    ask = Ask()
    (read,) = read_documents(brat(tmp_path / "b", [(text, [(start, start + 4, "LOC")])], place_of), ask=ask)

    assert [read.text[mark.start : mark.end] for mark in read.annotations] == ["Oslo"]
    assert read.annotations[0].start == start
    assert ask.account.notes == {f"texts whose offsets count {unit}": 1}


def test_several_annotators_are_a_choice(write):
    task = label_studio_task(1, TEXT, SPANS, {"email": "a@b.example"})
    other = label_studio_task(1, TEXT, SPANS[:1], {"email": "c@d.example"})["annotations"][0]
    task["annotations"].append(other)
    path = write(json.dumps([task]), "data.json")

    with pytest.raises(DataError, match=r"data.json:1: must be annotated by one, got 2 .*a@b.example, c@d.example: "):
        list(read_documents(path))
    counts = {
        name: [len(one.annotations) for one in read_documents(path, ask=Ask(annotator=name))]
        for name in ("first", "last", "c@d.example", "nobody")
    }
    assert counts == {"first": [3], "last": [1], "c@d.example": [1], "nobody": []}

    other["ground_truth"] = True
    assert [len(one.annotations) for one in read_documents(write(json.dumps([task]), "data.json"))] == [1]


def test_rows_of_one_task_are_its_annotators(write):
    rows = [label_studio_row(5, TEXT, SPANS), {**label_studio_row(5, TEXT, SPANS[:1]), "annotator": 2}]

    with pytest.raises(DataError, match="must be annotated by one, got 2 annotations that differ, by 1, 2"):
        list(read_documents(write(json.dumps(rows))))
    assert len(list(read_documents(write(json.dumps(rows)), ask=Ask(annotator="2")))) == 1


def test_what_is_left_out_is_counted(write, tmp_path):
    task = {"id": 1, "data": {"text": "a"}, "annotations": [{"was_cancelled": True, "result": []}]}
    ask = Ask()
    assert list(read_documents(write(json.dumps([task]), "a.json"), ask=ask)) == []
    rejected = {"text": "a", "spans": [], "answer": "reject"}
    assert list(read_documents(write(lines(rejected), "b.jsonl"), ask=ask)) == []
    folder = brat(tmp_path / "brat", [("Ada and Bo sang", [])])
    (folder / "0.ann").write_text("T1\tPER 0 3;8 10\tAda Bo\nT2\tV 11 15\tsang\nE1\tV:T2\n#1\tAnnotatorNotes T2\tx\n")
    (folder / "bare.txt").write_text("nothing")
    (read,) = read_documents(folder, ask=ask)

    assert read.annotations == [(11, 15, "V", None)]
    assert ask.account.notes == {
        "tasks that nobody has annotated left out": 1,
        "records with the answer 'reject' left out": 1,
        "events of brat ignored": 1,
        "notes of brat ignored": 1,
        "texts without .ann left out": 1,
    }
    assert ask.account.counts == {"PER": {"dropped": 1}}
    assert ask.account.examples["dropped"] == [f"{folder / '0.ann'}:1: PER 'Ada Bo' (in several parts)"]


def test_the_account_is_a_table():
    account = Account()
    for kind in ("PER", "LOCATION"):
        account.keep(kind)
    account.add("split", "PER", "a:1", "Ada")
    account.notes["relations ignored"] = 1200

    assert account.lines() == [
        "type      spans  kept  moved  split  dropped",
        "LOCATION      1     1      0      0        0",
        "PER           2     1      0      1        0",
        "all           3     2      0      1        0",
        "split, a word was split at their end; the first:",
        "  a:1: PER 'Ada'",
        "relations ignored: 1,200",
    ]


def test_the_format_may_be_named(write):
    path = write(lines({"text": "Ada sang", "spans": [], "labels": [[0, 3, "PER"]]}))

    assert (find_format(path), find_format(path, "prodigy")) == ("doccano", "prodigy")
    assert [one.annotations for one in read_documents(path, "prodigy")] == [[]]
    assert [len(one.annotations) for one in read_documents(path)] == [1]


def test_words_and_tags_may_stand_in_an_array_too(write):
    rows = [{"tokens": ["Ada", "sang"], "ner_tags": ["B-PER", "O"]}, {"tokens": ["so"], "ner_tags": ["O"]}]

    for text in (lines(*rows), json.dumps(rows), json.dumps(rows, indent=1)):
        assert [one.tags for one in read_file(write(text, "data.json"))] == [["B-PER", "O"], ["O"]]
    (pretty,) = read_file(write(json.dumps(rows[0], indent=1), "data.json"))
    assert pretty.words == ["Ada", "sang"]


def test_parquet_holds_the_same_rows(tmp_path):
    words = [{"tokens": ["Ada", "sang"], "ner_tags": ["B-PER", "O"]}, {"tokens": ["so"], "ner_tags": ["O"]}]
    spans = [
        {"text": text, "spans": [{"start": start, "end": end, "label": kind} for start, end, kind in marks]}
        for text, marks in DATA
    ]
    for name, rows in (("words", words), ("spans", spans)):
        parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / f"{name}.parquet")

    assert [one.tags for one in read_file(tmp_path / "words.parquet")] == [["B-PER", "O"], ["O"]]
    assert [one.tags for one in read_file(tmp_path / "spans.parquet")] == TAGS
    whole = (tmp_path / "spans.parquet").read_bytes()
    (tmp_path / "spans.parquet").write_bytes(whole[:-30])
    with pytest.raises(DataError, match=r"spans.parquet: must be a parquet file that is whole, got: "):
        list(read_file(tmp_path / "spans.parquet"))


ODD = ["*", "A1", "E1", "R2", "#1", "T1", "x^", "x\x01", "PAR1", "{", "[", "{}", "[]", "a|t|b", "<collection>", "<?"]


@pytest.mark.parametrize("word", ODD)
def test_no_first_word_of_columns_makes_them_another_format(word, write):
    (read,) = read_file(write(f"{word}\tO\nAda\tB-PER\n", "data.conll"))

    assert (read.words, read.tags) == ([word, "Ada"], ["O", "B-PER"])
