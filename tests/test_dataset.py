"""Sentences as rows, rows as batches, and paths back to tags."""

import itertools
import random
from dataclasses import replace

import datasets
import pytest
import torch
from conftest import LABELS
from hypothesis import given
from hypothesis import strategies as st

from modeling_bert_crf import BertBiLSTMCRFPipeline
from modeling_bert_crf.crf import UNKNOWN
from modeling_bert_crf.readers.files import read_conll, read_file
from modeling_bert_crf.readers.labelled import read_labelled
from modeling_bert_crf.readers.sentences import DataError, Sentence
from modeling_bert_crf.scores.metrics import score_tags
from modeling_bert_crf.training.dataset import StreamingTaggingDataset, TaggingCollator, TaggingDataset
from modeling_bert_crf.training.output_folder import write_predictions
from modeling_bert_crf.words import WORD_SHAPES


def sentence(words, tags):
    return Sentence(words.split(), tags.split(), "data.conll", list(range(7, 7 + len(words.split()))))


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


@pytest.mark.parametrize(
    ("start", "end", "known"), [(5, 7, True), (7, 9, True), (0, 3, True), (6, 8, False), (5, 8, False)]
)
def test_only_an_entity_with_words_on_both_sides_of_a_border_is_unknown(tokenizer, start, end, known):
    """Fourteen words of one sub-token each, in rows of eight, of which the first scores seven."""
    tags = ["O"] * 14
    tags[start:end] = ["B-PER", *["I-PER"] * (end - start - 1)]
    dataset = TaggingDataset([sentence(" ".join("abcdefghijklmn"), " ".join(tags))], tokenizer, LABELS, max_length=10)

    scored = [[label for label, one in zip(row["labels"], row["word_mask"], strict=True) if one] for row in dataset]

    assert list(map(len, scored)) == [7, 7]
    expected = [LABELS.index(tag) for tag in tags]
    if not known:
        expected[start:end] = [UNKNOWN] * (end - start)
    assert [label for row in scored for label in row] == expected


def pad(rows):
    return [row + [-100] * (max(map(len, rows)) - len(row)) for row in rows]


@pytest.mark.parametrize(("path", "count"), [([-100, 1, -100, -100], 1), ([0, 1, 0, -100], 3)])
def test_too_few_predictions_and_too_many_are_refused(tokenizer, path, count):
    dataset = TaggingDataset([sentence("x y", "O O")], tokenizer, LABELS)

    with pytest.raises(ValueError, match=f"paths must have one tag per word, got {count} for 2 words"):
        dataset.tags_of([path])


@pytest.mark.parametrize("side", ["right", "left"])
def test_collator_pads(tokenizer, side):
    dataset = TaggingDataset([sentence("Ada", "B-PER"), sentence("in Paris .", "O B-LOC O")], tokenizer, LABELS)
    batch = TaggingCollator(tokenizer.pad_token_id, side)([dataset[0], dataset[1]])

    assert {name: tuple(values.shape) for name, values in batch.items()} == dict.fromkeys(
        ["input_ids", "word_mask", "word_shape_ids", "labels", "attention_mask"], (2, 5)
    )
    row = {name: values[0].tolist() for name, values in batch.items()}
    if side == "left":
        row = {name: values[2:] + values[:2] for name, values in row.items()}
    assert tokenizer.convert_ids_to_tokens(row["input_ids"]) == ["[CLS]", "Ada", "[SEP]", "[PAD]", "[PAD]"]
    assert row["attention_mask"] == [1, 1, 1, 0, 0]
    assert row["word_mask"] == [0, 1, 0, 0, 0]
    assert row["word_shape_ids"] == [0, WORD_SHAPES.index("Capitalised"), 0, 0, 0]
    assert row["labels"] == [-100, 3, -100, -100, -100]
    assert batch["word_mask"].dtype == torch.int64


def test_written_predictions_can_be_read(tmp_path):
    rng = random.Random(0)
    sentences = [sentence(" ".join(rng.choices(["a", "#", "\ufe0f"], k=n)), " ".join(["O"] * n)) for n in (3, 1, 2)]
    path = tmp_path / "predictions.conll"

    write_predictions(path, sentences, [["B-X"] * len(one.words) for one in sentences])

    assert [one.words for one in read_conll(path)] == [one.words for one in sentences]
    assert {tag for one in read_conll(path) for tag in one.tags} == {"B-X"}
    assert path.read_text().splitlines()[0].split("\t")[1:] == ["O", "B-X"]


