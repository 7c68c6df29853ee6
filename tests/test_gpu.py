"""What a GPU must do as the CPU does. `TAGGER_TEST_DEVICE=cpu` tries the tests themselves where there is none."""

import copy
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from accelerate import cpu_offload

import run_ner
from modeling_bert_crf import BertBiLSTMCRFForTokenClassification, BiLSTMCRFPipeline, LinearChainCRF
from modeling_bert_crf.crf_kernels import SWITCH, kernels_run
from modeling_bert_crf.schemes import constraints

DEVICE = torch.device(os.environ.get("TAGGER_TEST_DEVICE", "cuda"))
ON_GPU = DEVICE.type == "cuda"
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(ON_GPU and not torch.cuda.is_available(), reason="there is no GPU"),
]
TESTS = Path(__file__).parent
EXACT = [f"test_crf{part}.py" for part in ("", "_derivatives", "_engine", "_extremes", "_inference")]
SHAPES = [(1, 1, 2), (3, 7, 5), (5, 33, 9), (7, 130, 37), (2, 513, 9)]
TEXTS = ["Ada Lovelace visited Paris.", "", "rain " * 70 + "in Oslo", "the RAIN in Oslo, 8 degrees", "Ada"]


HALF_A_STEP = """
import sys
import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel
from modeling_bert_crf import BertBiLSTMCRFForTokenClassification
folder, rank, device = sys.argv[1], int(sys.argv[2]), sys.argv[3]
distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
model = BertBiLSTMCRFForTokenClassification.from_pretrained(folder).to(device)
shared = DistributedDataParallel(model)
ids = torch.load(f"{folder}/ids.pt").to(device)
own = ids[rank::2]
# The processes' gradients are averaged, the loss is a mean over the words of all: twice that of each.
loss = shared(input_ids=own, labels=own * 0, word_mask=own > 0, num_items_in_batch=ids.numel()).loss
(2 * loss).backward()
if rank == 0:
    torch.save({name: value.grad.cpu() for name, value in model.named_parameters()}, f"{folder}/gradients.pt")
distributed.barrier()
distributed.destroy_process_group()
"""


@pytest.fixture(params=["engine", "kernels"])
def kernels(request, monkeypatch):
    if request.param == "kernels" and not ON_GPU:
        pytest.skip("test_kernels.py runs them in the interpreter")
    monkeypatch.setenv(SWITCH, str(int(request.param == "kernels")))
    return request.param == "kernels"


def labelled(ids):
    """Return what `forward` needs to train on sub-tokens that are words, all of them with the first tag."""
    return {"input_ids": ids, "labels": torch.zeros_like(ids), "word_mask": torch.ones_like(ids)}


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


@pytest.mark.parametrize("file", EXACT)
def test_what_holds_of_the_crf_on_the_cpu_holds_on_the_device(file, kernels):
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(TESTS / file)]
    environment = os.environ | {"CRF_TEST_DEVICE": str(DEVICE), SWITCH: str(int(kernels))}
    ran = subprocess.run(argv, env=environment, cwd=TESTS.parent, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout


@pytest.mark.parametrize("scale", [1.0, 30.0, 1e3])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_crf_is_that_of_the_cpu_in_float64(shape, scale, kernels):
    """Which tests/test_crf.py proves by enumeration."""
    crf, (emissions, tags, mask) = scattered(shape[2]), batch(shape, scale)
    exact = copy.deepcopy(crf).double()
    leaf = emissions.double().requires_grad_()
    expected = exact(leaf, tags, mask)
    expected.sum().backward()
    crf, here = crf.to(DEVICE), emissions.to(DEVICE).requires_grad_()
    assert kernels_run(here) == kernels
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


def test_the_crf_obeys_its_rules_on_the_device(kernels):
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


def test_the_pipeline_finds_on_the_device_what_it_finds_on_the_cpu(make_model, tokenizer, kernels):
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
def test_a_run_trains_resumes_and_tags_on_the_device(command, files, precision, kernels):
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


def test_a_training_step_waits_for_the_device_no_more_than_twice(make_model, kernels):
    """Each `.item()`, and each choice by a tensor, makes the processor wait for all that the device has to do."""
    model = make_model().train().to(DEVICE)
    given = labelled(torch.randint(5, 100, (4, 17), device=DEVICE))
    model(**given).loss.backward()
    if not ON_GPU:
        pytest.skip("only a GPU is waited for")
    torch.cuda.synchronize()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            model(**given).loss.backward()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    assert len([one for one in said if "synchronizing" in str(one.message)]) <= (1 if kernels else 2)


@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")
def test_a_compiled_encoder_gives_the_same_loss(make_model):
    model = make_model().to(DEVICE)
    given = labelled(torch.randint(5, 100, (3, 11), device=DEVICE))
    expected = model(**given).loss
    model.base_model.compile()
    assert model(**given).loss.item() == pytest.approx(expected.item(), rel=1e-4)


def test_an_offloaded_model_tags_on_the_device_as_it_does_on_the_cpu(make_model, kernels):
    model = make_model()
    ids = torch.randint(5, 100, (3, 11))
    with torch.no_grad():
        expected = model(input_ids=ids)
        offloaded = cpu_offload(copy.deepcopy(model), execution_device=DEVICE)
        found = offloaded(input_ids=ids.to(DEVICE))
    assert offloaded.crf.transitions.is_meta
    assert found.paths.device.type == DEVICE.type
    assert found.paths.cpu().equal(expected.paths)
    torch.testing.assert_close(found.logits.cpu(), expected.logits, rtol=0, atol=1e-3)


def test_two_processes_on_one_device_take_the_step_of_one(make_model, tmp_path, kernels):
    model = make_model()  # for evaluation, so that nothing is dropped by chance
    model.save_pretrained(tmp_path)
    ids = torch.randint(5, 100, (6, 11))
    torch.save(ids, tmp_path / "ids.pt")
    ranks = [
        subprocess.Popen([sys.executable, "-c", HALF_A_STEP, str(tmp_path), str(rank), str(DEVICE)], cwd=TESTS.parent)
        for rank in range(2)
    ]
    assert [rank.wait(200) for rank in ranks] == [0, 0]

    model.to(DEVICE)(**labelled(ids.to(DEVICE))).loss.backward()
    found = torch.load(tmp_path / "gradients.pt")
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad.cpu(), rtol=1e-3, atol=1e-5)
