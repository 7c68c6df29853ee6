"""The configuration: defaults, checks, round trip."""

import json

import pytest
from transformers import AutoConfig

from modeling_bert_crf import BertBiLSTMCRFConfig

NAMES = {"id2label": {0: "O", 1: "B-X", 2: "I-X"}, "label2id": {"O": 0, "B-X": 1, "I-X": 2}}


def test_defaults():
    config = BertBiLSTMCRFConfig(hidden_size=60, **NAMES)

    assert config.lstm_units == 30
    assert config.num_lstm_layers == 1
    assert config.tag_scheme == "auto"
    assert config.labels == ["O", "B-X", "I-X"]
    assert config.num_labels == 3


def test_saved_and_loaded(tmp_path):
    config = BertBiLSTMCRFConfig(lstm_hidden_size=7, lstm_dropout=0, num_lstm_layers=2, tag_scheme="IOB2", **NAMES)
    config.save_pretrained(tmp_path)

    loaded = AutoConfig.from_pretrained(tmp_path)

    assert type(loaded) is BertBiLSTMCRFConfig
    assert loaded.to_diff_dict() == config.to_diff_dict()
    saved = json.loads((tmp_path / "config.json").read_text())
    assert saved["model_type"] == "bert_bilstm_crf"
    assert set(saved["auto_map"]) == {"AutoConfig", "AutoModel", "AutoModelForTokenClassification"}
    assert set(saved["custom_pipelines"]) == {"token-classification", "ner"}


def test_code_references_never_point_to_another_repository():
    config = BertBiLSTMCRFConfig(auto_map={"AutoConfig": "somebody/else--configuration_bert_crf.BertBiLSTMCRFConfig"})

    assert config.to_dict()["auto_map"]["AutoConfig"] == "configuration_bert_crf.BertBiLSTMCRFConfig"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"lstm_hidden_size": 0}, "`lstm_hidden_size` must be an integer from 1 to 65536 or None, got 0"),
        ({"num_lstm_layers": -1}, "`num_lstm_layers` must be an integer from 0 to 100, got -1"),
        ({"lstm_dropout": 1.0}, "`lstm_dropout` must be a number of at least 0 and below 1, got 1.0"),
        ({"tag_scheme": "BIO"}, "`tag_scheme` must be 'IO', 'IOB2', .* got 'BIO'"),
        ({"tag_scheme": "BIOES", "id2label": {0: "NOUN"}}, "`tag_scheme` 'BIOES' has no tag 'NOUN'"),
        (
            {"id2label": {0: "O", 2: "B-X"}, "label2id": {"O": 0, "B-X": 2}},
            "must number the labels from 0 without a gap",
        ),
        ({"id2label": {0: "B-Y", 1: "I-X"}, "label2id": {"B-Y": 0, "I-X": 1}}, "'I-X' can never be reached"),
        (
            {"id2label": {0: "O", 1: "B-\ud800"}},
            "`id2label`: the name of label 1 must be Unicode text, got half a char",
        ),
        (
            {"label2id": {"O": 0, "B-\ud800": 1}},
            "`label2id`: the name of label 1 must be Unicode text, got half a char",
        ),
    ],
)
def test_bad_values_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        BertBiLSTMCRFConfig(**fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"lstm_hidden_size": "big"}, "`lstm_hidden_size` must be an integer from 1 to 65536 or None, got 'big'"),
        ({"num_lstm_layers": 1.5}, "`num_lstm_layers` must be an integer from 0 to 100, got 1.5"),
        ({"num_lstm_layers": True}, "`num_lstm_layers` must be an integer from 0 to 100, got True"),
        ({"tag_scheme": 3}, "`tag_scheme` must be 'IO', .* or None, got 3"),
        ({"hidden_size": None}, "`hidden_size` must be an integer from 1 to 65536, got None"),
        ({"hidden_act": "gelu\x1b[31m"}, r"`hidden_act` must be a function that .*, got 'gelu\\x1b\[31m'$"),
        ({"hidden_act": "x" * 9999}, r"`hidden_act` must be a function that .*, got 'x{37}\.\.\.x{38}'$"),
        ({"layer_norm_eps": float("nan")}, "`layer_norm_eps` must be a float from 0 to 1, got nan"),
        ({"temperature": 10**400}, "`temperature` must be above 0 and finite, got 1000"),
        ({"dtype": "int8"}, "`dtype` must be 'float32', .* got 'int8'"),
        ({"torch_dtype": "nn"}, "`dtype` must be 'float32', .* got 'nn'"),
        ({"pad_token_id": 30522}, "`pad_token_id` must be one of the 30522 ids of `vocab_size`, got 30522"),
        ({"num_attention_heads": 5}, "`num_attention_heads` must divide `hidden_size` 768, got 5"),
        ({"chunk_size_feed_forward": 7}, "`chunk_size_feed_forward` must be an integer from 0 to 1, got 7"),
        ({"auto_map": None}, "`auto_map` must be a dictionary, got None"),
        ({"layer_types": ["x"]}, r"`layer_types` must be left out, since the encoder has none, got \['x'\]"),
        ({"to_dict": 5}, "`to_dict` must be left out, it is no field of a configuration, got 5"),
        ({"labels": ["O"]}, r"`labels` must be left out, it is no field of a configuration, got \['O'\]"),
        ({"attribute_map": {"a": "b"}}, "`attribute_map` must be left out"),
    ],
)
def test_wrong_types_and_names_are_refused(fields, message):
    """By one sentence in a ValueError, where the host has many kinds of errors; BERT's own fields too."""
    with pytest.raises(ValueError, match=message):
        BertBiLSTMCRFConfig(**fields)


@pytest.mark.parametrize("field", ["is_decoder", "add_cross_attention", "is_encoder_decoder"])
def test_a_tagger_reads_in_both_directions(field):
    """A decoder sees no word that follows: such a tagger would go on without a word of warning, and be worse."""
    with pytest.raises(ValueError, match=f"`{field}` must be False, since a tagger reads what stands on both sides"):
        BertBiLSTMCRFConfig(**{field: True})


def test_a_value_set_later_is_checked_too():
    config = BertBiLSTMCRFConfig(**NAMES)
    with pytest.raises(ValueError, match="`num_lstm_layers` must be an integer from 0 to 100, got 101"):
        config.num_lstm_layers = 101
    assert config.num_lstm_layers == 1


def test_unknown_names_are_kept_as_the_host_keeps_them():
    config = BertBiLSTMCRFConfig(gradient_checkpointing=False, directionality="bidi", num_labels=None)
    assert (config.gradient_checkpointing, config.directionality, config.num_labels) == (False, "bidi", 2)
