"""Search for a wrong result of the CRF: random chains against references that share no code with the engine.

    python benchmarks/crf_search.py             # 100,000 small chains and 2,000 long ones; ten minutes on one core
    python benchmarks/crf_search.py --small 5000 --long 50 --seed 1

Small chains are checked against the sum over all paths, long ones against a plain log-domain recursion, both in
float64. They differ in length, number of tags, scale of the scores (0 to 10,000), constraints (none, -inf, -1e4,
rules of IOB2 and BIOES), unknown tags and tag sets, dtype (float64, float32, bfloat16, float16, and autocast).
Checked are log Z, the NLL, the gradients of both with respect to every input, log marginals, entropy and the best
path; of small chains also log marginals of any size, and the entropy's value. Tolerances are those of the result's own
precision. Exits with 1 if anything is outside them.
"""

import argparse
import math
import random
import sys
import time
from contextlib import nullcontext

import torch
from torch import Tensor

from modeling_bert_crf import LinearChainCRF

SCALES = [0.0, 0.1, 1.0, 1.0, 3.0, 10.0, 30.0, 100.0, 1e3, 1e4]
DTYPES = ["float64", "float32", "float32", "bfloat16", "float16", "autocast"]


def constrain(crf: LinearChainCRF, rules: str, rng: random.Random) -> None:
    """Forbid moves: by chance (`-inf`, or softly by -1e4), or as IOB2 and BIOES do for as many types as fit."""
    num_tags = crf.num_tags
    if rules in ("-inf", "-1e4"):
        share = rng.choice([0.1, 0.3, 0.5])
        for scores, allowed in zip(crf.parameters(), crf.buffers(), strict=True):
            forbidden = torch.rand(allowed.shape) < share
            scores.data[forbidden] = -1e4 if rules == "-1e4" else 0.0
            allowed.copy_(~forbidden | (rules == "-1e4"))
    elif rules in ("IOB2", "BIOES"):
        prefixes = "BI" if rules == "IOB2" else "BIES"
        tags = ["O"] + [prefix + str(kind) for kind in range(num_tags) for prefix in prefixes]
        tags = tags[: num_tags - (num_tags - 1) % len(prefixes)] + ["O"] * ((num_tags - 1) % len(prefixes))

        def closes(tag: str) -> bool:
            return tag[0] in ("OES" if rules == "BIOES" else "OBI")

        for i, tag in enumerate(tags):
            crf.allowed_starts[i] = tag[0] in "OBS"
            crf.allowed_ends[i] = closes(tag)
            for j, other in enumerate(tags):
                goes_on = tag[0] in "BI" and tag[1:] == other[1:] and other[0] in "IE"
                crf.allowed_transitions[i, j] = goes_on if other[0] in "IE" else closes(tag)


def reference_log_z(emissions: Tensor, start: Tensor, end: Tensor, transitions: Tensor) -> Tensor:
    """One row (n, K), with every forbidden score -inf: the textbook recursion, one position at a time."""
    if len(emissions) == 0:
        return emissions.new_zeros(()) + 0 * (start[0].clamp(-1, 1) + end[0].clamp(-1, 1))
    alpha = start + emissions[0]
    for row in emissions[1:]:
        alpha = safe_logsumexp(alpha[:, None] + transitions, 0) + row
    return safe_logsumexp(alpha + end, 0)


def safe_logsumexp(scores: Tensor, dim: int) -> Tensor:
    finite = scores.clamp_min(-1e300)
    return torch.where((scores > -torch.inf).any(dim), torch.logsumexp(finite, dim), -torch.inf)


def enumerated_log_z(emissions: Tensor, start: Tensor, end: Tensor, transitions: Tensor) -> Tensor:
    """The same, by the definition: the score of every path."""
    scores = all_scores(emissions, start, end, transitions)[1]
    return safe_logsumexp(scores, 0)


def all_scores(emissions: Tensor, start: Tensor, end: Tensor, transitions: Tensor) -> tuple[Tensor, Tensor]:
    length, num_tags = emissions.shape
    if length == 0:
        return torch.zeros(1, 0, dtype=torch.int64), emissions.new_zeros(1)
    paths = torch.cartesian_prod(*[torch.arange(num_tags)] * length).view(-1, length)
    scores = start[paths[:, 0]] + end[paths[:, -1]] + emissions[torch.arange(length), paths].sum(1)
    return paths, scores + transitions[paths[:, :-1], paths[:, 1:]].sum(1)


