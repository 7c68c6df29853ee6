"""The CRF's kernels for a GPU, where there is none: in Triton's interpreter, and through its compiler.

They are compared with the engine, which `oracle.py` proves; and some tests of the CRF run again with the kernels on.
`test_gpu.py` runs both on a GPU.
"""

import os
import subprocess
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from test_crf_engine import Count
from transformers.dynamic_module_utils import get_imports

from modeling_bert_crf import LinearChainCRF, crf_kernels
from modeling_bert_crf.crf import UNKNOWN
from modeling_bert_crf.crf_kernels import SWITCH, kernels_run

TESTS = Path(__file__).parent
INTERPRETED = {SWITCH: "1", "TRITON_INTERPRET": "1", "CRF_TEST_DEVICE": "cpu"}
KERNELS = ["_sweep_kernel", "_expectation_kernel", "_search_kernel"]
NOT_NUMBERS = [float("nan"), float("inf")]
needs_triton = pytest.mark.skipif(find_spec("triton") is None, reason="Triton is for Linux alone")


@pytest.fixture
def begin(monkeypatch):
    """Make the CRF take the kernels from now on."""
    pytest.importorskip("triton")
    monkeypatch.setattr(crf_kernels, "CHUNK", 2)  # so that short rows have several
    # Numpy warns of what is meant: of a log of 0, and of infinity less infinity.
    warnings.filterwarnings("ignore", category=RuntimeWarning, module="triton.runtime.interpreter")
    return lambda: monkeypatch.setenv(SWITCH, "1")


def scattered(lengths, num_tags, scale=3.0):
    """A CRF with rules, and a batch that lies in memory as no other: emissions (B, T, K), tags and mask."""
    torch.manual_seed(num_tags)
    crf = LinearChainCRF(num_tags).double()
    for parameter in crf.parameters():
        torch.nn.init.normal_(parameter, std=scale)
    if num_tags > 2:
        crf.allowed_transitions[0, 1] = crf.allowed_starts[2] = crf.allowed_ends[0] = False
    positions = max(lengths)
    emissions = scale * torch.randn(positions, num_tags, len(lengths)).double()
    tags = torch.randint(num_tags, (positions, len(lengths)))
    return crf, emissions.permute(2, 0, 1), tags.t(), torch.arange(positions) < torch.tensor(lengths)[:, None]


def asked(crf, emissions, tags, mask):
    """Return all that kernels compute, and its gradients."""
    leaf = emissions.detach().requires_grad_()
    nll, log_marginals = crf.nll_and_log_marginals(leaf, tags, mask)
    weight = torch.arange(1, 1 + len(nll)) * nll.detach().isfinite()
    gradients = torch.autograd.grad((weight * nll).sum(), [leaf, *crf.parameters()])
    log_z = crf.log_partition(leaf, mask)
    again = torch.autograd.grad(log_z[mask.any(1)].sum(), [leaf, *crf.parameters()])
    return [nll, log_marginals, *gradients, log_z, *again, *crf.decode(emissions, mask)]


@pytest.mark.parametrize(
    ("lengths", "num_tags"), [((1,), 1), ((5, 2, 0, 3), 3), ((6, 1), 15), ((2, 3), 16), ((2,), 33)], ids=str
)
@pytest.mark.parametrize("known", ["all", "some", "sets", "none"])
def test_kernels_compute_what_the_engine_does(lengths, num_tags, known, begin):
    crf, emissions, tags, mask = scattered(lengths, num_tags)
    if known == "some":
        tags = tags.masked_fill(torch.rand(tags.shape) < 0.4, UNKNOWN)
    elif known == "sets":
        tags = torch.rand(emissions.shape) < 0.6
    elif known == "none":
        tags = torch.full_like(tags, UNKNOWN)
    with torch.no_grad():
        emissions[-1, 0, 0] = -torch.inf
    crf.temperature = 1.3
    expected = asked(crf, emissions, tags, mask)
    begin()
    found = asked(crf, emissions, tags, mask)

    assert crf.tier(emissions, mask) == "float64 kernels"
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def test_kernels_find_the_same_one_of_paths_that_tie(begin):
    crf, emissions, _, mask = scattered((7, 4, 1, 6, 5, 5, 3), 4)
    crf.load_state_dict({name: (value > 0.0).double() for name, value in crf.state_dict().items()})
    emissions = (emissions > 0.0).double()
    expected = crf.decode(emissions, mask)
    begin()
    for one, other in zip(crf.decode(emissions, mask), expected, strict=True):
        assert one.equal(other)


@pytest.mark.parametrize("low", [-1001.0, -1e4, -3.4e38, -1e307])
def test_kernels_lose_no_weight(low, begin):
    """Of the only path that a row has, and of those beside it."""
    crf, emissions, tags, mask = scattered((4, 5), 3)
    emissions[0, 2] = low
    emissions[1, 1, 1:] = low
    with torch.no_grad():
        crf.transitions[1] = low
    expected = asked(crf, emissions, tags, mask)
    begin()
    for one, other in zip(asked(crf, emissions, tags, mask), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-8)


