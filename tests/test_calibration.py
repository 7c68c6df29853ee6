"""Probabilities that can be believed: the temperature, and the measure of what is left."""

import copy
import json
import random
from pathlib import Path

import pytest
import torch
from conftest import LABELS
from peft import LoraConfig, TaskType, get_peft_model
from transformers import AutoTokenizer

from modeling_bert_crf import BertBiLSTMCRFForTokenClassification, BertBiLSTMCRFPipeline
from modeling_bert_crf.readers.sentences import Sentence
from modeling_bert_crf.scores.calibration import calibration_error, reliability_bins
from modeling_bert_crf.training.calibration import entity_confidences, fit_temperature, fold_temperature
from modeling_bert_crf.training.dataset import TaggingCollator, TaggingDataset
from modeling_bert_crf.training.reading import read
from modeling_bert_crf.training.trainer import CRFTrainer
from modeling_bert_crf.training.training_arguments import CRFTrainingArguments

OLD_TAGGER = Path(__file__).parent / "data" / "tagger_0_1"
"""Saved by version 0.1 with a temperature of 1.3 that divides its scores at run, and what it said then (the code files
left out). It must say so for good."""


@pytest.fixture
def sampled(make_model, tokenizer):
    """A model, and sentences whose gold tags are drawn from its own distribution: it is calibrated as it is."""
    model = make_model(word_shape_size=3)
    rng = random.Random(0)
    words = [rng.choices(["Ada", "Paris", "rain", "in", "visited"], k=rng.randint(1, 7)) for _ in range(400)]
    blank = [Sentence(one, ["O"] * len(one), "data", [1] * len(one)) for one in words]
    dataset = TaggingDataset(blank, tokenizer, LABELS)
    batch = TaggingCollator(tokenizer.pad_token_id)(list(dataset))
    batch.pop("labels")
    with torch.no_grad():
        encoded, mask = model.encode(**batch)
        paths = model.crf.sample(model.emit(encoded, mask), mask, 1, torch.Generator().manual_seed(0))[:, 0]
    gold = [
        Sentence(one, [LABELS[tag] for tag in path[: len(one)]], "data", [1] * len(one))
        for one, path in zip(words, paths.tolist(), strict=True)
    ]
    return model, TaggingDataset(gold, tokenizer, LABELS)


@pytest.mark.parametrize("scale", [1.0, 2.5, 0.5])
def test_the_temperature_undoes_a_wrong_scale(sampled, scale):
    model, dataset = sampled
    with torch.no_grad():
        for parameter in (*model.classifier.parameters(), *model.crf.parameters()):
            parameter.mul_(scale)

    reading = read(model, dataset)
    temperature = fit_temperature(model, reading)

    assert temperature == pytest.approx(scale, rel=0.2)
    assert model.config.temperature == 1.0
    found = entity_confidences(model, reading, 1.0, temperature)
    errors = dict(zip((1.0, temperature), map(calibration_error, found), strict=True))
    assert errors[temperature] < 0.07
    if scale != 1.0:
        assert errors[1.0] > 1.5 * errors[temperature]


def test_on_the_data_that_a_temperature_was_fitted_to_each_half_is_measured_with_that_of_the_other(
    sampled, tokenizer, tmp_path
):
    model, dataset = sampled
    halves = [
        TaggingDataset(dataset.sentences[parity::2], tokenizer, LABELS) for parity in (0, 1)
    ]  # a row is a sentence here
    readings = [read(model, half) for half in halves]
    fits = [fit_temperature(model, reading) for reading in readings]
    assert fits[0] != pytest.approx(fits[1], rel=1e-3)
    pairs = zip(readings, reversed(fits), strict=True)
    expected = [one for reading, other in pairs for one in entity_confidences(model, reading, other)[0]]

    trainer = CRFTrainer(model, CRFTrainingArguments(str(tmp_path), report_to=[]), processing_class=tokenizer)
    found = trainer.calibration(dataset, fitted=True)

    assert found["error"] == pytest.approx(calibration_error(expected), abs=1e-6)
    assert found["error"] != pytest.approx(trainer.calibration(dataset)["error"], abs=1e-6)
    assert sum(one["count"] for one in found["bins"]) == len(expected)


