"""The pipeline: words or texts in, entities with offsets out."""

import copy
import json
import math
import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from conftest import LABELS, encode_words
from transformers import BertTokenizer, TokenClassificationPipeline

from modeling_bert_crf import BertBiLSTMCRFForTokenClassification, BertBiLSTMCRFPipeline
from modeling_bert_crf.entities import read_words
from modeling_bert_crf.pipeline_crf import pad
from modeling_bert_crf.readers.conversion import first_violation
from modeling_bert_crf.readers.sentences import Sentence
from modeling_bert_crf.schemes import continues, tags_to_spans
from modeling_bert_crf.training.dataset import TaggingCollator, TaggingDataset

SENTENCES = [["Ada", "Lovelace", "visited", "Paris", "."], ["rain"], ["in", "the", "\ufe0f", "rain", ",", "Ada"], []]


@pytest.fixture
def tagger(model, tokenizer):
    return BertBiLSTMCRFPipeline(model=model, tokenizer=tokenizer)


def tags_of(model, tokenizer, words):
    """By hand: what the model says of a sentence's words."""
    (window,) = encode_words(tokenizer, words)
    output = model(torch.tensor([window.input_ids]), word_mask=torch.tensor([window.word_mask]))
    path = [tag for tag, scored in zip(output.paths[0].tolist(), window.word_mask, strict=True) if scored]
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


def every_tagging(model, tokenizer, words):
    """By enumeration: the probability of each tagging of a sentence, most probable first."""
    (window,) = encode_words(tokenizer, words)
    marked = torch.tensor(window.word_mask).bool()
    emissions = model(torch.tensor([window.input_ids]), word_mask=marked[None]).emissions[0, marked]
    paths = torch.cartesian_prod(*[torch.arange(len(LABELS))] * len(words)).view(-1, len(words))
    every = emissions.expand(len(paths), -1, -1), paths, torch.ones_like(paths, dtype=torch.bool)
    probabilities = model.crf.path_score(*every).softmax(0).tolist()
    taggings = [([LABELS[tag] for tag in path], p) for path, p in zip(paths.tolist(), probabilities, strict=True)]
    return sorted(taggings, key=lambda tagging: -tagging[1])


@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 1e-5), (torch.float64, 1e-9)])
def test_entities_have_the_probability_of_being_exactly_these_words(tagger, model, tokenizer, dtype, error):
    model.to(dtype)
    seen = 0
    for words in (SENTENCES[0], SENTENCES[1], SENTENCES[2][:5]):
        taggings = every_tagging(model, tokenizer, words)
        spans = tags_to_spans(taggings[0][0], "IOB2")
        expected = [sum(p for tags, p in taggings if span in tags_to_spans(tags, "IOB2")) for span in spans]
        (result,) = tagger([words], is_split_into_words=True)
        assert [entry["entity_group"] for entry in result] == [kind for _, _, kind in spans]
        assert [entry["word"] for entry in result] == [" ".join(words[start:end]) for start, end, _ in spans]
        assert [entry["score"] for entry in result] == pytest.approx(expected, rel=0, abs=error)
        seen += len(spans)
    assert seen >= 3


def test_an_entity_without_a_scheme_ends_where_the_label_changes(make_model, tokenizer):
    model = make_model(tag_scheme=None)
    tagger = BertBiLSTMCRFPipeline(model=model, tokenizer=tokenizer)
    words = SENTENCES[0]
    taggings = every_tagging(model, tokenizer, words)
    spans = tags_to_spans(taggings[0][0], "IOB2")

    (result,) = tagger([words], is_split_into_words=True)

    assert spans
    for (start, end, _), entry in zip(spans, result, strict=True):
        tags = taggings[0][0][start:end]
        expected = sum(
            p
            for other, p in taggings
            if other[start:end] == tags
            and (start == 0 or not continues(other[start - 1], tags[0], "IOB2"))
            and (end == len(words) or not continues(tags[-1], other[end], "IOB2"))
        )
        assert entry["score"] == pytest.approx(expected, abs=1e-5)


