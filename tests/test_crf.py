"""`LinearChainCRF` against enumeration, then by identities."""

import math
import random

import oracle
import pytest
import torch

from modeling_bert_crf import LinearChainCRF
from modeling_bert_crf.crf import UNKNOWN


def make_crf(num_tags, scale=1.0, forbidden=0.0):
    """A float64 CRF with random scores; each move is forbidden with the given probability."""
    crf = LinearChainCRF(num_tags).double()
    for parameter in crf.parameters():
        torch.nn.init.normal_(parameter, std=scale)
    for allowed in crf.buffers():
        allowed.copy_(torch.rand(allowed.shape) >= forbidden)
    return crf


def make_batch(lengths, num_tags, positions=None, scale=1.0):
    positions = max(lengths) if positions is None else positions
    emissions = scale * torch.randn(len(lengths), positions, num_tags, dtype=torch.float64)
    mask = torch.arange(positions) < torch.tensor(lengths)[:, None]
    return emissions, mask


def oracle_chain(crf, row, length):
    return oracle.Chain(
        row[:length].tolist(),
        crf.start_transitions.tolist(),
        crf.end_transitions.tolist(),
        crf.transitions.tolist(),
        crf.allowed_starts.tolist(),
        crf.allowed_ends.tolist(),
        crf.allowed_transitions.tolist(),
    )


def enumerate_row(crf, row, length):
    return oracle_chain(crf, row, length).paths()


@pytest.mark.parametrize("forbidden", [0.0, 0.25], ids=["free", "constrained"])
@pytest.mark.parametrize("block", range(10))
def test_everything_equals_enumeration(block, forbidden):
    """Fifty batches a block, two to three rows each: over 1,000 sequences in all for each setting."""
    rng = random.Random(block)
    torch.manual_seed(block)
    for _ in range(50):
        num_tags = rng.randint(1, 4)
        lengths = [rng.randint(0, 6 if num_tags < 4 else 5) for _ in range(rng.randint(2, 3))]
        crf = make_crf(num_tags, scale=rng.choice([0.0, 1.0, 3.0]), forbidden=forbidden)
        emissions, mask = make_batch(lengths, num_tags, max(lengths) + rng.randint(0, 2))
        tags = torch.randint(num_tags, mask.shape)
        tags[torch.rand(tags.shape) < rng.choice([0.0, 0.3, 1.0])] = UNKNOWN

        log_z, nll, marginals = (
            crf.log_partition(emissions, mask),
            crf(emissions, tags, mask),
            crf.marginals(emissions, mask),
        )
        known = tags.clamp_min(0)
        path_scores = crf.path_score(emissions, known, mask)
        paths, scores = crf.decode(emissions, mask)

        for row, length in enumerate(lengths):
            table = enumerate_row(crf, emissions[row], length)
            wanted = [None if tag == UNKNOWN else tag for tag in tags[row, :length].tolist()]
            best = max(table.values())
            path = tuple(paths[row, :length].tolist())
            assert log_z[row].item() == pytest.approx(oracle.log_partition(table), abs=1e-9)
            assert nll[row].item() == pytest.approx(oracle.nll(table, wanted), abs=1e-9)
            assert path_scores[row].item() == pytest.approx(table[tuple(known[row, :length].tolist())], abs=1e-9)
            assert scores[row].item() == pytest.approx(best, abs=1e-9)
            assert table[path] == pytest.approx(best, abs=1e-9)
            assert (paths[row, length:] == UNKNOWN).all()
            assert not marginals[row, length:].any()
            if best > -math.inf:
                expected = torch.tensor(oracle.marginals(table, length, num_tags), dtype=torch.float64)
                torch.testing.assert_close(marginals[row, :length], expected.reshape(length, num_tags))
            else:
                assert not marginals[row].any()


