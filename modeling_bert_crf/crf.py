r"""Linear-chain conditional random field: score, sum over, search and sample the tag paths of a sequence.

    s(x, y)     = start[y_1] + sum_t emissions[t, y_t] + sum_t transitions[y_t, y_{t+1}] + end[y_n]
    p(y | x)    = exp s(x, y) / Z(x)          Z(x) = sum over all y of exp s(x, y)

Shapes use three letters: B sequences, T positions, K tags. Scores are natural logs, so adding scores multiplies
weights and `logsumexp` adds weights. `transitions[i, j]` is the score of going **from** tag i **to** tag j.

The class checks its arguments, and gives the results of `crf_engine.py` (sums) and `crf_decoding.py` (maxima) their
gradients. Results and gradients are exact to rounding for scores of any size; a forbidden move has weight 0, in the
sums and in the search alike. Gradients are of the first order: to differentiate them again is an error.

Ships with every checkpoint: imports torch only.

References:
    J. Lafferty, A. McCallum, F. Pereira, "Conditional random fields", ICML 2001, sec. 3 (the model and its gradient).
    L. R. Rabiner, "A tutorial on hidden Markov models", 1989, sec. III-A (forward, backward) and III-B (Viterbi).
"""

import math
import warnings
from collections.abc import Callable, Sequence
from functools import cache, wraps
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .crf_decoding import UNKNOWN, nbest, viterbi
from .crf_engine import (
    LOG_TIER,
    Chain,
    Range,
    Sweep,
    Tier,
    entropy,
    expectation,
    first_rows,
    lay_out,
    log_marginals,
    log_partition,
    measure,
    pairwise_marginals,
    path_scores,
    peaks,
    sample,
    span_log_probs,
    sweep,
    tabulate,
    walk,
    widest,
)

FIRST_ORDER = (
    "the CRF has first derivatives only, in reverse mode (no Hessian, gradient penalty, jvp or vmap): for second ones "
    "differentiate `marginals`, which are the gradient of `log_partition` with respect to the emissions"
)
AT_MOST = 2**29
"""How many numbers a search for many paths, or a draw of them, may hold at once: 4 GiB."""


