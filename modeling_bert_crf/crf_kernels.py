r"""The recursions of the CRF as kernels for a GPU: sums over all paths in two launches, the best paths in one.

Ships with every checkpoint: imports torch, and Triton where there is one. Shapes use B sequences, T positions, K tags,
and P = T + 2. The words state, stop, move and outside are those of `crf_engine.py`.

Why: to start an operation on a GPU takes longer than to do it, if it is small, and a recursion is a chain of small
ones. For 128 words the engine starts about 350. Here one program walks down one row in one direction, with the matrix
of the moves in its registers, and starts nothing on its way.

How: a weight, exp(score), can leave the range of every float. The engine measures the scores beforehand, and chooses
its arithmetic by them (`crf_tiers.py`). Here each weight is two numbers instead, m and e, for m 2^e: the mantissa m is
0, or at least 1 and at most 4, and e is an integer; both are float64. So there is nothing to choose, because no
weight is too small or too large. A score of -inf is the weight 0. A score of +inf, or nan, makes m nan. Where weights
are added, each m is brought to the largest e by a factor 2^d, which is made of bits moved into their place. So no step
has to wait for an exponential or a logarithm. All results are what the engine computes in logs in float64. (Scores of
more than 1e15 lose their digits, as they do in logs, and not the same ones.) The compiler must not join products with
sums, since the fraction of a logarithm would then hold what rounding took from its product.

Both directions of the recursion are the same kernel: the backward one reads the row from its end, and the matrix of
the moves transposed.

No GPU has run these kernels so far: they are proven in Triton's interpreter, and taken by its compiler. So they run
only where they are asked for, by `BERT_CRF_KERNELS=1` in the environment.

References:
    L. R. Rabiner, "A tutorial on hidden Markov models", 1989, sec. III-A, III-B and V-A.
"""

# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false

import math
import os
import warnings
from functools import cache
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from torch import Tensor

try:
    import triton
    import triton.language as tl
except ImportError:
    triton, tl = None, SimpleNamespace(constexpr=int)

__all__ = ["Expected", "Swept", "kernels_run", "run_expectation", "run_search", "run_sweep"]

SWITCH = "BERT_CRF_KERNELS"
"""The environment variable that turns the kernels on, if it is 1."""
MOST_STATES = 64
"""With more states the matrix of the moves does not fit into the registers of one program."""
CHUNK = 16
"""How many moves one program counts."""


def _kernel(**options: Any) -> Any:
    return triton.jit(**options) if triton is not None else lambda function: function


@_kernel()
def _power(exponent):
    """Return 2^exponent of float64 integers of at most 1023; 0 if it is smaller than all normal numbers."""
    return ((tl.maximum(exponent, -1023.0) + 1023.0).to(tl.int64) << 52).to(tl.float64, bitcast=True)


@_kernel()
def _weight(score):
    """Return the mantissa and the exponent of exp(score)."""
    is_finite = score - score == 0.0
    binary = score * 1.4426950408889634  # the logarithm to base 2, still finite where the score is
    binary = tl.minimum(tl.maximum(binary, -1.7976931348623157e308), 1.7976931348623157e308)
    exponent = tl.floor(binary)
    is_zero = score == float("-inf")
    mantissa = tl.where(is_finite, tl.exp2(binary - exponent), tl.where(is_zero, 0.0, float("nan")))
    return mantissa, tl.where(is_finite, exponent, tl.where(is_zero, float("-inf"), 0.0))


@_kernel()
def _normal(mantissa, exponent):
    """Bring a mantissa that is 0, or any normal number, between 1 and 2 again."""
    bits = mantissa.to(tl.int64, bitcast=True)
    shift = ((bits >> 52) & 2047) - 1023
    scaled = ((bits & 0xFFFFFFFFFFFFF) | (1023 << 52)).to(tl.float64, bitcast=True)
    is_number = (mantissa > 0.0) & (shift < 1024)
    exponent = tl.where(mantissa == 0.0, float("-inf"), exponent + tl.where(is_number, shift, 0))
    return tl.where(is_number, scaled, mantissa), exponent


@_kernel()
def _moves_of(moves, place, before, after, tags):
    """Return the scores of the moves less the largest of them, but not that of waiting outside; and the largest."""
    scores = tl.load(moves + place, (before <= tags) & (after <= tags), float("-inf"))
    best = tl.max(tl.max(scores, 0), 0)
    return tl.where((before == tags) & (after == tags), 0.0, scores - best), best


