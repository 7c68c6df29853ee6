"""How the results of `LinearChainCRF` get their gradients, and which derivatives are refused.

Ships with every checkpoint: imports torch only.

The recursions keep no graph, because one that holds every step costs more time and memory than the recursions
themselves. So autograd is told the gradients. There are two kinds of result:

    a total: log Z, or the NLL. Its gradient is the expected counts, which are known as soon as the total is.
    a reading: what a formula computes from the vectors of the recursions, such as the log marginals. Each training
        step computes one, and almost nobody asks for its gradient. So nothing is prepared for it: the backward pass
        computes the reading once more, in logs, where torch can follow every step.

Both gradients are computed without a graph of their own. So a second derivative would come out as 0 without any sign
of an error. It is refused instead (`_Once`).
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, ParamSpec, TypeVar, cast

import torch
from torch import Tensor

__all__ = ["Question", "Sums", "uncompiled", "untracked"]

FIRST_ORDER = (
    "the CRF has first derivatives only, in reverse mode (no Hessian, gradient penalty, jvp or vmap): for second ones "
    "differentiate `marginals`, which are the gradient of `log_partition` with respect to the emissions"
)
Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def uncompiled(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Keep a function out of `torch.compile`.

    The loops of the CRF run over words. A compiler unrolls them, and compiles them anew for every length.
    """
    return cast(Callable[Parameters, Result], torch.compiler.disable(function))


@uncompiled
def untracked(function: Callable[..., Result], *inputs: object) -> Result:
    """Call a function whose results have no gradient, and whose loops run in inference mode."""
    try:
        return function(*inputs)
    except RuntimeError:  # inference mode refuses the wrapped tensors of `torch.func`, which `apply` unwraps
        return _Untracked.apply(function, *inputs)


class _Untracked(torch.autograd.Function):
    """A function without gradients, as `torch.func` can call it."""

    @staticmethod
    def forward(function: Callable[..., Any], *inputs: Any) -> Any:
        return function(*inputs)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.mark_non_differentiable(*(output if isinstance(output, tuple) else (output,)))

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return (None,) * len(ctx.needs_input_grad)


class Question(NamedTuple):
    """How to compute a total, a reading, or both, from one pass over the rows."""

    answer: Callable[[Tensor, Tensor, Tensor | None, Sequence[Tensor]], tuple[Tensor | None, ...]]
    """Takes emissions, mask, tags and transition scores. Returns the total or None, the reading or None, and if the
    gradient of the total is wanted, three tensors more: which rows have none, (B,), and the expected counts of tags
    and moves, as `crf_engine.Expectation`."""
    read_in_logs: Callable[..., Tensor] | None
    """Takes mask, emissions, and the three transition scores. Returns the reading, with a graph. None if there is no
    reading."""


class Sums(torch.autograd.Function):
    """The total and the reading of a question.

    `torch.func` does not look into `forward`. It unwraps the tensors that are arguments of it, and no others. This is
    why the question must not contain a tensor that is to be differentiated.
    """

    @staticmethod
    def forward(
        question: Question, emissions: Tensor, mask: Tensor, tags: Tensor | None, *transition_scores: Tensor
    ) -> tuple[Tensor | None, ...]:
        total, reading, *counts = question.answer(emissions, mask, tags, transition_scores)
        return total, reading, emissions.new_empty(0), *counts

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor | None, ...]) -> None:
        ctx.question, emissions, mask, _, *transition_scores = inputs
        _, reading, link, *counts = output
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*counts)
        again = [] if reading is None else [emissions, mask, *transition_scores]
        ctx.save_for_backward(link, *counts, *again)

    @staticmethod
    def backward(ctx: Any, total: Tensor | None, reading: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
        link, *saved = ctx.saved_tensors
        gradients: Sequence[Tensor] = ()
        with torch.no_grad():
            if total is not None:
                gradients = _gradients_of_total(total, *saved[:3])
            if reading is not None:
                again = _gradients_of_reading(ctx.question.read_in_logs, reading, *saved[-5:])
                gradients = [a + b for a, b in zip(gradients, again, strict=True)] if gradients else again
        if not gradients:
            return (None,) * 7
        if torch.is_grad_enabled():
            gradients = _Once.apply(link, *gradients)
        emissions, *transition_scores = gradients
        return None, emissions, None, None, *transition_scores

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> None:
        raise RuntimeError(FIRST_ORDER)

    @staticmethod
    def vmap(info: Any, in_dims: Any, *inputs: Any) -> None:
        raise RuntimeError(FIRST_ORDER)


def _gradients_of_total(gradient: Tensor, impossible: Tensor, tag_counts: Tensor, move_counts: Tensor) -> list[Tensor]:
    """Weight each row's expected counts by the gradient of its total; a row without any path has gradient 0."""
    gradient = gradient.masked_fill(impossible, 0.0)[:, None, None]
    by_moves = (gradient * move_counts).sum(0)
    return [gradient * tag_counts, by_moves[-1, :-1], by_moves[:-1, -1], by_moves[:-1, :-1]]


def _gradients_of_reading(
    read_in_logs: Callable[..., Tensor], gradient: Tensor, emissions: Tensor, mask: Tensor, *transition_scores: Tensor
) -> tuple[Tensor, ...]:
    """Compute a reading again, in logs, and differentiate it."""
    read = partial(read_in_logs, mask)
    try:
        inputs = [tensor.detach().requires_grad_() for tensor in (emissions, *transition_scores)]
    except RuntimeError:  # inside of `torch.func` only its own way is open, where hooks on saved tensors are not
        return torch.func.vjp(read, emissions, *transition_scores)[1](gradient)
    with torch.enable_grad():
        value = read(*inputs)
    return torch.autograd.grad(value, inputs, gradient)


class _Once(torch.autograd.Function):
    """Gradients that raise an error if they are differentiated again.

    They have no graph, so a penalty that is made of them would count as a constant, and change nothing. Autograd comes
    to `backward` by way of the link: an empty tensor, which is an output of `Sums` and so depends on all its inputs.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(link: Tensor, *gradients: Tensor) -> tuple[Tensor, ...]:
        return tuple(gradient.clone() for gradient in gradients)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> None:
        raise RuntimeError(FIRST_ORDER)
