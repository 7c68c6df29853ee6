"""A stock token classifier as a tagger of ours, without training."""

import itertools
import json
import math
import shutil

import pytest
import torch
from families import FAMILIES
from kinds import tokenizer_of
from safetensors.torch import load_file
from test_encoders import every_family

from modeling_bert_crf import BiLSTMCRFForTokenClassification, BiLSTMCRFPipeline
from modeling_bert_crf.readers.conversion import first_violation

LABELS = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
SENTENCES = ["Ada Lovelace visited Paris in the rain", "Charles wrote"]
every_unit = pytest.mark.parametrize("unit", ["word", "token"])


@pytest.fixture(scope="module")
def stock(tmp_path_factory):
    """Make an untrained stock token classifier of a family, with its tokenizer."""

    def make(family, labels=LABELS):
        folder = tmp_path_factory.mktemp(f"{family}-stock")
        torch.manual_seed(3)
        tokenizer = tokenizer_of(FAMILIES[family].kind)
        config = FAMILIES[family].config(tokenizer)
        config.id2label = dict(enumerate(labels))
        config.label2id = {label: index for index, label in enumerate(labels)}
        model = FAMILIES[family].host("ForTokenClassification")(config)
        with torch.no_grad():
            for parameter in (getattr(model, "classifier", None) or model.score).parameters():
                parameter.normal_(std=0.5)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    return make


@every_unit
@every_family
def test_emissions_are_the_stock_logits_and_paths_the_best_legal_ones(family, unit, stock):
    folder, tokenizer = stock(family), tokenizer_of(FAMILIES[family].kind)
    host = FAMILIES[family].host("ForTokenClassification").from_pretrained(folder).eval()
    model = BiLSTMCRFForTokenClassification.from_tagger(str(folder), chain_unit=unit)
    batch = tokenizer(SENTENCES, return_tensors="pt", padding=True)

    with torch.no_grad():
        logits, output = host(**batch).logits, model(**batch)

    assert type(model) is FAMILIES[family].tagger
    for row, path in enumerate(output.paths):
        places = (path >= 0).nonzero().squeeze(1)
        if unit == "token":
            assert len(places) == len(tokenizer(SENTENCES[row], add_special_tokens=False)["input_ids"])
        torch.testing.assert_close(output.emissions[row, places], logits[row, places], rtol=0, atol=1e-6)
        own = logits[row, places].double()
        best = max(
            (sum(own[t, tag].item() for t, tag in enumerate(tags)), [-tag for tag in tags])
            for tags in itertools.product(range(len(LABELS)), repeat=min(len(own), 6))
            if first_violation([LABELS[tag] for tag in tags], "IOB2") is None
        )
        if len(own) <= 6:
            assert path[places].tolist() == [-tag for tag in best[1]]


@every_unit
@every_family
def test_it_is_an_ordinary_tagger(family, unit, stock, tmp_path):
    model = BiLSTMCRFForTokenClassification.from_tagger(str(stock(family)), chain_unit=unit)
    tokenizer = tokenizer_of(FAMILIES[family].kind)
    before = BiLSTMCRFPipeline(model=model, tokenizer=tokenizer)(SENTENCES, num_paths=2)

    model.save_pretrained(tmp_path)
    again = BiLSTMCRFForTokenClassification.from_pretrained(tmp_path)

    assert BiLSTMCRFPipeline(model=again, tokenizer=tokenizer)(SENTENCES, num_paths=2) == before
    assert again.config.num_lstm_layers == 0
    assert not again.crf.transitions.any()


@every_unit
@every_family
def test_probabilities_are_those_of_the_classifier_among_legal_taggings(family, unit, stock):
    folder = stock(family)
    model = BiLSTMCRFForTokenClassification.from_tagger(str(folder), chain_unit=unit).double()
    batch = tokenizer_of(FAMILIES[family].kind)(SENTENCES[1], return_tensors="pt")
    with torch.no_grad():
        output = model(**batch)
    places = (output.paths[0] >= 0).nonzero().squeeze(1)[:5]  # the first ones are a chain, too
    own = output.emissions[0, places]

    weights = {
        tags: math.exp(sum(own[t, tag].item() for t, tag in enumerate(tags)))
        for tags in itertools.product(range(len(LABELS)), repeat=len(own))
        if first_violation([LABELS[tag] for tag in tags], "IOB2") is None
    }
    total = math.fsum(weights.values())
    expected = [
        [math.fsum(w for tags, w in weights.items() if tags[t] == tag) / total for tag in range(len(LABELS))]
        for t in range(len(own))
    ]

    with torch.no_grad():
        marginals = model.crf.marginals(own[None], torch.ones(1, len(own), dtype=torch.bool))[0]
    torch.testing.assert_close(marginals, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-9)


def test_placeholders_are_refused_with_the_cure(stock):
    folder = stock("bert", [f"LABEL_{index}" for index in range(3)])

    with pytest.raises(ValueError, match="must name the tags, got LABEL_0, LABEL_1, LABEL_2, which"):
        BiLSTMCRFForTokenClassification.from_tagger(str(folder))


def test_plain_types_are_read_as_io_and_it_is_said(stock, caplog):
    model = BiLSTMCRFForTokenClassification.from_tagger(str(stock("bert", ["O", "name", "phone"])))

    assert "neighbouring words with the same label are one entity" in caplog.text
    assert model.crf.allowed_transitions.all()


def test_labels_that_only_go_on_may_open_an_entity(stock):
    model = BiLSTMCRFForTokenClassification.from_tagger(str(stock("bert", ["O", "I-PER", "I-LOC"])))

    assert model.config.scheme == "IO"
    assert model.crf.allowed_starts.all()
    assert model.crf.allowed_transitions.all()


