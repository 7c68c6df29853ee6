"""`LinearChainCRF` where the scores are far apart or no numbers, and where the batch or what is asked is odd."""

import math

import oracle
import pytest
import torch
from test_crf import make_batch, make_crf, oracle_chain
from test_crf_engine import Count, make_large
from torch.utils._python_dispatch import TorchDispatchMode

from modeling_bert_crf import LinearChainCRF
from modeling_bert_crf.crf import UNKNOWN

RULES = {
    "O B I": ["start I", "O I"],
    "O B I E S": [
        *("start I", "start E", "O I", "O E", "E I", "E E", "S I", "S E"),
        *("B O", "B B", "B S", "B end", "I O", "I B", "I S", "I end"),
    ],
    # The third tag has no weight before the third word.
    "1 2 3": ["start 2", "start 3", "1 3", "2 1", "2 2", "3 2", "1 end"],
}


def forbid_softly(crf, rules, low, dtype=torch.float64):
    """Give the moves that a scheme forbids a low score, as people do who have no constraints."""
    names = rules.split()
    with torch.no_grad():
        for move in RULES[rules]:
            first, second = move.split()
            if first == "start":
                crf.start_transitions[names.index(second)] = low
            elif second == "end":
                crf.end_transitions[names.index(first)] = low
            else:
                crf.transitions[names.index(first), names.index(second)] = low
    return crf.to(dtype)


@pytest.mark.parametrize("low", [-1001.0, -1e4, -1e30])
@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_what_a_low_score_allows_has_a_finite_log_probability(rules, low, dtype):
    """Of tags, of spans, and of the paths that are searched: -inf means forbidden, and nothing is."""
    torch.manual_seed(0)
    num_tags = len(rules.split())
    crf = forbid_softly(make_crf(num_tags), rules, low, dtype)
    lengths = (5, 2, 3, 0)  # with one word some rules leave no path
    emissions, mask = make_batch(lengths, num_tags, 6)
    emissions = emissions.to(dtype)
    assert crf.tier(emissions, mask) == "float64 exp"  # where such moves weigh nothing

    log_marginals = crf.log_marginals(emissions, mask)
    entropy = crf.entropy(emissions, mask)
    _, scores = crf.nbest(emissions, mask, 9)

    relative = 1e-12 if dtype == torch.float64 else 1e-6
    for row, length in enumerate(lengths):
        chain = oracle_chain(crf, emissions[row], length)
        log_p = chain.log_probabilities()
        expected = oracle.log_marginals(log_p, length, num_tags)
        for found, wanted in zip(log_marginals[row, :length].tolist(), expected, strict=True):
            assert found == pytest.approx(wanted, rel=relative, abs=relative)
        assert entropy[row].item() == pytest.approx(oracle.entropy(log_p), abs=1e-5)
        assert scores[row].isfinite().sum() == min(9, num_tags**length)
        if length:
            every = torch.arange(num_tags)
            spans = (
                torch.full_like(every, row),
                torch.full_like(every, length - 1),
                torch.eye(num_tags).bool()[:, None],
            )
            found = crf.span_log_probs(emissions, mask, *spans).tolist()
            assert found == pytest.approx(expected[-1], rel=relative, abs=relative)
            pair = crf.pairwise_marginals(emissions, mask)[row, : length - 1]
            torch.testing.assert_close(pair.sum(2), log_marginals[row, : length - 1].exp())