# What a column file has no way to write, what it would take for something else, and what it holds as it is.
ODD = [
    *[
        "\t",
        "a\tb",
        "\n",
        "\r",
        "a\r\nb",
        "\u2028",
        "\x85",
        "\x0b",
        "\x1a",
        "\0",
        " ",
        " a ",
        "a b",
        "\u00a0",
        "\\",
        '"',
    ],
    *[
        "#",
        "# ",
        "#a",
        "# cells = JSON",
        "-DOCSTART-",
        "-DOCSTART- x",
        "\ufeff",
        "\ufeffa",
        "0",
        "1",
        "2",
        "10",
        "é",
        "O",
        "B-X",
    ],
]
odd_words = st.sampled_from(ODD) | st.text(min_size=1, max_size=4)
odd_tags = st.sampled_from(["O", "B-X", "B", "", "\t", "a b", " ", "#", "x\x1a", "NOUN"]) | st.text(max_size=3)
odd_sentences = st.lists(
    st.lists(st.tuples(odd_words, odd_tags, odd_tags), min_size=1, max_size=4), min_size=1, max_size=5
)


@given(odd_sentences)
def test_whatever_is_written_is_read_back(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("odd") / "predictions.conll"
    sentences = [Sentence([row[0] for row in one], [row[1] for row in one], "x", [1] * len(one)) for one in rows]

    write_predictions(path, sentences, [[row[2] for row in one] for one in rows])

    read = read_conll(path)
    assert [one.words for one in read] == [one.words for one in sentences]
    assert [one.tags for one in read] == [[row[2] for row in one] for one in rows]
    assert [one.tags for one in read_file(path, tag_column="1")] == [one.tags for one in sentences]


def test_only_a_sentence_that_needs_it_is_written_as_json(tmp_path):
    path = tmp_path / "predictions.conll"
    sentences = [sentence("Ada #x", "O O"), Sentence(["é\t", "x"], ["O", "B-X"], "x", [1, 2]), sentence("y", "O")]

    write_predictions(path, sentences, [one.tags for one in sentences])

    assert path.read_text().split("\n\n") == [
        "Ada\tO\tO\n#x\tO\tO",
        '# cells = JSON\n"é\\t"\t"O"\t"O"\n"x"\t"B-X"\t"B-X"',
        "y\tO\tO",
        "",
    ]


@pytest.mark.parametrize("workers", [0, 2])
def test_streamed_rows_are_the_rows_in_memory(tokenizer, workers):
    sentences = [
        sentence("a b c d e f g h i j k l", "O O O O B-PER I-PER I-PER I-PER O O O O"),
        sentence("x", "B-LOC"),
    ]
    whole = TaggingDataset(sentences * 3, tokenizer, LABELS, 10)
    streamed = StreamingTaggingDataset(lambda: iter(sentences * 3), tokenizer, LABELS, 10)

    loader = torch.utils.data.DataLoader(streamed, batch_size=None, num_workers=workers)
    rows = [{name: list(values) for name, values in row.items()} for row in loader]

    key = str
    assert sorted(rows, key=key) == sorted((whole[index] for index in range(len(whole))), key=key)
    assert len(rows) == len(list(streamed)) == len(whole) == 9


@pytest.mark.parametrize("workers", [0, 1])
def test_a_fault_in_streamed_data_is_said_in_one_line(tokenizer, workers):
    """A worker of a DataLoader hands the message on inside a traceback of its own."""

    def read():
        raise DataError("data.conll:3: the tag must not be empty")
        yield

    streamed = StreamingTaggingDataset(read, tokenizer, LABELS)
    with pytest.raises(DataError) as info:
        list(torch.utils.data.DataLoader(streamed, batch_size=None, num_workers=workers))
    assert str(info.value) == "data.conll:3: the tag must not be empty"


def test_the_scheme_is_the_one_that_the_model_says(tokenizer):
    """An entity across the border of two rows gets unknown labels; the scheme says what is an entity."""
    words, labels = sentence("a b c d e f", "I-X I-Y I-Y I-Y I-Y O"), ["O", "B-X", "I-Y"]
    with pytest.raises(ValueError, match="'I-Y' can never be reached"):
        TaggingDataset([words], tokenizer, labels)
    for scheme, unknown in (("IOB2", [1, 2, 3, 4]), (None, [1, 2, 3, 4])):
        dataset = TaggingDataset([words], tokenizer, labels, max_length=5, scheme=scheme)
        assert dataset.scheme == scheme
        rows = [
            [label for label, scored in zip(row["labels"], row["word_mask"], strict=True) if scored] for row in dataset
        ]
        assert [index for index, label in enumerate(itertools.chain(*rows)) if label == UNKNOWN and index] == unknown
    assert TaggingDataset([words], tokenizer, ["O", "I-X", "I-Y"]).scheme == "IO"


def test_tags_in_another_spelling_are_no_unknown_tags(tokenizer):
    words = sentence("Ada sang", "B_PER O")
    with pytest.raises(
        DataError, match=r"data.conll:7: the tags must be spelt like 'B-PER', got 'B_PER': `respell` them"
    ):
        TaggingDataset([words], tokenizer, LABELS)
    (row,) = TaggingDataset([words], tokenizer, ["O", "B_PER"])
    assert [label for label in row["labels"] if label >= 0] == [1, 0]


def test_context_stays_inside_the_document(tokenizer):
    sentences = [
        replace(sentence(words, " ".join(["O"] * len(words.split()))), document=document)
        for words, document in (("a b", "1"), ("c", "1"), ("d e", "2"), ("f", "2"), ("g", "1"))
    ]
    dataset = TaggingDataset(sentences, tokenizer, LABELS, context_size=9)

    shown = ["".join(tokenizer.convert_ids_to_tokens(row["input_ids"])[1:-1]) for row in dataset]
    assert shown == ["abc", "abc", "def", "def", "g"]
    assert [sum(row["word_mask"]) for row in dataset] == [2, 1, 2, 1, 1]
    assert [[label for label in row["labels"] if label >= 0] for row in dataset] == [[0, 0], [0], [0, 0], [0], [0]]


def test_a_tagger_learns_from_context_and_the_pipeline_shows_it(make_model, tokenizer):
    """The sentence before says what `Ada` is; one of another document would be wrong in half of the cases."""
    sentences, rng = [], random.Random(0)
    for document in range(40):
        kind = rng.choice(["PER", "LOC"])
        cue = "the rain" if kind == "PER" else "in Paris"
        for words, tags in ((f"{cue} .", "O O O"), ("Ada .", f"B-{kind} O")):
            sentences.append(replace(sentence(words, tags), document=str(document)))
    scores = {}
    for size in (0, 12):
        torch.manual_seed(0)
        model = make_model(context_size=size).train()
        dataset = TaggingDataset(sentences, tokenizer, LABELS, context_size=size)
        batch = TaggingCollator(tokenizer.pad_token_id)(list(dataset))
        optimizer = torch.optim.Adam(model.parameters(), 3e-3)
        for _ in range(30):
            optimizer.zero_grad()
            model(**batch).loss.backward()
            optimizer.step()
        tags = dataset.tags_of(model.eval()(**batch).paths)
        scores[size] = score_tags(dataset.gold, tags, "IOB2")["strict"]["f1"]

    assert scores[12] == 1.0
    assert scores[0] < 0.8
    tagger = BertBiLSTMCRFPipeline(model=model, tokenizer=tokenizer)
    for cue, kind in (("the rain", "PER"), ("in Paris", "LOC")):
        assert [entity["entity_group"] for entity in tagger(f"{cue} .\nAda .")] == [kind]
        (found,) = tagger([[[*cue.split(), "."], ["Ada", "."]]], is_split_into_words=True)
        assert [(entity["entity_group"], entity["start"]) for entity in found] == [(kind, len(cue) + 3)]


def test_a_file_in_iob1_and_a_split_of_a_data_set_are_taken_as_they_are(tokenizer, tmp_path):
    words, iob1 = ["Ada", "Lovelace", "met", "Ada", "in", "Rome"], ["I-PER", "I-PER", "O", "I-PER", "O", "I-LOC"]
    expected = [["B-PER", "I-PER", "O", "B-PER", "O", "B-LOC"]]
    path = tmp_path / "train.conll"
    path.write_text(
        "".join(f"{word}\t{tag}\n" for word, tag in zip(words, iob1, strict=True)) + "\nx\tI-PER\ny\tB-PER\n\n"
    )
    assert [one.tags for one in read_labelled(path)][:1] == expected
    assert TaggingDataset(path, tokenizer, LABELS).gold[:1] == expected

    tags = datasets.ClassLabel(names=LABELS)
    features = datasets.Features({"tokens": datasets.List(datasets.Value("string")), "ner_tags": datasets.List(tags)})
    rows = {"tokens": [words], "ner_tags": [[LABELS.index(tag) for tag in expected[0]]]}
    split = datasets.Dataset.from_dict(rows, features=features)
    assert TaggingDataset(split, tokenizer, LABELS).gold == expected
    assert [one.words for one in read_labelled(split)] == [words]
