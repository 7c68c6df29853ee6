r"""Linear-chain conditional random field: score, sum over, search and sample the tag paths of a sequence.

    s(x, y)     = start[y_1] + sum_t emissions[t, y_t] + sum_t transitions[y_t, y_{t+1}] + end[y_n]
    p(y | x)    = exp s(x, y) / Z(x)          Z(x) = sum over all y of exp s(x, y)

Shapes use three letters: B sequences, T positions, K tags. Scores are natural logs, so adding scores multiplies
weights and `logsumexp` adds weights. `transitions[i, j]` is the score of going **from** tag i **to** tag j. A *move*
is a step from one tag to the next one. The start, to the first tag, and the end, from the last one, are moves as well.

Results and gradients are exact to rounding, for scores of any size. A forbidden move has weight 0 in the sums and is
never taken in the search. Gradients are of the first order: to differentiate them again is an error.

This file is the public layer: `LinearChainCRF` says what each result means, and puts it together from what the other
files do. `crf_engine.py` computes sums over all paths, and `crf_decoding.py` maxima. `crf_tiers.py` chooses the
arithmetic of the sums, `crf_autograd.py` gives the results their gradients, and `crf_checks.py` refuses arguments that
break a rule.

Ships with every checkpoint: imports torch only.

References:
    J. Lafferty, A. McCallum, F. Pereira, "Conditional random fields", ICML 2001, sec. 3 (the model and its gradient).
    L. R. Rabiner, "A tutorial on hidden Markov models", 1989, sec. III-A (forward, backward) and III-B (Viterbi).
"""

import math
from collections.abc import Callable, Sequence
from functools import partial, wraps
from typing import Concatenate, NamedTuple, ParamSpec, TypeVar

import torch
from torch import Tensor, nn

from .crf_autograd import Question, Sums, uncompiled, untracked
from .crf_checks import (
    check_count,
    check_mask,
    check_path,
    check_path_or_sets,
    check_scores,
    check_shapes,
    check_spans,
    check_tags,
    facts_of_mask,
    facts_of_scores,
    facts_of_sets,
    facts_of_tags,
    glance,
)
from .crf_decoding import UNKNOWN, nbest, viterbi
from .crf_engine import (
    Draft,
    Sweep,
    Trellis,
    add_up,
    draft_of,
    entropy,
    expectation,
    first_rows,
    log_marginals,
    pairwise_marginals,
    path_scores,
    sample,
    span_log_probs,
    sweep,
    trellis_of,
    walk,
)
from .crf_kernels import kernels_run, run_expectation, run_sweep
from .crf_tiers import LOG_TIER, Tier, precisions, widest

__all__ = ["UNKNOWN", "LinearChainCRF"]

