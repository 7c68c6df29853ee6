"""One path behind the pipeline: streams in chunks, batches of like length, results in order; data sets in and out."""

import random
from itertools import islice, pairwise

import datasets
import pytest
import torch
from conftest import WORDS
from transformers.pipelines.pt_utils import KeyDataset

from modeling_bert_crf import BertBiLSTMCRFPipeline, batching, dataset_columns, processes
from modeling_bert_crf.batching import batches_by_length, chunks, run_by_length
from modeling_bert_crf.pipeline_crf import pad

# Of unequal lengths, out of order: several chains, several windows, no word at all, the same twice.
TEXTS = ["rain", "Ada Lovelace sang. The rain in Paris , yesterday", "", "the rain in Paris " * 15, "Ada", ".", "rain"]


@pytest.fixture
def tagger(model, tokenizer):
    return BertBiLSTMCRFPipeline(model=model, tokenizer=tokenizer)


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(batching, "CHUNK_TEXTS", 3)
    monkeypatch.setattr(dataset_columns, "CHUNK_TEXTS", 3)


def equal(one, other):
    """Compare results: scores to five digits, everything else exactly."""
    if isinstance(one, float):
        return one == pytest.approx(other, abs=1e-5)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(equal, one, other))
    return one == other


def test_batches_hold_each_row_once_and_no_more_than_they_may():
    rng = random.Random(0)
    for _ in range(50):
        lengths = [rng.choice([0, 1, 2, 3, 7, 30, 90]) for _ in range(rng.randint(0, 40))]
        size, rows = rng.choice([None, 1, 50, 64]), rng.choice([None, 1, 5])

        batches = list(batches_by_length(lengths, size, rows))

        assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
        order = [lengths[index] for batch in batches for index in batch]
        assert order == sorted(order, reverse=True)
        for batch in batches:
            width = max(lengths[index] for index in batch)
            assert size is None or len(batch) == 1 or len(batch) * max(width, 1) <= size
            assert rows is None or len(batch) <= rows
        for batch, _ in pairwise(batches):  # none could have been larger
            width = max(lengths[batch[0]], 1)
            assert len(batch) == rows or (size is not None and (len(batch) + 1) * width > size)


def test_what_is_run_by_length_comes_back_in_order():
    words = ["in", "yesterday", "", "rain", "a", "Paris"]
    seen = []

    def run(batch):
        seen.append([words[index] for index in batch])
        return (words[index].upper() for index in batch)

    assert run_by_length(list(map(len, words)), run, 10) == ["IN", "YESTERDAY", "", "RAIN", "A", "PARIS"]
    assert seen == [["yesterday"], ["Paris", "rain"], ["in", "a", ""]]
    assert run_by_length([], run, 10) == []
    with pytest.raises(ValueError, match="shorter"):
        run_by_length([1, 1], lambda batch: batch[1:], None)


def test_batches_may_begin_with_the_shortest():
    assert list(batches_by_length([3, 1, 2, 1, 5], None, 2, longest_first=False)) == [[1, 3], [2, 0], [4]]


def test_chunks_end_at_a_number_of_texts_or_characters(monkeypatch):
    monkeypatch.setattr(batching, "CHUNK_TEXTS", 3)
    monkeypatch.setattr(batching, "CHUNK_CHARACTERS", 10)

    texts = ["a", "b", "c", "d", "e" * 9, "f", "g" * 30, "", "h"]
    assert list(chunks(texts, False)) == [["a", "b", "c"], ["d", "e" * 9], ["f"], ["g" * 30], ["", "h"]]
    assert list(chunks([["a" * 6, "b" * 4], ["c"]], True)) == [[["a" * 6, "b" * 4]], [["c"]]]
    document = [["a" * 6], [], ["b" * 4]]
    assert list(chunks([document, ["c"]], True)) == [[document], [["c"]]]
    assert list(chunks(["e" * 30, "f"], False)) == [["e" * 30], ["f"]]
    assert list(chunks([], False)) == []


def test_padding_has_a_step_even_for_rows_without_words():
    grid, mask = pad([torch.ones(0, 2), torch.ones(3, 2)])
    assert mask.tolist() == [[False] * 3, [True] * 3]
    assert grid.sum((1, 2)).tolist() == [0, 6]
    grid, mask = pad([torch.ones(0, 2)])
    assert grid.shape == (1, 1, 2)
    assert not mask.any()


