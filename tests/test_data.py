"""Reading, checking and converting labelled sentences."""

import json

import datasets
import pytest

from modeling_bert_crf.training.data import (
    DataError,
    Sentence,
    check_tags,
    class_names,
    convert_tags,
    count_repairs,
    find_labels,
    find_scheme,
    read_conll,
    read_dataset,
    read_file,
)


@pytest.fixture
def write(tmp_path):
    def write(text, name="data.conll"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def sentence(words, tags):
    return Sentence(words.split(), tags.split(), "data.conll", list(range(7, 7 + len(words.split()))))


@pytest.mark.parametrize(
    "text",
    [
        "Ada\tB-PER\nsang\tO\n\nParis\tB-LOC\n",
        "Ada B-PER\nsang O\n\nParis B-LOC",
        "Ada\tNNP\tB-PER\nsang\tVB\tO\n \t\nParis\tNNP\tB-LOC\n\n\n",
        "-DOCSTART- -X- -X- O\n\nAda NNP B-NP B-PER\nsang VB  B-VP O\n\nParis NNP B-NP B-LOC\n",
        "# a comment\nAda\tB-PER\nsang\tO\n\n# sent_id = 2\nParis\tB-LOC\n",
        "\ufeffAda\tB-PER\r\nsang\tO\r\n\r\nParis\tB-LOC\r\n",
    ],
    ids=["tabs", "blanks", "three columns", "CoNLL-2003", "comments", "Windows"],
)
def test_column_files(write, text):
    sentences = read_conll(write(text))

    assert [one.words for one in sentences] == [["Ada", "sang"], ["Paris"]]
    assert [one.tags for one in sentences] == [["B-PER", "O"], ["B-LOC"]]


def test_odd_words_are_words(write):
    words = ["#", "#tag", "\ufe0f", "\u200b", "a b", "\u2028", "\u00a0", "-DOCSTART", '"', "\\t"]
    (read,) = read_conll(write("".join(f"{word}\tO\n" for word in words)))
    assert read.words == words

    (read,) = read_conll(write("# O\nx O\n#tag B-X\n"))
    assert read.words == ["#", "x", "#tag"]


def test_line_numbers_count_what_is_skipped(write):
    sentences = read_conll(write("-DOCSTART-\tO\n\n# c\na\tO\n# d\nb\tO\n\n\nc\tO\n"))

    assert [one.lines for one in sentences] == [[4, 6], [9]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Ada\nsang\n", r"data.conll:1: must have a word and a tag column, got one column: 'Ada'"),
        ("Ada\tO\nsang\tVB\tO\n", r"data.conll:2: must have 2 columns as line 1, got 3: 'sang\\tVB\\tO'"),
        ("Ada\tO\n\tO\n", r"data.conll:2: the word must not be empty, got '\\tO'"),
        ("Ada\tO\nsang\t\n", r"data.conll:2: the tag must not be empty"),
        ("\n\n", r"data.conll: must hold at least one sentence, got none"),
        (b"Ada\tO\ncaf\xe9\tO\n", r"data.conll:2: must be UTF-8, got byte 0xe9"),
    ],
)
def test_unreadable_files_are_refused(write, text, message):
    with pytest.raises(DataError, match=message):
        read_conll(write(text))


def test_missing_files_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"nowhere.conll: no such file"):
        read_conll(tmp_path / "nowhere.conll")


@pytest.mark.parametrize(
    ("tags", "scheme", "labels"),
    [
        ("B-X O", "IOB2", ["O", "B-X", "I-X"]),
        ("S-Y O", "BIOES", ["O", "B-Y", "I-Y", "E-Y", "S-Y"]),
        ("NOUN VERB", None, ["NOUN", "VERB"]),
        ("O O", None, ["O"]),
    ],
)
def test_scheme_and_labels_of_the_data(tags, scheme, labels):
    data = [sentence("a b", tags)]

    assert find_scheme(data) == scheme
    assert find_labels(data, scheme) == labels


def test_a_mixture_of_schemes_is_refused():
    with pytest.raises(DataError, match=r"data.conll:7: labels must use the prefixes of one scheme"):
        find_scheme([sentence("a b", "S-X U-X")])