def test_kernels_take_the_lowest_float_for_a_low_score(begin):
    crf, emissions, _, mask = scattered((4, 5), 3)
    tags = crf.decode(emissions, mask)[0].clamp_min(0)
    for row in range(2):
        emissions[row, 1, (tags[row, 1] + 1) % 3] = torch.finfo(torch.float64).min
    expected = crf(emissions, tags, mask)
    begin()
    assert expected.isfinite().all()
    torch.testing.assert_close(crf(emissions, tags, mask), expected)


def test_a_constant_added_to_all_moves_costs_kernels_no_digits(begin):
    crf, emissions, tags, mask = scattered((4, 1, 2), 3)
    with torch.no_grad():
        for parameter in crf.parameters():
            parameter.copy_((64 * parameter).round() / 64).add_(2.0**40)
    expected = crf(emissions, tags, mask)
    begin()
    torch.testing.assert_close(crf(emissions, tags, mask), expected, rtol=1e-12, atol=1e-12)


def test_what_kernels_return_may_be_changed_in_place(begin):
    crf, emissions, tags, mask = scattered((4, 2), 3)
    begin()
    for given in (tags, torch.full_like(tags, UNKNOWN)):
        for result in crf.nll_and_log_marginals(emissions.detach().requires_grad_(), given, mask):
            result.add_(1.0)


@pytest.mark.parametrize("value", NOT_NUMBERS)
def test_kernels_make_no_number_of_what_is_none(value, begin):
    crf, emissions, tags, mask = scattered((4, 3), 3)
    expected = crf.nll_and_log_marginals(emissions, tags, mask)
    emissions[0, 1, 2] = value
    emissions[1, 3] = value  # under the mask
    begin()
    for one, other in zip(crf.nll_and_log_marginals(emissions, tags, mask), expected, strict=True):
        assert one[0].isnan().all()
        torch.testing.assert_close(one[1], other[1])