@_kernel()
def _emitted(emissions, word, length, state, tags, by_word, by_tag):
    """Return the scores of the states at a word, or outside."""
    inside = (word >= 0) & (word < length)
    there = state < tl.where(inside, tags, 0)
    own = tl.load(emissions + word * by_word + state * by_tag, there, float("-inf")).to(tl.float64)
    return tl.where(state == tl.where(inside, -1, tags), 0.0, own)


@_kernel()
def _scores_of(emissions, word, length, state, tags, by_word, by_tag):
    """Return the scores of the states at a word, less the largest of them; and the largest, which is finite."""
    own = _emitted(emissions, word, length, state, tags, by_word, by_tag)
    peak = tl.maximum(tl.max(own, 0), -1.7976931348623157e308)
    return own - peak, peak


@_kernel(do_not_specialize=["positions", "by_row"])
def _sweep_kernel(
    emissions,
    lengths,
    moves,  # (K+1 from, K+1 to)
    vectors,  # (4, P, 2, B, K+1)
    log_z,  # (2, B)
    positions,
    tags,
    by_row,
    by_word,
    by_tag,
    BLOCK: tl.constexpr,
):
    """Walk down one row in one direction, and write the weight of all that leads to each state."""
    row, back, rows = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.num_programs(0)
    states = tags + 1
    state = tl.arange(0, BLOCK)
    before, after = state[:, None], state[None, :]
    move = tl.where(back == 1, after * states + before, before * states + after)
    move_scores, best_move = _moves_of(moves, move, before, after, tags)
    move_m, move_e = _weight(move_scores)
    length = tl.load(lengths + row)
    m, e = _weight(tl.where(state == tags, 0.0, float("-inf")).to(tl.float64))
    by_stop = 2 * rows.to(tl.int64) * states
    by_kind = (positions + 2) * by_stop
    place = vectors + (back * rows + row) * states + state
    tl.store(place, m, state < states)
    tl.store(place + by_kind, e, state < states)
    tl.store(place + 2 * by_kind, m, state < states)
    tl.store(place + 3 * by_kind, e, state < states)
    offset = tl.where(length > 0, (length + 1) * best_move, 0.0)
    for stop in range(1, positions + 2):
        word = tl.where(back == 1, positions - stop, stop - 1)
        own, peak = _scores_of(emissions + row * by_row, word, length, state, tags, by_word, by_tag)
        own_m, own_e = _weight(own)
        offset += peak
        sum_e = e[:, None] + move_e
        top = tl.maximum(tl.max(sum_e, 0), -1.7976931348623157e308)
        m, e = _normal(tl.sum(m[:, None] * move_m * _power(sum_e - top[None, :]), 0), top)
        place += by_stop
        tl.store(place, m, state < states)
        tl.store(place + by_kind, e, state < states)
        m, e = m * own_m, e + own_e
        tl.store(place + 2 * by_kind, m, state < states)
        tl.store(place + 3 * by_kind, e, state < states)
    if back == 0:
        z_m = tl.sum(tl.where(state == tags, m, 0.0), 0)
        z_e = tl.sum(tl.where(state == tags, e, 0.0), 0)
        tl.store(log_z + row, tl.where(z_m == 0.0, float("-inf"), tl.log(z_m) + z_e * 0.6931471805599453))
        tl.store(log_z + rows + row, offset)


@_kernel()
def _vector(place, by_kind, is_state):
    """Return the mantissas and the exponents of one of the `vectors`."""
    return tl.load(place, is_state, 0.0), tl.load(place + by_kind, is_state, float("-inf"))


@_kernel()
def _state_at(path, word, length, tags, by_word):
    """Return the state of a path at a word, or outside."""
    return tl.load(path + word * by_word, (word >= 0) & (word < length), tags)