def test_the_most_probable_taggings_and_the_entropy(tagger, model, tokenizer):
    sentences = [SENTENCES[0], SENTENCES[1], []]

    results = tagger(sentences, is_split_into_words=True, num_paths=6)

    json.dumps(results)
    for words, (reading,) in zip(sentences[:2], results, strict=False):
        taggings = every_tagging(model, tokenizer, words)
        possible = [p for _, p in taggings if p > 0]
        assert reading["entropy"] == pytest.approx(-sum(p * math.log(p) for p in possible), abs=1e-4)
        assert (reading["start"], reading["end"]) == (0, len(" ".join(words)))
        assert [path["probability"] for path in reading["paths"]] == pytest.approx(possible[:6], abs=1e-5)
        for path, (tags, _) in zip(reading["paths"], taggings, strict=False):
            kinds = [kind for _, _, kind in tags_to_spans(tags, "IOB2")]
            assert [entry["entity_group"] for entry in path["entities"]] == kinds
    assert len(results[1][0]["paths"]) == 3  # one word: O, B-LOC or B-PER
    assert results[2] == [{"start": 0, "end": 0, "entropy": 0.0, "paths": [{"probability": 1.0, "entities": []}]}]


def test_texts_are_split_into_the_tokenizers_words(tagger):
    text = "Ada Lovelace  visited Paris, in the rain."

    from_text = tagger(text, aggregation_strategy="none", ignore_labels=[])
    words = ["Ada", "Lovelace", "visited", "Paris", ",", "in", "the", "rain", "."]
    from_words = tagger(words, is_split_into_words=True, aggregation_strategy="none", ignore_labels=[])[0]

    assert [text[entry["start"] : entry["end"]] for entry in from_text] == words
    assert [entry["entity"] for entry in from_text] == [entry["entity"] for entry in from_words]


def test_taking_the_words_out_of_a_text_leaves_no_mark_behind(model, tokenizer):
    uncased = BertTokenizer(vocab=tokenizer.get_vocab(), do_lower_case=True, model_max_length=48)
    tagger = BertBiLSTMCRFPipeline(model=model, tokenizer=uncased, aggregation_strategy="none", ignore_labels=[])
    text = "Jose\u0301 a\u0300\ufe0f, \u263a\ufe0f x\u2060"

    found = tagger(text)

    assert [one["word"] for one in found] == ["Jose\u0301", "a\u0300\ufe0f", ",", "\u263a\ufe0f", "x\u2060"]
    for one in reversed(found):
        assert one["word"] == text[one["start"] : one["end"]]
        text = text[: one["start"]] + text[one["end"] :]
    assert text == "   "


@pytest.mark.parametrize(
    ("splitter", "words"),
    [("words", ["Jose", "\u0301", "sang"]), ("unicode_words", ["Jose\u0301", "sang"])],
)
def test_a_tagger_splits_texts_as_its_configuration_says(make_model, tokenizer, tmp_path, splitter, words):
    """Those of version 0.1 say "words", and learnt marks as words of their own."""
    make_model(word_splitter=splitter).save_pretrained(tmp_path)
    model = BertBiLSTMCRFForTokenClassification.from_pretrained(tmp_path)
    tagger = BertBiLSTMCRFPipeline(model=model, tokenizer=tokenizer, aggregation_strategy="none", ignore_labels=[])
    assert [one["word"] for one in tagger("Jose\u0301 sang")] == words


def test_the_pipeline_reads_word_shapes_as_training_does(make_model, tokenizer):
    model = make_model(word_shape_size=3)
    words = ["ada", "VISITED", "Paris", "iN", "12"]

    result = BertBiLSTMCRFPipeline(model=model, tokenizer=tokenizer)(
        words, is_split_into_words=True, aggregation_strategy="none", ignore_labels=[]
    )

    row = TaggingDataset([Sentence(words, ["O"] * 5, "test", [1] * 5)], tokenizer, LABELS)[0]
    output = model(**TaggingCollator(tokenizer.pad_token_id)([row]))
    paths = output.paths[output.paths >= 0]
    assert [entry["entity"] for entry in result[0]] == [LABELS[tag] for tag in paths]
    scores = output.logits[output.paths >= 0].exp().gather(1, paths[:, None])[:, 0].tolist()
    assert [entry["score"] for entry in result[0]] == pytest.approx(scores, abs=1e-5)