@pytest.mark.parametrize("forbidden", [0.0, 0.25], ids=["free", "constrained"])
def test_gradient_of_log_partition_is_the_marginals(forbidden):
    crf = make_crf(3, forbidden=forbidden)
    crf.allowed_starts.fill_(True)
    crf.allowed_ends.fill_(True)
    crf.allowed_transitions.fill_diagonal_(True)  # so that a path is left
    emissions, mask = make_batch((5, 2, 0, 1), 3)
    emissions.requires_grad_()

    (gradient,) = torch.autograd.grad(crf.log_partition(emissions, mask).sum(), emissions)

    torch.testing.assert_close(gradient, crf.marginals(emissions, mask))


@pytest.mark.parametrize("method", ["forward", "log_partition", "marginals", "path_score"])
def test_gradients_pass_gradcheck(method):
    crf = make_crf(3)
    crf.allowed_transitions[2, 0] = crf.allowed_starts[2] = False
    emissions, mask = make_batch((4, 2), 3)
    tags = torch.tensor([[0, UNKNOWN if method == "forward" else 1, 2, 2], [1, 1, 0, 0]])
    arguments = (tags, mask) if method in ("forward", "path_score") else (mask,)
    names = [name for name, _ in crf.named_parameters()]

    def function(emissions, *parameters):
        for name, parameter in zip(names, parameters, strict=True):
            delattr(crf, name)
            setattr(crf, name, parameter)  # a plain tensor, so that it can be any
        return getattr(crf, method)(emissions, *arguments)

    parameters = [parameter.detach().clone().requires_grad_() for parameter in crf.parameters()]
    assert torch.autograd.gradcheck(function, (emissions.requires_grad_(), *parameters))


def test_gradient_of_the_log_marginals_is_finite_beside_impossible_tags():
    crf = make_crf(3)
    crf.allowed_starts[0] = False
    emissions, mask = make_batch((4, 2), 3)
    emissions.requires_grad_()

    log_marginals = crf.log_marginals(emissions, mask)
    log_marginals.clamp_min(-1e4).sum().backward()

    assert (log_marginals[:, 0, 0] == -math.inf).all()
    assert emissions.grad.isfinite().all()
    assert emissions.grad.any()


def test_masked_values_have_no_effect():
    crf = make_crf(4)
    emissions, mask = make_batch((5, 2, 0), 4)
    tags = torch.randint(4, mask.shape)
    clean = [crf(emissions, tags, mask), *crf.decode(emissions, mask), crf.marginals(emissions, mask)]

    emissions[~mask] = math.nan
    tags[~mask] = 77
    emissions.requires_grad_()
    dirty = [crf(emissions, tags, mask), *crf.decode(emissions, mask), crf.marginals(emissions, mask)]
    (dirty[0].sum() + dirty[3].square().sum()).backward()

    for before, after in zip(clean, dirty, strict=True):
        torch.testing.assert_close(after, before, rtol=0, atol=0)
    assert not crf.log_marginals(emissions, mask)[~mask].any()
    assert not emissions.grad[~mask].any()
    assert emissions.grad[mask].isfinite().all()


def test_a_batch_equals_its_rows_alone():
    crf = make_crf(4, forbidden=0.2)
    lengths = (5, 2, 7, 0)
    emissions, mask = make_batch(lengths, 4)
    tags = torch.randint(4, mask.shape)
    nll, (paths, scores) = crf(emissions, tags, mask), crf.decode(emissions, mask)

    for row, length in enumerate(lengths):
        alone = emissions[row : row + 1, :length], mask[row : row + 1, :length]
        torch.testing.assert_close(crf(alone[0], tags[row : row + 1, :length], alone[1]), nll[row : row + 1])
        path, score = crf.decode(*alone)
        assert path.shape == (1, length)
        assert path[0].tolist() == paths[row, :length].tolist()
        torch.testing.assert_close(score, scores[row : row + 1])


def test_an_impossible_gold_path_costs_infinity_with_finite_gradients():
    crf = make_crf(3)
    crf.allowed_transitions[0, 2] = False
    emissions, mask = make_batch((3, 3), 3)
    emissions.requires_grad_()
    tags = torch.tensor([[0, 2, 1], [0, 1, 2]])

    nll = crf(emissions, tags, mask)
    nll.sum().backward()

    assert nll[0] == math.inf
    assert nll[1].isfinite()
    assert emissions.grad.isfinite().all()
    assert not emissions.grad[0].any()
    assert emissions.grad[1].any()
    assert all(parameter.grad.isfinite().all() for parameter in crf.parameters())