def test_low_scores_are_exact_in_the_float32_tier_and_beside_tags_that_are_known_in_part():
    torch.manual_seed(0)
    crf = make_crf(33, scale=0.2).float()
    with torch.no_grad():
        crf.start_transitions[2:] = crf.transitions[0, 2:] = -3e3
    emissions, mask = make_batch((2, 1), 33, 3, scale=0.2)
    emissions = emissions.float()
    assert crf.tier(emissions, mask) == "float32 exp"

    found = crf.log_marginals(emissions, mask)
    tags = torch.tensor([[UNKNOWN, 4, 0], [UNKNOWN, 0, 0]])
    nll, beside = crf.nll_and_log_marginals(emissions, tags, mask)

    for row, length in enumerate((2, 1)):
        log_p = oracle_chain(crf, emissions[row], length).log_probabilities()
        expected = torch.tensor(oracle.log_marginals(log_p, length, 33))
        torch.testing.assert_close(found[row, :length], expected, rtol=1e-6, atol=1e-5)
        torch.testing.assert_close(beside[row, :length], expected, rtol=1e-6, atol=1e-5)
        agreeing = oracle.log_sum(p for path, p in log_p.items() if length == 1 or path[1] == 4)
        assert nll[row].item() == pytest.approx(-agreeing, abs=1e-5)


def test_finite_results_stay_finite_in_float32():
    """One word, and a tag that may neither begin nor end: two of the lowest scores are more than float32 holds."""
    crf = LinearChainCRF(2)
    lowest = torch.finfo(torch.float32).min
    with torch.no_grad():
        crf.start_transitions[1] = crf.end_transitions[1] = lowest
    emissions, mask, tags = torch.zeros(1, 1, 2), torch.ones(1, 1).bool(), torch.ones(1, 1, dtype=torch.int64)

    assert crf.log_marginals(emissions, mask).tolist() == [[[0.0, lowest]]]
    assert crf(emissions, tags, mask).tolist() == [-lowest]
    assert crf.path_score(emissions, tags, mask).tolist() == [lowest]
    paths, scores = crf.nbest(emissions, mask, 2)
    assert (paths.tolist(), scores.tolist()) == ([[[0], [1]]], [[0.0, lowest]])
    crf.allowed_starts[0] = False
    assert [result.tolist() for result in crf.decode(emissions, mask)] == [[[1]], [lowest]]


def test_operations_of_a_training_step_with_low_scores():
    """In the log domain they are 2,318."""
    crf, emissions, tags, mask = make_large(32, 128, 9)
    with torch.no_grad():
        crf.start_transitions[2::2] = crf.end_transitions[3] = crf.transitions[0, 2::2] = -1e4
    crf.nll_and_log_marginals(emissions, tags, mask)[0].sum().backward()

    with Count() as count:
        crf.nll_and_log_marginals(emissions, tags, mask)[0].sum().backward()

    assert crf.tier(emissions, mask) == "float64 exp"
    assert count.operations <= 450


@pytest.mark.parametrize("scale", [1.0, 1e3, 1e6, 1e7])
@pytest.mark.parametrize("rules", ["free", "constrained"])
def test_the_entropy_and_its_gradient_are_exact_at_any_scale(scale, rules):
    """Many paths stay close to each other, although their scores are far from 0."""
    for seed in range(8):
        torch.manual_seed(seed)
        crf = make_crf(3)
        crf.allowed_transitions[0, 1] = rules == "free"
        emissions, mask = make_batch((5, 1, 4), 3)
        emissions += scale * torch.randint(-1, 2, emissions.shape)
        if rules == "constrained":
            with torch.no_grad():
                for parameter in crf.parameters():
                    parameter += scale * torch.randint(-1, 2, parameter.shape)
        emissions.requires_grad_()

        entropy = crf.entropy(emissions, mask)
        (gradient,) = torch.autograd.grad(entropy.sum(), emissions)

        assert (entropy >= 0).all()
        for row, length in enumerate((5, 1, 4)):
            log_p = oracle_chain(crf, emissions[row].detach(), length).log_probabilities()
            assert entropy[row].item() == pytest.approx(oracle.entropy(log_p), abs=1e-12 + 1e-15 * scale)
            for t in range(length):
                for tag in range(3):
                    share = math.fsum(math.exp(p) for path, p in log_p.items() if path[t] == tag)
                    slope = -math.fsum(math.exp(p) * p * ((path[t] == tag) - share) for path, p in log_p.items())
                    assert gradient[row, t, tag].item() == pytest.approx(slope, abs=1e-11 + 1e-14 * scale)