@pytest.mark.parametrize(("delimiter", "starts"), [("", [0, 3, 7]), (" ", [0, 4, 9]), ("--", [0, 5, 11])])
def test_offsets_of_given_words_count_what_joins_them(tagger, delimiter, starts):
    words = ["Ada", "rain", "in"]
    arguments = {"is_split_into_words": True, "aggregation_strategy": "none", "ignore_labels": []}

    (found,) = tagger([words], delimiter=delimiter, **arguments)

    assert [one["start"] for one in found] == starts
    assert [one["word"] for one in found] == words


def test_sentences_over_the_limit_get_a_tag_for_each_word(tagger):
    words = ["Ada", "in", "rain", "abcdefgh"] * 40

    (result,) = tagger([words], is_split_into_words=True, aggregation_strategy="none", ignore_labels=[], stride=5)

    assert [entry["word"] for entry in result] == words


@pytest.mark.parametrize(("of_tokenizer", "longest"), [(12, 12), (47, 47), (10**30, 48)])
def test_no_row_is_longer_than_tokenizer_and_encoder_allow(model, tokenizer, of_tokenizer, longest):
    """The encoder reads 48 sub-tokens; the sub-tokens here are words, so that rows can be full."""
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.model_max_length = of_tokenizer
    tagger = BertBiLSTMCRFPipeline(model=model, tokenizer=tokenizer)

    (text,) = tagger.preprocess(["Ada in rain " * 40])

    assert max(len(window.input_ids) for chain in text.chains for window in chain) == longest


def test_nothing_to_tag(tagger):
    assert tagger("") == []
    assert tagger([SENTENCES[3]], is_split_into_words=True) == [[]]


def test_ignored_labels_are_left_out(tagger):
    (words,) = tagger(SENTENCES[:1], is_split_into_words=True, aggregation_strategy="none")
    assert not any(entry["entity"] == "O" for entry in words)
    everything = tagger(SENTENCES[:3], is_split_into_words=True)
    without = tagger(SENTENCES[:3], is_split_into_words=True, ignore_labels=["PER", "O"])
    assert any(entry["entity_group"] == "PER" for group in everything for entry in group)
    assert without == [[entry for entry in group if entry["entity_group"] != "PER"] for group in everything]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"inputs": "a", "aggregation": "simple"}, TypeError, "unknown argument of the pipeline: aggregation"),
        ({"inputs": ["a", 3]}, ValueError, "a text must be a string, got 3; pass is_split_into_words=True for words"),
        (
            {"inputs": [["a", 3]], "is_split_into_words": True},
            ValueError,
            r"a list of words, or of sentences, got \['a', 3\]",
        ),
        (
            {"inputs": [[["a"], "b"]], "is_split_into_words": True},
            ValueError,
            r"or of sentences, got \[\['a'\], 'b'\]",
        ),
        (
            {"inputs": [{"tokens": ["a"]}], "is_split_into_words": True},
            ValueError,
            r"sentences, got {'tokens': \['a'\]}",
        ),
        ({"inputs": [iter(["a"])], "is_split_into_words": True}, ValueError, "or of sentences, got <list_iterator"),
    ],
)
def test_bad_input_is_refused(tagger, arguments, error, message):
    with pytest.raises(error, match=message):
        tagger(**arguments)


def test_a_strategy_may_be_written_in_any_case(tagger):
    for mine, stock in (("SIMPLE", "simple"), ("None", "none")):
        assert tagger("Ada visited Paris", aggregation_strategy=mine) == tagger(
            "Ada visited Paris", aggregation_strategy=stock
        )
    with pytest.raises(ValueError, match="simpel is not a valid AggregationStrategy"):
        tagger("Ada", aggregation_strategy="simpel")


