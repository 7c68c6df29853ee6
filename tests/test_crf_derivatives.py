"""Who may differentiate `LinearChainCRF`, and how often."""

import pytest
import torch
from test_crf import make_batch, make_crf
from torch.func import functional_call, grad, hessian, jacrev, jvp, vmap

from modeling_bert_crf.crf import UNKNOWN

METHODS = ["forward", "partly", "sets", "log_partition", "path_score", "log_marginals", "marginals", "entropy"]
METHODS += ["pairwise_marginals", "span_log_probs", "nll_and_log_marginals"]
TAGS = torch.tensor([[0, 1, 1, 2], [2, 1, 0, 0], [0, 0, 0, 0]])


def case(rules=True):
    torch.manual_seed(0)
    crf = make_crf(3)
    crf.allowed_transitions[2, 0] = crf.allowed_starts[1] = not rules
    crf.temperature = 1.5
    emissions, mask = make_batch((4, 2, 0), 3)
    return crf, emissions, mask


def ask(crf, method, emissions, mask):
    """Return one number made of everything that a method returns; each entry counts in a way of its own."""
    partly = TAGS.masked_fill(torch.arange(4) == 1, UNKNOWN)
    sets = (torch.arange(3) != 1).expand(3, 4, 3)
    spans = torch.tensor([0, 1, 0]), torch.tensor([1, 0, 2]), sets[:, :2]
    calls = {
        "forward": lambda: crf(emissions, TAGS, mask),
        "partly": lambda: crf(emissions, partly, mask),
        "sets": lambda: crf(emissions, sets, mask),
        "path_score": lambda: crf.path_score(emissions, TAGS, mask),
        "span_log_probs": lambda: crf.span_log_probs(emissions, mask, *spans),
        "nll_and_log_marginals": lambda: torch.cat(
            [result.flatten() for result in crf.nll_and_log_marginals(emissions, partly, mask)]
        ),
    }
    result = calls[method]() if method in calls else getattr(crf, method)(emissions, mask)
    result = result.masked_fill(result.isinf(), 0.0).flatten()
    return (result.square() * torch.linspace(0.5, 1.5, len(result), dtype=result.dtype)).sum()


@pytest.mark.parametrize("method", METHODS)
def test_functional_gradients_are_those_of_autograd(method):
    crf, emissions, mask = case()
    parameters = dict(crf.named_parameters())

    by_emissions = grad(lambda e: ask(crf, method, e, mask))(emissions)
    by_parameters = grad(lambda p: functional_call(Asked(crf, method), p, (emissions, mask)))(
        {f"crf.{name}": parameter.detach() for name, parameter in parameters.items()}
    )

    inputs = [emissions.requires_grad_(), *parameters.values()]
    expected = torch.autograd.grad(ask(crf, method, emissions, mask), inputs)
    for found, wanted in zip([by_emissions, *by_parameters.values()], expected, strict=True):
        assert wanted.any()
        torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)


class Asked(torch.nn.Module):
    def __init__(self, crf, method):
        super().__init__()
        self.crf, self.method = crf, method

    def forward(self, emissions, mask):
        return ask(self.crf, self.method, emissions, mask)


def test_functional_gradients_pass_by_paths_which_have_none():
    crf, emissions, mask = case()

    def loss(emissions):
        path = crf.decode(emissions, mask)[0].clamp_min(0)
        others = [crf.nbest(emissions, mask, 2)[0][:, 1], crf.decode_by_marginals(emissions, mask)[0]]
        others.append(crf.sample(emissions, mask, 1, torch.Generator().manual_seed(0))[:, 0])
        known = sum(crf(emissions, other.clamp_min(0), mask).clamp_max(1e3).sum() for other in others)
        return crf(emissions, path, mask).sum() + known

    found = grad(loss)(emissions)

    emissions.requires_grad_()
    torch.testing.assert_close(found, torch.autograd.grad(loss(emissions), emissions)[0])


@pytest.mark.parametrize("method", ["forward", "log_marginals", "entropy"])
def test_functional_jacobians_are_those_of_autograd(method):
    crf, emissions, mask = case(rules=False)
    arguments = (TAGS, mask) if method == "forward" else (mask,)

    def function(emissions):
        return getattr(crf, method)(emissions, *arguments)

    expected = torch.autograd.functional.jacobian(function, emissions)
    torch.testing.assert_close(jacrev(function)(emissions), expected)
    torch.testing.assert_close(torch.autograd.functional.jacobian(function, emissions, vectorize=True), expected)


def test_a_gradient_may_be_part_of_a_function_of_something_else():
    crf, emissions, mask = case()
    direction = torch.rand_like(emissions)

    def slope(direction):
        return (direction * grad(lambda e: ask(crf, "forward", e, mask))(emissions)).sum()

    torch.testing.assert_close(grad(slope)(direction), grad(lambda e: ask(crf, "forward", e, mask))(emissions))


@pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")  # of PyTorch's own forward mode
@pytest.mark.parametrize("method", [method for method in METHODS if method != "path_score"])
@pytest.mark.parametrize("way", ["penalty", "hessian", "functional hessian", "gradient of a gradient", "forward mode"])
def test_second_derivatives_are_refused_rather_than_zero(method, way):
    crf, emissions, mask = case()

    def function(emissions):
        return ask(crf, method, emissions, mask)

    def penalty():
        inputs = [emissions.requires_grad_(), *crf.parameters()]
        gradients = torch.autograd.grad(function(emissions), inputs, create_graph=True)
        sum(gradient.square().sum() for gradient in gradients).backward()

    ways = {
        "penalty": penalty,
        "hessian": lambda: torch.autograd.functional.hessian(function, emissions),
        "functional hessian": lambda: hessian(function)(emissions),
        "gradient of a gradient": lambda: grad(lambda e: grad(function)(e).square().sum())(emissions),
        "forward mode": lambda: jvp(function, (emissions,), (emissions,)),
    }
    with pytest.raises(RuntimeError, match=r"the CRF has first derivatives only, in reverse mode .* `marginals`"):
        ways[way]()


def test_a_penalty_of_a_plain_gradient_is_refused():
    """Its graph hangs on nothing but the CRF: what the gradient is asked with, ones, needs none."""
    crf, emissions, mask = case()
    emissions.requires_grad_()
    (gradient,) = torch.autograd.grad(crf(emissions, TAGS, mask).sum(), emissions, create_graph=True)

    with pytest.raises(RuntimeError, match="the CRF has first derivatives only"):
        gradient.square().sum().backward()


def test_vmap_is_refused():
    crf, emissions, mask = case()

    with pytest.raises(RuntimeError, match=r"the CRF has first derivatives only, .* \(no Hessian, .* jvp or vmap\)"):
        vmap(lambda e: crf.log_partition(e[None], mask[:1]))(emissions)


def test_a_graph_of_gradients_that_nobody_differentiates_changes_nothing():
    """As optimisers of the second order ask for it on behalf of other layers."""
    crf, emissions, mask = case()
    emissions.requires_grad_()
    scale = torch.ones((), dtype=torch.float64, requires_grad=True)
    expected = torch.autograd.grad(ask(crf, "nll_and_log_marginals", emissions, mask), emissions)[0]

    loss = ask(crf, "nll_and_log_marginals", emissions, mask)
    (gradient,) = torch.autograd.grad(loss, emissions, create_graph=True)

    torch.testing.assert_close(gradient.detach(), expected)
    assert torch.autograd.grad(scale * gradient.detach().sum(), scale)[0].isfinite()


def test_second_derivatives_can_be_had_as_the_message_says():
    """The Hessian of log Z is the Jacobian of the marginals."""
    crf, emissions, mask = case()

    found = torch.autograd.functional.jacobian(lambda e: crf.marginals(e, mask), emissions)

    step, numeric = 1e-5, torch.zeros_like(found)
    for index in torch.cartesian_prod(torch.arange(2), torch.arange(4), torch.arange(3)).tolist():
        change = torch.zeros_like(emissions)
        change[tuple(index)] = step
        slopes = [
            torch.autograd.grad(crf.log_partition(e, mask).sum(), e)[0]
            for e in ((emissions + sign * change).requires_grad_() for sign in (1, -1))
        ]
        numeric[(..., *index)] = (slopes[0] - slopes[1]) / (2 * step)
    torch.testing.assert_close(found, numeric, rtol=1e-6, atol=1e-8)


def test_hooks_on_saved_tensors_do_not_mind_the_recomputation():
    crf, emissions, mask = case()
    emissions.requires_grad_()
    expected = torch.autograd.grad(ask(crf, "log_marginals", emissions, mask), emissions)[0]

    with torch.autograd.graph.save_on_cpu():
        (found,) = torch.autograd.grad(ask(crf, "log_marginals", emissions, mask), emissions)

    torch.testing.assert_close(found, expected)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")  # dynamo looks at it
def test_a_compiled_crf_gives_the_same_loss_and_gradients():
    crf, emissions, mask = case()
    compiled = torch.compile(crf, backend="aot_eager")

    found = torch.autograd.grad(compiled(emissions, TAGS, mask)[:2].sum(), list(crf.parameters()))

    expected = torch.autograd.grad(crf(emissions, TAGS, mask)[:2].sum(), list(crf.parameters()))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("method", METHODS)
def test_inference_mode_changes_no_result(method):
    crf, emissions, mask = case()
    expected = ask(crf, method, emissions, mask).detach()

    with torch.inference_mode():
        found = ask(crf, method, emissions, mask)

    assert found == expected
