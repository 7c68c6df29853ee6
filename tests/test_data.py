"""Reading, checking and laying out labelled sentences."""

import random

import pytest
import torch
from conftest import LABELS

from modeling_bert_crf.crf import UNKNOWN
from modeling_bert_crf.training.data import (
    DataError,
    Sentence,
    TaggingCollator,
    TaggingDataset,
    check_tags,
    count_repairs,
    find_labels,
    find_scheme,
    read_conll,
    write_conll,
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
        ("I-X O", "IOB2", ["O", "B-X", "I-X"]),
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
    with pytest.raises(DataError, match=r"data.conll: labels must use the prefixes of one scheme"):
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
        check_tags([sentence("a b c", tags)], scheme)


def test_illegal_gold_is_repaired_on_request():
    data = [sentence("a b c", "I-X I-X I-Y"), sentence("a b c", "B-X I-X O"), sentence("a b c", "O I-X O")]

    repaired = check_tags(data, "IOB2", repair_tags=True)

    assert [one.tags for one in repaired] == [["B-X", "I-X", "B-Y"], ["B-X", "I-X", "O"], ["O", "B-X", "O"]]
    assert count_repairs(data, repaired) == {"I-X -> B-X": 2, "I-Y -> B-Y": 1}
    assert data[0].tags == ["I-X", "I-X", "I-Y"]


def test_rows_label_first_sub_tokens(tokenizer):
    dataset = TaggingDataset([sentence("Ada sang Rome .", "B-PER O B-WORK O")], tokenizer, LABELS)
    (row,) = [dataset[index] for index in range(len(dataset))]

    tokens = tokenizer.convert_ids_to_tokens(row["input_ids"])
    assert tokens == ["[CLS]", "Ada", "s", "##a", "##n", "##g", "R", "##o", "##m", "##e", ".", "[SEP]"]
    assert row["word_mask"] == [0, 1, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0]
    assert row["labels"] == [-100, 3, 0, -100, -100, -100, -100, -100, -100, -100, 0, -100]
    assert dataset.tags_of([[-100, 1, 0, -100, 2, 0, -100]]) == [["B-LOC", "O", "I-LOC", "O"]]


def test_long_sentences_are_cut_and_joined_and_cut_entities_unknown(tokenizer):
    words = " ".join("abcdefghijkl")
    tags = "O O O O B-PER I-PER I-PER I-PER O B-LOC I-LOC O"
    short = sentence("x y", "O B-PER")
    dataset = TaggingDataset([sentence(words, tags), short], tokenizer, LABELS, max_length=10)

    rows = [dataset[index] for index in range(len(dataset))]
    labels = [[label for label, scored in zip(row["labels"], row["word_mask"], strict=True) if scored] for row in rows]

    assert dataset.cut_sentences == 1
    assert labels == [[0, 0, 0, 0, UNKNOWN, UNKNOWN, UNKNOWN], [UNKNOWN, 0, 1, 2, 0], [0, 3]]
    paths = [[index if scored else -100 for index, scored in enumerate(row["word_mask"])] for row in rows]
    paths = [[-100 if label == -100 else position % 5 for position, label in enumerate(path)] for path in paths]
    assert [len(tags) for tags in dataset.tags_of(pad(paths))] == [12, 2]
    assert dataset.gold == [tags.split(), short.tags]


def pad(rows):
    return [row + [-100] * (max(map(len, rows)) - len(row)) for row in rows]


def test_too_few_predictions_are_refused(tokenizer):
    dataset = TaggingDataset([sentence("x y", "O O")], tokenizer, LABELS)

    with pytest.raises(ValueError, match="paths must have one tag per word, got 1 for 2 words"):
        dataset.tags_of([[-100, 1, -100, -100]])


@pytest.mark.parametrize("side", ["right", "left"])
def test_collator_pads(tokenizer, side):
    dataset = TaggingDataset([sentence("Ada", "B-PER"), sentence("in Paris .", "O B-LOC O")], tokenizer, LABELS)
    batch = TaggingCollator(tokenizer.pad_token_id, side)([dataset[0], dataset[1]])

    assert {name: tuple(values.shape) for name, values in batch.items()} == dict.fromkeys(
        ["input_ids", "word_mask", "labels", "attention_mask"], (2, 5)
    )
    row = {name: values[0].tolist() for name, values in batch.items()}
    if side == "left":
        row = {name: values[2:] + values[:2] for name, values in row.items()}
    assert tokenizer.convert_ids_to_tokens(row["input_ids"]) == ["[CLS]", "Ada", "[SEP]", "[PAD]", "[PAD]"]
    assert row["attention_mask"] == [1, 1, 1, 0, 0]
    assert row["word_mask"] == [0, 1, 0, 0, 0]
    assert row["labels"] == [-100, 3, -100, -100, -100]
    assert batch["word_mask"].dtype == torch.int64


def test_written_predictions_can_be_read(tmp_path):
    rng = random.Random(0)
    sentences = [sentence(" ".join(rng.choices(["a", "#", "\ufe0f"], k=n)), " ".join(["O"] * n)) for n in (3, 1, 2)]
    path = tmp_path / "predictions.conll"

    write_conll(path, sentences, [["B-X"] * len(one.words) for one in sentences])

    assert [one.words for one in read_conll(path)] == [one.words for one in sentences]
    assert {tag for one in read_conll(path) for tag in one.tags} == {"B-X"}
    assert path.read_text().splitlines()[0].split("\t")[1:] == ["O", "B-X"]
