"""The engine: what it costs, when it changes its arithmetic, and that no tier's result differs from another's."""

import copy
import itertools
import math
import pickle

import pytest
import torch
from test_crf import make_batch, make_crf
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.crf_reference import reference_nll
from modeling_bert_crf import LinearChainCRF, crf_decoding, crf_engine, crf_tiers
from modeling_bert_crf import crf as crf_layer
from modeling_bert_crf.crf import UNKNOWN

FLOAT32, FLOAT64 = (crf_tiers.Tier(dtype, 3) for dtype in (torch.float32, torch.float64))


class Count(TorchDispatchMode):
    """Count operations (no views, no empty tensors), and values that are read one by one."""

    def __init__(self):
        super().__init__()
        self.operations = self.items = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function._schema.name
        self.items += name == "aten::_local_scalar_dense"
        self.operations += not function.is_view and "empty" not in name
        return function(*args, **(kwargs or {}))


def make_large(batch, positions, num_tags, scale=2.0):
    """A float32 batch of ragged rows, as in the benchmark."""
    torch.manual_seed(0)
    crf = make_crf(num_tags, scale=0.5).float()
    lengths = torch.randint(positions // 4, positions + 1, (batch,)).tolist()
    emissions, mask = make_batch([positions, *lengths[1:]], num_tags, scale=scale)
    return crf, emissions.float().requires_grad_(), torch.randint(num_tags, mask.shape), mask


@pytest.mark.parametrize(("positions", "limit"), [(128, 420), (512, 1370)])
def test_operations_of_a_training_step(positions, limit):
    """A peer's are 4,361 and 17,417; on a GPU each is a kernel launch."""
    crf, emissions, tags, mask = make_large(32, positions, 9)
    crf(emissions, tags, mask).sum().backward()  # the first backward makes the gradients, the later ones add to them

    with Count() as count:
        crf(emissions, tags, mask).sum().backward()

    assert count.operations <= limit
    assert count.items == 0


def test_operations_of_decoding():
    crf, emissions, _, mask = make_large(32, 128, 9)

    with Count() as count:
        crf.decode(emissions, mask)

    assert count.operations <= 240
    assert count.items == 0


CALLS = {
    "forward": lambda crf, emissions, tags, mask: crf(emissions, tags, mask).sum().backward(),
    "forward with sets": lambda crf, emissions, tags, mask: crf(emissions, emissions > 0, mask),
    "nll_and_log_marginals": lambda crf, emissions, tags, mask: crf.nll_and_log_marginals(emissions, tags, mask),
    "path_score": lambda crf, emissions, tags, mask: crf.path_score(emissions, tags, mask),
    "nbest": lambda crf, emissions, tags, mask: crf.nbest(emissions, mask, 2),
    "sample": lambda crf, emissions, tags, mask: crf.sample(emissions, mask, 2),
    **{
        name: lambda crf, emissions, tags, mask, name=name: getattr(crf, name)(emissions, mask)
        for name in ("log_partition", "decode", "decode_by_marginals", "entropy", "pairwise_marginals", "tier")
    },
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_reads_from_the_device_once(name, monkeypatch):
    """What is checked and what is measured together: the program waits for a GPU at each reading."""
    crf, emissions, tags, mask = make_large(3, 20, 5)
    readings, tolist = [], torch.Tensor.tolist
    monkeypatch.setattr(torch.Tensor, "tolist", lambda tensor: readings.append(tensor) or tolist(tensor))

    with Count() as count:
        CALLS[name](crf, emissions, tags, mask)

    assert len(readings) == 1
    assert count.items == 0


def test_what_a_training_step_keeps_for_backward():
    """The gradients themselves, and nothing of T x K x K: a peer keeps 21.9 MB."""
    crf, emissions, tags, mask = make_large(32, 128, 37)
    inputs = {tensor.untyped_storage().data_ptr() for tensor in (emissions, *crf.parameters())}
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in inputs:
            kept[storage.data_ptr()] = (tensor, storage.nbytes())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = crf(emissions, tags, mask).sum()

    assert sum(size for _, size in kept.values()) < 1e6
    loss.backward()


@pytest.fixture
def tiers(monkeypatch):
    """Record the tier of each pass over the rows."""
    seen, tier = [], crf_tiers.Range.tier

    def record(*arguments):
        seen.append(tier(*arguments))
        return seen[-1]

    monkeypatch.setattr(crf_tiers.Range, "tier", record)
    return seen


RULES = ["free", "-inf", "-1e4"]


@pytest.mark.parametrize("scale", [2.0, 10.0, 30.0, 100.0, 1e3])
@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("num_tags", [9, 33], ids=["K=9", "K=33"])
def test_gradients_are_exact_at_any_scale(rules, scale, num_tags):
    crf, emissions, tags, mask = make_large(3, 150, num_tags, scale)
    kinds = [(0, "")] + [(index % 2, index // 2) for index in range(num_tags - 1)]  # O B0 I0 B1 I1 ...
    illegal = torch.tensor([[j[0] == 1 and i[1] != j[1] for j in kinds] for i in kinds])
    if rules == "-inf":
        crf.allowed_transitions.copy_(~illegal)
        crf.allowed_starts.copy_(~illegal[0])
    elif rules == "-1e4":
        crf.transitions.data[illegal] = crf.start_transitions.data[illegal[0]] = -1e4
    if rules != "free":
        tags = crf.decode(emissions + 2 * torch.randn_like(emissions), mask)[0].clamp_min(0)

    nll = crf(emissions, tags, mask)
    (gradient,) = torch.autograd.grad(nll.sum(), emissions)

    exact_nll, exact = reference_nll(crf, emissions, tags, mask)
    torch.testing.assert_close(nll.double(), exact_nll, rtol=2e-7, atol=1e-6)
    assert (gradient - exact).abs().max() < 1e-6


@pytest.mark.parametrize(
    ("num_tags", "scale", "forbid", "expected"),
    [
        (5, 2.0, False, torch.float64),
        (5, 1e4, False, torch.float64),  # the size of the scores does not matter if nothing is forbidden
        (33, 1e4, False, torch.float32),
        (33, 0.1, True, torch.float32),
        (33, 20.0, True, torch.float64),
        (5, 2.0, True, torch.float64),
        (5, 1e3, True, None),
    ],
)
def test_the_guard_takes_the_cheapest_safe_tier(tiers, num_tags, scale, forbid, expected):
    torch.manual_seed(0)
    crf = make_crf(num_tags, scale=0.1).float()
    crf.allowed_transitions[0, 1] = not forbid
    emissions, mask = make_batch((7, 3), num_tags, scale=scale)

    crf.log_partition(emissions.float(), mask)

    (tier,) = tiers
    assert tier == crf_tiers.LOG_TIER if expected is None else tier.dtype == expected
    assert tier.in_logs == (expected is None)


F32, F64 = torch.float32, torch.float64


@pytest.mark.parametrize(
    ("moves", "emissions", "mixing", "dtypes", "expected"),
    [
        (10.0, 99.0, 1, [F64], (F64, 32)),  # 640 / (2 x 10), whatever the emissions
        (10.0, 99.0, 1, [F32, F64], (F32, 3)),  # 64 / 20 = 3.2
        (32.0, 99.0, 1, [F32, F64], (F32, 1)),
        (32.1, 99.0, 1, [F32, F64], (F64, 9)),  # in float32 not even one step is safe
        (10.0, 0.0, 2, [F64], (F64, 28)),  # 32 - 4
        (10.0, 10.0, 2, [F64], (F64, 17)),  # 640 / (2 x 15) - 4 = 17.3
        (10.0, 9.0, 3, [F64], (F64, 12)),  # 640 / (2 x 16) - 8
        (10.0, 5.0, 5, [F64], (F64, 6)),  # 640 / (2 x 14) - 16 = 6.9: no moves mix, and the walk has five
        (10.0, 5.0, "choices", [F64], (F64, 6)),  # nor do they where tag sets leave a choice
        (320.0, 0.0, 1, [F64], (F64, 1)),
        (321.0, 0.0, 1, [F64], (F64, 0)),
        (64.1, 0.0, 2, [F64], (F64, 0)),  # 640 / 128.2 - 4 = 0.99
        (float("nan"), 0.0, 1, [F64], (F64, 0)),
    ],
)
def test_the_guard_asks_for_what_its_proof_says(moves, emissions, mixing, dtypes, expected):
    """Four words and two tags: ln 3 is part of the loss at a move, and is left out of `moves` here."""
    mixed = [mixing == 1, mixing in (1, 2, "choices"), mixing in (1, 2, 3, "choices")]
    measured = crf_tiers.Range(emissions, moves - math.log(3), 0.0, *mixed)

    tier = measured.tier(4, 2, mixing == "choices", dtypes)

    assert (tier.dtype, tier.steps) == expected
    if mixing == 3:  # a walk of one word is shorter: two moves
        assert measured.tier(1, 2, False, dtypes).steps == int(640 / (2 * 14.5) - 4)


def test_what_the_guard_measures():
    """By hand, for three tags: the spreads, and how many moves lead from every tag to every other."""
    move_scores = torch.tensor(
        [
            [2.0, -1.0, -torch.inf, 0.0],
            [-torch.inf, 0.0, -3.0, 1.0],
            [1.0, -torch.inf, -torch.inf, -998.0],
            [0.0, 0.0, 0.0, 0.0],
        ]
    )
    emissions = torch.tensor([[[1.0, 4.0, 2.0], [0.0, 0.0, 70.0]]])
    mask = torch.tensor([[True, False]])
    table = crf_engine.tabulate(emissions, F64)
    draft = crf_engine.Draft(emissions, mask, move_scores, [F64], table, crf_engine.peaks_of(table))

    def facts():
        emission_spread, move_spread, *others = map(float, draft.facts())
        return emission_spread, move_spread, *map(bool, others)

    assert facts() == (3.0, 5.0, True, False, False, True)  # -998 is 1000 below the best; from 2 to 2 it takes three
    move_scores[1, 0] = -5.0
    assert facts() == (3.0, 7.0, True, False, False, True)
    move_scores[2, 3] = -997.0
    assert facts() == (3.0, 999.0, False, False, False, True)
    move_scores[0, 2] = move_scores[2, 3] = 0.0
    assert facts() == (3.0, 7.0, False, False, True, True)
    move_scores[move_scores == -torch.inf] = 0.0
    assert facts() == (3.0, 7.0, False, True, True, True)


def test_soft_rules_do_not_cost_the_exp_domain(tiers):
    crf = LinearChainCRF(3)
    crf.transitions.data[0, 2] = crf.start_transitions.data[2] = -1e4
    emissions, mask = make_batch((7, 3), 3)

    crf.log_partition(emissions.float(), mask)

    assert [tier.dtype for tier in tiers] == [torch.float64]
    assert tiers[0].steps > 1


def test_nothing_that_the_guard_admits_leaves_the_range():
    """Its bound at its worst: scores that pull one way first, and then all the other."""
    for num_tags, spread in itertools.product((2, 3, 33), (1.0, 10.0, 20.0, 40.0, 80.0, 120.0)):
        crf = LinearChainCRF(num_tags)
        crf.allowed_transitions[0, 1] = False
        crf.transitions.data[0] = -5.0
        emissions = torch.zeros(1, 120, num_tags)
        emissions[:, :60, 1] = -spread
        emissions[:, 60:, 1] = spread
        mask = torch.ones(1, 120, dtype=torch.bool)
        tags = torch.ones(1, 120, dtype=torch.int64)
        emissions.requires_grad_()

        nll = crf(emissions, tags, mask)
        (gradient,) = torch.autograd.grad(nll.sum(), emissions)

        exact_nll, exact = reference_nll(crf, emissions, tags, mask)
        torch.testing.assert_close(nll.double(), exact_nll, rtol=2e-7, atol=1e-6)
        assert (gradient - exact).abs().max() < 1e-6


@pytest.mark.parametrize("spread", [5.0, 15.0, 22.0, 35.0, 40.0, 60.0])
def test_known_tags_may_force_a_path_by_every_best_tag(spread):
    """Two of three positions lose, rather than one of two as between tags that are free: the bound at its worst.

    No 0 may follow 0, everything speaks for 0, and every third tag is known to be 0: the two between must be 1.
    """
    crf = LinearChainCRF(2).double()
    crf.allowed_transitions[0, 0] = False
    emissions, mask = torch.zeros(1, 151, 2, dtype=torch.float64), torch.ones(1, 151, dtype=torch.bool)
    emissions[..., 0] = spread
    emissions.requires_grad_()
    path = (torch.arange(151) % 3 != 0).long()[None]

    assert crf.tier(emissions, mask) == "float64 exp"
    nll = crf(emissions, path.masked_fill(path == 1, UNKNOWN), mask)
    (gradient,) = torch.autograd.grad(nll.sum(), emissions)

    exact_nll, exact = reference_nll(crf, emissions, path, mask)
    torch.testing.assert_close(nll, exact_nll, rtol=1e-12, atol=1e-9)
    assert (gradient - exact).abs().max() < 1e-11


def test_sets_may_force_a_path_that_loses_without_end():
    """O, B, I: ninety times I, of which each weighs exp(-12), because the last tag is known to be I."""
    crf = LinearChainCRF(3)
    crf.allowed_transitions[0, 2] = crf.allowed_starts[2] = False
    emissions, mask = torch.zeros(1, 92, 3), torch.ones(1, 92, dtype=torch.bool)
    emissions[..., 2] = -12.0
    sets = torch.ones(1, 92, 3, dtype=torch.bool)
    sets[:, 1:, 1] = False
    sets[:, -1, 0] = False
    path = torch.tensor([[1] + [2] * 91])

    torch.testing.assert_close(crf(emissions, sets, mask), crf(emissions, path, mask))


def test_a_gold_path_that_only_soft_rules_forbid_has_its_finite_loss():
    crf = LinearChainCRF(2)
    crf.transitions.data[:] = -1e4  # every path of two words is "forbidden"
    mask = torch.ones(1, 2, dtype=torch.bool)

    for tags in (torch.zeros(1, 2, dtype=torch.int64), torch.tensor([[0, UNKNOWN]]), torch.ones(1, 2, 2).bool()):
        nll = crf(torch.zeros(1, 2, 2), tags, mask)
        agreeing = 4 if tags.dtype == torch.bool else 2 if (tags < 0).any() else 1
        assert nll.item() == pytest.approx(torch.tensor(4 / agreeing).log().item(), abs=1e-3)


def test_expected_counts_of_a_row_without_any_allowed_path_are_zero():
    """Zero weights were once divided by the smallest float, which overflows."""
    crf = LinearChainCRF(2)
    crf.allowed_ends.fill_(False)
    emissions = torch.zeros(2, 4, 2, requires_grad=True)
    mask = torch.tensor([[True] * 4, [False] * 4])

    log_z = crf.log_partition(emissions, mask)
    log_z[1].backward()

    assert log_z.tolist() == [-torch.inf, 0.0]
    assert all(not parameter.grad.any() for parameter in crf.parameters())
    assert not emissions.grad.any()


def test_each_rows_gradient_counts_as_much_as_it_is_given():
    crf = make_crf(3)
    emissions, mask = make_batch((5, 2, 4), 3)
    tags = torch.randint(3, mask.shape)
    weights = torch.tensor([0.0, -2.0, 5.0], dtype=torch.float64)

    together = torch.autograd.grad((crf(emissions, tags, mask) * weights).sum(), list(crf.parameters()))

    alone = [torch.autograd.grad(nll, list(crf.parameters()), retain_graph=True) for nll in crf(emissions, tags, mask)]
    for index, gradient in enumerate(together):
        torch.testing.assert_close(gradient, sum(w * row[index] for w, row in zip(weights, alone, strict=True)))


@pytest.mark.parametrize("partly", [False, True])
def test_one_pass_gives_the_nll_and_the_marginals(partly):
    crf = make_crf(4, forbidden=0.1)
    emissions, mask = make_batch((6, 3, 0), 4)
    emissions.requires_grad_()
    tags = torch.randint(4, mask.shape)
    if partly:
        tags[:, 1] = UNKNOWN

    nll, log_marginals = crf.nll_and_log_marginals(emissions, tags, mask)

    torch.testing.assert_close(nll, crf(emissions, tags, mask))
    torch.testing.assert_close(log_marginals, crf.log_marginals(emissions, mask))
    weight = torch.rand_like(log_marginals)
    both = nll[nll.isfinite()].sum() + (log_marginals.exp() * weight).sum()
    apart = crf(emissions, tags, mask)
    apart = apart[apart.isfinite()].sum() + (crf.log_marginals(emissions, mask).exp() * weight).sum()
    torch.testing.assert_close(*(torch.autograd.grad(loss, emissions)[0] for loss in (both, apart)))


def test_unused_gradients_cost_nothing():
    crf = make_crf(3)
    emissions, mask = make_batch((5, 2), 3)
    tags = torch.randint(3, mask.shape)

    with torch.no_grad():
        nll, log_marginals = crf.nll_and_log_marginals(emissions, tags, mask)

    assert not nll.requires_grad
    assert not log_marginals.requires_grad
    torch.testing.assert_close(nll, crf(emissions, tags, mask).detach())


def test_inputs_are_left_as_they_are():
    """With one row, side by side is the same memory as below one another."""
    crf = make_crf(3)
    emissions, mask = make_batch((5,), 3, 7)
    before = emissions.clone()
    tags = torch.randint(3, mask.shape)

    crf(emissions, tags, mask).sum().backward()
    crf.decode(emissions, mask)
    crf.nbest(emissions, mask, 2)
    crf.sample(emissions, mask, 2)

    assert emissions.equal(before)


@pytest.mark.parametrize("kept", [crf_decoding.CANDIDATES, 0], ids=["candidates kept", "candidates found again"])
def test_ties_do_not_depend_on_the_batch(kept, monkeypatch):
    """Scores of few values tie all the time; every tagging found is a best one, and the same alone and in a batch."""
    monkeypatch.setattr(crf_decoding, "CANDIDATES", kept)
    for seed in range(40):
        torch.manual_seed(seed)
        crf = LinearChainCRF(3)
        for parameter in crf.parameters():
            parameter.data.copy_(torch.randint(2, parameter.shape))
        lengths = torch.randint(0, 8, (4,)).tolist()
        emissions, mask = make_batch(lengths, 3, max(lengths) + seed % 3)
        emissions = torch.randint(2, emissions.shape).double()

        paths, scores = crf.decode(emissions, mask)

        best = crf.nbest(emissions, mask, 1)[1][:, 0]
        assert scores.equal(best)
        assert crf.path_score(emissions, paths.clamp_min(0), mask).equal(best)
        for row, length in enumerate(lengths):
            alone = crf.decode(emissions[row : row + 1, :length], mask[row : row + 1, :length])[0]
            assert alone[0].tolist() == paths[row, :length].tolist()


def test_both_searches_find_the_same_paths(monkeypatch):
    crf, emissions, _, mask = make_large(4, 61, 7)
    kept = crf.decode(emissions, mask)
    monkeypatch.setattr(crf_decoding, "CANDIDATES", 0)
    again = crf.decode(emissions, mask)

    assert kept[0].equal(again[0])
    assert kept[1].equal(again[1])


@pytest.mark.parametrize("scale", [1.0, 1e3, 1e6])
def test_the_decoded_path_is_the_best_one_in_float64(scale):
    crf, emissions, _, mask = make_large(3, 200, 5, scale)

    paths, scores = crf.decode(emissions, mask)

    exact = crf.double().nbest(emissions.double(), mask, 1)[1][:, 0]
    torch.testing.assert_close(crf.path_score(emissions.double(), paths.clamp_min(0), mask), exact, rtol=1e-13, atol=0)
    torch.testing.assert_close(scores.double(), exact, rtol=1e-7, atol=0)


def test_a_device_without_float64_leaves_wide_sums_to_the_cpu(monkeypatch):
    """As MPS would: the CPU plays the device, float32 tier first, a warning before anything wider."""
    crf, emissions, tags, mask = make_large(2, 20, 5)
    expected = crf(emissions, tags, mask).detach(), crf.nbest(emissions, mask, 2)[0]
    for module in (crf_layer, crf_tiers):
        monkeypatch.setattr(module, "widest", lambda device: torch.float32)
    crf_tiers._warn_of_cpu.cache_clear()
    with pytest.warns(UserWarning, match="cpu has no float64: the CRF does its sums on the CPU where they need it"):
        paths, _ = crf.nbest(emissions, mask, 2)
    crf.nbest(emissions, mask, 2)  # warnings are errors: it is said once

    assert paths.equal(expected[1])
    torch.testing.assert_close(crf(emissions, tags, mask), expected[0])


def test_a_crf_copies_and_pickles():
    crf = make_crf(3, forbidden=0.2)
    emissions, mask = make_batch((5, 2), 3)
    for twin in (copy.deepcopy(crf), pickle.loads(pickle.dumps(crf))):
        torch.testing.assert_close(twin.log_partition(emissions, mask), crf.log_partition(emissions, mask))


def test_autocast_leaves_the_float32_tier_alone(tiers):
    crf, emissions, tags, mask = make_large(2, 30, 33)
    inputs = [emissions, *crf.parameters()]
    plain = crf(emissions, tags, mask)
    plain_gradients = torch.autograd.grad(plain.sum(), inputs)

    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = crf(emissions, tags, mask)
        gradients = torch.autograd.grad(cast.sum(), inputs)

    assert [tier.dtype for tier in tiers] == [torch.float32] * 2
    assert cast.equal(plain)
    assert all(one.equal(other) for one, other in zip(gradients, plain_gradients, strict=True))


def test_the_float32_tier_is_exact_for_whatever_is_asked(tiers):
    """Weights as small as exp(-60) too, whose logs are less exact in float32 than they are."""
    crf, emissions, _, mask = make_large(2, 300, 33, scale=10.0)
    with torch.no_grad():
        crf.transitions.mul_(6)
    sets = torch.rand(20, 3, 33) < 0.3
    spans = torch.randint(2, (20,)), torch.randint(20, (20,)), sets

    def ask(emissions):
        return [
            crf.entropy(emissions, mask),
            crf.pairwise_marginals(emissions, mask),
            crf.log_marginals(emissions, mask),
            crf.span_log_probs(emissions, mask, *spans),
        ]

    narrow = ask(emissions)
    assert {tier.dtype for tier in tiers} == {torch.float32}
    crf.double()
    for found, exact in zip(narrow, ask(emissions.double()), strict=True):
        torch.testing.assert_close(found.double(), exact, rtol=1e-6, atol=1e-6)


def test_every_tier_gives_the_same_numbers():
    crf, emissions, _, mask = make_large(3, 40, 4)
    move_scores = crf._move_scores(*crf._transition_scores).detach()
    results = []
    for tier in (FLOAT32, FLOAT64, crf_tiers.LOG_TIER):
        trellis = crf_engine.trellis_of(emissions.detach(), mask, move_scores, tier.dtype)
        swept = crf_engine.sweep(trellis, tier)
        results.append(
            [
                swept.log_z + trellis.offset(),
                crf_engine.sweep(trellis, tier, both_directions=False).log_z + trellis.offset(),
                *crf_engine.expectation(trellis, swept, torch.float64),
                crf_engine.log_marginals(trellis, swept),
                crf_engine.pairwise_marginals(trellis, swept),
            ]
        )
    for narrow, wide, log in zip(*results, strict=True):
        torch.testing.assert_close(wide, log, rtol=1e-11, atol=1e-11)
        torch.testing.assert_close(narrow.double(), log, rtol=1e-5, atol=1e-6)


def test_the_score_of_a_path_found_in_float32_is_exact():
    """Scores of 20,000 that all but cancel: their sum in float32 would be off by a thousandth, not a millionth."""
    crf, emissions, _, mask = make_large(3, 400, 33)
    with torch.no_grad():
        crf.transitions.mul_(30)
    exactly = copy.deepcopy(crf).double()
    emissions = 20 * emissions.detach()
    scores = crf.decode(emissions, mask)[1]
    emissions -= (scores / mask.sum(1))[:, None, None]  # a constant for each row: the same path, with a score near 0

    paths, scores = crf.decode(emissions, mask)

    exact = exactly.path_score(emissions.double(), paths.clamp_min(0), mask)
    assert exact.abs().max() < 1.0
    assert (scores - exact).abs().max() < 1e-6


def test_a_search_in_float32_keeps_the_digits_of_scores_far_from_zero():
    """Sums of 400 scores of a million have no digits left behind the point; differences of the tags' scores have."""
    crf, emissions, _, mask = make_large(3, 400, 33)
    emissions = emissions.detach() + 1e6

    paths, _ = crf.decode(emissions, mask)

    exactly = copy.deepcopy(crf).double()
    found = exactly.path_score(emissions.double(), paths.clamp_min(0), mask)
    best = exactly.nbest(emissions.double(), mask, 1)[1][:, 0]
    assert (found - best).abs().max() < 1e-3


def test_marginals_in_float32_are_exact_where_logs_of_weights_are_large(tiers):
    """Each move weighs exp(-26), but for one that nobody takes: logs of -52, whose digits end at 4e-6 in float32."""
    crf = LinearChainCRF(33)
    with torch.no_grad():
        for parameter in crf.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.1 - 26)
        crf.transitions[32, 32] = 0.0
    emissions, mask = make_batch((30,), 33)
    emissions[..., 32] = -60.0

    found = crf.log_marginals(emissions.float(), mask)[..., :32]

    assert tiers[0].dtype == torch.float32
    exact = copy.deepcopy(crf).double().log_marginals(emissions.float().double(), mask)[..., :32]
    assert (found - exact).abs().max() < 1e-6


@pytest.mark.parametrize(
    ("scale", "expected"), [(0.1, "float32 exp"), (20.0, "float64 exp"), (1e3, "float64 log")], ids=str
)
def test_the_tier_is_told_without_the_sum(scale, expected, tiers):
    """It depends on all rows of a batch, and not on what is masked."""
    torch.manual_seed(0)
    crf = make_crf(33, scale=0.1).float()
    crf.allowed_transitions[0, 1] = False
    emissions, mask = make_batch((7, 3), 33, scale=0.1)
    emissions[0] *= scale / 0.1
    emissions[~mask] = torch.nan

    assert crf.tier(emissions.float(), mask) == expected
    assert crf.tier(emissions.float()[1:], mask[1:]) == "float32 exp"
    crf.log_partition(emissions.float(), mask)
    assert tiers[0] == tiers[2]


def test_a_score_that_is_not_a_number_gives_a_loss_that_is_not_one():
    crf = make_crf(3)
    emissions, mask = make_batch((4, 2), 3)
    emissions[0, 1] = torch.nan

    nll = crf(emissions, torch.zeros(2, 4, dtype=torch.int64), mask)

    assert nll[0].isnan()
    assert nll[1].isfinite()


def test_results_are_ordinary_tensors():
    """Loops run in inference mode, whose tensors autograd and operations in place refuse."""
    crf = make_crf(3)
    emissions, mask = make_batch((4, 2), 3)

    results = [*crf.decode(emissions, mask), *crf.decode_by_marginals(emissions, mask), crf.marginals(emissions, mask)]

    assert not any(result.is_inference() for result in results)
