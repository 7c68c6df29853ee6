"""A chain fitted to labelled data, and biases on its paths."""

import itertools
import math
import random

import pytest
import torch

from modeling_bert_crf.crf import LinearChainCRF
from modeling_bert_crf.fitting.choice import choose, opening
from modeling_bert_crf.fitting.comparison import places_of
from modeling_bert_crf.fitting.likelihood import Chains, chain_of, fit_chain, fit_temperature, nll_of, unfitted
from modeling_bert_crf.fitting.paths import Counts, Reader
from modeling_bert_crf.path_biases import MOVES, bias_scores, check_biases, check_operating_point, kind_of_move
from modeling_bert_crf.schemes import constraints

LABELS = {
    "IOB2": ["O", "B-X", "I-X", "B-Y", "I-Y"],
    "BIOES": ["O", *(f"{prefix}-{kind}" for kind in "XY" for prefix in "BIES")],
    "IO": ["O", "I-X", "I-Y"],
    None: ["O", "X", "Y"],
}


def crf_of(scheme):
    labels = LABELS[scheme]
    crf = LinearChainCRF(len(labels))
    buffers = (crf.allowed_starts, crf.allowed_ends, crf.allowed_transitions)
    for buffer, rule in zip(buffers, constraints(labels, scheme), strict=True):
        buffer.copy_(torch.tensor(rule))
    return crf


def sampled(crf, count, temperature, seed=0):
    """Draw chains from a CRF whose emissions are then made too large or too small by a temperature."""
    generator = torch.Generator().manual_seed(seed)
    emissions, tags = [], []
    for index in range(count):
        scores = torch.randn(1, 1 + index % 7, crf.num_tags, dtype=torch.float64, generator=generator)
        mask = torch.ones(scores.shape[:2], dtype=torch.bool)
        emissions.append(scores[0] * temperature)
        tags.append(crf.sample(scores, mask, 1, generator)[0, 0])
    return Chains(emissions, tags)


@pytest.fixture(scope="module")
def true_crf():
    crf = crf_of("IOB2").double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in crf.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return crf


def test_a_fit_finds_the_temperature_and_is_as_likely_as_the_truth(true_crf):
    chains = sampled(true_crf, 700, temperature=2.5)

    fit = fit_chain(chains, crf_of("IOB2"), penalty=0.01)

    truth = unfitted(true_crf)._replace(temperature=2.5)
    assert fit.temperature == pytest.approx(2.5, rel=0.15)
    assert nll_of(chains, true_crf, fit) < nll_of(chains, true_crf, truth)  # on the very data that it was fitted to
    held = sampled(true_crf, 500, temperature=2.5, seed=5)
    assert nll_of(held, true_crf, fit) < nll_of(held, true_crf, truth) + 0.02


def test_the_fit_is_where_the_objective_has_no_slope(true_crf):
    chains, crf, penalty = sampled(true_crf, 60, temperature=1.0), crf_of("IOB2"), 0.7
    fit = fit_chain(chains, crf, penalty)

    def objective(fit):
        distance = sum(((one - other) ** 2).sum() for one, other in zip(fit[:3], unfitted(crf)[:3], strict=True))
        return nll_of(chains, crf, fit) * chains.known + penalty / 2 * float(distance + (1 / fit.temperature - 1) ** 2)

    best = objective(fit)
    generator = torch.Generator().manual_seed(3)
    for _ in range(20):
        step = [0.05 * torch.randn(one.shape, generator=generator, dtype=torch.float64) for one in fit[:3]]
        moved = fit._replace(
            start_transitions=fit.start_transitions + step[0],
            end_transitions=fit.end_transitions + step[1],
            transitions=fit.transitions + step[2],
        )
        assert objective(moved) > best
        assert objective(fit._replace(temperature=fit.temperature * (1 + 0.05 * float(step[0][0])))) >= best - 1e-6


def test_with_the_penalty_at_infinity_the_chain_is_as_it_was(true_crf):
    fit = fit_chain(sampled(true_crf, 20, 2.0), true_crf, math.inf)

    assert fit.temperature == 1.0
    for one, other in zip(fit[:3], unfitted(true_crf)[:3], strict=True):
        assert one.equal(other)


def test_a_temperature_alone_changes_no_path_of_a_chain_without_scores(true_crf):
    chains, crf = sampled(true_crf, 50, temperature=3.0), crf_of("IOB2")
    reader = Reader(LABELS["IOB2"], "IOB2", crf)

    fit = fit_temperature(chains, crf)

    assert fit.temperature > 1.5
    assert nll_of(chains, crf, fit) < nll_of(chains, crf, unfitted(crf))
    pairs = zip(reader.paths(chains, fit, {}), reader.paths(chains, unfitted(crf), {}), strict=True)
    assert all(one.equal(other) for one, other in pairs)


@pytest.mark.parametrize(
    ("chains", "message"),
    [
        (Chains([torch.zeros(2, 5).double()], [torch.tensor([-100, -100])]), "must have a tag that is known"),
        (Chains([torch.zeros(2, 5).double()], [torch.tensor([0, 2])]), "must obey the rules of the CRF"),
    ],
    ids=["unknown", "illegal"],
)
def test_chains_that_cannot_be_fitted_are_refused(chains, message):
    with pytest.raises(ValueError, match=message):
        fit_chain(chains, crf_of("IOB2"))