@pytest.mark.parametrize("ignored", [[], ["PER"]])
def test_what_lies_between_entities_is_grouped_unless_it_is_ignored_as_the_hosts_pipeline_does(
    model, tokenizer, ignored
):
    text = "rain in the Paris , Ada visited Lovelace . yesterday ,"
    batch = tokenizer(text, return_tensors="pt")
    with torch.no_grad():  # each word's tag depends on the word alone, and so is the same in both pipelines
        for parameter in model.crf.parameters():
            parameter.zero_()
        model.classifier.bias[[2, 4]] -= 50.0  # no I-
        rows = model(**batch).emissions[0, 1:-1]
        model.classifier.bias[0] += (rows[:, 1:].amax(1) - rows[:, 0]).quantile(0.7)
    ours = BertBiLSTMCRFPipeline(model=model, tokenizer=tokenizer, ignore_labels=ignored)(text)
    stock = TokenClassificationPipeline(
        model=model, tokenizer=tokenizer, ignore_labels=ignored, aggregation_strategy="simple"
    )(text)

    places = [[(one["entity_group"], one["start"], one["end"]) for one in found] for found in (ours, stock)]
    assert places[0] == places[1]
    assert {kind for kind, *_ in places[0]} == {"O", "LOC", "PER"} - {*ignored}
    assert all(one["word"] == text[one["start"] : one["end"]] for one in ours)

    emissions, mask = model(**batch).emissions[:, 1:-1], torch.ones(1, 11, dtype=torch.bool)
    at, end = next((one["start"], one["end"]) for one in ours if one["entity_group"] == "O")
    first, last = len(text[:at].split()), len(text[:end].split())
    free = emissions.clone()
    free[:, first:last, 1:] = -1e4
    expected = (model.crf.log_partition(free, mask) - model.crf.log_partition(emissions, mask)).exp()
    score = next(one["score"] for one in ours if one["entity_group"] == "O")
    assert score == pytest.approx(expected.item(), abs=1e-5)
    assert last - first > 1


def test_words_may_stand_in_arrays(tagger):
    arrays = [np.array(SENTENCES[0]), np.array(SENTENCES[1])]
    assert tagger(arrays, is_split_into_words=True) == tagger(SENTENCES[:2], is_split_into_words=True)


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


ODD = [
    *"abcXYZ019 \t\n\r.,;:!?-_/\\#@&%$()[]{}'\"",
    *["\0", "\x07", "\u00a0", "\u200b", "\u200d", "\ufeff", "\ufe0f", "\u2028", "\u2029", "\x85", "\u3000"],
    *[
        "é",
        "e\u0301",
        "\u0301",
        "ß",
        "İ",
        "ﬁ",
        "Æ",
        "ю",
        "שלום",
        "مرحبا",
        "\u202e",
        "中",
        "文",
        "한",
        "ひ",
        "😀",
        "👩‍🚀",
        "🇩🇰",
    ],
    *["[CLS]", "[SEP]", "[MASK]", "[UNK]", "##a", "Ada", "Paris", "\r\n", "https://x.y/z?q=1"],
]


def odd_texts(count, seed=0):
    rng = random.Random(seed)
    return ["".join(rng.choices(ODD, k=rng.choice([0, 1, 2, 7, 30, 120]))) for _ in range(count)]


def check_offsets(tagger, texts, **arguments):
    """Words are in order, apart, free of blanks, and what their offsets say; entities are made of them."""
    by_word = tagger(texts, aggregation_strategy="none", ignore_labels=[], **arguments)
    by_entity = tagger(texts, **arguments)
    for text, words, entities in zip(texts, by_word, by_entity, strict=True):
        position = 0
        for entry in words:
            assert position <= entry["start"] < entry["end"] <= len(text)
            assert entry["word"] == text[entry["start"] : entry["end"]]
            assert entry["word"].strip() == entry["word"] != ""
            position = entry["end"]
        starts, ends = ({entry[name] for entry in words} for name in ("start", "end"))
        for entry in entities:
            assert entry["word"] == text[entry["start"] : entry["end"]]
            assert entry["start"] in starts
            assert entry["end"] in ends
            assert 0 < entry["score"] <= 1 + 1e-6


