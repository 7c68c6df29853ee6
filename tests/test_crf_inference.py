"""What else is asked of the distribution over paths: each answer against enumeration."""

import itertools
import math
import random

import pytest
import torch
from test_crf import enumerate_row, make_batch, make_crf
from torch.utils._python_dispatch import TorchDispatchMode

from modeling_bert_crf.crf import UNKNOWN


def probabilities(table):
    """The posterior of every path, by enumeration; None if all are forbidden."""
    total = math.fsum(math.exp(score) for score in table.values())
    return {path: math.exp(score) / total for path, score in table.items()} if total else None


def random_case(seed, forbidden):
    rng = random.Random(seed)
    torch.manual_seed(seed)
    num_tags = rng.randint(1, 4)
    lengths = [rng.randint(0, 5) for _ in range(3)]
    crf = make_crf(num_tags, scale=rng.choice([0.0, 1.0, 3.0]), forbidden=forbidden)
    emissions, mask = make_batch(lengths, num_tags, max(lengths) + rng.randint(0, 2))
    tables = [enumerate_row(crf, emissions[row], length) for row, length in enumerate(lengths)]
    return rng, crf, emissions, mask, lengths, tables


cases = pytest.mark.parametrize("seed", range(25))
constraints = pytest.mark.parametrize("forbidden", [0.0, 0.25], ids=["free", "constrained"])


@cases
@constraints
def test_the_n_best_paths(seed, forbidden):
    rng, crf, emissions, mask, lengths, tables = random_case(seed, forbidden)
    n = rng.randint(1, 7)

    paths, scores = crf.nbest(emissions, mask, n)

    assert paths.shape == (3, n, mask.shape[1])
    for row, (length, table) in enumerate(zip(lengths, tables, strict=True)):
        best = sorted((score for score in table.values() if score > -math.inf), reverse=True)[:n]
        assert scores[row, : len(best)].tolist() == pytest.approx(best, abs=1e-9)
        assert (scores[row, len(best) :] == -math.inf).all()
        found = [tuple(path) for path in paths[row, : len(best), :length].tolist()]
        assert len(set(found)) == len(best)
        assert [table[path] for path in found] == pytest.approx(best, abs=1e-9)
        assert (paths[row, :, length:] == UNKNOWN).all()
        assert (paths[row, len(best) :] == UNKNOWN).all()


@cases
@constraints
def test_the_path_with_most_right_tags_to_expect(seed, forbidden):
    _, crf, emissions, mask, lengths, tables = random_case(seed, forbidden)
    crf.temperature = 1.5 if seed % 2 else 1.0
    with torch.no_grad():
        for parameter in crf.parameters():
            parameter.mul_(crf.temperature)  # of no effect, if the temperature divides all of them

    paths, counts = crf.decode_by_marginals(emissions, mask)

    for row, (length, table) in enumerate(zip(lengths, tables, strict=True)):
        if posterior := probabilities(table):
            expected = {
                path: math.fsum(p * sum(map(int.__eq__, path, other)) for other, p in posterior.items())
                for path, score in table.items()
                if score > -math.inf
            }
            assert counts[row].item() == pytest.approx(max(expected.values()), abs=1e-6)
            assert expected[tuple(paths[row, :length].tolist())] == pytest.approx(max(expected.values()), abs=1e-6)
        assert (paths[row, length:] == UNKNOWN).all()


@cases
@constraints
def test_the_entropy(seed, forbidden):
    _, crf, emissions, mask, _, tables = random_case(seed, forbidden)

    entropy = crf.entropy(emissions, mask)

    for row, table in enumerate(tables):
        posterior = probabilities(table) or {}
        expected = -math.fsum(p * math.log(p) for p in posterior.values() if p)
        assert entropy[row].item() == pytest.approx(expected, abs=1e-9)


@cases
@constraints
def test_the_probability_of_pairs(seed, forbidden):
    _, crf, emissions, mask, _, tables = random_case(seed, forbidden)

    pairs = crf.pairwise_marginals(emissions, mask)

    expected = torch.zeros(3, max(mask.shape[1] - 1, 0), crf.num_tags, crf.num_tags, dtype=torch.float64)
    for row, table in enumerate(tables):
        for path, p in (probabilities(table) or {}).items():
            for t, (i, j) in enumerate(itertools.pairwise(path)):
                expected[row, t, i, j] += p
    torch.testing.assert_close(pairs, expected, rtol=0, atol=1e-9)


@cases
@constraints
def test_the_probability_of_spans(seed, forbidden):
    """Spans of several lengths at once, also such that run past their row's end."""
    rng, crf, emissions, mask, lengths, tables = random_case(seed, forbidden)
    filled = [row for row, length in enumerate(lengths) if length]
    rows = [rng.choice(filled) for _ in range(6)] if filled else []
    starts = [rng.randrange(lengths[row]) for row in rows]
    sets = torch.rand(len(rows), 3, crf.num_tags) < 0.6
    rows_, starts_ = (torch.tensor(values, dtype=torch.int64) for values in (rows, starts))

    spans = crf.span_log_probs(emissions, mask, rows_, starts_, sets)

    for span, (row, start) in enumerate(zip(rows, starts, strict=True)):
        p = math.fsum(
            p
            for path, p in (probabilities(tables[row]) or {}).items()
            if all(sets[span, offset, tag] for offset, tag in enumerate(path[start : start + 3]))
        )
        assert spans[span].exp().item() == pytest.approx(p, abs=1e-9)