@pytest.mark.parametrize(
    ("tags", "scheme", "message"),
    [
        ("O I-X O", "IOB2", r"data.conll:8: the tags must obey IOB2, got 'I-X' after 'O'; --repair_tags reads"),
        ("I-X O O", "IOB2", r"data.conll:7: the tags must obey IOB2, got 'I-X' after the sentence's start"),
        ("O O B-X", "BIOES", r"data.conll:9: the tags must obey BIOES, got 'B-X' at the sentence's end"),
        ("O E-X O", "IOB2", r"data.conll:8: the tag must be O or one of IOB2, got 'E-X'"),
    ],
)
def test_illegal_gold_is_refused_by_file_and_line(tags, scheme, message):
    with pytest.raises(DataError, match=message):
        check_tags(sentence("a b c", tags), scheme)


def test_illegal_gold_is_repaired_on_request():
    data = [sentence("a b c", "I-X I-X I-Y"), sentence("a b c", "B-X I-X O"), sentence("a b c", "O I-X O")]

    repaired = [check_tags(one, "IOB2", repair_tags=True) for one in data]

    assert [one.tags for one in repaired] == [["B-X", "I-X", "B-Y"], ["B-X", "I-X", "O"], ["O", "B-X", "O"]]
    assert count_repairs(data, repaired) == {"I-X -> B-X": 2, "I-Y -> B-Y": 1}
    assert data[0].tags == ["I-X", "I-X", "I-Y"]


def test_iob1_is_found_and_converted():
    data = [sentence("a b c", "I-X I-X B-X"), sentence("a b c", "O I-Y O")]

    assert find_scheme(data) == "IOB1"
    assert [convert_tags(one, "IOB1", "IOB2").tags for one in data] == [["B-X", "I-X", "B-X"], ["O", "B-Y", "O"]]
    assert convert_tags(data[0], "IOB1", "BIOES").tags == ["B-X", "E-X", "S-X"]


def test_tags_without_prefixes_cannot_be_converted():
    with pytest.raises(DataError, match=r"data.conll:7: tags without prefixes cannot be written IOB2, got \['NOUN'\]"):
        convert_tags(sentence("a", "NOUN"), None, "IOB2")
    assert convert_tags(sentence("a", "O"), None, "IOB2").tags == ["O"]


@pytest.mark.parametrize(
    ("text", "columns"),
    [("1 Ada B-PER - -\n2 sang O - -\n", ("1", "2")), ("B-PER\tAda\nO\tsang\n", ("-1", "0"))],
    ids=["numbered", "reversed"],
)
def test_column_numbers_can_be_given(write, text, columns):
    (read,) = read_file(write(text), *columns)

    assert (read.words, read.tags) == (["Ada", "sang"], ["B-PER", "O"])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (("5", None), r"data.conll:1: must have a column 5, got 2 columns: 'a\\tO'"),
        (("tokens", None), "the column of the words in a column file must be a number from 0, got 'tokens'"),
    ],
)
def test_wrong_column_numbers_are_refused(write, columns, message):
    with pytest.raises(DataError, match=message):
        list(read_file(write("a\tO\n"), *columns))


def test_swapped_columns_are_recognised():
    with pytest.raises(
        DataError, match=r"data\.conll: the columns of words and tags seem swapped: the words are B-X, O"
    ):
        find_scheme([sentence("B-X O", "Ada sang")])


def test_a_column_without_tags_is_recognised():
    with pytest.raises(
        DataError, match=r"the column of tags must hold tags, got 600 different ones: 'w0', 'w1', 'w2'"
    ):
        find_scheme([sentence("x", f"w{number}") for number in range(600)])


JSON_ROWS = [{"tokens": ["Ada", "sang"], "ner_tags": ["B-PER", "O"]}, {"tokens": ["Paris"], "ner_tags": ["B-LOC"]}]
NAMES = ["O", "B-PER", "B-LOC"]


def json_lines(rows):
    return "\n\n".join(json.dumps(row) for row in rows)