@pytest.mark.parametrize("unit", ["sentence", "text"])
def test_offsets_of_odd_texts(tagger, unit):
    tagger.model.config.text_unit = unit
    check_offsets(tagger, odd_texts(300), batch_size=5)


@pytest.mark.slow
def test_offsets_of_ten_thousand_odd_texts(tagger):
    """Two minutes: `python -m pytest -m slow tests/test_pipeline.py`."""
    check_offsets(tagger, odd_texts(10_000, seed=1), batch_size=16)


@pytest.mark.parametrize(
    "text", ["a" * 100_000, "-" * 3000, "\u200b" * 1000, "\0", " \t\n ", "é" * 5000 + " Ada", "中" * 2000]
)
def test_offsets_of_extreme_texts(tagger, text):
    check_offsets(tagger, [text], batch_size=16)


def test_time_grows_linearly(tagger):
    """By the work done, which can be counted, not by the clock: windows, and words handed to each."""
    texts = tagger.preprocess(["Ada in rain . " * count for count in (100, 200, 400)])
    windows = [sum(map(len, text.chains)) for text in texts]

    assert windows[1] <= 2 * windows[0]
    assert windows[2] <= 2 * windows[1]


@pytest.mark.parametrize("stride", [None, 0, 20])
def test_windows_change_nothing_where_a_state_depends_on_its_token_alone(make_model, tokenizer, stride):
    model = make_model(num_hidden_layers=0)
    torch.nn.init.zeros_(model.bert.embeddings.position_embeddings.weight)
    words = [word for _ in range(40) for word in ("Ada", "sang", "in", "Paris", ".", "the", "\ufe0f", "rain")]
    tagger = BertBiLSTMCRFPipeline(model=model, tokenizer=tokenizer)
    texts = tagger.preprocess([words], is_split_into_words=True, stride=stride)
    ((windows,),) = (text.chains for text in texts)

    states = [tagger._encode([window])[0] for window in windows]
    words_emissions, words_mask = pad(tagger._forward(texts))
    paths, _ = model.crf.decode(words_emissions, words_mask)
    found = read_words(model, words_emissions, words_mask, paths)

    ids = [token for word in words for token in tokenizer(word, add_special_tokens=False)["input_ids"] or [1]]
    firsts = [index for word in words for index in [True] + [False] * (len(tokenizer.tokenize(word)) - 1)]
    unwindowed = model.bert(torch.tensor([ids]), position_ids=torch.zeros(1, len(ids), dtype=torch.int64))
    expected = unwindowed.last_hidden_state[0, torch.tensor(firsts)]
    assert len(windows) >= 10
    torch.testing.assert_close(torch.cat(states), expected, rtol=0, atol=0)
    mask = torch.ones(1, len(words), dtype=torch.bool)
    emissions = model.emit(expected[None], mask)
    path = model.crf.decode(emissions, mask)[0][0]
    assert [tag for *_, tag, _ in found] == [LABELS[tag] for tag in path]
    marginals = model.crf.marginals(emissions, mask)[0]
    assert [score for *_, score in found] == pytest.approx(marginals.gather(1, path[:, None])[:, 0].tolist(), abs=1e-6)


def test_one_chain_is_a_sentence_or_a_text_as_in_training(tagger, model, tokenizer):
    text = "Ada Lovelace visited Paris. The rain in Paris , yesterday"
    halves = [text[:27], text[28:]]

    model.config.text_unit = "sentence"
    apart = [tagger(half, aggregation_strategy="none", ignore_labels=[]) for half in halves]
    split = tagger(text, aggregation_strategy="none", ignore_labels=[])
    model.config.text_unit = "text"
    whole = tagger(text, aggregation_strategy="none", ignore_labels=[])

    assert [entry["word"] for entry in split] == [entry["word"] for half in apart for entry in half]
    assert [entry["entity"] for entry in split] == [entry["entity"] for half in apart for entry in half]
    assert [entry["index"] for entry in split] == list(range(len(split)))
    assert [entry["score"] for entry in split] == pytest.approx([e["score"] for half in apart for e in half], abs=1e-5)
    assert [entry["score"] for entry in split] != pytest.approx([entry["score"] for entry in whole], abs=1e-3)