def test_a_temperature_scales_all_scores_and_survives_saving(sampled, tokenizer, tmp_path):
    model, dataset = sampled
    batch = TaggingCollator(tokenizer.pad_token_id)([dataset[index] for index in range(9)])
    model.eval()
    before = model(**batch)

    model.config.temperature = 2.0
    after = model(**batch)

    assert after.paths.equal(before.paths)
    torch.testing.assert_close(after.emissions, before.emissions / 2)
    assert not torch.allclose(after.logits, before.logits)
    chain = before.paths >= 0
    entropy = [-(one.logits[chain].softmax(-1) * one.logits[chain]).sum(-1).mean() for one in (before, after)]
    assert entropy[1] > entropy[0]
    model.save_pretrained(tmp_path)
    loaded = type(model).from_pretrained(tmp_path)
    assert loaded.config.temperature == 2.0
    torch.testing.assert_close(loaded(**batch).logits, after.logits)


def test_the_error_is_the_distance_of_confidence_and_accuracy_in_each_range():
    confidences = [(0.95, True), (0.91, False), (1.0, True), (0.15, False), (0.12, True)]
    wanted = (abs(0.95 + 0.91 + 1.0 - 2) + abs(0.15 + 0.12 - 1)) / 5
    assert calibration_error(confidences) == pytest.approx(wanted)
    assert calibration_error([]) == 0.0


def test_the_last_range_holds_the_certain_ones_and_no_others():
    bins = reliability_bins([(0.85, True), (0.9, True), (1.0, False), (0.0, False)])

    assert [one["count"] for one in bins] == [1, 1, 2]
    assert [one["right"] for one in bins] == [0.0, 1.0, 0.5]


def test_tags_of_a_reading_are_the_models_whatever_its_temperature(sampled, tokenizer):
    """Of a tagger of version 0.1, whose configuration divides: twice would be another chain."""
    model, dataset = sampled
    dataset = TaggingDataset(dataset.sentences[:100], tokenizer, LABELS)
    model.config.temperature = 4.0
    with torch.no_grad():
        paths = model(**TaggingCollator(tokenizer.pad_token_id)(list(dataset))).paths

    assert read(model, dataset).tags(model) == dataset.tags_of(paths)


def test_the_measure_leaves_the_model_as_it_was(sampled):
    model, dataset = sampled
    model.train()
    reading = read(model, dataset)
    (found,) = entity_confidences(model, reading, 3.0)
    assert model.training
    assert model.config.temperature == 1.0
    assert [found] == entity_confidences(model, read(model, dataset), 3.0)
    assert all(0 <= score <= 1 for score, _ in found)
    assert {right for _, right in found} == {True, False}


def test_a_tagger_of_version_0_1_says_what_it_said():
    expected = json.loads((OLD_TAGGER / "expected.json").read_text())
    model = BertBiLSTMCRFForTokenClassification.from_pretrained(OLD_TAGGER)
    tokenizer = AutoTokenizer.from_pretrained(OLD_TAGGER)
    tagger = BertBiLSTMCRFPipeline(model=model, tokenizer=tokenizer)
    texts = expected["texts"]

    output = model(**tokenizer(texts, return_tensors="pt", padding=True))

    assert model.config.temperature == 1.3
    assert output.paths.tolist() == expected["paths"]
    for name in ("logits", "emissions"):
        torch.testing.assert_close(output[name], torch.tensor(expected[name]), rtol=0, atol=1e-4)
    for name, arguments in {
        "entities": {},
        "words": {"aggregation_strategy": "none", "ignore_labels": []},
        "best": {"num_paths": 2},
        "marginal": {"decoding": "marginal"},
    }.items():
        assert roughly(tagger(texts, **arguments)) == roughly(expected[name]), name


def roughly(value):
    """Cut numbers to what any machine agrees on."""
    if isinstance(value, dict):
        return {name: roughly(one) for name, one in value.items()}
    if isinstance(value, list):
        return [roughly(one) for one in value]
    return pytest.approx(value, abs=1e-4) if isinstance(value, float) else value


def test_a_temperature_of_the_configuration_acts_at_once(sampled, tokenizer):
    """It acts in the model, and also where the CRF of the model is asked by itself."""
    model, _ = sampled
    model.eval()
    tagger = BertBiLSTMCRFPipeline(model=model, tokenizer=tokenizer)
    texts = ["Ada visited Paris", "rain in the rain"]
    before, words = model(**tokenizer(texts, return_tensors="pt", padding=True)), {"aggregation_strategy": "none"}
    entropy = tagger(texts, num_paths=1)[0][0]["entropy"]
    divided = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in (*divided.classifier.parameters(), *divided.crf.parameters()):
            parameter.div_(5.0)

    model.config.temperature = 5.0
    after = model(**tokenizer(texts, return_tensors="pt", padding=True))

    assert after.paths.equal(before.paths)
    expected = divided(**tokenizer(texts, return_tensors="pt", padding=True))
    torch.testing.assert_close(after.logits, expected.logits)
    torch.testing.assert_close(after.emissions, before.emissions / 5)
    other = BertBiLSTMCRFPipeline(model=divided, tokenizer=tokenizer)
    assert roughly(tagger(texts, **words)) == roughly(other(texts, **words))
    assert tagger(texts, num_paths=1)[0][0]["entropy"] > entropy + 0.1
    for value in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="`temperature` must be above 0 and finite, got"):
            model.config.temperature = value
    assert model.config.temperature == 5.0