@pytest.mark.parametrize("arguments", [{}, {"aggregation_strategy": "none", "ignore_labels": []}, {"num_paths": 3}])
@pytest.mark.parametrize("unit", ["sentence", "text"])
def test_results_do_not_depend_on_the_batches(tagger, small_chunks, arguments, unit):
    tagger.model.config.text_unit = unit
    one_by_one = [tagger(text, batch_size=1, **arguments) for text in TEXTS]

    assert sum(map(len, one_by_one)) > 6
    for batches in ({}, {"batch_size": 2}, {"batch_tokens": 1}, {"batch_tokens": 70}, {"batch_size": 9}):
        assert equal(tagger(TEXTS, **batches, **arguments), one_by_one)


def test_batch_sizes_are_kept(tagger, monkeypatch):
    shapes = []
    encode = tagger.model.encode

    def spy(input_ids, **inputs):
        shapes.append(tuple(input_ids.shape))
        return encode(input_ids, **inputs)

    monkeypatch.setattr(tagger.model, "encode", spy)
    tagger(TEXTS, batch_tokens=100)
    assert len(shapes) > 1
    assert all(rows * width <= 100 or rows == 1 for rows, width in shapes)
    assert max(rows for rows, _ in shapes) > 2

    windows = sum(rows for rows, _ in shapes)
    shapes.clear()
    tagger(TEXTS, batch_size=4)
    assert [rows for rows, _ in shapes] == [4] * (windows // 4) + [windows % 4] * (windows % 4 > 0)
    shapes.clear()
    BertBiLSTMCRFPipeline(model=tagger.model, tokenizer=tagger.tokenizer, batch_size=1)(TEXTS)
    assert {rows for rows, _ in shapes} == {1}


def test_a_stream_is_read_a_chunk_ahead(tagger, monkeypatch):
    monkeypatch.setattr(batching, "CHUNK_TEXTS", 5)
    rng, pulled = random.Random(0), []

    def read():
        while True:  # it never ends
            pulled.append(" ".join(rng.choices(WORDS, k=rng.randint(0, 9))))
            yield pulled[-1]

    stream = tagger(read())
    assert pulled == []
    results, ahead = [], []
    for result in islice(stream, 12):
        results.append(result)
        ahead.append(len(pulled) - len(results))

    assert max(ahead) <= 5
    assert equal(results, tagger(pulled[:12]))


def test_what_comes_in_says_what_comes_out(tagger):
    expected = tagger(TEXTS)
    rows = datasets.Dataset.from_dict({"text": TEXTS})
    for inputs in (iter(TEXTS), (text for text in TEXTS), KeyDataset(rows, "text"), rows["text"]):
        stream = tagger(inputs)
        assert not isinstance(stream, list)
        assert equal(list(stream), expected)
    assert equal(tagger(tuple(TEXTS)), expected)
    assert equal(tagger(TEXTS[1]), expected[1])
    assert equal(list(tagger((text.split() for text in TEXTS), is_split_into_words=True))[4], expected[4])
    assert tagger([]) == list(tagger(iter([]))) == []


@pytest.mark.parametrize("inputs", [3, None, {"text": "Ada"}, b"Ada"])
def test_what_is_no_text_is_refused(tagger, inputs):
    with pytest.raises(ValueError, match="inputs must be a text, a list of texts or an iterator over texts, got"):
        tagger(inputs)


def test_mistakes_in_arguments_are_told_before_the_first_text(tagger):
    for name in ("batch_size", "batch_tokens"):
        with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
            tagger(iter(TEXTS), **{name: 0})
    with pytest.raises(ValueError, match="split_between_processes needs a list, got list_iterator"):
        tagger(iter(TEXTS), split_between_processes=True)


HALF = "Ada \ud800"


@pytest.mark.parametrize(
    ("inputs", "by_words", "place"),
    [
        (["Ada", "Bob", HALF], False, "text 3"),
        (iter(["Ada", "Bob", "in", HALF]), False, "text 4"),  # in the second chunk
        (HALF, False, "text 1"),
        ([["Ada"], ["in", "the", HALF]], True, "text 2, word 3"),
        ([[["Ada"], ["in", HALF]]], True, "text 1, sentence 2, word 2"),
    ],
)
def test_half_a_character_is_refused_by_its_place(tagger, small_chunks, inputs, by_words, place):
    with pytest.raises(ValueError, match=rf"^{place} must be Unicode text, got half a character, '\\ud800'$"):
        list(tagger(inputs, is_split_into_words=by_words))


class SecondOfTwoProcesses:
    """Stands in for torch's `distributed`, in a process whose other found nothing."""

    def is_available(self):
        return True

    is_initialized = is_available

    def get_rank(self):
        return 1

    def get_world_size(self):
        return 2

    def all_gather_object(self, gathered, mine):
        gathered[:] = [([], None), mine]


def test_half_a_character_in_a_shared_list_is_refused_by_its_place_in_the_whole_list(tagger, monkeypatch):
    monkeypatch.setattr(processes, "distributed", SecondOfTwoProcesses())
    with pytest.raises(ValueError, match=r"^text 4 must be Unicode text"):
        tagger(["Ada", "in", "the", HALF, "rain"], split_between_processes=True)


def test_half_a_character_in_a_data_set_is_refused_by_its_row(tagger, small_chunks):
    stream = datasets.IterableDataset.from_generator(lambda: ({"text": text} for text in ["Ada"] * 4 + [HALF]))
    with pytest.raises(ValueError, match=r"^text 5 must be Unicode text, got half a character"):
        list(tagger(stream))


def test_a_progress_bar_on_request(tagger, capfd, small_chunks):
    tagger(TEXTS)
    assert capfd.readouterr().err == ""
    tagger(TEXTS, progress=True, batch_size=1)
    shown = capfd.readouterr().err
    assert "tagging" in shown
    assert f"{len(TEXTS)}/{len(TEXTS)}" in shown


def test_a_model_that_comes_from_training_tags_without_dropout(make_model, tokenizer):
    tagger = BertBiLSTMCRFPipeline(model=make_model(hidden_dropout_prob=0.5).train(), tokenizer=tokenizer)
    assert tagger(TEXTS) == tagger(TEXTS)


@pytest.mark.parametrize(
    "arguments", [{}, {"aggregation_strategy": "none"}, {"num_paths": 2}, {"is_split_into_words": True}]
)
def test_a_data_set_gets_a_column(tagger, small_chunks, arguments):
    texts = ["", "", "", "", *TEXTS]  # the first chunk holds no entity
    split = arguments.get("is_split_into_words", False)
    column = "tokens" if split else "text"
    values = [text.split() for text in texts] if split else texts
    expected = tagger(values, **arguments)
    rows = datasets.Dataset.from_dict({column: values, "id": list(range(len(texts)))})

    tagged = tagger(rows, **arguments)

    assert isinstance(tagged, datasets.Dataset)
    assert tagged.column_names == [column, "id", "entities"]
    assert equal(tagged["entities"][:], expected)
    assert tagged["id"][:] == rows["id"][:]
    streamed = tagger(rows.to_iterable_dataset(), **arguments)
    assert isinstance(streamed, datasets.IterableDataset)
    assert streamed.features == tagged.features
    assert equal([row["entities"] for row in streamed], expected)


def test_data_sets_of_several_splits_and_of_unknown_columns(tagger, small_chunks):
    rows = datasets.Dataset.from_dict({"line": TEXTS})
    expected = tagger(TEXTS)
    splits = tagger(datasets.DatasetDict(train=rows, test=rows.select([1])), column="line")
    assert isinstance(splits, datasets.DatasetDict)
    assert equal(splits["train"]["entities"][:], expected)
    assert equal(splits["test"]["entities"][:], expected[1:2])

    pulled = []

    def read():
        for text in TEXTS:
            pulled.append(text)
            yield {"line": text}

    stream = tagger(datasets.IterableDataset.from_generator(read), column="line")
    assert pulled == []
    assert equal(next(iter(stream))["entities"], expected[0])
    assert len(pulled) <= 3
    assert equal([row["entities"] for row in stream], expected)


def test_data_sets_without_the_column_or_with_entities_are_refused(tagger):
    rows = datasets.Dataset.from_dict({"line": TEXTS})
    with pytest.raises(ValueError, match="column must be one of the data set's, line, got 'text'"):
        tagger(rows)
    with pytest.raises(ValueError, match="the data set must not have a column 'entities' yet"):
        tagger(rows.add_column("entities", TEXTS), column="line")


def test_one_of_several_processes_needs_the_others(tagger, monkeypatch):
    assert tagger(TEXTS, split_between_processes=True) == tagger(TEXTS)  # one process
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match=r"needs connected processes: create accelerate's PartialState\(\) before"):
        tagger(TEXTS, split_between_processes=True)