Formula = Callable[[Trellis, Sweep], Tensor]
"""What is read off the vectors that the recursions leave behind, as tensors that have the rows in their first axis."""
Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def _fetched(
    method: Callable[Concatenate["LinearChainCRF", Parameters], Result],
) -> Callable[Concatenate["LinearChainCRF", Parameters], Result]:
    """Make a method run the hook that accelerate puts on a module whose parameters are offloaded.

    The hook fetches the parameters, and brings the arguments to their device. Accelerate runs it around `forward`
    alone.
    """

    @wraps(method)
    def run(self: "LinearChainCRF", *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        hook = vars(self).get("_hf_hook")
        if hook is None or self._is_fetched:
            return method(self, *args, **kwargs)
        self._is_fetched = True
        try:
            args, kwargs = hook.pre_forward(self, *args, **kwargs)
            return hook.post_forward(self, method(self, *args, **kwargs))
        finally:
            self._is_fetched = False

    return run


class LinearChainCRF(nn.Module):
    """A linear-chain CRF over K tags, with start and end transitions and hard constraints.

    Every method takes `emissions`, float (B, T, K), the score of each tag at each position, and `mask`, bool (B, T),
    True on the first n >= 0 positions of each row and False on the rest. Values under a False position have no effect
    on any result or gradient. Rows may be empty: the empty path is then the only one. Half-precision scores are taken
    as float32, whatever autocast does; float64 stays float64.

    Args:
        num_tags: K, at least 1.

    Attributes:
        start_transitions: float (K,), score of starting with a tag. All three are float32, or float64 where that is
            torch's default.
        end_transitions: float (K,), score of ending with a tag.
        transitions: float (K, K), score of going from tag i to tag j.
        temperature: float, 1 at first: what the three are divided by wherever they are used. Who divides the emissions
            by it as well makes all probabilities flatter, or steeper if it is less than 1, and leaves the order of the
            paths as it is. A tagger's CRF gets it from the configuration, at every use.
        allowed_starts, allowed_ends, allowed_transitions: bool, same shapes. A path with a move that is False here has
            probability 0 and is never decoded. All True at first; not in the `state_dict`.
        written_for: what they were written for, in the words of whoever writes them; None at first.

    A score may also be -inf, which forbids its tag or move. A score that is +inf or nan makes the sums nan, and is an
    error where paths are searched. A finite score forbids nothing, however low it is: every path that has finite
    scores only has a finite log probability.

    Raises:
        ValueError: from every method, if a shape or dtype disagrees, or the mask has a hole; from those that return
            paths, if a score is +inf or not a number.
    """

    allowed_starts: Tensor
    allowed_ends: Tensor
    allowed_transitions: Tensor
    temperature: float = 1.0
    written_for: object = None
    _is_fetched = False

    def __init__(self, num_tags: int):
        super().__init__()
        if num_tags < 1:
            raise ValueError(f"num_tags must be at least 1, got {num_tags}")
        self.num_tags = num_tags
        dtype = torch.promote_types(torch.get_default_dtype(), torch.float32)  # never half precision
        self.start_transitions = nn.Parameter(torch.zeros(num_tags, dtype=dtype))
        self.end_transitions = nn.Parameter(torch.zeros(num_tags, dtype=dtype))
        self.transitions = nn.Parameter(torch.zeros(num_tags, num_tags, dtype=dtype))
        self.register_buffer("allowed_starts", torch.ones(num_tags, dtype=torch.bool), persistent=False)
        self.register_buffer("allowed_ends", torch.ones(num_tags, dtype=torch.bool), persistent=False)
        self.register_buffer("allowed_transitions", torch.ones(num_tags, num_tags, dtype=torch.bool), persistent=False)

    def forward(self, emissions: Tensor, tags: Tensor, mask: Tensor) -> Tensor:
        """Return the negative log likelihood of the given tags, `-log p(tags | x)`.

        Some tags may be unknown. The likelihood is then that of the known ones: the sum over all paths that agree with
        them.

        Args:
            emissions: float (B, T, K).
            tags: int64 (B, T), in [0, K), or -100 where the tag is unknown; or bool (B, T, K), True for each tag that
                the position may have. Ignored where the mask is False.
            mask: bool (B, T).

        Returns:
            (B,), at least 0 up to rounding, in nats per sequence. +inf, with gradient 0, where the constraints forbid
            every path that agrees with the tags.
        """
        (nll,) = self._sum(emissions, mask, tags)
        return nll

    @_fetched
    def nll_and_log_marginals(
        self, emissions: Tensor, tags: Tensor, mask: Tensor, checked: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Return the results of `forward` and of `log_marginals`, for the price of one pass over the rows.

        Args:
            emissions, tags, mask: as for `forward`.
            checked: is it known that the mask has no hole, and that each tag under it is in [0, K)? Nothing is looked
                at then, so that a GPU need not be waited for. Other values have arbitrary results, or end the program.

        Returns:
            (B,) and (B, T, K).
        """
        nll, reading = self._sum(emissions, mask, tags, formula=log_marginals, checked=checked)
        return nll, reading

    @_fetched
    def log_partition(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """Add up the weight of every tag path, and return the log of the sum, in O(T K^2).

        Returns:
            (B,). A log-weight, not a probability: it may be positive, and grows with n. 0 for an empty row, -inf where
            the constraints forbid every path.

        Example:
            When every score is zero every path weighs one, so Z counts the paths.

            >>> crf = LinearChainCRF(num_tags=3)
            >>> mask = torch.tensor([[True, True, True, True], [True, True, False, False]])
            >>> crf.log_partition(torch.zeros(2, 4, 3), mask).exp().round().tolist()  # 3**4, 3**2
            [81.0, 9.0]
        """
        (log_z,) = self._sum(emissions, mask)
        return log_z

    @_fetched
    def path_score(self, emissions: Tensor, tags: Tensor, mask: Tensor) -> Tensor:
        """Return the score s(x, y) of one given path for each row.

        Args:
            emissions: float (B, T, K).
            tags: int64 (B, T), in [0, K) wherever the mask is True.
            mask: bool (B, T).

        Returns:
            (B,). 0 for an empty row, -inf for a forbidden path.
        """
        check_shapes(emissions, mask, self.num_tags)
        check_path(tags, mask)
        emissions = _at_least_float32(emissions)
        move_scores = self._move_scores(*self._transition_scores)
        of_mask, of_tags = glance(facts_of_mask(mask), facts_of_tags(tags, mask))
        check_mask(mask, of_mask)
        check_tags(tags, mask, self.num_tags, of_tags, may_be_unknown=False)
        trellis = trellis_of(emissions, mask, move_scores, move_scores.dtype)
        score = path_scores(trellis, walk(tags, ~mask, self.num_tags)) + trellis.offset()
        return _narrowed(torch.where(score == -torch.inf, -torch.inf, score), emissions)

    @_fetched
    @torch.no_grad()
    def decode(
        self, emissions: Tensor, mask: Tensor, biases: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Find the best path of each row, by the Viterbi algorithm, in O(T K^2).

        The search is done in float64, or in float32 where many tags make float64 slow. In float32 the path may be
        worse than the best one, by a difference that float32 cannot tell from 0. If several paths are equally good,
        the same one is found in every batch. The search chooses the two tags in the middle of the row first: for the
        left one the smallest that a best path has there, then for the right one. From there it goes outwards, and
        takes the smallest tag each time.

        Args:
            emissions: float (B, T, K).
            mask: bool (B, T).
            biases: float (K,) and (K, K), added for this search to the scores of starting with a tag and of going from
                tag to tag: for paths with more entities, or fewer, than the most probable one.

        Returns:
            paths: int64 (B, T), -100 where the mask is False.
            scores: (B,), the paths' scores, biases included, 0 for an empty row; -inf where the constraints forbid
                every path (the path is then arbitrary).
        """
        check_shapes(emissions, mask, self.num_tags)
        emissions = _at_least_float32(emissions)
        dtype = precisions(emissions, self.num_tags)[0]

        def search(emissions: Tensor, mask: Tensor, *transition_scores: Tensor) -> tuple[Tensor, Tensor]:
            return _search(emissions, mask, self._searchable(emissions, mask, transition_scores), dtype)

        start, end, transitions = self._transition_scores
        if biases is not None:
            start, transitions = start + biases[0].to(start), transitions + biases[1].to(transitions)
        return untracked(search, emissions, mask, start, end, transitions)

    @_fetched
    @torch.no_grad()
    def decode_by_marginals(self, emissions: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Find the path of each row that has the most right tags to expect, among the allowed paths.

        That is the path with the largest sum of marginals (minimum Bayes risk under the Hamming loss). It may differ
        from the most probable path, which `decode` finds. Ties are resolved as in `decode`.

        Returns:
            paths: int64 (B, T), -100 where the mask is False.
            counts: (B,), how many right tags to expect.
        """
        marginals = self._read(log_marginals, emissions, mask, finite=True).exp()
        move_scores = self._move_scores(*(torch.zeros_like(score) for score in self._transition_scores))
        return untracked(_search, marginals, mask, move_scores, marginals.dtype)

    @_fetched
    def log_marginals(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """Return log P(y_t = k | x), by the forward-backward algorithm.

        Differentiable. This costs nothing as long as no gradient is asked for: the forward pass keeps no graph, and
        the backward pass runs the recursions again, in logs.

        Returns:
            (B, T, K): each row's exponentials sum to 1. -inf for a tag that no allowed path has there, and 0 where the
            mask is False.
        """
        return self._read(log_marginals, emissions, mask)

    @_fetched
    def marginals(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """Return P(y_t = k | x), the probability of each tag at each position given the whole sequence.

        Returns:
            (B, T, K), rows sum to 1; 0 where the mask is False.
        """
        return self.log_marginals(emissions, mask).exp() * mask[..., None]

    @_fetched
    def pairwise_marginals(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """Return P(y_t = i, y_{t+1} = j | x), the probability of each pair of neighbouring tags.

        Returns:
            (B, T-1, K, K): entry [b, t, i, j] is that of tag i at t and tag j at t + 1. 0 where t + 1 is masked.
        """
        return self._read(pairwise_marginals, emissions, mask)

    @_fetched
    def entropy(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """Return the entropy of the distribution over paths, `-sum_y p(y | x) log p(y | x)`.

        Returns:
            (B,), in nats: 0 where one path has all the weight (an empty row too), n log K where all weigh the same. 0
            where the constraints forbid every path.
        """
        return self._read(entropy, emissions, mask)

    @_fetched
    def span_log_probs(
        self, emissions: Tensor, mask: Tensor, rows: Tensor, starts: Tensor, tag_sets: Tensor
    ) -> Tensor:
        """Return the log probability that the tags of a span lie in given tag sets, for many spans at once.

        For example, these words are exactly one entity if their tags lie in sets of one tag each, and the next tag
        lies in the set of all tags that do not continue the entity. Once the recursions are run, a set costs O(K), and
        the product of its size and that of the next set.

        Args:
            emissions: float (B, T, K).
            mask: bool (B, T).
            rows: int64 (N,), the row of each span.
            starts: int64 (N,), its first position.
            tag_sets: bool (N, L, K): which tags agree at the first position of the span, the second, ... A span that
                is shorter than L has sets of all tags at its end. Sets past the end of the row do not count.

        Returns:
            (N,), at most 0 up to rounding; -inf where no allowed path agrees.

        Raises:
            ValueError: if a span starts outside its row.
        """
        check_spans(rows, starts, tag_sets, mask, self.num_tags)

        def formula(trellis: Trellis, swept: Sweep) -> Tensor:
            device = swept.log_z.device
            return span_log_probs(trellis, swept, rows.to(device), starts.to(device), tag_sets.to(device))

        return self._read(formula, emissions, mask)

    @_fetched
    @torch.no_grad()
    def sample(
        self, emissions: Tensor, mask: Tensor, num_samples: int, generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw paths from p(y | x), independently, in O(T K^2 + T K num_samples).

        Args:
            emissions: float (B, T, K).
            mask: bool (B, T).
            num_samples: S, the paths to draw for each row.
            generator: where the randomness comes from; the default generator if None.

        Returns:
            int64 (B, S, T), -100 where the mask is False. Arbitrary where the constraints forbid every path.

        Raises:
            ValueError: if so many paths take more than 4 GiB.
        """
        check_shapes(emissions, mask, self.num_tags)
        emissions = _at_least_float32(emissions)
        size, positions = mask.shape
        numbers = size * num_samples * (positions + 3 * (self.num_tags + 1))
        check_count("num_samples", num_samples, least=0, numbers=numbers)

        def draw(emissions: Tensor, mask: Tensor, *transition_scores: Tensor) -> Tensor:
            draft, tier, _ = self._drafted(emissions, mask, transition_scores, finite=True)
            return sample(*add_up(draft, tier), num_samples, generator).to(mask.device)

        paths = untracked(draw, emissions, mask, *self._transition_scores)
        return paths.clamp_max(self.num_tags - 1).masked_fill(~mask[:, None], UNKNOWN)

    @_fetched
    @torch.no_grad()
    def nbest(self, emissions: Tensor, mask: Tensor, n: int) -> tuple[Tensor, Tensor]:
        """Find the n best paths of each row, best first.

        The search is done in float64. If several paths are equally good, always the same ones are found, in the same
        order.

        Returns:
            paths: int64 (B, n, T), -100 where the mask is False, and all along a path that does not exist.
            scores: (B, n), falling; -inf where a row has fewer than n allowed paths.

        Raises:
            ValueError: if the search for so many paths takes more than 4 GiB.
        """
        check_shapes(emissions, mask, self.num_tags)
        emissions = _at_least_float32(emissions)
        size, positions = mask.shape
        found, states = min(n, self.num_tags**positions), self.num_tags + 1  # there are no more paths
        numbers = size * (n * (positions + 1) + found * states * (positions + 3 * states))
        check_count("n", n, least=1, numbers=numbers)
        move_scores = self._searchable(emissions, mask, self._transition_scores)
        paths, scores = nbest(emissions, mask, move_scores, n)
        exists = mask[:, None] & (scores > -torch.inf).to(mask.device)[..., None]
        return paths.to(mask.device).masked_fill(~exists, UNKNOWN), _narrowed(scores, emissions)

    @_fetched
    def tier(self, emissions: Tensor, mask: Tensor) -> str:
        """Name the arithmetic in which the sums over these rows are done, without doing them.

        Returns:
            "float32 exp", "float64 exp", or "float64 log"; "float64 kernels" if kernels do them, which have no limits
            of range. "float64 log" is slow, and needed only if scores are far apart. All rows of a batch have the same
            one. Sums with tag sets may need a slower one, and so does a row in which every path has a move that scores
            1000 or more below the best move.
        """
        check_shapes(emissions, mask, self.num_tags)
        emissions = _at_least_float32(emissions)
        if kernels_run(emissions):
            return "float64 kernels"
        with torch.no_grad():
            return str(self._drafted(emissions, mask, self._transition_scores)[1])

    def extra_repr(self) -> str:
        return f"num_tags={self.num_tags}"

    @property
    def _transition_scores(self) -> tuple[Tensor, Tensor, Tensor]:
        """The three parameters, divided by the temperature."""
        start, end, transitions = self.start_transitions, self.end_transitions, self.transitions
        if self.temperature == 1.0:
            return start, end, transitions
        return start / self.temperature, end / self.temperature, transitions / self.temperature

    def _move_scores(self, start: Tensor, end: Tensor, transitions: Tensor) -> Tensor:
        """Write the scores of all moves as the engine's one matrix, (K+1, K+1), with -inf where they are forbidden."""
        never = start.new_full((), -torch.inf)
        start = torch.where(self.allowed_starts, start, never)
        end = torch.where(self.allowed_ends, end, never)
        transitions = torch.where(self.allowed_transitions, transitions, never)
        onward = torch.cat([transitions, end[:, None]], 1)
        return torch.cat([onward, nn.functional.pad(start, (0, 1))[None]]).to(widest(start.device))

    def _searchable(self, emissions: Tensor, mask: Tensor, transition_scores: Sequence[Tensor]) -> Tensor:
        """Check the values for a search, and return the scores of the moves, (K+1, K+1)."""
        move_scores = self._move_scores(*transition_scores)
        of_mask, of_scores = glance(facts_of_mask(mask), facts_of_scores(emissions, move_scores))
        check_mask(mask, of_mask)
        self._check_scores(emissions, mask, transition_scores, of_scores)
        return move_scores

    def _drafted(
        self,
        emissions: Tensor,
        mask: Tensor,
        transition_scores: Sequence[Tensor],
        tags: Tensor | None = None,
        finite: bool = False,
        checked: bool = False,
    ) -> tuple[Draft, Tier, Tensor | None]:
        """Check the values for a sum, and let the engine choose its tier, after one glance for both.

        Args:
            emissions, mask, tags: of shapes and dtypes that have been checked.
            transition_scores: as `_transition_scores`.
            finite: is a score of +inf or nan an error?
            checked: are mask and tags known to keep the rules, and are all tags known?

        Returns:
            the batch and its tier, for `add_up`; and the tags as sets, bool (B, T, K), None if every tag is known.
        """
        draft = draft_of(emissions, mask, self._move_scores(*transition_scores))
        if checked:
            return draft, draft.tier(*glance(draft.facts()), choices=False), None
        scores = (*transition_scores, draft.move_scores)
        of_draft, choices, sets = self._checked(emissions, mask, scores, tags, finite, draft.facts())
        return draft, draft.tier(of_draft, choices), sets

    def _checked(
        self,
        emissions: Tensor,
        mask: Tensor,
        scores: Sequence[Tensor],
        tags: Tensor | None,
        finite: bool,
        facts: Sequence[Tensor] = (),
    ) -> tuple[list[float], bool, Tensor | None]:
        """Check the values for a sum, and read other facts from the device in the same glance.

        Args:
            scores: `_transition_scores`, and the matrix of the moves.
            emissions, mask, tags, finite: as for `_drafted`.
            facts: the others.

        Returns:
            the other facts; whether a tag set leaves several tags, but not all; and the tags as sets, bool (B, T, K),
            None if every tag is known.
        """
        *transition_scores, move_scores = scores
        path = tags if tags is not None and tags.dtype == torch.int64 else None
        sets = tags if tags is not None and tags.dtype == torch.bool else None
        of_mask, of_scores, of_path, of_sets, others = glance(
            facts_of_mask(mask),
            facts_of_scores(emissions, move_scores) if finite else [],
            [] if path is None else facts_of_tags(path, mask),
            [] if sets is None else facts_of_sets(sets, mask),
            facts,
        )
        check_mask(mask, of_mask)
        self._check_scores(emissions, mask, transition_scores, of_scores)
        if path is not None:
            check_tags(path, mask, self.num_tags, of_path, may_be_unknown=True)
            if min(of_path) < 0:  # some tag is unknown
                sets = _as_sets(path, self.num_tags)
        return others, any(of_sets), sets

    def _check_scores(
        self, emissions: Tensor, mask: Tensor, transition_scores: Sequence[Tensor], facts: Sequence[float]
    ) -> None:
        """Check that no score is +inf or nan where it is used; the facts say whether one is anywhere."""
        if all(fact < math.inf for fact in facts):  # False for nan
            return
        start, end, transitions = transition_scores
        check_scores("emissions", emissions, mask[..., None])
        check_scores("start_transitions", start, self.allowed_starts)
        check_scores("end_transitions", end, self.allowed_ends)
        check_scores("transitions", transitions, self.allowed_transitions)

    def _read(self, formula: Formula, emissions: Tensor, mask: Tensor, finite: bool = False) -> Tensor:
        """Run the recursions, and apply a formula to what they leave behind; differentiable."""
        (reading,) = self._sum(emissions, mask, formula=formula, total=False, finite=finite)
        return reading

    @uncompiled
    def _sum(
        self,
        emissions: Tensor,
        mask: Tensor,
        tags: Tensor | None = None,
        formula: Formula | None = None,
        total: bool = True,
        finite: bool = False,
        checked: bool = False,
    ) -> list[Tensor]:
        """Return what is asked for, from one pass over the rows; differentiable.

        Args:
            emissions, mask, tags: as for `forward`, not checked so far.
            formula: what to read off the vectors that the recursions leave behind.
            total: is the sum itself asked for?
            finite: is a score of +inf or nan an error?
            checked: as for `nll_and_log_marginals`.

        Returns:
            log Z, or the NLL if there are tags, if `total`; then what the formula reads, if there is one.
        """
        check_shapes(emissions, mask, self.num_tags)
        if tags is not None:
            check_path_or_sets(tags, mask, emissions)
        emissions = _at_least_float32(emissions)
        scores = self._transition_scores
        needs_gradient = torch.is_grad_enabled() and any(t.requires_grad for t in (emissions, *scores))
        asked = _Asked(formula, total, total and needs_gradient, finite, checked)
        again = None if formula is None else partial(self._read_in_logs, formula)
        # Nothing is differentiated in inference mode, where `apply` would cost a tenth of what a short sentence does.
        run = Sums.forward if torch.is_inference_mode_enabled() else Sums.apply
        results = run(Question(partial(self._answer, asked), again), emissions, mask, tags, *scores)
        return [result for result in results[:2] if result is not None]

    def _read_in_logs(self, formula: Formula, mask: Tensor, emissions: Tensor, *transition_scores: Tensor) -> Tensor:
        """Compute a reading in logs, with a graph."""
        trellis = trellis_of(emissions, mask, self._move_scores(*transition_scores), LOG_TIER.dtype)
        return formula(trellis, sweep(trellis, LOG_TIER)).to(emissions)

    def _answer(
        self,
        asked: "_Asked",
        emissions: Tensor,
        mask: Tensor,
        tags: Tensor | None,
        transition_scores: Sequence[Tensor],
    ) -> tuple[Tensor | None, ...]:
        """Compute what is asked for, without a graph: what a `Question` needs."""
        if kernels_run(emissions):
            return self._answer_by_kernels(asked, emissions, mask, tags, transition_scores)
        draft, tier, sets = self._drafted(emissions, mask, transition_scores, tags, asked.finite, asked.checked)
        trellis, swept = add_up(draft, tier, sets, asked.both_directions)
        total = reading = None
        counts: list[Tensor] = []
        if asked.formula is not None:
            rows = (trellis, swept) if sets is None else first_rows(trellis, swept, len(mask))
            reading = asked.formula(*rows)
            reading = reading.to(emissions) if swept.tier.plain else _narrowed(reading, emissions)
        if asked.total:
            gold = log_weight = None
            if tags is not None and sets is None:
                device = swept.log_z.device
                gold = walk(tags.to(device), ~mask.to(device), self.num_tags)
                log_weight = path_scores(trellis, gold)
            total, impossible = _total(swept.log_z, trellis.offset, log_weight, halves=sets is not None)
            if asked.counts:
                expected = expectation(trellis, swept, emissions.dtype, gold)
                counts = _counts(impossible, expected, emissions.device, halves=sets is not None)
            total = _narrowed(total, emissions)
        return total, reading, *counts

    def _answer_by_kernels(
        self,
        asked: "_Asked",
        emissions: Tensor,
        mask: Tensor,
        tags: Tensor | None,
        transition_scores: Sequence[Tensor],
    ) -> tuple[Tensor | None, ...]:
        """Compute the same in a few launches on a GPU."""
        move_scores = self._move_scores(*transition_scores)
        sets = None
        if not asked.checked:
            *_, sets = self._checked(emissions, mask, (*transition_scores, move_scores), tags, asked.finite)
        rows, row_mask = emissions, mask
        if sets is not None:
            rows = torch.cat([emissions, emissions.masked_fill(~sets, -torch.inf)])
            row_mask = torch.cat([mask, mask])
        swept = run_sweep(rows, row_mask, move_scores, asked.both_directions)
        found = run_expectation(
            rows,
            move_scores,
            swept,
            gold=tags if sets is None and asked.total else None,
            counts=asked.counts,
            logs=asked.formula is log_marginals,
        )
        total, reading, counts = None, found.log_marginals, []
        if reading is not None:
            reading = reading if sets is None else reading[: len(mask)].clone()
        elif asked.formula is not None:
            trellis = trellis_of(emissions, mask, move_scores, torch.float64)
            vectors = Sweep(*swept.logs(), swept.log_z, LOG_TIER)
            reading = _narrowed(asked.formula(*first_rows(trellis, vectors, len(mask))), emissions)
        if asked.total:
            total, impossible = _total(swept.log_z, lambda: swept.offset, found.gold_score, halves=sets is not None)
            if found.tag_counts is not None and found.move_counts is not None:
                expected = (found.tag_counts, found.move_counts)
                counts = _counts(impossible, expected, emissions.device, halves=sets is not None)
            total = _narrowed(total, emissions)
        return total, reading, *counts


class _Asked(NamedTuple):
    """What `_sum` is asked for."""

    formula: Formula | None
    total: bool
    counts: bool  # the gradient of the total
    finite: bool
    checked: bool

    @property
    def both_directions(self) -> bool:
        return self.counts or self.formula is not None


def _total(
    log_z: Tensor, offset: Callable[[], Tensor], log_weight: Tensor | None, halves: bool
) -> tuple[Tensor, Tensor]:
    """Return log Z, or an NLL, and which rows have no path to sum over, (B,) both.

    Args:
        log_z: (B,), less the offset.
        offset: returns what was subtracted from the score of each path, (B,).
        log_weight: the score of the path whose NLL it is, (B,), less the offset.
        halves: has the batch two halves, the second of them with tag sets? It is then the NLL of the sets.
    """
    if halves:
        log_z, log_weight = (log_z + offset()).chunk(2)
    if log_weight is None:
        return log_z + offset(), log_z == -torch.inf
    # If the weight is 0 the NLL is +inf, even if Z is 0 as well. What is nan stays nan.
    nll = log_z.clamp_min(torch.finfo(log_z.dtype).min) - log_weight
    return nll, nll == torch.inf


def _counts(impossible: Tensor, expected: Sequence[Tensor], device: torch.device, halves: bool) -> list[Tensor]:
    """Return what autograd keeps of a total: which rows have no gradient, and the expected counts."""
    if halves:
        expected = [torch.sub(*count.chunk(2)) for count in expected]
    return [tensor.to(device) for tensor in (impossible, *expected)]


def _as_sets(tags: Tensor, num_tags: int) -> Tensor:
    """Write tags, some of them unknown, as sets, bool (B, T, K)."""
    tags = tags[..., None]
    return (tags == torch.arange(num_tags, device=tags.device)) | (tags == UNKNOWN)


def _search(emissions: Tensor, mask: Tensor, move_scores: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    paths, scores = viterbi(emissions, mask, move_scores, dtype)
    return paths, _narrowed(scores, emissions)


def _at_least_float32(emissions: Tensor) -> Tensor:
    # bfloat16 has 8 significant bits: past 512 it moves in steps of 4, more than one position adds.
    return emissions if emissions.dtype == torch.float64 else emissions.float()


def _narrowed(value: Tensor, emissions: Tensor) -> Tensor:
    """Bring a result to the emissions' dtype and device. What is finite stays so, because infinity means forbidden."""
    if value.dtype == emissions.dtype:
        return value.to(emissions.device, copy=True)  # an ordinary tensor, even if it was made in inference mode
    limit = torch.finfo(emissions.dtype).max
    return torch.where(value.isinf(), value, value.clamp(-limit, limit)).to(emissions)