@pytest.mark.parametrize("names", [("tokens", "ner_tags"), ("words", "labels"), ("Wörter", "x")])
@pytest.mark.parametrize("integers", [False, True])
def test_json_lines(write, names, integers):
    rows = [
        {
            names[1]: [NAMES.index(tag) if integers else tag for tag in row["ner_tags"]],
            names[0]: row["tokens"],
            "id": 1,
        }
        for row in JSON_ROWS
    ]
    given = names if names[1] == "x" else (None, None)

    read = list(read_file(write(json_lines(rows), "data.jsonl"), *given, labels=NAMES if integers else None))

    assert [(one.words, one.tags) for one in read] == [(row["tokens"], row["ner_tags"]) for row in JSON_ROWS]
    assert [one.where(0).rsplit(":")[-1] for one in read] == ["1", "3"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"tokens": ["a"]', r"data.jsonl:1: must hold one JSON object a line, got Expecting"),
        ("[1]", r"data.jsonl:1: must hold one JSON object a line, got '\[1\]'"),
        (
            '{"text": "a b", "tags": []}',
            r"data.jsonl:1: must have a column of words named tokens or words, got text, tags; name it with --text",
        ),
        (
            '{"tokens": ["a"], "x": []}',
            r"a column of tags named ner_tags or tags .*; name it with --label_column_name",
        ),
        ('{"tokens": "a b", "tags": []}', r"data.jsonl:1: 'tokens' must be a list of words, got 'a b'"),
        ('{"tokens": ["a"], "tags": ["O", "O"]}', r"data.jsonl:1: 'tags' must hold 1 tags, one per word, got 2"),
        ('{"tokens": ["a"], "tags": [0]}', r"data.jsonl:1: integer tags need their names: .*--label_list"),
        ('{"tokens": ["a"], "tags": [null]}', r"data.jsonl:1: 'tags' must hold tags or their ids, got \[None\]"),
        ('{"tokens": ["", "a"], "tags": ["O", "O"]}', r"data.jsonl:1: a word must not be empty"),
    ],
)
def test_bad_json_lines_are_refused(write, row, message):
    with pytest.raises(DataError, match=message):
        list(read_file(write(row, "data.jsonl")))


@pytest.mark.parametrize(
    "row",
    [
        {"tokens": ["Ada", "in \ud800"], "ner_tags": ["O", "O"]},
        {"tokens": ["Ada", "in"], "ner_tags": ["O", "B-\ud800"]},
        {"tokens": ["Ada", "in"], "ner_tags": [0, 1]},
    ],
    ids=["word", "tag", "name of a tag"],
)
def test_half_a_character_is_refused_by_file_and_line(write, row):
    path = write(json.dumps({"tokens": ["Ada"], "ner_tags": ["O"]}) + "\n" + json.dumps(row), "data.jsonl")
    with pytest.raises(DataError, match=r"data.jsonl:2: must be Unicode text, got half a character, '\\ud800'$"):
        list(read_file(path, labels=["O", "B-\ud800"]))


def test_integer_tags_out_of_range_are_refused(write):
    with pytest.raises(DataError, match=r"data.jsonl:1: a tag must be in \[0, 3\), the labels' ids, got 3"):
        list(read_file(write('{"tokens": ["a"], "tags": [3]}', "data.jsonl"), labels=NAMES))


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("kind", ["classes", "integers", "strings"])
def test_datasets(kind, streaming):
    tags = [[NAMES.index(tag) if kind != "strings" else tag for tag in row["ner_tags"]] for row in JSON_ROWS]
    data = datasets.Dataset.from_dict({"tokens": [row["tokens"] for row in JSON_ROWS], "ner_tags": tags})
    if kind == "classes":
        data = data.cast_column("ner_tags", datasets.List(datasets.ClassLabel(names=NAMES)))
    if streaming:
        data = data.to_iterable_dataset()

    read = list(read_dataset(data, "mine (train)", labels=NAMES if kind == "integers" else None))

    assert [(one.words, one.tags) for one in read] == [(row["tokens"], row["ner_tags"]) for row in JSON_ROWS]
    assert read[1].where(0) == "mine (train):1"
    assert class_names(data) == (NAMES if kind == "classes" else None)


def test_documents_begin_where_the_file_says_so(write):
    sentences = read_conll(write("a\tO\n\nb\tO\n-DOCSTART-\tO\nc\tO\n\n# newdoc id = 7\nd\tO\n\n# other\ne\tO\n"))
    assert [(one.words[0], one.document) for one in sentences] == [
        ("a", "0"),
        ("b", "0"),
        ("c", "1"),
        ("d", "2"),
        ("e", "2"),
    ]


def test_documents_of_json_lines_are_a_column(write):
    rows = [{"tokens": [word], "ner_tags": ["O"], "doc": doc} for word, doc in (("a", 1), ("b", 1), ("c", "x"))]
    path = write("".join(json.dumps(row) + "\n" for row in rows), "data.jsonl")
    assert [one.document for one in read_file(path, document="doc")] == ["1", "1", "x"]
    with pytest.raises(DataError, match="must have a column of documents named page, got tokens, ner_tags, doc"):
        list(read_file(path, document="page"))
