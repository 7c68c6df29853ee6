"""The pipeline: words or texts in, entities with offsets out."""

import json

import pytest
import torch
from conftest import LABELS
from transformers import TokenClassificationPipeline

from modeling_bert_crf import BertBiLSTMCRFPipeline
from modeling_bert_crf.schemes import tags_to_spans
from modeling_bert_crf.words import encode_words, join_windows

SENTENCES = [["Ada", "Lovelace", "visited", "Paris", "."], ["rain"], ["in", "the", "\ufe0f", "rain", ",", "Ada"], []]


@pytest.fixture
def tagger(model, tokenizer):
    return BertBiLSTMCRFPipeline(model=model, tokenizer=tokenizer)


def tags_of(model, tokenizer, words):
    """By hand: what the model says of a sentence's words."""
    (window,) = encode_words(tokenizer, words)
    output = model(torch.tensor([window.input_ids]), word_mask=torch.tensor([window.word_mask]))
    path = join_windows([window], output.paths.tolist())
    scores = [output.logits[0].softmax(-1)[position] for position in torch.tensor(window.word_mask).nonzero()[:, 0]]
    return [LABELS[tag] for tag in path], [row[tag].item() for row, tag in zip(scores, path, strict=True)]


@pytest.mark.parametrize("batch_size", [1, 3])
def test_words_in_tags_out(tagger, model, tokenizer, batch_size):
    results = tagger(
        SENTENCES[:3], is_split_into_words=True, aggregation_strategy="none", ignore_labels=[], batch_size=batch_size
    )

    for words, result in zip(SENTENCES, results, strict=False):
        tags, scores = tags_of(model, tokenizer, words)
        text = " ".join(words)
        assert [entry["entity"] for entry in result] == tags
        assert [entry["score"] for entry in result] == pytest.approx(scores, abs=1e-5)
        assert [entry["word"] for entry in result] == words
        assert [text[entry["start"] : entry["end"]] for entry in result] == words
        assert [entry["index"] for entry in result] == list(range(len(words)))
    json.dumps(results)


def test_entities_are_groups_of_words_with_the_smallest_probability(tagger, model, tokenizer):
    for words in SENTENCES[:3]:
        tags, scores = tags_of(model, tokenizer, words)
        spans = tags_to_spans(tags, "IOB2")
        (result,) = tagger([words], is_split_into_words=True)
        assert [entry["entity_group"] for entry in result] == [kind for _, _, kind in spans]
        assert [entry["word"] for entry in result] == [" ".join(words[start:end]) for start, end, _ in spans]
        assert [entry["score"] for entry in result] == pytest.approx([min(scores[s:e]) for s, e, _ in spans], abs=1e-5)


def test_texts_are_split_into_the_tokenizers_words(tagger):
    text = "Ada Lovelace  visited Paris, in the rain."

    from_text = tagger(text, aggregation_strategy="none", ignore_labels=[])
    words = ["Ada", "Lovelace", "visited", "Paris", ",", "in", "the", "rain", "."]
    from_words = tagger(words, is_split_into_words=True, aggregation_strategy="none", ignore_labels=[])[0]

    assert [text[entry["start"] : entry["end"]] for entry in from_text] == words
    assert [entry["entity"] for entry in from_text] == [entry["entity"] for entry in from_words]


def test_sentences_over_the_limit_get_a_tag_for_each_word(tagger):
    words = ["Ada", "in", "rain", "abcdefgh"] * 40

    (result,) = tagger([words], is_split_into_words=True, aggregation_strategy="none", ignore_labels=[], stride=5)

    assert [entry["word"] for entry in result] == words


def test_nothing_to_tag(tagger):
    assert tagger("") == []
    assert tagger([SENTENCES[3]], is_split_into_words=True) == [[]]


def test_ignored_labels_are_left_out(tagger):
    (words,) = tagger(SENTENCES[:1], is_split_into_words=True, aggregation_strategy="none")
    assert not any(entry["entity"] == "O" for entry in words)
    everything = tagger(SENTENCES[:3], is_split_into_words=True)
    without = tagger(SENTENCES[:3], is_split_into_words=True, ignore_labels=["PER"])
    assert any(entry["entity_group"] == "PER" for group in everything for entry in group)
    assert without == [[entry for entry in group if entry["entity_group"] != "PER"] for group in everything]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"inputs": "a", "aggregation": "simple"}, TypeError, "unknown argument of the pipeline: aggregation"),
        ({"inputs": ["a", 3]}, ValueError, "a text must be a string, got 3; pass is_split_into_words=True for words"),
        ({"inputs": [["a", 3]], "is_split_into_words": True}, ValueError, r"must be a list of words, got \['a', 3\]"),
    ],
)
def test_bad_input_is_refused(tagger, arguments, error, message):
    with pytest.raises(error, match=message):
        tagger(**arguments)


def test_the_pipeline_teaches_a_model_its_tokenizer(model, tokenizer):
    model.token_roles.fill_(-1)

    BertBiLSTMCRFPipeline(model=model, tokenizer=tokenizer)

    assert model.token_roles.min() == 0


def test_the_hosts_own_pipeline_shows_the_marginal_tagging(model, tokenizer):
    """`pipeline(..., model=object)` gives the stock class: it reads `logits`, word by word."""
    stock = TokenClassificationPipeline(model=model, tokenizer=tokenizer, ignore_labels=[])
    text = "Ada visited Paris in the rain"

    result = stock(text)

    output = model(**tokenizer(text, return_tensors="pt"))
    probabilities = output.logits[0, 1:-1].softmax(-1)
    assert [entry["entity"] for entry in result] == [LABELS[tag] for tag in probabilities.argmax(-1)]
    assert [float(entry["score"]) for entry in result] == pytest.approx(probabilities.amax(-1).tolist(), abs=1e-5)