@_kernel(do_not_specialize=["positions", "by_row", "gold_by_row"])
def _expectation_kernel(
    emissions,
    lengths,
    moves,
    vectors,
    gold,  # int64 (B, T), or nothing
    gold_scores,  # (B, chunks)
    log_marginals,  # (B, T, K), or nothing
    tag_counts,  # (B, T, K), or nothing
    move_counts,  # (B, chunks, K+1, K+1)
    positions,
    tags,
    by_row,
    by_word,
    by_tag,
    gold_by_row,
    gold_by_word,
    HAS_GOLD: tl.constexpr,
    HAS_LOGS: tl.constexpr,
    HAS_COUNTS: tl.constexpr,
    LEAST: tl.constexpr,
    CHUNK: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Read the probabilities of the tags and moves of one row off its vectors, for some stops of it."""
    row, chunk = tl.program_id(0).to(tl.int64), tl.program_id(1)
    rows, chunks = tl.num_programs(0), tl.num_programs(1)
    states = tags + 1
    state = tl.arange(0, BLOCK)
    before, after = state[:, None], state[None, :]
    is_state, is_move = state < states, (before < states) & (after < states)
    move_scores, best_move = _moves_of(moves, before * states + after, before, after, tags)
    move_m, move_e = _weight(move_scores)
    by_stop = 2 * rows.to(tl.int64) * states
    by_kind = (positions + 2) * by_stop
    length = tl.load(lengths + row)
    counts = move_m * 0.0
    gold_score = tl.sum(tl.sum(counts, 0), 0)
    for stop in range(chunk * CHUNK + 1, tl.minimum(chunk * CHUNK + CHUNK, positions + 1) + 1):
        word = stop - 1
        left = vectors + stop * by_stop + row * states + state  # the vectors of the forward direction
        right = vectors + (positions + 1 - stop) * by_stop + (rows + row) * states + state
        m, e = _vector(left, by_kind, is_state)
        onward_m, onward_e = _vector(right + 2 * by_kind, by_kind, is_state)
        m, e = m * onward_m, e + onward_e
        top = tl.maximum(tl.max(e, 0), -1.7976931348623157e308)
        total = tl.sum(m * _power(e - top), 0)
        total = tl.where(total == 0.0, 1.0, total)
        share = m / total
        place = (row * positions + word) * tags + state
        is_tag = state < tl.where(word < positions, tags, 0)
        if HAS_LOGS:
            log_p = tl.log(share) + (e - top) * 0.6931471805599453
            log_p = tl.where(log_p < LEAST, LEAST, log_p)  # what is finite stays so
            log_p = tl.where(share == 0.0, float("-inf"), log_p)
            tl.store(log_marginals + place, tl.where(word < length, log_p, 0.0), is_tag)
        count = share * _power(e - top)
        if HAS_COUNTS:
            upto_m, upto_e = _vector(left - by_stop + 2 * by_kind, by_kind, is_state)
            pair_e = (upto_e - top)[:, None] + move_e + onward_e[None, :]
            counts += upto_m[:, None] * move_m * (onward_m / total)[None, :] * _power(pair_e)
        if HAS_GOLD:
            path = gold + row * gold_by_row
            last = _state_at(path, word - 1, length, tags, gold_by_word)
            tag = _state_at(path, word, length, tags, gold_by_word)
            own, _ = _scores_of(emissions + row * by_row, word, length, state, tags, by_word, by_tag)
            move_score = tl.load(moves + last * states + tag) - best_move
            gold_score += tl.where(last + tag == 2 * tags, 0.0, move_score)
            gold_score += tl.sum(tl.where(state == tag, own, 0.0), 0)
            count -= tl.where(state == tag, 1.0, 0.0)
            counts -= tl.where((before == last) & (after == tag), 1.0, 0.0)
        if HAS_COUNTS:
            tl.store(tag_counts + place, count, is_tag)  # 0 past the last word, where outside is certain
    if HAS_COUNTS:
        tl.store(move_counts + (row * chunks + chunk) * states * states + before * states + after, counts, is_move)
    if HAS_GOLD:
        tl.store(gold_scores + row * chunks + chunk, gold_score)


@_kernel(do_not_specialize=["positions", "half", "by_row"])
def _search_kernel(
    emissions,
    lengths,
    moves,
    pointers,  # int8 (B, 2, half, K+1)
    paths,  # int64 (B, T)
    scores,  # (B,)
    positions,
    half,
    tags,
    by_row,
    by_word,
    by_tag,
    BLOCK: tl.constexpr,
):
    """Search one row from both ends to its middle, as `crf_decoding.viterbi` does, and trace the path back."""
    row = tl.program_id(0).to(tl.int64)
    states = tags + 1
    state = tl.arange(0, BLOCK)
    before, after = state[:, None], state[None, :]
    is_move = (before < states) & (after < states)
    onward = tl.load(moves + before * states + after, is_move, float("-inf"))
    backward = tl.load(moves + after * states + before, is_move, float("-inf"))
    length = tl.load(lengths + row)
    middle = length // 2
    emissions += row * by_row
    left_pointers = pointers + row * 2 * half * states + state
    right_pointers = left_pointers + half * states
    left_best = tl.load(moves + tags * states + state, state < states, float("-inf"))  # from outside
    right_best = tl.load(moves + state * states + tags, state < states, float("-inf"))
    left_own = _emitted(emissions, middle - half, length, state, tags, by_word, by_tag)
    right_own = _emitted(emissions, middle + half - 1, length, state, tags, by_word, by_tag)
    for step in range(1, half):
        # The sums are rounded in the order of `crf_decoding`, so that paths which tie there tie here.
        left_best, left = tl.max((left_own[:, None] + onward) + left_best[:, None], 0, return_indices=True)
        right_best, right = tl.max((right_own[:, None] + backward) + right_best[:, None], 0, return_indices=True)
        tl.store(left_pointers + step * states, left.to(tl.int8), state < states)
        tl.store(right_pointers + step * states, right.to(tl.int8), state < states)
        left_own = _emitted(emissions, middle - half + step, length, state, tags, by_word, by_tag)
        right_own = _emitted(emissions, middle + half - 1 - step, length, state, tags, by_word, by_tag)
    # Lines are the states to the left of the middle, columns those to the right.
    meeting = (left_own + left_best)[:, None] + onward + (right_own + right_best)[None, :]
    best, left = tl.max(tl.max(meeting, 1), 0, return_indices=True)
    _, right = tl.max(tl.max(tl.where(before == left, meeting, float("-inf")), 0), 0, return_indices=True)
    tl.store(scores + row, best)
    tl.debug_barrier()  # the pointers are read by other threads than those that wrote them
    paths += row * positions
    for back in range(0, half):
        step = half - 1 - back
        word = middle - 1 - back
        tl.store(paths + word, tl.minimum(left, tags - 1).to(tl.int64), word >= 0)
        word = middle + back
        tl.store(paths + word, tl.minimum(right, tags - 1).to(tl.int64), word < length)
        if step > 0:
            left = tl.load(pointers + (row * 2 * half + step) * states + left).to(tl.int32)
            right = tl.load(pointers + (row * 2 * half + half + step) * states + right).to(tl.int32)


class Swept(NamedTuple):
    """What the recursions leave behind, for `run_expectation` and for the formulas of `crf_engine.py`."""

    vectors: Tensor  # (4, P, 2, B, K+1), float64: m and e of the excluding vectors, then of the including ones
    log_z: Tensor  # (B,), float64, less the largest score of each word and of the moves
    offset: Tensor  # (B,), the sum of those
    lengths: Tensor  # int64 (B,)

    def logs(self) -> tuple[Tensor, Tensor]:
        """Return the logs of the excluding and of the including vectors, (P, 2, B, K+1), as in `crf_engine.Sweep`."""
        mantissas, exponents = self.vectors[0::2], self.vectors[1::2]
        excluding, including = mantissas.log() + exponents * math.log(2.0)
        return excluding, including


class Expected(NamedTuple):
    """What is read off the vectors; None where it was not asked for."""

    log_marginals: Tensor | None  # (B, T, K), -inf where the tag is impossible, 0 where the mask is False
    tag_counts: Tensor | None  # (B, T, K), as in `crf_engine.Expectation`, less the path's
    move_counts: Tensor | None  # (B, K+1, K+1)
    gold_score: Tensor | None  # (B,), of the path, less the offset


def kernels_run(emissions: Tensor) -> bool:
    """Say whether these kernels compute the results for emissions, (B, T, K): if they are on a GPU, and asked for.

    Raises:
        ValueError: if the environment variable is neither 0 nor 1.
    """
    switch = os.environ.get(SWITCH, "0")
    if switch not in ("0", "1"):
        raise ValueError(f"{SWITCH} must be 0 or 1, got {switch!r}")
    if switch == "0" or not (emissions.is_cuda or os.environ.get("TRITON_INTERPRET") == "1"):
        return False
    if triton is None:
        _warn_of_engine()
        return False
    return emissions.shape[2] < MOST_STATES and emissions.numel() > 0


@cache  # so that it is said once
def _warn_of_engine() -> None:
    warnings.warn(f"{SWITCH} is 1, but Triton is not installed: the CRF runs without kernels", stacklevel=3)


def _options(num_tags: int) -> dict[str, int]:
    block = max(16, triton.next_power_of_2(num_tags + 1))
    return {"BLOCK": block, "num_warps": max(1, block * block // 256), "enable_fp_fusion": False}


def run_sweep(emissions: Tensor, mask: Tensor, move_scores: Tensor, both_directions: bool) -> Swept:
    """Run the forward recursion, and the backward one beside it if both directions are asked for.

    Args:
        emissions: float (B, T, K), of which `kernels_run` says True.
        mask: bool (B, T), without a hole.
        move_scores: float64 (K+1, K+1), -inf where forbidden, as `LinearChainCRF._move_scores` writes them.
        both_directions: without it there is log Z alone.
    """
    rows, positions, tags = emissions.shape
    vectors = emissions.new_empty(4, positions + 2, 2, rows, tags + 1, dtype=torch.float64)
    log_z = emissions.new_empty(2, rows, dtype=torch.float64)
    lengths = mask.sum(1)
    with torch.cuda.device_of(emissions):
        _sweep_kernel[rows, 1 + both_directions](
            emissions, lengths, move_scores, vectors, log_z,
            positions, tags, *emissions.stride(), **_options(tags),
        )  # fmt: skip
    return Swept(vectors, log_z[0], log_z[1], lengths)


def run_expectation(
    emissions: Tensor,
    move_scores: Tensor,
    swept: Swept,
    gold: Tensor | None = None,
    counts: bool = False,
    logs: bool = False,
) -> Expected:
    """Read probabilities off the vectors.

    Args:
        emissions, move_scores: as for `run_sweep`.
        swept: what that returned.
        gold: int64 (B, T), in [0, K) where the mask is True: a path whose score is asked for, and whose counts are
            subtracted.
        counts: are the expected counts asked for?
        logs: are the log marginals?
    """
    if gold is None and not counts and not logs:
        return Expected(None, None, None, None)
    rows, positions, tags = emissions.shape
    chunks = triton.cdiv(positions + 1, CHUNK)
    log_marginals = torch.empty_like(emissions, memory_format=torch.contiguous_format) if logs else None
    tag_counts = torch.empty_like(emissions, memory_format=torch.contiguous_format) if counts else None
    of_moves = emissions.new_empty(rows, chunks, tags + 1, tags + 1, dtype=torch.float64) if counts else None
    of_gold = emissions.new_empty(rows, chunks, dtype=torch.float64) if gold is not None else None
    with torch.cuda.device_of(emissions):
        _expectation_kernel[rows, chunks](
            emissions, swept.lengths, move_scores, swept.vectors,
            gold, of_gold, log_marginals, tag_counts, of_moves,
            positions, tags, *emissions.stride(), *((0, 0) if gold is None else gold.stride()),
            gold is not None, logs, counts, torch.finfo(emissions.dtype).min, CHUNK, **_options(tags),
        )  # fmt: skip
    move_counts = None if of_moves is None else of_moves.sum(1).to(emissions.dtype)
    return Expected(log_marginals, tag_counts, move_counts, None if of_gold is None else of_gold.sum(1))


def run_search(emissions: Tensor, mask: Tensor, move_scores: Tensor, fill: int) -> tuple[Tensor, Tensor]:
    """Find the best paths, int64 (B, T), `fill` where the mask is False, and their scores, float64 (B,).

    Args:
        emissions, mask, move_scores: as for `run_sweep`, with no score that is +inf or nan.
    """
    rows, positions, tags = emissions.shape
    half = max(1, (positions + 1) // 2)
    pointers = emissions.new_empty(rows, 2, half, tags + 1, dtype=torch.int8)
    paths = torch.full_like(mask, fill, dtype=torch.int64, memory_format=torch.contiguous_format)
    scores = emissions.new_empty(rows, dtype=torch.float64)
    with torch.cuda.device_of(emissions):
        _search_kernel[rows,](
            emissions, mask.sum(1), move_scores, pointers, paths, scores,
            positions, half, tags, *emissions.stride(), **_options(tags),
        )  # fmt: skip
    return paths, scores