def test_a_small_probability_of_a_wide_set_keeps_its_digits():
    """All tags but one, and that one is nearly certain: 1 less its probability would be 0."""
    crf = make_crf(3, scale=0.0)
    emissions = torch.tensor([[[0.0, -3.0, -3.0], [80.0, 0.0, 0.5]]], dtype=torch.float64)
    mask, sets = torch.ones(1, 2, dtype=torch.bool), torch.tensor([[[1, 0, 0], [0, 1, 1]]]).bool()

    (found,) = crf.span_log_probs(emissions, mask, torch.tensor([0]), torch.tensor([0]), sets)

    first = -math.log1p(2 * math.exp(-3.0))
    assert found.item() == pytest.approx(first + math.log1p(math.exp(0.5)) - 80.0, abs=1e-12)


class Largest(TorchDispatchMode):
    """Notes how many numbers the largest tensor holds that comes into being."""

    numbers = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and not function.is_view:
            self.numbers = max(self.numbers, result.numel())
        return result


@pytest.mark.parametrize("wide", [False, True], ids=["one tag", "all tags but one beside it"])
def test_tags_that_the_sets_of_a_span_do_not_name_cost_nothing(wide):
    """Never is there a number for each pair of tags of each span."""
    num_tags, num_spans = 41, 30
    crf = make_crf(num_tags)
    emissions, mask = make_batch((7, 5), num_tags)
    sets = torch.ones(num_spans, 4, num_tags).bool()
    sets[:, 1] = torch.eye(num_tags).bool()[3]
    if wide:
        sets[:, [0, 2]] = ~torch.eye(num_tags).bool()[4]
    spans = torch.arange(num_spans) % 2, torch.arange(num_spans) % 5

    with Largest() as largest:
        crf.span_log_probs(emissions, mask, *spans, sets)

    assert largest.numbers < num_spans * 6 * (num_tags + 2)  # the sets themselves


@cases
@constraints
def test_tags_given_as_sets(seed, forbidden):
    rng, crf, emissions, mask, _, tables = random_case(seed, forbidden)
    sets = torch.rand(3, mask.shape[1], crf.num_tags) < rng.choice([0.3, 0.7, 1.0])

    nll = crf(emissions, sets, mask)

    for row, table in enumerate(tables):
        agreeing = [s for path, s in table.items() if all(sets[row, t, tag] for t, tag in enumerate(path))]
        weight = math.fsum(map(math.exp, agreeing))
        total = math.fsum(map(math.exp, table.values()))
        expected = math.log(total) - math.log(weight) if weight else math.inf
        assert nll[row].item() == pytest.approx(expected, abs=1e-9)


def test_samples_follow_the_distribution():
    """Chi-square over all 81 paths: its 99.99 % quantile with 80 degrees of freedom is 137."""
    torch.manual_seed(0)
    crf = make_crf(3)
    crf.allowed_transitions[0, 2] = crf.allowed_starts[2] = False
    emissions, mask = make_batch((4, 2, 0), 3, 5)
    number = 40_000

    paths = crf.sample(emissions, mask, number, torch.Generator().manual_seed(1))

    assert paths.shape == (3, number, 5)
    for row, length in enumerate((4, 2, 0)):
        posterior = probabilities(enumerate_row(crf, emissions[row], length))
        counts = dict.fromkeys(posterior, 0)
        for path in paths[row, :, :length].tolist():
            counts[tuple(path)] += 1
        assert all(counts[path] == 0 for path, p in posterior.items() if p == 0)
        chi_square = sum((counts[path] - number * p) ** 2 / (number * p) for path, p in posterior.items() if p)
        assert chi_square < 137
        assert (paths[row, :, length:] == UNKNOWN).all()


def test_samples_repeat_with_their_generator():
    crf = make_crf(4)
    emissions, mask = make_batch((6, 3), 4)
    first, again, other = (crf.sample(emissions, mask, 20, torch.Generator().manual_seed(seed)) for seed in (5, 5, 6))

    assert first.equal(again)
    assert not first.equal(other)


@pytest.mark.parametrize("method", ["entropy", "pairwise_marginals", "log_marginals", "span_log_probs"])
def test_gradients_pass_gradcheck(method):
    torch.manual_seed(0)
    crf = make_crf(3)
    emissions, mask = make_batch((4, 1, 0), 3)
    arguments = ()
    if method == "span_log_probs":
        sets = torch.tensor([[[1, 0, 1], [0, 1, 1]], [[0, 1, 0], [1, 1, 1]], [[1, 1, 0], [1, 0, 0]]]).bool()
        arguments = torch.tensor([0, 1, 0]), torch.tensor([1, 0, 3]), sets
    names = [name for name, _ in crf.named_parameters()]

    def function(emissions, *parameters):
        for name, parameter in zip(names, parameters, strict=True):
            delattr(crf, name)
            setattr(crf, name, parameter)
        return getattr(crf, method)(emissions, mask, *arguments)

    parameters = [parameter.detach().clone().requires_grad_() for parameter in crf.parameters()]
    assert torch.autograd.gradcheck(function, (emissions.requires_grad_(), *parameters))