def test_a_row_without_any_allowed_path_stays_free_of_nan():
    crf = make_crf(2)
    crf.allowed_starts.fill_(False)
    emissions, mask = make_batch((3, 0), 2)
    emissions.requires_grad_()

    nll = crf(emissions, torch.zeros(2, 3, dtype=torch.int64), mask)
    log_z = crf.log_partition(emissions, mask)
    paths, scores = crf.decode(emissions, mask)
    (nll.sum() + crf.marginals(emissions, mask).sum()).backward()

    assert nll.tolist() == [math.inf, 0.0]
    assert log_z.tolist() == [-math.inf, 0.0]
    assert scores.tolist() == [-math.inf, 0.0]
    assert paths[0].ge(0).all()
    assert crf.entropy(emissions, mask).tolist() == [0.0, 0.0]
    assert emissions.grad.isfinite().all()


@pytest.mark.parametrize("length", [0, 1])
def test_short_rows_use_every_parameter(length):
    """A distributed trainer waits for the gradient of each parameter."""
    crf = make_crf(3)
    emissions, mask = make_batch((length, length), 3)
    emissions.requires_grad_()

    crf(emissions, torch.zeros(2, length, dtype=torch.int64), mask).sum().backward()

    assert emissions.grad is not None
    assert all(parameter.grad is not None for parameter in crf.parameters())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_summed_in_float32(dtype):
    crf = make_crf(4).to(dtype)
    emissions, mask = make_batch((512, 300), 4)
    emissions = emissions.to(dtype)
    tags = torch.randint(4, mask.shape)

    half = [crf(emissions, tags, mask), crf.log_partition(emissions, mask), *crf.decode(emissions, mask)]
    crf, emissions = crf.float(), emissions.float()
    single = [crf(emissions, tags, mask), crf.log_partition(emissions, mask), *crf.decode(emissions, mask)]

    for one, other in zip(half, single, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert half[0].isfinite().all()


def test_autocast_changes_nothing():
    crf = make_crf(4).float()
    emissions, mask = make_batch((200, 31), 4)
    tags = torch.randint(4, mask.shape)
    emissions = emissions.float()
    plain = [crf(emissions, tags, mask), crf.marginals(emissions, mask), *crf.decode(emissions, mask)]

    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = [crf(emissions, tags, mask), crf.marginals(emissions, mask), *crf.decode(emissions, mask)]

    for one, other in zip(plain, cast, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_float32_gradients_stay_exact_on_long_chains_with_large_scores():
    crf = make_crf(5, scale=3.0)
    emissions, mask = make_batch((512, 333), 5, scale=10.0)
    exact = crf.marginals(emissions, mask)
    tags = torch.randint(5, mask.shape)
    exact_nll = crf(emissions, tags, mask)

    crf = crf.float()
    single = emissions.float().requires_grad_()
    nll = crf(single, tags, mask)
    (gradient,) = torch.autograd.grad(crf.log_partition(single, mask).sum(), single)

    assert (gradient - exact).abs().max() < 2e-5
    assert (crf.marginals(single, mask) - exact).abs().max() < 2e-5
    torch.testing.assert_close(nll.double(), exact_nll, rtol=1e-6, atol=1e-3)


def test_a_constant_added_at_one_position_moves_log_z_by_it_and_nothing_else():
    crf = make_crf(4)
    emissions, mask = make_batch((5, 2), 4)
    tags = torch.randint(4, mask.shape)
    before = crf.log_partition(emissions, mask), crf(emissions, tags, mask), crf.decode(emissions, mask)[0]

    emissions[:, 1] += 7.0

    torch.testing.assert_close(crf.log_partition(emissions, mask), before[0] + 7.0)
    torch.testing.assert_close(crf(emissions, tags, mask), before[1])
    assert crf.decode(emissions, mask)[0].equal(before[2])


def test_relabelling_the_tags_permutes_everything():
    crf, other = make_crf(4, forbidden=0.2), LinearChainCRF(4).double()
    order = torch.tensor([2, 0, 3, 1])  # new tag k is old tag order[k]
    emissions, mask = make_batch((6, 3), 4)
    with torch.no_grad():
        for name, tensor in [*crf.named_parameters(), *crf.named_buffers()]:
            permuted = tensor[order] if tensor.dim() == 1 else tensor[order][:, order]
            other.get_parameter(name).copy_(permuted) if "allowed" not in name else other.get_buffer(name).copy_(
                permuted
            )

    torch.testing.assert_close(other.log_partition(emissions[..., order], mask), crf.log_partition(emissions, mask))
    torch.testing.assert_close(
        other.marginals(emissions[..., order], mask), crf.marginals(emissions, mask)[..., order]
    )
    paths = other.decode(emissions[..., order], mask)[0]
    assert order[paths[mask]].equal(crf.decode(emissions, mask)[0][mask])


def test_ties_go_to_the_smaller_tag():
    crf = LinearChainCRF(3)
    paths, scores = crf.decode(torch.zeros(2, 4, 3), torch.tensor([[True] * 4, [True, False, False, False]]))

    assert paths.tolist() == [[0, 0, 0, 0], [0, UNKNOWN, UNKNOWN, UNKNOWN]]
    assert scores.tolist() == [0.0, 0.0]


def test_state_dict_exchanges_with_pytorch_crf():
    torchcrf = pytest.importorskip("torchcrf")
    peer, crf = torchcrf.CRF(5, batch_first=True), LinearChainCRF(5)
    crf.load_state_dict(peer.state_dict())
    emissions, mask = make_batch((6, 2), 5)
    emissions, tags = emissions.float(), torch.randint(5, mask.shape)

    torch.testing.assert_close(crf(emissions, tags, mask), -peer(emissions, tags, mask, reduction="none"))
    paths = crf.decode(emissions, mask)[0]
    assert [row[row != UNKNOWN].tolist() for row in paths] == peer.decode(emissions, mask)


EMISSIONS, MASK = torch.zeros(1, 3, 2), torch.ones(1, 3, dtype=torch.bool)


@pytest.mark.parametrize(
    ("method", "arguments", "message"),
    [
        ("decode", (torch.zeros(3, 2), MASK), r"emissions must be float \(B, T, 2\), got torch.float32 \(3, 2\)"),
        (
            "decode",
            (torch.zeros(1, 3, 5), MASK),
            r"emissions must be float \(B, T, 2\), got torch.float32 \(1, 3, 5\)",
        ),
        ("decode", (EMISSIONS.long(), MASK), r"emissions must be float \(B, T, 2\), got torch.int64"),
        ("decode", (EMISSIONS, MASK.long()), r"mask must be torch.bool \(1, 3\), got torch.int64 \(1, 3\)"),
        ("decode", (EMISSIONS, MASK[:, :2]), r"mask must be torch.bool \(1, 3\), got torch.bool \(1, 2\)"),
        (
            "log_partition",
            (EMISSIONS, torch.tensor([[True, False, True]])),
            r"mask must be True on a prefix of every row, got \[1, 0, 1\] in row 0",
        ),
        ("forward", (EMISSIONS, torch.tensor([[0, 2, 1]]), MASK), r"in \[0, 2\) or -100, got 2 in row 0, position 1"),
        ("path_score", (EMISSIONS, torch.tensor([[0, 1, -100]]), MASK), r"in \[0, 2\), got -100 in row 0, position 2"),
        ("forward", (EMISSIONS, torch.zeros(1, 3), MASK), r"tags must be torch.int64 with the mask's shape"),
        ("forward", (EMISSIONS, torch.zeros(1, 2, dtype=torch.int64), MASK), r"got torch.int64 \(1, 2\)"),
    ],
)
def test_bad_arguments_are_refused(method, arguments, message):
    with pytest.raises(ValueError, match=message):
        getattr(LinearChainCRF(2), method)(*arguments)


def test_a_crf_needs_a_tag():
    with pytest.raises(ValueError, match="num_tags must be at least 1, got 0"):
        LinearChainCRF(0)