def _fetched(method: Callable[..., Any]) -> Callable[..., Any]:
    """Run the hook that accelerate hangs on `forward` around another method, too: it fetches parameters that were
    offloaded, and brings the arguments to where they are."""

    @wraps(method)
    def run(self: "LinearChainCRF", *args: Any, **kwargs: Any) -> Any:
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
        temperature: float, 1 at first: what the three are divided by wherever they are used. Divide the emissions by
            it too, and all probabilities become flatter or steeper, while the order of the paths stays as it is. A
            tagger's CRF gets it from the configuration, at every use.
        allowed_starts, allowed_ends, allowed_transitions: bool, same shapes. Where False, no path may pass: its
            probability is 0 and it is never decoded. All True at first; not in the `state_dict`.

    A score may be -inf, which forbids as well. One that is +inf or not a number makes sums that are not numbers, and
    is an error where paths are looked for. However low a finite score, what it allows has a finite log probability.

    Raises:
        ValueError: from every method, if a shape or dtype disagrees, or the mask has a hole; from those that return
            paths, if a score is +inf or not a number.
    """

    temperature: float = 1.0
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

        Where tags are only partly known, the likelihood is that of what is known: the sum over every path that agrees
        with it.

        Args:
            emissions: float (B, T, K).
            tags: int64 (B, T), in [0, K), or -100 where the tag is unknown; or bool (B, T, K), True for each tag that
                it may be. Ignored where the mask is False.
            mask: bool (B, T).

        Returns:
            (B,), at least 0 up to rounding, in nats per sequence. +inf, with gradient 0, where the constraints forbid
            every path that agrees with the tags.
        """
        return self._sum(emissions, mask, tags)[0]

    @_fetched
    def nll_and_log_marginals(self, emissions: Tensor, tags: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return what `forward` and what `log_marginals` returns, from one pass over the chain.

        Args:
            emissions, tags, mask: as for `forward`.

        Returns:
            (B,) and (B, T, K).
        """
        return self._sum(emissions, mask, tags, formula=log_marginals)

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
        return self._sum(emissions, mask)[0]

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
        emissions = self._agreed(emissions, mask, tags)
        given = self._read_off(emissions, mask, self._scores, tags, partly=False, measured=False)
        chain = _lay_out(given.emissions, mask, given.moves, given.moves.dtype)
        score = path_scores(chain, walk(tags, ~mask, self.num_tags)) + chain.offset()
        return _narrowed(torch.where(score == -torch.inf, -torch.inf, score), emissions)

    @_fetched
    @torch.no_grad()
    def decode(self, emissions: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Find the best path of each row, by the Viterbi algorithm, in O(T K^2).

        Searched in float64, or where many tags make that slow in float32: the path may then be worse than the best one
        by what float32 cannot tell apart. Of equally good paths it is always the same one that is
        found, whatever batch the row is in: the two tags at the row's middle are chosen first (the left one the
        smallest that a best path has there, then the right one), then outwards, each the smallest.

        Returns:
            paths: int64 (B, T), -100 where the mask is False.
            scores: (B,), the paths' scores, 0 for an empty row; -inf where the constraints forbid every path (the path
                is then arbitrary).
        """
        emissions = self._agreed(emissions, mask)
        dtype = self._dtypes(emissions)[0]

        def search(emissions: Tensor, mask: Tensor, *scores: Tensor) -> tuple[Tensor, Tensor]:
            given = self._read_off(emissions, mask, scores, measured=False, finite=True)
            return _search(emissions, mask, given.moves, dtype)

        return _Untracked.run(search, emissions, mask, *self._scores)

    @_fetched
    @torch.no_grad()
    def decode_by_marginals(self, emissions: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Find the allowed path of each row with the most right tags to be expected, rather than the most probable.

        That is the largest sum of marginals along a path (minimum Bayes risk under the Hamming loss). Ties as in
        `decode`.

        Returns:
            paths: int64 (B, T), -100 where the mask is False.
            counts: (B,), how many right tags to expect.
        """
        marginals = self._sum(emissions, mask, formula=log_marginals, total=False, finite=True)[1].exp()
        moves = self._moves(*(torch.zeros_like(score) for score in self._scores))
        return _Untracked.run(_search, marginals, mask, moves, marginals.dtype)

    @_fetched
    def log_marginals(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """Return log P(y_t = k | x), by the forward-backward algorithm.

        Differentiable at the price of nothing until somebody asks: the forward pass keeps no graph, and the backward
        pass runs the recursions again, in the log domain.

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
        """Return the log probability that stretches of the path lie in given tag sets, for many stretches at once.

        "These words are exactly this entity" is such a question: sets of one tag each, and after them the set of all
        tags that do not continue the entity. It costs O(L K^2) a span, once the recursions are run.

        Args:
            emissions: float (B, T, K).
            mask: bool (B, T).
            rows: int64 (N,), the row of each span.
            starts: int64 (N,), its first position.
            tag_sets: bool (N, L, K): which tags are allowed at the first position, the second, ... Shorter spans end
                in sets of all tags. What is asked of positions past the row's end holds.

        Returns:
            (N,), at most 0 up to rounding; -inf where no allowed path agrees.

        Raises:
            ValueError: if a span starts outside its row.
        """
        if tag_sets.dtype != torch.bool or tag_sets.shape[2:] != (self.num_tags,) or tag_sets.shape[1:2] == (0,):
            raise ValueError(
                f"tag_sets must be torch.bool (N, L, {self.num_tags}) with L at least 1, got {tag_sets.dtype} "
                f"{tuple(tag_sets.shape)}"
            )
        for name, index in (("rows", rows), ("starts", starts)):
            if index.dtype != torch.int64 or index.shape != tag_sets.shape[:1]:
                raise ValueError(
                    f"{name} must be torch.int64 ({len(tag_sets)},), got {index.dtype} {tuple(index.shape)}"
                )
        wrong = (rows < 0) | (rows >= len(mask))
        wrong = wrong | (starts < 0) | (starts >= mask.sum(1)[rows.masked_fill(wrong, 0)] if len(mask) else True)
        if wrong.any():
            span = int(wrong.nonzero()[0])
            raise ValueError(f"span {span} must start inside its row, got row {rows[span]}, start {starts[span]}")

        def formula(chain: Chain, vectors: Sweep) -> Tensor:
            device = vectors.log_z.device
            return span_log_probs(chain, vectors, rows.to(device), starts.to(device), tag_sets.to(device))

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
        emissions = self._agreed(emissions, mask)
        size, positions = mask.shape
        if num_samples < 0:
            raise ValueError(f"num_samples must be at least 0, got {num_samples}")
        _refuse_too_many("num_samples", num_samples, size * num_samples * (positions + 3 * (self.num_tags + 1)))

        def draw(emissions: Tensor, mask: Tensor, *scores: Tensor) -> Tensor:
            given = self._read_off(emissions, mask, scores, finite=True)
            return sample(*self._add_up(given), num_samples, generator).to(mask.device)

        paths = _Untracked.run(draw, emissions, mask, *self._scores)
        return paths.clamp_max(self.num_tags - 1).masked_fill(~mask[:, None], UNKNOWN)

    @_fetched
    @torch.no_grad()
    def nbest(self, emissions: Tensor, mask: Tensor, n: int) -> tuple[Tensor, Tensor]:
        """Find the n best paths of each row, best first.

        Searched in float64. Of equally good paths it is always the same ones, in the same order, that are found.

        Returns:
            paths: int64 (B, n, T), -100 where the mask is False, and all along a path that does not exist.
            scores: (B, n), falling; -inf where a row has fewer than n allowed paths.

        Raises:
            ValueError: if the search for so many paths takes more than 4 GiB.
        """
        emissions = self._agreed(emissions, mask)
        if n < 1:
            raise ValueError(f"n must be at least 1, got {n}")
        size, positions = mask.shape
        found, states = min(n, self.num_tags**positions), self.num_tags + 1  # there are no more paths
        _refuse_too_many("n", n, size * (n * (positions + 1) + found * states * (positions + 3 * states)))
        given = self._read_off(emissions, mask, self._scores, measured=False, finite=True)
        paths, scores = nbest(*_widened(emissions, mask, given.moves), n)
        exists = mask[:, None] & (scores > -torch.inf).to(mask.device)[..., None]
        return paths.to(mask.device).masked_fill(~exists, UNKNOWN), _narrowed(scores, emissions)

    @_fetched
    def tier(self, emissions: Tensor, mask: Tensor) -> str:
        """Name the arithmetic in which the sums over these rows are done, without doing them.

        Returns:
            "float32 exp", "float64 exp", or the slow "float64 log", which only scores far apart ask for. The rows of a
            batch share one. Tag sets may ask for a later one, and so does a row whose paths are all softly forbidden.
        """
        emissions = self._agreed(emissions, mask)
        with torch.no_grad():
            return str(self._tier(self._read_off(emissions, mask, self._scores)))

    def extra_repr(self) -> str:
        return f"num_tags={self.num_tags}"

    @property
    def _scores(self) -> tuple[Tensor, Tensor, Tensor]:
        scores = self.start_transitions, self.end_transitions, self.transitions
        return scores if self.temperature == 1.0 else tuple(score / self.temperature for score in scores)

    def _moves(self, start: Tensor, end: Tensor, transitions: Tensor) -> Tensor:
        """Write the scores of all moves as the engine's one matrix, (K+1, K+1), with -inf where they are forbidden."""
        never = start.new_full((), -torch.inf)
        start = torch.where(self.allowed_starts, start, never)
        end = torch.where(self.allowed_ends, end, never)
        transitions = torch.where(self.allowed_transitions, transitions, never)
        onward = torch.cat([transitions, end[:, None]], 1)
        return torch.cat([onward, nn.functional.pad(start, (0, 1))[None]]).to(widest(start.device))

    def _dtypes(self, scores: Tensor) -> list[torch.dtype]:
        """Return the precisions to try, the preferred one first.

        On a CPU float64 costs nothing as long as the steps are small, and needs fewer rescalings. On CUDA it is also
        out of reach of TF32, whose products have 10 significant bits.
        """
        if scores.device.type == "mps":
            return [torch.float32]
        narrow = scores.dtype == torch.float32 and scores.device.type == "cpu" and self.num_tags >= 32
        return [torch.float32, torch.float64] if narrow else [torch.float64]

    def _agreed(self, emissions: Tensor, mask: Tensor, tags: Tensor | None = None, partly: bool = False) -> Tensor:
        """Check what can be told without a look at the values, and return the emissions in float32 or wider."""
        if emissions.dim() != 3 or emissions.shape[2] != self.num_tags or not emissions.is_floating_point():
            raise ValueError(
                f"emissions must be float (B, T, {self.num_tags}), got {emissions.dtype} {tuple(emissions.shape)}"
            )
        if mask.dtype != torch.bool or mask.shape != emissions.shape[:2]:
            raise ValueError(
                f"mask must be torch.bool {tuple(emissions.shape[:2])}, got {mask.dtype} {tuple(mask.shape)}"
            )
        sets_given = partly and tags is not None and tags.dtype == torch.bool
        if tags is not None and (
            tags.shape != (emissions.shape if sets_given else mask.shape)
            or not (sets_given or tags.dtype == torch.int64)
        ):
            rule = "torch.int64 with the mask's shape" + (" or torch.bool with that of emissions" if partly else "")
            raise ValueError(f"tags must be {rule}, got {tags.dtype} {tuple(tags.shape)}")
        # bfloat16 has 8 significant bits: past 512 it moves in steps of 4, more than one position adds.
        return emissions if emissions.dtype == torch.float64 else emissions.float()

    def _read_off(
        self,
        emissions: Tensor,
        mask: Tensor,
        scores: Sequence[Tensor],
        tags: Tensor | None = None,
        partly: bool = True,
        measured: bool = True,
        finite: bool = False,
    ) -> "_Given":
        """Check the values, and measure what the range guard asks for; read all of it from the device at once.

        Args:
            emissions, mask, tags: as `_agreed` lets them pass.
            scores: as `_scores`.
            partly: may tags be unknown?
            measured: will there be sums?
            finite: is a score that is +inf or not a number an error?
        """
        moves = self._moves(*scores)
        facts = [(mask[:, 1:] > mask[:, :-1]).any()]
        finite = finite and emissions.numel() > 0
        if finite:
            facts += [emissions.amax(), moves.amax()]  # nan, if there is one
        sets_given = tags is not None and tags.dtype == torch.bool
        if tags is not None:
            facts += _facts_of_sets(tags, mask) if sets_given else _facts_of_tags(tags, mask)
        table = peak = None
        if measured:
            table = tabulate(emissions, self._dtypes(emissions)[0])
            peak = peaks(table)
            facts += measure(table, peak, ~mask, moves)
        hole, *facts = torch.stack(facts).tolist()
        if hole:
            row = int((mask[:, 1:] > mask[:, :-1]).any(1).nonzero()[0])
            raise ValueError(
                f"mask must be True on a prefix of every row, got {mask[row].int().tolist()} in row {row}"
            )
        if finite:
            largest, best, *facts = facts
            if not (largest < math.inf and best < math.inf):
                self._check_scores(emissions, mask, scores)
        partial = sets = sets_given
        if sets_given:
            sets, *facts = facts
        elif tags is not None:
            lowest, highest, *facts = facts
            partial = lowest < 0
            if partial or highest >= self.num_tags:
                self._check_tags(tags, mask, partly)
        measures = Range(*facts) if measured else None
        return _Given(emissions, mask, moves, table, peak, measures, partial, bool(sets))

    def _check_scores(self, emissions: Tensor, mask: Tensor, scores: Sequence[Tensor]) -> None:
        named = {
            "emissions": (emissions, mask[..., None]),
            "start_transitions": (scores[0], self.allowed_starts),
            "end_transitions": (scores[1], self.allowed_ends),
            "transitions": (scores[2], self.allowed_transitions),
        }
        for name, (tensor, used) in named.items():
            for index in (used & ~(tensor < torch.inf)).nonzero()[:1].tolist():
                value = tensor[tuple(index)].item()
                raise ValueError(f"{name} must be finite, or -inf where forbidden, got {value} at {index}")

    def _check_tags(self, tags: Tensor, mask: Tensor, partly: bool) -> None:
        wrong = mask & ((tags < 0) | (tags >= self.num_tags)) & ~((tags == UNKNOWN) & partly)
        for row, position in wrong.nonzero()[:1].tolist():
            rule = f"in [0, {self.num_tags})" + (f" or {UNKNOWN}" if partly else "")
            raise ValueError(f"tags must be {rule}, got {tags[row, position]} in row {row}, position {position}")

    def _tier(self, given: "_Given") -> Tier:
        return given.range.tier(*given.emissions.shape[1:], given.sets, self._dtypes(given.emissions))

    def _add_up(
        self,
        given: "_Given",
        run: Callable[[Chain, Tier], Any] = sweep,
        sets: Tensor | None = None,
    ) -> Any:
        """Lay out the chain and run the recursions over it in the first tier that is safe.

        With tag sets the batch is doubled: its second half has only the paths that agree with them.

        Returns:
            the chain, and what `run` makes of it.
        """
        emissions, mask, moves = given.emissions, given.mask, given.moves
        tier = self._tier(given)
        if sets is not None:
            emissions = torch.cat([emissions, emissions.masked_fill(~sets, -torch.inf)])
            mask = torch.cat([mask, mask])
        if sets is None and tier.dtype == given.table.dtype:
            chain = lay_out(given.table, given.peak, ~mask, moves)
        else:
            chain = _lay_out(emissions, mask, moves, tier.dtype)
        result = run(chain, tier)
        log_z = result if isinstance(result, Tensor) else result.log_z
        if tier.soft and (log_z == -torch.inf).any():
            chain = _lay_out(emissions, mask, moves, LOG_TIER.dtype)
            result = run(chain, LOG_TIER)
        return chain, result

    def _read(self, formula: Callable[[Chain, Sweep], Tensor], emissions: Tensor, mask: Tensor) -> Tensor:
        """Run the recursions, and read a differentiable result off what they leave behind."""
        return self._sum(emissions, mask, formula=formula, total=False)[1]

    @torch.compiler.disable  # the loops run over words: unrolled, they would be compiled anew for every length
    def _sum(
        self,
        emissions: Tensor,
        mask: Tensor,
        tags: Tensor | None = None,
        formula: Callable[[Chain, Sweep], Tensor] | None = None,
        total: bool = True,
        finite: bool = False,
    ) -> tuple[Tensor | None, Tensor | None]:
        """Return log Z, or with tags the NLL, if a `total` is asked for; and what the formula reads, if there is one.

        From one pass over the chain, and differentiable.
        """
        emissions = self._agreed(emissions, mask, tags, partly=True)
        scores = self._scores
        needs_gradient = torch.is_grad_enabled() and any(t.requires_grad for t in (emissions, *scores))
        question = _Question(self, formula, total, total and needs_gradient, finite)
        # Nothing is differentiated in inference mode, where `apply` would cost a tenth of what a short sentence does.
        run = _Sums.forward if torch.is_inference_mode_enabled() else _Sums.apply
        return run(question, emissions, mask, tags, *scores)[:2]

    def _answer(
        self, question: "_Question", emissions: Tensor, mask: Tensor, tags: Tensor | None, scores: Sequence[Tensor]
    ) -> tuple[Tensor | None, ...]:
        """Compute what is asked for.

        Returns:
            the total; what the formula reads; and if gradients are wanted where the total has none, (B,), and the
            expected counts that are its gradient.
        """
        given = self._read_off(emissions, mask, scores, tags, finite=question.finite)
        sets = _as_sets(tags, self.num_tags) if given.partial else None
        whole = question.formula is not None or question.counts
        chain, vectors = self._add_up(given, sweep if whole else log_partition, sets)
        total = reading = None
        known: list[Tensor] = []
        if question.formula is not None:
            rows = (chain, vectors) if sets is None else first_rows(chain, vectors, len(mask))
            reading = question.formula(*rows)
            reading = reading.to(emissions) if vectors.tier.plain else _narrowed(reading, emissions)
        if question.total:
            log_z = vectors.log_z if whole else vectors
            gold = None
            if tags is None:
                total, impossible = log_z + chain.offset(), log_z == -torch.inf
            else:
                if sets is None:
                    gold = walk(tags.to(log_z.device), ~mask.to(log_z.device), self.num_tags)
                    log_weight = path_scores(chain, gold)
                else:
                    log_z, log_weight = (log_z + chain.offset()).chunk(2)
                # +inf where the weight is 0, of all paths too; but what is not a number stays so.
                total = log_z.clamp_min(torch.finfo(log_z.dtype).min) - log_weight
                impossible = total == torch.inf
            if question.counts:
                counts = expectation(chain, vectors, emissions.dtype, gold)
                if sets is not None:
                    counts = [torch.sub(*count.chunk(2)) for count in counts]
                known = [tensor.to(emissions.device) for tensor in (impossible, *counts)]
            total = _narrowed(total, emissions)
        return total, reading, *known


class _Question(NamedTuple):
    """What `_sum` is asked for."""

    crf: LinearChainCRF
    formula: Callable[[Chain, Sweep], Tensor] | None
    total: bool
    counts: bool
    finite: bool


class _Given(NamedTuple):
    """Checked arguments of a method."""

    emissions: Tensor  # (B, T, K), float32 or float64
    mask: Tensor  # (B, T)
    moves: Tensor  # (K+1, K+1)
    table: Tensor | None  # the emissions as the engine reads them
    peak: Tensor | None
    range: Range | None
    partial: bool  # are tags unknown, or given as sets?
    sets: bool  # is any of the sets neither one tag nor all?


def _lay_out(emissions: Tensor, mask: Tensor, moves: Tensor, dtype: torch.dtype) -> Chain:
    """Lay out a chain in a precision, wherever there is that precision; differentiable."""
    if dtype == torch.float64:
        emissions, mask, moves = _widened(emissions, mask, moves)
    table = tabulate(emissions, dtype)
    return lay_out(table, peaks(table), ~mask, moves)


def _facts_of_tags(tags: Tensor, mask: Tensor) -> list[Tensor]:
    """Return the smallest tag and the largest."""
    tags = tags * mask
    return list(tags.aminmax()) if tags.numel() else [tags.sum()] * 2


def _facts_of_sets(sets: Tensor, mask: Tensor) -> list[Tensor]:
    """Return whether any set is a choice between several tags, but not between all."""
    sizes = sets.sum(2)
    return [(mask & (sizes > 1) & (sizes < sets.shape[2])).any()]


def _as_sets(tags: Tensor, num_tags: int) -> Tensor:
    """Write tags, some of them unknown, as sets, bool (B, T, K)."""
    if tags.dtype == torch.bool:
        return tags
    tags = tags[..., None]
    return (tags == torch.arange(num_tags, device=tags.device)) | (tags == UNKNOWN)


def _widened(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Bring tensors to where there is float64."""
    if widest(tensors[0].device) == torch.float64:
        return tensors
    _warn_of_cpu(tensors[0].device.type)
    return tuple(tensor.cpu() for tensor in tensors)


@cache
def _warn_of_cpu(device: str) -> None:
    warnings.warn(f"{device} has no float64: the CRF does its sums on the CPU where they need it", stacklevel=2)


def _search(emissions: Tensor, mask: Tensor, moves: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    paths, scores = viterbi(emissions, mask, moves, dtype)
    return paths, _narrowed(scores, emissions)


def _narrowed(value: Tensor, scores: Tensor) -> Tensor:
    """Bring a result to the scores' dtype and device. What is finite stays finite, since infinity means forbidden."""
    if value.dtype == scores.dtype:
        return value.to(scores.device, copy=True)  # an ordinary tensor, even if it was made in inference mode
    limit = torch.finfo(scores.dtype).max
    return torch.where(value.isinf(), value, value.clamp(-limit, limit)).to(scores)


def _refuse_too_many(name: str, number: int, numbers: int) -> None:
    if numbers > AT_MOST:
        raise ValueError(
            f"{name} must be small enough for the memory, got {number}: so many paths take {numbers:,} numbers, over "
            f"{AT_MOST:,}; ask for fewer, or for fewer rows at a time"
        )


class _Untracked(torch.autograd.Function):
    """Results without gradients."""

    @classmethod
    @torch.compiler.disable  # the loops run over words: unrolled, they would be compiled anew for every length
    def run(cls, function: Callable[..., Any], *inputs: Tensor) -> Any:
        """Return what a function does, whose loops run in inference mode."""
        try:
            return function(*inputs)
        except RuntimeError:  # that mode refuses the wrapped tensors of `torch.func`, which unwraps them for `apply`
            return cls.apply(function, *inputs)

    @staticmethod
    def forward(function: Callable[..., Any], *inputs: Any) -> Any:
        return function(*inputs)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.mark_non_differentiable(*(output if isinstance(output, tuple) else (output,)))

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return (None,) * len(ctx.needs_input_grad)


class _Sums(torch.autograd.Function):
    """Sums that keep no graph. The gradient of a total is known when the total is: the expected counts.

    That of what a formula reads is recomputed in the log domain: almost nobody asks for it, and every training step
    computes the value. `torch.func` does not look into `forward`, and unwraps the tensors that it is given.
    """

    @staticmethod
    def forward(
        question: _Question, emissions: Tensor, mask: Tensor, tags: Tensor | None, *scores: Tensor
    ) -> tuple[Tensor | None, ...]:
        total, reading, *known = question.crf._answer(question, emissions, mask, tags, scores)
        return total, reading, emissions.new_empty(0), *known

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor | None, ...]) -> None:
        ctx.question, emissions, mask, _, *scores = inputs
        _, reading, link, *known = output
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*known)
        ctx.save_for_backward(link, *known, *([] if reading is None else [emissions, mask, *scores]))

    @staticmethod
    def backward(ctx: Any, total: Tensor | None, reading: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
        link, *saved = ctx.saved_tensors
        gradients: Sequence[Tensor] = ()
        with torch.no_grad():
            if total is not None:
                impossible, tags, moves = saved[:3]
                total = total.masked_fill(impossible, 0.0)[:, None, None]
                moves = (total * moves).sum(0)
                gradients = [total * tags, moves[-1, :-1], moves[:-1, -1], moves[:-1, :-1]]
            if reading is not None:
                again = _differentiate(ctx.question, reading, *saved[-5:])
                gradients = [a + b for a, b in zip(gradients, again, strict=True)] if gradients else again
        if not gradients:
            return (None,) * 7
        if torch.is_grad_enabled():
            gradients = _Once.apply(link, *gradients)
        emissions, *scores = gradients
        return None, emissions, None, None, *scores

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> None:
        raise RuntimeError(FIRST_ORDER)

    @staticmethod
    def vmap(info: Any, in_dims: Any, *inputs: Any) -> None:
        raise RuntimeError(FIRST_ORDER)


def _differentiate(
    question: _Question, gradient: Tensor, emissions: Tensor, mask: Tensor, *scores: Tensor
) -> tuple[Tensor, ...]:
    """Return the gradient of what a formula reads, from a recursion in the log domain."""

    def read(emissions: Tensor, *scores: Tensor) -> Tensor:
        chain = _lay_out(emissions, mask, question.crf._moves(*scores), LOG_TIER.dtype)
        return question.formula(chain, sweep(chain, LOG_TIER)).to(emissions)

    try:
        inputs = [tensor.detach().requires_grad_() for tensor in (emissions, *scores)]
    except RuntimeError:  # `torch.func` allows its own way alone, which in turn bears no hooks on saved tensors
        return torch.func.vjp(read, emissions, *scores)[1](gradient)
    with torch.enable_grad():
        value = read(*inputs)
    return torch.autograd.grad(value, inputs, gradient)


class _Once(torch.autograd.Function):
    """Gradients that say so when they are differentiated again; as constants they would make penalties of them 0."""

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
