"""Models whose weights accelerate keeps elsewhere, and fetches module by module."""

import copy

import pytest
import torch
from accelerate import cpu_offload, disk_offload, dispatch_model

from modeling_bert_crf import BertBiLSTMCRFForTokenClassification, BertBiLSTMCRFPipeline

TEXTS = ["Ada Lovelace visited Paris in the rain .", "rain"]
CALLS = [{}, {"aggregation_strategy": "none"}, {"num_paths": 3}, {"decoding": "marginal"}]
PARTS = ("bert", "word_shapes", "dropout", "lstm", "classifier", "token_roles")
WAYS = {
    "cpu": lambda model, folder: cpu_offload(model, execution_device="cpu"),
    "cpu, buffers too": lambda model, folder: cpu_offload(model, execution_device="cpu", offload_buffers=True),
    "disk": lambda model, folder: disk_offload(model, str(folder), execution_device="cpu"),
    "the CRF alone": lambda model, folder: dispatch_model(
        model, {"": "cpu", "crf": "disk"}, main_device="cpu", offload_dir=str(folder)
    ),
}


@pytest.fixture
def model(make_model):
    return make_model(word_shape_size=3)


def alike(one, other):
    """Compare what two pipelines return; numbers up to rounding."""
    if isinstance(one, float):
        return abs(one - other) < 1e-4
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(alike(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(alike, one, other))
    return one == other


def compare(model, offloaded, tokenizer):
    batch = tokenizer(TEXTS, return_tensors="pt", padding=True)
    expected = model(**batch)
    tagger = BertBiLSTMCRFPipeline(model=model, tokenizer=tokenizer)

    with torch.no_grad():
        output = offloaded(**batch)

    # Not bit by bit: weights that were moved lie elsewhere in memory, and some processors then round otherwise.
    torch.testing.assert_close(output.logits, expected.logits, rtol=0, atol=1e-4)
    assert output.paths.equal(expected.paths)
    other = BertBiLSTMCRFPipeline(model=offloaded, tokenizer=tokenizer)
    assert other.device == offloaded.device == torch.device("cpu")
    for call in CALLS:
        assert alike(other(TEXTS, **call), tagger(TEXTS, **call))
    assert offloaded.crf.transitions.is_meta  # and so they wait again


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.filterwarnings("ignore:The following parameters were not offloaded:UserWarning")
def test_an_offloaded_model_tags_alike(model, tokenizer, tmp_path, way):
    offloaded = copy.deepcopy(model)
    WAYS[way](offloaded, tmp_path)

    compare(model, offloaded, tokenizer)


@pytest.mark.filterwarnings("ignore:Attempting to save a model with offloaded modules:UserWarning")
@pytest.mark.filterwarnings("ignore:The following device_map keys do not match any submodules:UserWarning")
def test_a_model_loaded_with_its_crf_on_the_disk_tags_alike_and_is_saved_whole(model, tokenizer, tmp_path):
    model.save_pretrained(tmp_path / "one")

    offloaded = BertBiLSTMCRFForTokenClassification.from_pretrained(
        tmp_path / "one",
        device_map=dict.fromkeys(PARTS, "cpu") | {"crf": "disk"},
        offload_folder=str(tmp_path / "weights"),
    )

    compare(model, offloaded, tokenizer)
    offloaded.save_pretrained(tmp_path / "two")
    again = BertBiLSTMCRFForTokenClassification.from_pretrained(tmp_path / "two")
    for name, value in model.state_dict().items():
        assert again.state_dict()[name].equal(value), name


def test_an_offloaded_model_follows_its_configuration(model, tokenizer):
    """Which its CRF's rules, no weights, are made from."""
    offloaded = copy.deepcopy(model)
    cpu_offload(offloaded, execution_device="cpu")
    for one in (model, offloaded):
        one.config.temperature = 3.0
        one.config.tag_scheme = None

    compare(model, offloaded, tokenizer)
    assert offloaded.crf.allowed_transitions.all()


def test_a_method_that_fails_leaves_an_offloaded_crf_usable(model):
    cpu_offload(model, execution_device="cpu")
    emissions, mask = torch.zeros(2, 3, 5), torch.ones(2, 3, dtype=torch.bool)
    with pytest.raises(ValueError, match="mask must be"):
        model.crf.decode(emissions, mask[:1])

    scores = model.crf.decode(emissions, mask)[1]

    assert scores.shape == (2,)
    assert not scores.is_meta