NOT_NUMBERS = [math.nan, math.inf]
SEARCHES = {
    "decode": (),
    "decode_by_marginals": (),
    "nbest": (2,),
    "sample": (2,),
}


def spoil(crf, emissions, name, value):
    """Put a value into the emissions, or into a parameter; return where."""
    with torch.no_grad():
        if name == "emissions":
            emissions[1, 2, 0] = value
            return [1, 2, 0]
        parameter = getattr(crf, name)
        index = (1, 2)[: parameter.dim()]
        parameter[index] = value
        return list(index)


@pytest.mark.parametrize("method", SEARCHES)
@pytest.mark.parametrize("name", ["emissions", "start_transitions", "end_transitions", "transitions"])
@pytest.mark.parametrize("value", NOT_NUMBERS)
def test_paths_are_not_looked_for_among_scores_that_are_no_numbers(method, name, value):
    crf = make_crf(3)
    emissions, mask = make_batch((2, 4), 3, 5)
    emissions[~mask] = math.nan  # has no effect, and is not complained of
    getattr(crf, method)(emissions, mask, *SEARCHES[method])

    where = spoil(crf, emissions, name, value)

    at = ", ".join(map(str, where))
    message = rf"^{name} must be finite, or -inf where forbidden, got {value} at \[{at}\]$"
    with pytest.raises(ValueError, match=message):
        getattr(crf, method)(emissions, mask, *SEARCHES[method])


@pytest.mark.parametrize("value", NOT_NUMBERS)
def test_one_look_at_the_largest_scores_is_enough_to_find_what_is_no_number(value):
    """Nothing is masked here: what stands under a mask would make the search look at each score anyway."""
    crf = make_crf(3)
    emissions, mask = make_batch((4, 4), 3)
    crf.transitions.data[2, 1] = value

    with pytest.raises(ValueError, match=rf"^transitions must be finite, or -inf .* got {value} at \[2, 1\]$"):
        crf.decode(emissions, mask)


@pytest.mark.parametrize("method", SEARCHES)
def test_a_score_of_minus_infinity_forbids_and_a_forbidden_score_may_be_anything(method):
    crf = make_crf(2)
    emissions, mask = make_batch((3, 1), 2)
    with torch.no_grad():
        emissions[:, 0, 0] = crf.transitions[1, 1] = -math.inf
        crf.end_transitions[1] = math.nan
        crf.allowed_ends[1] = False

    found = getattr(crf, method)(emissions[:1], mask[:1], *SEARCHES[method])

    paths = found[0] if isinstance(found, tuple) else found
    best = paths.reshape(-1, 3)[0].tolist()
    assert best in ([1, 0, 0], [1, -100, -100])  # the one path there is
    assert set(map(tuple, paths.reshape(-1, 3).tolist())) <= {(1, 0, 0), (-100, -100, -100)}


@pytest.mark.parametrize("name", ["emissions", "transitions"])
@pytest.mark.parametrize("value", NOT_NUMBERS)
@pytest.mark.parametrize("rules", ["free", "constrained"])
def test_sums_over_scores_that_are_no_numbers_are_none(name, value, rules):
    """Neither 0, nor the infinity that means forbidden; and a row that has none of them is as it was."""
    crf = make_crf(3)
    crf.allowed_transitions[0, 2] = rules == "free"
    emissions, mask = make_batch((2, 4), 3)
    tags = torch.tensor([[1, 1, 0, 0], [1, 2, 0, 1]])  # the second path takes the move and the tag that are spoiled
    spans = torch.tensor([0, 1]), torch.tensor([1, 2]), torch.eye(3).bool()[:2, None]

    def ask():
        return [
            crf(emissions, tags, mask),
            crf(emissions, torch.full_like(tags, 1), mask),
            crf(emissions, torch.full_like(tags, UNKNOWN), mask),
            crf.log_partition(emissions, mask),
            crf.path_score(emissions, tags, mask),
            crf.entropy(emissions, mask),
            crf.log_marginals(emissions, mask)[:, :2].flatten(1).sum(1),
            crf.pairwise_marginals(emissions, mask)[:, 0].flatten(1).sum(1),
            crf.span_log_probs(emissions, mask, *spans),
        ]

    before = ask()
    spoil(crf, emissions, name, value)
    after = ask()

    for result, untouched in zip(after, before, strict=True):
        assert result[1].isnan()
        if name == "emissions":
            torch.testing.assert_close(result[0], untouched[0])