@needs_triton
@pytest.mark.process
@pytest.mark.parametrize(
    ("file", "tests"),
    [
        ("test_crf.py", "log_partition or masked or ties or impossible or constant"),
        ("test_crf_inference.py", "most_right or pairs"),
        ("test_crf_extremes.py", "low_score and float64 and 1001 or nothing_to_tag"),
        ("test_crf_engine.py", "known_tags or one_pass"),
    ],
)
def test_what_holds_of_the_engine_holds_of_the_kernels(file, tests):
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(TESTS / file), "-k", tests]
    argv += ["-W", "ignore::RuntimeWarning:triton.runtime.interpreter"]
    ran = subprocess.run(argv, env=os.environ | INTERPRETED, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout


COMPILE = """
from itertools import product
from triton import compile as compiled
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from modeling_bert_crf import crf_kernels

pointers = dict.fromkeys(("lengths", "gold", "paths"), "*i64") | dict.fromkeys(("moves", "vectors"), "*fp64")
pointers |= dict.fromkeys(("log_marginals", "tag_counts"), "*fp32") | {"pointers": "*i8"}
pointers |= dict.fromkeys(("log_z", "gold_scores", "move_counts", "scores"), "*fp64")

def compile_one(name, capability, num_tags, emissions, **constants):
    kernel, options = getattr(crf_kernels, name), crf_kernels._options(num_tags)
    constants |= {"BLOCK": options.pop("BLOCK")}
    signature = {name: pointers.get(name, "i32") for name in kernel.arg_names} | {"emissions": emissions}
    source = ASTSource(kernel, signature | dict.fromkeys(constants, "constexpr"), constants)
    code = compiled(source, target=GPUTarget("cuda", capability, 32), options=options)
    joined = sum("fma" in line and "3FF71547652B82FE" in line.upper() for line in code.asm["ptx"].splitlines())
    print(name, capability, num_tags, len(code.asm["cubin"]) > 0, code.metadata.shared, joined)

for capability, num_tags, emissions in product((80, 90), (9, 63), ("*fp32", "*fp64")):
    for name in ("_sweep_kernel", "_search_kernel"):
        compile_one(name, capability, num_tags, emissions)
for num_tags, gold, logs, counts in product((9, 63), (True, False), (True, False), (True, False)):
    wanted = {"HAS_GOLD": gold, "HAS_LOGS": logs, "HAS_COUNTS": counts, "LEAST": -1e38, "CHUNK": crf_kernels.CHUNK}
    absent = [] if gold else ["gold", "gold_scores"]
    absent += ([] if logs else ["log_marginals"]) + ([] if counts else ["tag_counts", "move_counts"])
    compile_one("_expectation_kernel", 90, num_tags, "*fp32", **wanted, **dict.fromkeys(absent))
"""


@needs_triton
@pytest.mark.process
def test_the_compiler_takes_the_kernels(tmp_path):
    """For an A100 and an H100, of which it needs none. The interpreter takes much that the compiler refuses."""
    environment = os.environ | {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    argv = [sys.executable, "-W", "error", "-c", COMPILE]
    ran = subprocess.run(argv, cwd=TESTS.parent, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    made = [line.split() for line in ran.stdout.splitlines()]
    assert {line[0] for line in made} == set(KERNELS)
    assert {line[3] for line in made} == {"True"}
    assert {line[5] for line in made} == {"0"}  # what is added to the product of a score is no part of its rounding
    assert max(int(line[4]) for line in made) <= 48 * 2**10  # the shared memory that every GPU has for a program


class Uncalled:
    """Stands for a kernel, and notes each launch of it."""

    def __init__(self, name, launched):
        self.name, self.launched = name, launched

    def __getitem__(self, grid):
        return lambda *args, **kwargs: self.launched.append(self.name)


@pytest.fixture
def launched(monkeypatch):
    """The names of the kernels that a test launches; they compute nothing."""
    names = []
    for name in KERNELS:
        monkeypatch.setattr(crf_kernels, name, Uncalled(name, names))
    return names


@needs_triton
def test_the_number_of_launches_does_not_depend_on_the_length(launched, monkeypatch):
    crf = LinearChainCRF(9)
    monkeypatch.setenv(SWITCH, "1")
    for positions in (3, 300):
        emissions = torch.randn(2, positions, 9, requires_grad=True)
        tags, mask = torch.zeros(2, positions, dtype=torch.int64), torch.ones(2, positions, dtype=torch.bool)
        crf(emissions, tags, mask).sum().backward()  # makes the gradients; later ones are added to them
        launched.clear()
        with Count() as training:
            crf(emissions, tags, mask).sum().backward()
        assert launched == ["_sweep_kernel", "_expectation_kernel"]
        assert training.operations + len(launched) == 36
        launched.clear()
        with Count() as decoding:
            crf.decode(emissions, mask)
        assert launched == ["_search_kernel"]
        assert decoding.operations + len(launched) == 20
        launched.clear()


@needs_triton
@pytest.mark.parametrize(("kernels", "most"), [(False, 2), (True, 1)], ids=["engine", "kernels"])
def test_how_often_a_training_step_waits_for_the_device(kernels, most, make_model, launched, monkeypatch):
    """It waits where it reads a value. The model looks at masks and labels, and the CRF does not look again."""
    model = make_model().train()
    ids = torch.randint(5, 100, (3, 7))
    readings, tolist = [], torch.Tensor.tolist
    monkeypatch.setattr(torch.Tensor, "tolist", lambda tensor: readings.append(tensor) or tolist(tensor))
    monkeypatch.setenv(SWITCH, str(int(kernels)))
    with Count() as count:
        model(input_ids=ids, labels=torch.zeros_like(ids), word_mask=torch.ones_like(ids)).loss.backward()
    assert len(readings) == most
    assert count.items == 0
    assert bool(launched) == kernels


def test_checked_values_give_the_results_of_others():
    crf, emissions, tags, mask = scattered((5, 3), 4)
    found = crf.nll_and_log_marginals(emissions, tags, mask, checked=True)
    for one, other in zip(found, crf.nll_and_log_marginals(emissions, tags, mask), strict=True):
        assert one.equal(other)


def test_kernels_run_only_on_a_gpu_and_if_they_are_asked_for(monkeypatch):
    emissions = torch.zeros(2, 3, 5)
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setenv(SWITCH, "1")
    assert not kernels_run(emissions)
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert kernels_run(emissions) == (find_spec("triton") is not None)
    assert not kernels_run(emissions.new_zeros(2, 3, crf_kernels.MOST_STATES))
    assert not kernels_run(emissions[:0])
    monkeypatch.delenv(SWITCH)
    assert not kernels_run(emissions)
    monkeypatch.setenv(SWITCH, "true")
    with pytest.raises(ValueError, match="BERT_CRF_KERNELS must be 0 or 1, got 'true'"):
        kernels_run(emissions)


def test_without_triton_the_engine_runs_and_says_so_once(monkeypatch):
    for name, value in INTERPRETED.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(crf_kernels, "triton", None)
    crf_kernels._warn_of_engine.cache_clear()
    crf, mask = LinearChainCRF(3), torch.ones(1, 4, dtype=torch.bool)
    with pytest.warns(UserWarning, match="Triton is not installed") as said:
        values = [crf.log_partition(torch.zeros(1, 4, 3), mask).exp().round().item() for _ in range(2)]
    assert values == [81, 81]
    assert len(said) == 1


@pytest.mark.process
def test_a_machine_without_triton_can_import_the_kernels():
    assert "triton" not in get_imports(crf_kernels.__file__)
    code = "import sys; sys.modules['triton'] = None; from modeling_bert_crf.crf_kernels import triton; print(triton)"
    ran = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "None"
