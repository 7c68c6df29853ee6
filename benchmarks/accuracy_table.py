"""The tables and the plot of the runs that `accuracy.py` has made: python benchmarks/accuracy_table.py

Intervals are those of a paired bootstrap over the sentences: both systems' runs of the same seeds on the same
resampled sentences, 10,000 times. They cover which sentences are tested; the seeds are seen beside them.
"""

from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from accuracy import CHANGES, EPOCHS, RATES, SEEDS, SYSTEMS, WAYS_TO_DECODE, best_rate, load
from matplotlib import pyplot

ROUNDS = 10_000
HOST_RATE = f"softmax {RATES[0]:g}"
"""What the stock script does: the host's default rate for all that it trains."""
PLOT = Path(__file__).parent / "accuracy.svg"


class Difference(NamedTuple):
    """Mean over the seeds of F1 less the other's F1, in points, with 95 % of the resamples."""

    seeds: int
    mean: float
    low: float
    high: float
    not_above: float  # share of the resamples in which it is at most 0


def f1(counts: np.ndarray) -> Any:
    """F1 in per cent of counts (..., 3): right, found, in the gold data."""
    return 200 * counts[..., 0] / np.maximum(counts[..., 1] + counts[..., 2], 1)


def resampled(data: str, ours: str, other: str, split: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Return two systems' difference in F1 by seed, (seeds,), and by resample, (rounds,), over the seeds they share.

    `ours` and `other` name systems, or a system and its way to decode: `"default, by marginals"`.
    """
    pairs = [(counts_of(data, ours, seed, split), counts_of(data, other, seed, split)) for seed in SEEDS]
    shared = [pair for pair in pairs if pair[0] is not None and pair[1] is not None]
    if not shared:
        return None
    counts = np.array(shared)  # (seeds, 2, sentences, 3)
    rng, size = np.random.default_rng(0), counts.shape[2]
    weights = np.stack([np.bincount(rng.integers(size, size=size), minlength=size) for _ in range(ROUNDS)])
    scores = f1(np.einsum("abnc,rn->rabc", counts, weights, optimize=True))
    by_seed = f1(counts.sum(2))
    return by_seed[:, 0] - by_seed[:, 1], (scores[:, :, 0] - scores[:, :, 1]).mean(1)


def counts_of(data: str, system: str, seed: int, split: str) -> list[list[int]] | None:
    name, _, way = system.partition(", ")
    run = load(data, name, seed)
    scores = run.get(way) if run and way else run
    return scores[split]["counts"] if scores else None


def compare(data: str, ours: str, other: str, split: str = "test") -> Difference | None:
    """Compare two systems on a data set; None if they share no seed."""
    found = resampled(data, ours, other, split)
    return None if found is None else summarise(*found)


def compare_means(ours: str, others: dict[str, str]) -> Difference | None:
    """Compare the means over the data sets; `others` names the other system for each."""
    found = [resampled(data, ours, other, "test") for data, other in others.items()]
    if not found or None in found or len({len(by_seed) for by_seed, _ in found}) > 1:
        return None
    return summarise(np.mean([by_seed for by_seed, _ in found], 0), np.mean([rounds for _, rounds in found], 0))


def summarise(by_seed: np.ndarray, rounds: np.ndarray) -> Difference:
    low, high = np.percentile(rounds, [2.5, 97.5])
    return Difference(len(by_seed), float(by_seed.mean()), float(low), float(high), float((rounds <= 0).mean()))


def systems_table() -> None:
    """Print what every system scored, and what it cost."""
    rows = []
    for data, system in product(EPOCHS, SYSTEMS):
        runs = [run for seed in SEEDS if (run := load(data, system, seed)) is not None]
        if not runs:
            continue
        dev, test = ([100 * run[split]["strict"]["f1"] for run in runs] for split in ("dev", "test"))
        loose = [100 * run["test"]["conlleval"]["f1"] for run in runs]
        cpu = np.mean([run["seconds"]["train_cpu"] for run in runs])
        speed = np.mean([run["epochs"] * run["words"]["train"] for run in runs]) / cpu
        by_seed = " ".join(f"{score:.1f}" for score in test)
        means = (f"{np.mean(scores):.1f}" for scores in (dev, test, loose))
        rows.append([data, system, *means, by_seed, f"{cpu:.0f}", f"{speed:,.0f}"])
    print_table(["data", "system", "dev F1", "test F1", "conlleval", "by seed", "train CPU s", "words/s"], rows)


def differences_table() -> dict[tuple[str, str], Difference]:
    """Print, and return, by how much the default differs from the softmax: at the host's rate, and at dev's choice."""
    tuned = {data: rate for data in EPOCHS if (rate := best_rate(data))}
    others = {data: dict.fromkeys([HOST_RATE, tuned.get(data, HOST_RATE)]) for data in EPOCHS}
    pairs = {(data, other): compare(data, "default", other) for data in EPOCHS for other in others[data]}
    if len(tuned) == len(EPOCHS):
        pairs["mean of the three", "tuned softmax"] = compare_means("default", tuned)
    pairs["mean of the three", HOST_RATE] = compare_means("default", dict.fromkeys(EPOCHS, HOST_RATE))
    found = {pair: row for pair, row in pairs.items() if row is not None}
    rows = [[*pair, row.seeds, *cells(row), f"{row.not_above:.3f}"] for pair, row in found.items()]
    print_table(["data", "default less", "seeds", "test F1", "95 % interval", "resamples at most 0"], rows)
    return found


def changes_table() -> None:
    """Print what one part left out, added or decoded otherwise changes; choices are made on dev."""
    rows = []
    for data, name in product(EPOCHS, [*CHANGES, *(f"default, {way}" for way in WAYS_TO_DECODE)]):
        dev, test = (compare(data, name, "default", split) for split in ("dev", "test"))
        if dev and test:
            rows.append([data, name, dev.seeds, *cells(dev), *cells(test)])
    print_table(["data", "changed", "seeds", "dev F1", "95 % interval", "test F1", "95 % interval"], rows)


def print_table(head: list[str], rows: list[list[Any]]) -> None:
    for row in [head, ["---"] * len(head), *rows]:
        print(f"| {' | '.join(map(str, row))} |")
    print()


def cells(row: Difference) -> list[str]:
    return [f"{row.mean:+.2f}", f"{row.low:+.2f} to {row.high:+.2f}"]


def plot(differences: dict[tuple[str, str], Difference]) -> None:
    """Draw the differences and their intervals; mid-tone ink on no background, to be read on light and dark pages."""
    ink = "#7a828e"
    mpl.rcParams |= {"svg.hashsalt": "accuracy", "text.color": ink, "axes.labelcolor": ink, "font.size": 9}
    mpl.rcParams |= {"xtick.color": ink, "ytick.color": ink, "axes.edgecolor": ink}
    figure, axes = pyplot.subplots(figsize=(6.5, 0.6 + 0.35 * len(differences)), layout="constrained")
    for place, row in enumerate(reversed(differences.values())):
        axes.plot([row.low, row.high], [place, place], color="#3b82c4", linewidth=2)
        axes.plot(row.mean, place, "o", color="#3b82c4")
        axes.annotate(f"{row.mean:+.1f}", (row.mean, place), (0, 5), textcoords="offset points", ha="center")
    axes.axvline(0, color=ink, linewidth=1)
    axes.set_yticks(range(len(differences)), [f"{data}, {other}" for data, other in reversed(differences)])
    axes.set_xlabel("default less softmax, test F1 in points, 95 % interval")
    axes.margins(y=0.2)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(PLOT, transparent=True, metadata={"Date": None})


def main() -> None:
    systems_table()
    differences = differences_table()
    changes_table()
    plot(differences)


if __name__ == "__main__":
    main()
