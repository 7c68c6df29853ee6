"""What a GPU must do as the CPU does. `TAGGER_TEST_DEVICE=cpu` tries the tests themselves where there is none."""

import copy
import json
import os
import warnings

import pytest
import torch

import run_ner
from modeling_bert_crf import BertBiLSTMCRFForTokenClassification, BiLSTMCRFPipeline, LinearChainCRF
from modeling_bert_crf.schemes import constraints

DEVICE = torch.device(os.environ.get("TAGGER_TEST_DEVICE", "cuda"))
ON_GPU = DEVICE.type == "cuda"
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(ON_GPU and not torch.cuda.is_available(), reason="there is no GPU"),
]
SHAPES = [(1, 1, 2), (3, 7, 5), (5, 33, 9), (7, 130, 37), (2, 513, 9)]
TEXTS = ["Ada Lovelace visited Paris.", "", "rain " * 70 + "in Oslo", "the RAIN in Oslo, 8 degrees", "Ada"]


def scattered(num_tags, labels=None, scale=1.0):
    """A CRF whose scores are drawn, with a scheme's rules if there are labels."""
    torch.manual_seed(num_tags)
    crf = LinearChainCRF(num_tags)
    for parameter in crf.parameters():
        torch.nn.init.normal_(parameter, std=scale)
    if labels:
        names = ("allowed_starts", "allowed_ends", "allowed_transitions")
        for name, rule in zip(names, constraints(labels, "IOB2"), strict=True):
            getattr(crf, name).copy_(torch.as_tensor(rule))
    return crf


def batch(shape, scale):
    """Emissions, gold tags and mask of rows of unequal lengths."""
    torch.manual_seed(sum(shape))
    lengths = torch.randint(1, shape[1] + 1, shape[:1])
    lengths[-1] = shape[1]
    mask = torch.arange(shape[1]) < lengths[:, None]
    return scale * torch.randn(shape), torch.randint(shape[2], shape[:2]), mask


@pytest.mark.parametrize("scale", [1.0, 30.0, 1e3])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_crf_is_that_of_the_cpu_in_float64(shape, scale):
    """Which tests/test_crf.py proves by enumeration."""
    crf, (emissions, tags, mask) = scattered(shape[2]), batch(shape, scale)
    exact = copy.deepcopy(crf).double()
    leaf = emissions.double().requires_grad_()
    expected = exact(leaf, tags, mask)
    expected.sum().backward()
    crf, here = crf.to(DEVICE), emissions.to(DEVICE).requires_grad_()
    found = crf(here, tags.to(DEVICE), mask.to(DEVICE))
    found.sum().backward()

    assert found.device.type == DEVICE.type
    assert torch.allclose(found.detach().cpu().double(), expected.detach(), rtol=1e-5, atol=1e-4 * scale)
    assert (here.grad.cpu().double() - leaf.grad).abs().max() < 1e-5
    for parameter, other in zip(crf.parameters(), exact.parameters(), strict=True):
        assert torch.allclose(parameter.grad.cpu().double(), other.grad, rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        marginals = crf.marginals(here, mask.to(DEVICE)).cpu().double()
        assert (marginals - exact.marginals(leaf, mask)).abs().max() < 1e-5
        paths, scores = (one.cpu() for one in crf.decode(here, mask.to(DEVICE)))
        best = exact.decode(leaf, mask)[1]
        assert torch.allclose(scores.double(), best, rtol=1e-5, atol=1e-4 * scale)
        own = exact.path_score(leaf, paths.clamp_min(0), mask)
        assert torch.allclose(own, best, rtol=1e-5, atol=1e-4 * scale)


def test_the_crf_obeys_its_rules_on_the_device():
    labels = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    crf, (emissions, _, mask) = scattered(5, labels).to(DEVICE), batch((6, 21, 5), 5.0)
    paths, _ = crf.decode(emissions.to(DEVICE), mask.to(DEVICE))
    count = 0
    for path, length in zip(paths.tolist(), mask.sum(1).tolist(), strict=True):
        tags = [labels[one] for one in path[:length]]
        for before, tag in zip(["O", *tags], tags, strict=False):
            assert tag[0] != "I" or before[1:] == tag[1:]
            count += tag[0] == "I"
    assert count > 3


def test_the_pipeline_finds_on_the_device_what_it_finds_on_the_cpu(make_model, tokenizer):
    model = make_model(text_unit="sentence")
    expected = BiLSTMCRFPipeline(model=copy.deepcopy(model), tokenizer=tokenizer, device="cpu")(TEXTS)
    tagger = BiLSTMCRFPipeline(model=model.to(DEVICE), tokenizer=tokenizer, device=DEVICE)
    found = tagger(TEXTS)

    assert tagger.device.type == DEVICE.type
    assert sum(map(len, expected)) > 3
    keys = ("entity_group", "start", "end")
    for one, other in zip(found, expected, strict=True):
        assert [[entity[key] for key in keys] for entity in one] == [[entity[key] for key in keys] for entity in other]
        assert [entity["score"] for entity in one] == pytest.approx([entity["score"] for entity in other], abs=1e-4)


@pytest.mark.parametrize("precision", [[], ["--bf16", "True"], ["--fp16", "True"]], ids=["float32", "bf16", "fp16"])
def test_a_run_trains_resumes_and_tags_on_the_device(command, files, precision):
    if precision and "fp16" in precision[0] and not ON_GPU:
        pytest.skip("torch scales gradients of float16 on a GPU alone")
    argv = [*command(num_train_epochs=6, save_strategy="epoch", use_cpu=None if ON_GPU else True), *precision]
    run_ner.main(argv)
    model = BertBiLSTMCRFForTokenClassification.from_pretrained(files / "out")
    first = json.loads((files / "out" / "metrics.json").read_text())
    losses = [one["loss"] for one in first["learning_curve"]["training"]]
    assert model.crf.transitions.dtype == torch.float32
    assert losses[-1] < losses[0]

    (files / "out" / "config.json").unlink()  # as if it had been killed after its last checkpoint
    run_ner.main([*argv, "--resume_from_checkpoint", "True"])
    again = json.loads((files / "out" / "metrics.json").read_text())
    assert again["scores"]["test"]["strict"] == first["scores"]["test"]["strict"]


def test_a_training_step_waits_for_the_device_no_more_than_twice(make_model):
    """Each `.item()`, and each choice by a tensor, makes the processor wait for all that the device has to do."""
    if not ON_GPU:
        pytest.skip("only a GPU is waited for")
    model = make_model().train().to(DEVICE)
    ids = torch.randint(5, 100, (4, 17), device=DEVICE)
    labels = torch.zeros_like(ids)
    model(input_ids=ids, labels=labels).loss.backward()
    torch.cuda.synchronize()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            model(input_ids=ids, labels=labels).loss.backward()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    assert len([one for one in said if "synchronizing" in str(one.message)]) <= 2


def test_a_compiled_encoder_gives_the_same_loss(make_model):
    if not ON_GPU:
        pytest.skip("compiling for a processor is tested elsewhere")
    model = make_model().to(DEVICE)
    ids = torch.randint(5, 100, (3, 11), device=DEVICE)
    expected = model(input_ids=ids, labels=torch.zeros_like(ids)).loss
    model.base_model.compile()
    assert model(input_ids=ids, labels=torch.zeros_like(ids)).loss.item() == pytest.approx(expected.item(), rel=1e-4)
