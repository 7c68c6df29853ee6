"""Tests of the CRF on another device, without a change in them.

    CRF_TEST_DEVICE=cuda python -m pytest tests/test_crf*.py                      # the engine on a GPU
    CRF_TEST_DEVICE=cuda BERT_CRF_KERNELS=1 python -m pytest tests/test_crf*.py   # the kernels on a GPU

Each method of `LinearChainCRF` then takes its tensors to the device, and its results back; gradients go the same way.
What a test says of the tiers stays true, since `tier` is asked of the engine on the CPU.
"""

import copy
import os
import re
from functools import wraps

import pytest
import torch
from torch.utils._pytree import tree_map

from modeling_bert_crf import LinearChainCRF
from modeling_bert_crf.crf_kernels import SWITCH

DEVICE = os.environ.get("CRF_TEST_DEVICE")
ELSEWHERE_OTHERWISE = re.compile(
    "operations|cost_nothing|cheapest_safe_tier|soft_rules_do_not_cost|float32_tier_(alone|is_exact)|marginals_in_float32"
    "|told_without_the_sum" + ("|reads_from_the_device_once" if DEVICE == "cpu" else "")
)
"""Tests of how the engine computes on a CPU: in how many operations, and in which arithmetic. (In its interpreter,
Triton reads a kernel's arguments one by one.)"""
METHODS = [
    "forward",
    "nll_and_log_marginals",
    "log_partition",
    "path_score",
    "decode",
    "decode_by_marginals",
    "log_marginals",
    "marginals",
    "pairwise_marginals",
    "entropy",
    "span_log_probs",
    "sample",
    "nbest",
]


def moved(values, device):
    return tree_map(lambda value: value.to(device) if isinstance(value, torch.Tensor) else value, values)


def on_device(method, device):
    """Make a method run on a device."""

    @wraps(method)
    def run(crf, *args, **kwargs):
        if vars(crf).get("_is_there"):  # one method calls another
            return method(crf, *args, **kwargs)
        there = copy.copy(crf)
        there._is_there = True
        for name in ("_parameters", "_buffers"):
            setattr(there, name, moved(dict(getattr(crf, name)), device))
        return moved(method(there, *moved(args, device), **moved(kwargs, device)), "cpu")

    return run


def of_the_engine(tier):
    """Make `tier` say what the engine would choose."""

    @wraps(tier)
    def run(crf, *args):
        before = os.environ.pop(SWITCH, None)
        try:
            return tier(crf, *args)
        finally:
            os.environ.update({} if before is None else {SWITCH: before})

    return run


def leave_out(items):
    """Skip the tests that hold of the engine on a CPU alone."""
    for item in items if DEVICE else ():
        if ELSEWHERE_OTHERWISE.search(item.name):
            item.add_marker(pytest.mark.skip(reason="it is otherwise elsewhere"))


def redirect(monkeypatch):
    """Run the CRF of a test where `CRF_TEST_DEVICE` says."""
    for name in METHODS:
        monkeypatch.setattr(LinearChainCRF, name, on_device(getattr(LinearChainCRF, name), DEVICE))
    monkeypatch.setattr(LinearChainCRF, "tier", of_the_engine(LinearChainCRF.tier))