def test_a_folded_temperature_is_that_of_the_configuration_in_the_weights(sampled, tokenizer, tmp_path):
    model, dataset = sampled
    batch = TaggingCollator(tokenizer.pad_token_id)([dataset[index] for index in range(9)])
    model.eval()
    divided = copy.deepcopy(model)
    divided.config.temperature = 2.5

    model.config.temperature = 1.7  # a tagger of version 0.1 that is trained on and fitted anew
    fold_temperature(model, 2.5)

    assert model.config.temperature == 1.0
    for name, value in model.named_parameters():
        scale = 2.5 if name.startswith(("classifier", "crf")) else 1.0
        assert value.equal(divided.get_parameter(name) / scale), name
    output, expected = model(**batch), divided(**batch)
    assert output.paths.equal(expected.paths)
    torch.testing.assert_close(output.logits, expected.logits)
    torch.testing.assert_close(output.emissions, expected.emissions)
    model.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text()).get("temperature", 1.0) == 1.0
    assert type(model).from_pretrained(tmp_path)(**batch).logits.equal(output.logits)


def make_trainer(model, tokenizer, folder):
    arguments = CRFTrainingArguments(str(folder), use_cpu=True, save_strategy="no", disable_tqdm=True)
    return CRFTrainer(model=model, args=arguments, data_collator=TaggingCollator(tokenizer.pad_token_id))


@pytest.mark.parametrize("before", [1.0, 1.6], ids=["folded", "of version 0.1"])
def test_the_trainer_keeps_the_number_and_the_error_that_there_was_without(sampled, tokenizer, tmp_path, before):
    """That holds also if a temperature is fitted twice. A tagger of version 0.1 has one that is not in its weights."""
    model, dataset = sampled
    dataset = TaggingDataset(dataset.sentences[:70], tokenizer, LABELS)
    with torch.no_grad():
        for parameter in (*model.classifier.parameters(), *model.crf.parameters()):
            parameter.mul_(3.0)
    raw = calibration_error(*entity_confidences(model, read(model, dataset), 1.0))
    model.config.temperature = before
    trainer = make_trainer(model, tokenizer, tmp_path)
    assert trainer.temperature == before
    assert trainer.calibration(dataset)["error_at_1"] == pytest.approx(raw)

    fitted = fit_temperature(model, read(model, dataset))
    for _ in range(2):
        reading = trainer.calibrate(dataset)

        for one, other in zip(reading.batches, trainer.read(dataset).batches, strict=True):
            torch.testing.assert_close(one.emissions, other.emissions, rtol=1e-4, atol=1e-4)
        assert model.config.temperature == 1.0
        assert trainer.temperature == pytest.approx(fitted, rel=1e-3)
        found = trainer.calibration(dataset)
        assert found["error_at_1"] == pytest.approx(raw, abs=1e-2)
        (now,) = entity_confidences(model, read(model, dataset), 1.0)
        assert found["error"] == pytest.approx(calibration_error(now))
        assert found["error"] < raw / 1.5


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft asks for it
@pytest.mark.parametrize("saved", [["classifier"], ["lstm", "crf", "classifier"]], ids=str)
def test_a_temperature_that_adapters_stand_in_the_way_of_stays_in_the_configuration(
    sampled, tokenizer, tmp_path, saved
):
    """Where an adapter stands for some of the weights, none is divided; the scores are divided when the model runs."""
    model, dataset = sampled
    expected = copy.deepcopy(model)
    expected.config.temperature = 2.0
    lora = LoraConfig(task_type=TaskType.TOKEN_CLS, target_modules=["query"], modules_to_save=saved)
    adapted = get_peft_model(model, lora).eval()
    batch = TaggingCollator(tokenizer.pad_token_id)([dataset[index] for index in range(9)])
    weights = {name: value.clone() for name, value in adapted.named_parameters()}

    fold_temperature(model, 2.0)

    assert adapted.config.temperature == 2.0
    assert all(value.equal(weights[name]) for name, value in adapted.named_parameters())
    torch.testing.assert_close(adapted(**batch).logits, expected.eval()(**batch).logits)
    trainer = make_trainer(adapted, tokenizer, tmp_path)
    trainer.calibrate(dataset)
    assert trainer.temperature == model.config.temperature == pytest.approx(1.0, rel=0.2)
