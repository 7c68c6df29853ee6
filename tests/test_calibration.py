"""Probabilities that can be believed: the temperature, and the measure of what is left."""

import random

import pytest
import torch
from conftest import LABELS

from modeling_bert_crf.training.calibration import calibration_error, entity_confidences, fit_temperature
from modeling_bert_crf.training.data import Sentence
from modeling_bert_crf.training.dataset import TaggingCollator, TaggingDataset


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
        encoded = model.encode(**batch)
        mask = torch.arange(encoded.shape[1]) < batch["word_mask"].sum(1, keepdim=True)
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

    temperature = fit_temperature(model, dataset)

    assert temperature == pytest.approx(scale, rel=0.2)
    assert model.crf.temperature == 1.0
    errors = {value: calibration_error(entity_confidences(model, dataset, value)) for value in (1.0, temperature)}
    assert errors[temperature] < 0.07
    if scale != 1.0:
        assert errors[1.0] > 1.5 * errors[temperature]


def test_a_temperature_scales_all_scores_and_survives_saving(sampled, tokenizer, tmp_path):
    model, dataset = sampled
    batch = TaggingCollator(tokenizer.pad_token_id)([dataset[index] for index in range(9)])
    model.eval()
    before = model(**batch)

    model.set_temperature(2.0)
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


def test_the_measure_leaves_the_model_as_it_was(sampled):
    model, dataset = sampled
    model.train()
    found = entity_confidences(model, dataset, 3.0)
    assert model.training
    assert model.crf.temperature == 1.0
    assert found == entity_confidences(model, dataset, 3.0)
    assert all(0 <= score <= 1 for score, _ in found)
    assert {right for _, right in found} == {True, False}