def bias_of_path(tags, scheme, biases):
    """Add the biases of a path up by the definition of the moves, one by one."""
    total = biases["start_to_start"] * (tags[0] != "O")
    for before, tag in itertools.pairwise(tags):
        kind, other = before[2:] or before, tag[2:] or tag
        goes_on = before != "O" and kind == other and tag[0] not in "BS"
        goes_on = goes_on and not (scheme == "BIOES" and before[0] in "ES")
        if before == "O":
            total += biases["background_stay" if tag == "O" else "background_to_start"]
        elif tag == "O":
            total += biases["end_to_background"]
        elif goes_on:
            total += biases["inside_to_end" if scheme == "BIOES" and tag[0] == "E" else "inside_to_continue"]
        else:
            total += biases["end_to_start"]
    return total


@pytest.mark.parametrize("scheme", LABELS, ids=str)
def test_paths_with_biases_are_those_of_an_independent_search(scheme):
    labels, crf = LABELS[scheme], crf_of(scheme)
    rng, generator = random.Random(4), torch.Generator().manual_seed(4)
    starts, ends, moves = constraints(labels, scheme)
    for _ in range(60):
        length = rng.randint(1, 4)
        emissions = torch.randn(length, len(labels), dtype=torch.float64, generator=generator)
        biases = {name: rng.uniform(-2, 2) for name in MOVES}
        best, best_score = None, -math.inf
        for path in itertools.product(range(len(labels)), repeat=length):
            legal = starts[path[0]] and ends[path[-1]] and all(moves[a][b] for a, b in itertools.pairwise(path))
            score = sum(emissions[t, tag].item() for t, tag in enumerate(path))
            score += bias_of_path([labels[tag] for tag in path], scheme, biases)
            if legal and score > best_score:
                best, best_score = path, score

        extra = tuple(map(torch.tensor, bias_scores(labels, scheme, biases)))
        found = crf.decode(emissions[None], torch.ones(1, length, dtype=torch.bool), extra)

        assert tuple(found[0][0].tolist()) == best
        assert float(found[1]) == pytest.approx(best_score, abs=1e-5)


def test_what_does_not_gain_on_other_folds_is_not_stored(true_crf):
    free = crf_of("IOB2")
    nothing_to_learn = sampled(free, 200, temperature=1.0)
    chosen = choose(nothing_to_learn, free, LABELS["IOB2"], "IOB2")

    as_it_is = next(one for one in chosen.candidates if one.name == "as it is")
    kept = next(one for one in chosen.candidates if one.name == chosen.chosen)
    assert kept.nll <= as_it_is.nll
    assert max(kept.f1, kept.biased_f1) >= as_it_is.f1

    much_to_learn = choose(sampled(true_crf, 300, temperature=2.0), free, LABELS["IOB2"], "IOB2")
    assert much_to_learn.chosen == "all scores"


def test_a_bias_on_opening_finds_more_entities():
    crf, labels = crf_of("IOB2"), LABELS["IOB2"]
    chains = sampled(crf.double(), 80, temperature=1.0)
    reader = Reader(labels, "IOB2", crf)

    predicted = [
        sum(counts.predicted for counts in reader.count(chains, unfitted(crf), opening(bias)))
        for bias in (-2.0, 0.0, 2.0)
    ]

    assert predicted[0] < predicted[1] < predicted[2]


def test_counts_are_precision_recall_and_f1():
    counts = Counts(correct=3, predicted=4, gold=6)

    assert (counts.precision, counts.recall, counts.f1) == (0.75, 0.5, 0.6)


def test_chain_of_a_fit_keeps_the_rules():
    crf = crf_of("BIOES")

    assert chain_of(unfitted(crf), crf).allowed_transitions.equal(crf.allowed_transitions)


def test_moves_have_the_kinds_that_the_privacy_filter_names():
    assert kind_of_move("O", "S-X", "BIOES") == "background_to_start"
    assert kind_of_move("B-X", "I-X", "BIOES") == "inside_to_continue"
    assert kind_of_move("I-X", "E-X", "BIOES") == "inside_to_end"
    assert kind_of_move("E-X", "B-X", "BIOES") == "end_to_start"
    assert kind_of_move("S-X", "O", "BIOES") == "end_to_background"
    assert kind_of_move(None, "O", "BIOES") is None


@pytest.mark.parametrize(
    ("biases", "message"),
    [
        ({"stay": 1.0}, "a bias must be one of background_stay, .*, got 'stay'"),
        ({"background_stay": math.nan}, "the bias 'background_stay' must be a finite number, got nan"),
        ([], r"biases must be a dictionary, got \[\]"),
    ],
)
def test_wrong_biases_are_refused(biases, message):
    with pytest.raises(ValueError, match=message):
        check_biases(biases)


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ({"bias": {}}, "must name a dictionary of `biases` and `thresholds`"),
        ({"thresholds": {"Z": 0.5}}, "a threshold must be of one of the types X, Y, got 'Z'"),
        ({"thresholds": {"X": 1.5}}, "the threshold of 'X' must be from 0 to 1, got 1.5"),
        ({"biases": {"stay": 1}}, "`operating_points`: 'high': a bias must be one of"),
    ],
)
def test_wrong_operating_points_are_refused(point, message):
    with pytest.raises(ValueError, match=message):
        check_operating_point("high", point, ["X", "Y"])


def test_places_are_characters_of_the_words_joined_by_blanks():
    assert places_of(["Ada", "met", "Bo", "Li"], [(0, 1, "PER"), (2, 4, "PER")]) == {(0, 3, "PER"), (8, 13, "PER")}