class Case:
    """A random batch, and what the reference says of it."""

    def __init__(self, seed: int, long: bool):
        self.seed = seed
        rng = self.rng = random.Random(seed)
        torch.manual_seed(seed)
        self.rules = rng.choice(["none", "none", "-inf", "-1e4", "IOB2", "BIOES"])
        self.dtype_name = rng.choice(DTYPES)
        self.scale, self.move_scale = rng.choice(SCALES), rng.choice([0.0, 0.5, 1.0, 3.0, 10.0])
        if long:
            num_tags = rng.choice([2, 3, 5, 9, 13, 33])
            self.lengths = [rng.choice([0, 1, 30, 100, 200, 300]) for _ in range(rng.randint(1, 3))]
        else:
            num_tags = rng.randint(1, 5)
            self.lengths = [rng.randint(0, {1: 7, 2: 7, 3: 5}.get(num_tags, 4)) for _ in range(rng.randint(1, 4))]
        dtype = torch.float32 if self.dtype_name == "autocast" else getattr(torch, self.dtype_name)
        self.crf = LinearChainCRF(num_tags)
        for parameter in self.crf.parameters():
            torch.nn.init.normal_(parameter, std=self.move_scale)
        constrain(self.crf, self.rules, rng)
        self.crf = self.crf.to(torch.float64 if dtype == torch.float64 else torch.float32)
        positions = max(self.lengths) + rng.randint(0, 2)
        self.mask = torch.arange(positions) < torch.tensor(self.lengths)[:, None]
        emissions = self.scale * torch.randn(len(self.lengths), positions, num_tags, dtype=torch.float64)
        if rng.random() < 0.2:
            emissions += rng.choice([1e2, -1e3])  # a constant has no effect on anything but log Z
        self.emissions = emissions.clamp(-6e4, 6e4).to(dtype)  # within float16
        self.emissions[~self.mask] = rng.choice([0.0, math.nan, math.inf])
        self.tags = self.make_tags(positions, num_tags)

    def make_tags(self, positions: int, num_tags: int) -> Tensor:
        kind, shape = self.rng.choice(["known", "known", "some unknown", "sets"]), (len(self.lengths), positions)
        if self.rng.random() < 0.7:  # a path that is likely and legal, not any
            tags = self.crf.decode(self.emissions + torch.randn_like(self.emissions), self.mask)[0].clamp_min(0)
        else:
            tags = torch.randint(num_tags, shape)
        if kind == "some unknown":
            tags = tags.masked_fill(torch.rand(shape) < 0.5, -100)
        if kind == "sets":
            return (torch.rand(*shape, num_tags) < 0.4) | torch.nn.functional.one_hot(tags, num_tags).bool()
        return tags

    def sets(self) -> Tensor:
        if self.tags.dtype == torch.bool:
            return self.tags
        return (self.tags[..., None] == torch.arange(self.crf.num_tags)) | (self.tags == -100)[..., None]

    def check(self, long: bool) -> list[str]:
        emissions = self.emissions.clone().requires_grad_()
        autocast = torch.autocast("cpu", torch.bfloat16) if self.dtype_name == "autocast" else nullcontext()
        weights = torch.rand(len(self.lengths), dtype=torch.float64)  # so that no two rows count the same
        parameters = list(self.crf.parameters())
        with autocast:
            nll = self.crf(emissions, self.tags, self.mask)
            log_z = self.crf.log_partition(emissions, self.mask)
            log_marginals = self.crf.log_marginals(emissions, self.mask)
            entropy = self.crf.entropy(emissions, self.mask)
            paths, scores = self.crf.decode(emissions, self.mask)
        finite = nll.isfinite()
        total = (torch.where(finite, nll, 0.0) * weights.to(nll)).sum()
        gradients = torch.autograd.grad(total, [emissions, *parameters])

        exact = [tensor.detach().double().requires_grad_() for tensor in (self.emissions, *parameters)]
        allowed = list(self.crf.buffers())
        moves = [torch.where(ok, score, -torch.inf) for ok, score in zip(allowed, exact[1:], strict=True)]
        names = ("start", "end", "transitions")
        moves = dict(zip(names, moves, strict=True))
        sum_up = reference_log_z if long else enumerated_log_z
        sets, faults, losses = self.sets(), [], []
        half = self.dtype_name in ("bfloat16", "float16")
        double = self.dtype_name == "float64"

        def compare(what: str, row: int, found: Tensor, expected: Tensor, absolute: float, relative: float) -> None:
            found, expected = found.detach().double(), expected.detach().double()
            same = (found == expected) | ((found - expected).abs() <= absolute + relative * expected.abs())
            if not same.all():
                error = (found - expected).abs()[~same].max().item()
                faults.append(f"{what}, row {row}: off by {error:.3g}")

        for row, length in enumerate(self.lengths):
            scores_row = exact[0][row, :length]
            full = sum_up(scores_row, **moves)
            agreeing = sum_up(scores_row.masked_fill(~sets[row, :length], -torch.inf), **moves)
            loss = full - agreeing if agreeing > -torch.inf else torch.tensor(torch.inf)
            value = 1e-9 if double else 2e-6 + 1e-7 * length  # weights rounded to float32, once a position
            epsilon = 1e-12 if double else 2.4e-7
            compare("log Z", row, log_z[row], full, value, epsilon)
            compare("NLL", row, nll[row], loss, value + (1e-12 * full.detach().abs().item() if length else 0), epsilon)
            if bool(loss.isfinite()) != bool(finite[row]):
                faults.append(f"NLL, row {row}: {nll[row].item()} for {loss.item()}")
            if loss.isfinite():
                losses.append(loss * weights[row])
            faults += self.check_posterior(
                row, length, full, exact[0], log_marginals, entropy, moves, long, compare, double
            )
            faults += self.check_path(row, length, paths, scores, moves, long, exact[0])
        total = sum(losses, torch.zeros(()))
        expected = torch.autograd.grad(total, exact, allow_unused=True) if total.requires_grad else [None] * 4
        for what, found, value in zip(("emissions", *names), gradients, expected, strict=True):
            value = torch.zeros_like(found, dtype=torch.float64) if value is None else value
            steps = max(1, *self.lengths) * len(self.lengths) if what != "emissions" else 1
            bound = (1e-9 if double else 1e-6 if not half or what != "emissions" else 4e-3) * max(1.0, steps**0.5)
            compare(f"gradient of {what}", -1, found, torch.nan_to_num(value), bound, 1e-6 if not half else 4e-3)
        return faults

    def check_posterior(
        self, row, length, full, exact, log_marginals, entropy, moves, long, compare, double
    ) -> list[str]:
        if length == 0 or full == -torch.inf:
            return []
        faults = []
        (marginals,) = torch.autograd.grad(full, exact, retain_graph=True)
        found = log_marginals[row, :length]
        compare("marginals", row, found.exp(), marginals[row, :length], 1e-9 if double else 1e-6, 0.0)
        likely = marginals[row, :length] > 1e-30
        compare("log marginals", row, found[likely], marginals[row, :length][likely].log(), 1e-6, 1e-6)
        if not long:
            faults += self.check_logs(row, length, found, entropy, moves, exact, compare, double)
        sums = (found.exp().sum(1) - 1).abs().max().item()
        if sums > 1e-5 or not 0 <= entropy[row] + 1e-5 <= length * math.log(self.crf.num_tags) + 2e-5:
            faults.append(f"posterior, row {row}: sums are off by {sums}, entropy {entropy[row].item()}")
        return faults

    def check_logs(self, row, length, found, entropy, moves, exact, compare, double) -> list[str]:
        """Log marginals are right however small they are, and -inf where no path is allowed alone."""
        paths, scores = all_scores(
            exact[row, :length].detach(), **{name: move.detach() for name, move in moves.items()}
        )
        log_p = scores - safe_logsumexp(scores, 0)
        sets = torch.nn.functional.one_hot(paths, self.crf.num_tags).bool()  # (paths, n, K)
        logs = safe_logsumexp(log_p[:, None, None].masked_fill(~sets, -torch.inf), 0)
        absolute = 1e-9 if double else 2e-6
        compare("small log marginals", row, found, logs, absolute, 1e-12 if double else 2.4e-7)
        compare("entropy", row, entropy[row], -(log_p.exp() * log_p.clamp_min(-1e3)).sum(), absolute, 1e-6)
        return [] if (found.isfinite() == logs.isfinite()).all() else [f"log marginals, row {row}: wrong infinities"]

    def check_path(self, row, length, paths, scores, moves, long, exact) -> list[str]:
        """The best path's own score, in float64, is the largest there is."""
        row_scores, path = exact[row, :length].detach(), paths[row, :length]
        start, end, transitions = (moves[name].detach() for name in ("start", "end", "transitions"))
        if length == 0:
            return []
        if long:
            best = start + row_scores[0]
            for own in row_scores[1:]:
                best = (best[:, None] + transitions).amax(0) + own
            best = (best + end).amax().item()
        else:
            best = all_scores(row_scores, start, end, transitions)[1].amax().item()
        own = start[path[0]] + end[path[-1]] + row_scores[torch.arange(length), path].sum()
        own = (own + transitions[path[:-1], path[1:]].sum()).item()
        if best == -math.inf:
            return [] if scores[row] == -math.inf else [f"path, row {row}: {scores[row].item()} for -inf"]
        tolerance = 1e-9 + 1e-13 * abs(best) * length
        faults = [] if abs(own - best) <= tolerance else [f"path, row {row}: scores {own}, best is {best}"]
        if abs(scores[row].item() - best) > 1e-6 + 2.4e-7 * abs(best):
            faults.append(f"path, row {row}: says {scores[row].item()}, is {best}")
        return faults

    def __str__(self) -> str:
        return (
            f"seed {self.seed}: K {self.crf.num_tags}, lengths {self.lengths}, {self.rules}, {self.dtype_name}, "
            f"scales {self.scale} and {self.move_scale}, tags {self.tags.dtype}"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--small", type=int, default=100_000)
    parser.add_argument("--long", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    start, failed = time.time(), 0
    for name, number, long in (("small", arguments.small, False), ("long", arguments.long, True)):
        chains, seed = 0, arguments.seed
        while chains < number:
            case = Case(seed * 2 + long, long)
            faults = case.check(long)
            if faults:
                failed += 1
                print(case, *faults, sep="\n    ", flush=True)
            chains, seed = chains + len(case.lengths), seed + 1
        print(f"{chains} {name} chains in {seed - arguments.seed} batches, {failed} batches with faults so far")
    print(f"{failed} batches with faults, {time.time() - start:.0f} s")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