def test_a_threshold_leaves_out_what_is_less_probable(tagger):
    everything = [entity for found in tagger(SENTENCES[:3], is_split_into_words=True) for entity in found]
    cut = sorted(entity["score"] for entity in everything)[1]
    kept = [entity for found in tagger(SENTENCES[:3], is_split_into_words=True, threshold=cut) for entity in found]
    assert kept == [entity for entity in everything if entity["score"] >= cut]
    assert len(kept) == len(everything) - 1
    with pytest.raises(ValueError, match="threshold must be from 0 to 1, got 2"):
        tagger("a", threshold=2)


def test_an_operating_point_has_biases_for_paths_and_thresholds_for_entities(tagger, model):
    def find(**arguments):
        return [one for found in tagger(SENTENCES[:3], is_split_into_words=True, **arguments) for one in found]

    words, everything = {"aggregation_strategy": "none", "ignore_labels": []}, find()
    cut = max(one["score"] for one in everything if one["entity_group"] == "PER")
    model.config.operating_points = {
        "strict": {"thresholds": {"PER": cut, "LOC": 0.0}},
        "eager": {"biases": {"background_to_start": 40.0, "start_to_start": 40.0}},
    }

    strict, eager = find(operating_point="strict"), find(operating_point="eager", **words)

    assert strict == [one for one in everything if one["entity_group"] == "LOC" or one["score"] == cut]
    assert len(strict) < len(everything)
    assert find(operating_point="strict", **words) == find(**words)
    assert sum(one["entity"] == "O" for one in eager) < sum(one["entity"] == "O" for one in find(**words))
    assert find() == everything


def test_marginal_decoding_is_that_of_the_crf(tagger, model, tokenizer):
    words = random.Random(0).choices([word for words in SENTENCES for word in words], k=300)
    sentences = [words[start : start + 6] for start in range(0, 300, 6)]
    arguments = {"is_split_into_words": True, "aggregation_strategy": "none", "ignore_labels": []}

    found = [[one["entity"] for one in words] for words in tagger(sentences, decoding="marginal", **arguments)]

    rows = [
        torch.cat(tagger._encode(windows)) for text in tagger.preprocess(sentences, True) for windows in text.chains
    ]
    grid, mask = pad(rows)
    paths = model.crf.decode_by_marginals(model.emit(grid, mask), mask)[0].tolist()
    assert found == [[LABELS[tag] for tag in path] for path in paths]
    assert found != [[one["entity"] for one in words] for words in tagger(sentences, **arguments)]


def test_marginal_decoding_obeys_the_scheme(tagger, model):
    words = SENTENCES[0]
    with torch.no_grad():
        model.crf.transitions.mul_(3)
    arguments = {"is_split_into_words": True, "aggregation_strategy": "none", "ignore_labels": []}
    result = tagger(words, decoding="marginal", **arguments)[0]
    best = tagger(words, **arguments)[0]

    tags = [entry["entity"] for entry in result]
    assert first_violation(tags, "IOB2") is None
    assert sum(entry["score"] for entry in result) >= sum(entry["score"] for entry in best) - 1e-6
    with pytest.raises(ValueError, match="decoding must be 'viterbi' or 'marginal', got 'greedy'"):
        tagger("a", decoding="greedy")


def test_several_threads_may_share_a_pipeline_each_with_its_own_options(tagger):
    texts = ["Ada Lovelace visited Paris , in the rain .", "rain", "", "Paris in Ada . yesterday", "Lovelace , " * 40]
    asked = [{"threshold": 0.3}, {"decoding": "marginal"}, {"num_paths": 2}, {"aggregation_strategy": "none"}, {}]
    calls = [(text, options) for text in texts for options in asked]

    def tag(call):
        return tagger(call[0], **call[1])

    alone = [tag(call) for call in calls]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(tag, calls * 4)) == alone * 4