@pytest.mark.parametrize(
    ("architectures", "message"),
    [
        (["BertModel"], "got 'BertModel'; of an encoder without a classifier from_encoder and bert-crf train make"),
        (None, r"2 missing, 'classifier\.bias' first; of an encoder without a classifier"),
    ],
    ids=["said", "not said"],
)
def test_an_encoder_is_refused(architectures, message, tmp_path):
    tokenizer = tokenizer_of(FAMILIES["bert"].kind)
    config = FAMILIES["bert"].config(tokenizer)
    config.id2label = dict(enumerate(LABELS))
    FAMILIES["bert"].host("Model")(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    values = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(values | {"architectures": architectures}))

    with pytest.raises(ValueError, match=message):
        BiLSTMCRFForTokenClassification.from_tagger(str(tmp_path))


def test_a_tagger_of_ours_and_another_family_are_refused(stock, tmp_path):
    folder = stock("bert")
    BiLSTMCRFForTokenClassification.from_tagger(str(folder)).save_pretrained(tmp_path)

    with pytest.raises(ValueError, match="got a tagger of ours: from_pretrained loads it"):
        BiLSTMCRFForTokenClassification.from_tagger(str(tmp_path))
    with pytest.raises(ValueError, match="must be of the family 'roberta', got model_type 'bert'"):
        FAMILIES["roberta"].tagger.from_tagger(str(folder))
    assert json.loads((tmp_path / "config.json").read_text())["num_lstm_layers"] == 0


def test_an_operating_point_changes_the_paths_and_no_probability(stock):
    model = BiLSTMCRFForTokenClassification.from_tagger(str(stock("bert")))
    tokenizer = tokenizer_of(FAMILIES["bert"].kind)
    model.config.operating_points = {
        "eager": {"biases": {"background_to_start": 9.0, "start_to_start": 9.0, "end_to_start": 9.0}},
        "strict": {"thresholds": {"PER": 1.0, "LOC": 1.0}},
    }
    pipeline = BiLSTMCRFPipeline(model=model, tokenizer=tokenizer)
    plain, eager, strict = (pipeline(SENTENCES, operating_point=name) for name in (None, "eager", "strict"))

    found = {(one["start"], one["end"], one["entity_group"]): one["score"] for text in plain for one in text}
    assert sum(map(len, eager)) > sum(map(len, plain))
    assert strict == [[], []]
    for one in (one for text in eager for one in text):
        place = (one["start"], one["end"], one["entity_group"])
        assert one["score"] == pytest.approx(found.get(place, one["score"]))
    model.config.operating_point = "eager"
    assert pipeline(SENTENCES) == eager


def test_a_viterbi_calibration_beside_a_classifier_becomes_its_operating_points(stock, tmp_path):
    moves = ("background_stay", "background_to_start", "end_to_background", "end_to_start", "inside_to_continue")
    biases = {f"transition_bias_{move}": -0.5 for move in (*moves, "inside_to_end")}
    points = {"high_recall": {"biases": biases}, "default": {"biases": dict.fromkeys(biases, 0.0)}}
    folder = tmp_path / "stock"
    shutil.copytree(stock("bert"), folder)
    file = folder / "viterbi_calibration.json"
    file.write_text(json.dumps({"operating_points": points}))

    config = BiLSTMCRFForTokenClassification.from_tagger(str(folder)).config

    assert config.operating_point == "default"
    assert config.point("high_recall")["biases"] == dict.fromkeys((*moves, "inside_to_end"), -0.5)
    own = {"mine": {"biases": {"background_stay": 1.0}}}
    assert (
        BiLSTMCRFForTokenClassification.from_tagger(str(folder), operating_points=own).config.operating_points == own
    )
    del biases["transition_bias_end_to_start"]
    file.write_text(json.dumps({"operating_points": points}))
    with pytest.raises(ValueError, match=r"viterbi_calibration\.json: .* 'transition_bias_end_to_start' is missing"):
        BiLSTMCRFForTokenClassification.from_tagger(str(folder))
    file.write_text("{")
    with pytest.raises(ValueError, match=r"viterbi_calibration\.json: Expecting property name"):
        BiLSTMCRFForTokenClassification.from_tagger(str(folder))


def test_an_unknown_operating_point_is_refused(stock):
    model = BiLSTMCRFForTokenClassification.from_tagger(str(stock("bert")))
    pipeline = BiLSTMCRFPipeline(model=model, tokenizer=tokenizer_of(FAMILIES["bert"].kind))

    with pytest.raises(ValueError, match="must be the name of one of `operating_points`, none, got 'high'"):
        pipeline(SENTENCES, operating_point="high")


@pytest.mark.parametrize("file", ["weights.bin", "../elsewhere.safetensors"])
def test_weights_are_read_as_those_of_every_checkpoint(stock, file):
    """The index of a sharded checkpoint can name any file; neither a pickle nor one outside of the folder is read."""
    folder = stock("bert")
    names = load_file(folder / "model.safetensors")
    shutil.copy(folder / "model.safetensors", folder / file)
    (folder / "model.safetensors").unlink()
    index = {"metadata": {}, "weight_map": dict.fromkeys(names, file)}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))

    with pytest.raises(OSError, match=r"must be safetensors, got|must lie in"):
        BiLSTMCRFForTokenClassification.from_tagger(str(folder))


def test_a_classifier_that_is_a_pickle_is_refused_with_the_cure(stock):
    folder = stock("bert")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")

    with pytest.raises(OSError, match="can run code: if you trust it, convert it"):
        BiLSTMCRFForTokenClassification.from_tagger(str(folder))