class LargestSort(TorchDispatchMode):
    """How many scores are ranked at once."""

    numbers = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function._schema.name == "aten::sort":
            self.numbers = max(self.numbers, args[0].numel())
        return function(*args, **(kwargs or {}))


def test_no_more_paths_are_searched_than_there_are():
    crf = make_crf(3)
    emissions, mask = make_batch((3, 0, 2), 3)

    with LargestSort() as ranked:
        paths, scores = crf.nbest(emissions, mask, 100_000)

    assert paths.shape == (3, 100_000, 3)
    assert scores.isfinite().sum(1).tolist() == [27, 1, 9]
    assert (paths[0, 27:] == UNKNOWN).all()
    assert len(set(map(tuple, paths[0, :27].tolist()))) == 27
    assert ranked.numbers <= 27 * 4 * 4 * 3


@pytest.mark.parametrize(
    ("method", "number", "message"),
    [
        ("nbest", 0, "n must be at least 1, got 0"),
        (
            "nbest",
            10**9,
            r"n must be small enough for the memory, got 1000000000: so many paths take [\d,]{10,} numbers, over "
            "536,870,912; ask for fewer, or for fewer rows at a time",
        ),
        ("sample", -1, "num_samples must be at least 0, got -1"),
        ("sample", 10**9, "num_samples must be small enough for the memory, got 1000000000: so many paths take"),
    ],
)
def test_numbers_of_paths_that_cannot_be_are_refused(method, number, message):
    crf = make_crf(3)
    emissions, mask = make_batch((30, 7), 3)

    with pytest.raises(ValueError, match=message):
        getattr(crf, method)(emissions, mask, number)


@pytest.mark.parametrize(("size", "positions", "num_tags"), [(0, 4, 3), (2, 0, 3), (0, 0, 2), (3, 4, 1), (1, 1, 1)])
def test_nothing_to_tag_and_one_tag_alone(size, positions, num_tags):
    crf = make_crf(num_tags)
    emissions, mask = torch.randn(size, positions, num_tags).double(), torch.ones(size, positions).bool()
    emissions.requires_grad_()
    tags = torch.zeros(size, positions, dtype=torch.int64)

    results = [
        crf(emissions, tags, mask),
        crf(emissions, tags + UNKNOWN, mask),
        crf(emissions, torch.ones_like(emissions).bool(), mask),
        crf.log_partition(emissions, mask),
        crf.path_score(emissions, tags, mask),
        crf.entropy(emissions, mask),
        crf.log_marginals(emissions, mask),
        crf.pairwise_marginals(emissions, mask),
    ]
    gradients = torch.autograd.grad([result.sum() for result in results], [emissions, *crf.parameters()])

    assert [len(result) for result in results] == [size] * len(results)
    assert results[6].shape == (size, positions, num_tags)
    assert results[7].shape == (size, max(0, positions - 1), num_tags, num_tags)
    assert all(gradient.isfinite().all() for gradient in gradients)
    if num_tags == 1 or positions == 0:
        assert all((result.abs() <= 1e-12).all() for result in (*results[:3], results[5]))
    for paths in (crf.decode(emissions, mask)[0], crf.decode_by_marginals(emissions, mask)[0]):
        assert paths.shape == (size, positions)
    assert crf.nbest(emissions, mask, 2)[0].shape == (size, 2, positions)
    assert crf.nbest(emissions, mask, 2)[1].isfinite().sum() == size * (2 if num_tags**positions > 1 else 1)
    assert crf.sample(emissions, mask, 0).shape == (size, 0, positions)
    assert crf.sample(emissions, mask, 2).shape == (size, 2, positions)
