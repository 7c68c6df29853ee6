"""The configuration: defaults, checks, round trip."""

import json

import pytest
from huggingface_hub.errors import StrictDataclassFieldValidationError
from transformers import AutoConfig

from modeling_bert_crf import BertBiLSTMCRFConfig

NAMES = {"id2label": {0: "O", 1: "B-X", 2: "I-X"}, "label2id": {"O": 0, "B-X": 1, "I-X": 2}}


def test_defaults():
    config = BertBiLSTMCRFConfig(hidden_size=50, **NAMES)

    assert config.lstm_units == 25
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
        ({"lstm_hidden_size": 0}, "`lstm_hidden_size` must be from 1 to 65536, got 0"),
        ({"num_lstm_layers": -1}, "`num_lstm_layers` must be from 0 to 100, got -1"),
        ({"lstm_dropout": 1.0}, "`lstm_dropout` must be at least 0 and below 1, got 1.0"),
        ({"tag_scheme": "BIO"}, "`tag_scheme` must be 'IOB2', .* got 'BIO'"),
        ({"tag_scheme": "BIOES", "id2label": {0: "NOUN"}}, "`tag_scheme` 'BIOES' has no tag 'NOUN'"),
        (
            {"id2label": {0: "O", 2: "B-X"}, "label2id": {"O": 0, "B-X": 2}},
            "must number the labels from 0 without a gap",
        ),
        ({"id2label": {0: "O", 1: "I-X"}, "label2id": {"O": 0, "I-X": 1}}, "'I-X' can never be reached"),
        (
            {"id2label": {0: "O", 1: "B-\ud800"}},
            "`id2label`: the name of label 1 must be Unicode text, got half a char",
        ),
        (
            {"label2id": {"O": 0, "B-\ud800": 1}},
            "`id2label`: the name of label 1 must be Unicode text, got half a char",
        ),
    ],
)
def test_bad_values_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        BertBiLSTMCRFConfig(**fields)


@pytest.mark.parametrize("fields", [{"lstm_hidden_size": "big"}, {"num_lstm_layers": 1.5}, {"tag_scheme": 3}])
def test_wrong_types_are_refused(fields):
    with pytest.raises(StrictDataclassFieldValidationError):
        BertBiLSTMCRFConfig(**fields)
