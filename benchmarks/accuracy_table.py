"""Write the tables of the docs, accuracy.md and the docs' accuracy.svg from the runs there are:

    python benchmarks/accuracy_table.py

Intervals are those of a paired bootstrap over the sentences: both systems' runs of the same seeds on the same
resampled sentences, 10,000 times. They cover which sentences are tested; the seeds are seen beside them.
"""

from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from accuracy import CHANGED, EPOCHS, RATES, SEEDS, SYSTEMS, WAYS_TO_DECODE, best_rate, load
from matplotlib import pyplot

ROUNDS = 10_000
HOST_RATE = f"softmax {RATES[0]:g}"
"""What the stock script does: the host's default rate for all that it trains."""
HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"
PAGE, FULL, PLOT = DOCS / "benchmarks.md", HERE / "accuracy.md", DOCS / "images" / "accuracy.svg"
TITLES = dict(zip(EPOCHS, ("WNUT-17", "NCBI-disease", "Danish DDT"), strict=True))
PREAMBLE = """# Every run

Written by `accuracy_table.py` from `accuracy/*.json`. Strict entity F1 in per cent, means over the seeds; *conlleval*
counts entities that an `I-` opens, too. The epoch is chosen on dev. Each run has one thread; two share a machine.
Seconds are those of the fastest seed.
"""
CHANGES = [*dict.fromkeys(name for name, _ in CHANGED), *(f"default, {way}" for way in WAYS_TO_DECODE)]


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


def shared_seeds(data: str, ours: str, other: str) -> list[int]:
    return [seed for seed in SEEDS if all(counts_of(data, name, seed, "test") for name in (ours, other))]


def resampled(data: str, ours: str, other: str, split: str, seeds: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return two systems' difference in F1 by seed, (seeds,), and by resample, (rounds,).

    `ours` and `other` name systems, or a system and its way to decode: `"default, by marginals"`.
    """
    pairs = [[counts_of(data, name, seed, split) for name in (ours, other)] for seed in seeds]
    counts = np.array(pairs, dtype=float)  # (seeds, 2, sentences, 3)
    scores = f1(np.einsum("abnc,rn->rabc", counts, resamples(counts.shape[2]), optimize=True))
    by_seed = f1(counts.sum(2))
    return by_seed[:, 0] - by_seed[:, 1], (scores[:, :, 0] - scores[:, :, 1]).mean(1)


@lru_cache(maxsize=2)
def resamples(size: int) -> np.ndarray:
    """Draw how often each sentence is in each resample, (rounds, size): the same for all systems."""
    rng = np.random.default_rng(size)
    return np.stack([np.bincount(rng.integers(size, size=size), minlength=size) for _ in range(ROUNDS)]).astype(float)


def counts_of(data: str, system: str, seed: int, split: str) -> list[list[int]] | None:
    name, _, way = system.partition(", ")
    run = load(data, name, seed)
    scores = run.get(way) if run and way else run
    return scores[split]["counts"] if scores else None


def compare(data: str, ours: str, other: str, split: str = "test") -> Difference | None:
    """Compare two systems on a data set; None if they share no seed."""
    seeds = shared_seeds(data, ours, other)
    return summarise(*resampled(data, ours, other, split, seeds)) if seeds else None


def compare_means(ours: str, others: dict[str, str]) -> Difference | None:
    """Compare the means over the data sets, in the seeds that all have; `others` names the other system for each."""
    by_data = [shared_seeds(data, ours, other) for data, other in others.items()]
    seeds = [seed for seed in SEEDS if all(seed in have for have in by_data)]
    if not seeds:
        return None
    found = [resampled(data, ours, other, "test", seeds) for data, other in others.items()]
    return summarise(np.mean([by_seed for by_seed, _ in found], 0), np.mean([rounds for _, rounds in found], 0))


def summarise(by_seed: np.ndarray, rounds: np.ndarray) -> Difference:
    low, high = np.percentile(rounds, [2.5, 97.5])
    return Difference(len(by_seed), float(by_seed.mean()), float(low), float(high), float((rounds <= 0).mean()))


def runs_of(data: str, system: str) -> list[dict[str, Any]]:
    return [run for seed in SEEDS if (run := load(data, system, seed)) is not None]


def scores_of(runs: list[dict[str, Any]]) -> list[float]:
    return [100 * run["test"]["strict"]["f1"] for run in runs]


def results_table() -> str:
    """Draw the docs' table: this model and the softmax, each seed, and what a run costs."""
    head = [
        "test F1",
        f"softmax, {write_rate(HOST_RATE)}",
        "softmax, best rate",
        "this model",
        "gain over the best rate",
        "CPU s",
    ]
    rows = []
    for data, title in TITLES.items():
        tuned = best_rate(data) or HOST_RATE
        host, other, ours = (runs_of(data, name) for name in (HOST_RATE, tuned, "default"))
        gain = compare(data, "default", tuned)
        costs = " / ".join(f"{seconds(runs, 'train_cpu'):,.0f}" for runs in (host, other, ours))
        rows.append(
            [
                title,
                by_seed(host),
                f"{by_seed(other)}, {write_rate(tuned)}",
                f"**{by_seed(ours)}**",
                gain_of(gain),
                costs,
            ]
        )
    means = [np.mean([np.mean(scores_of(runs_of(data, name))) for data in EPOCHS]) for name in (HOST_RATE, "default")]
    tuned = {data: best_rate(data) or HOST_RATE for data in EPOCHS}
    other = np.mean([np.mean(scores_of(runs_of(data, name))) for data, name in tuned.items()])
    gain = compare_means("default", tuned)
    rows.append(["mean", f"{means[0]:.1f}", f"{other:.1f}", f"**{means[1]:.1f}**", gain_of(gain), ""])
    return draw_table(head, rows)


def by_seed(runs: list[dict[str, Any]]) -> str:
    scores = scores_of(runs)
    each = f" ({' '.join(f'{score:.1f}' for score in scores)})" if len(scores) > 1 else ""
    return f"{np.mean(scores):.1f}{each}"


def gain_of(row: Difference | None) -> str:
    return "" if row is None else f"{row.mean:+.1f} ({row.low:+.1f} to {row.high:+.1f})"


def seconds(runs: list[dict[str, Any]], what: str) -> float:
    """Return the least of the runs' seconds: what else the machine did only adds."""
    return min(run["seconds"][what] for run in runs)


def write_rate(system: str) -> str:
    return f"{SYSTEMS[system].softmax_rate:.0e}".replace("e-0", "e-")


def parts_table() -> str:
    """Draw the docs' table of what a part brings: left out or added, dev / test; bold if the interval spares 0."""
    rows = []
    for name in CHANGES:
        row = [name.replace("default, ", "decoded ")]
        for data in EPOCHS:
            found = [compare(data, name, "default", split) for split in ("dev", "test")]
            row.append(
                " / ".join(
                    f"**{one.mean:+.1f}**" if one.low * one.high > 0 else f"{one.mean:+.1f}" for one in found if one
                )
            )
        if any(row[1:]):
            rows.append(row)
    return draw_table(["changed", *TITLES.values()], rows)


def systems_table() -> str:
    """Draw what every system scored, and what it cost."""
    rows = []
    for data, system in product(EPOCHS, SYSTEMS):
        runs = runs_of(data, system)
        if not runs:
            continue
        dev = [100 * run["dev"]["strict"]["f1"] for run in runs]
        loose = [100 * run["test"]["conlleval"]["f1"] for run in runs]
        fed = runs[0]["epochs"] * runs[0]["words"]["train"] / seconds(runs, "train_cpu")
        tagged = runs[0]["words"]["test"] / seconds(runs, "test_wall")
        each = " ".join(f"{score:.1f}" for score in scores_of(runs))
        means = [f"{np.mean(scores):.1f}" for scores in (dev, scores_of(runs), loose)]
        costs = [seconds(runs, "train_wall"), seconds(runs, "train_cpu"), fed, tagged]
        rows.append([data, system, *means, each, *(f"{cost:,.0f}" for cost in costs)])
    head = ["data", "system", "dev F1", "test F1", "conlleval", "test F1 by seed"]
    return draw_table([*head, "train wall s", "train CPU s", "trained words/s", "tagged words/s"], rows)


def differences() -> dict[tuple[str, str], Difference]:
    """Return by how much the default differs from the softmax: at the host's rate, and at dev's choice."""
    tuned = {data: rate for data in EPOCHS if (rate := best_rate(data))}
    others = {data: dict.fromkeys([HOST_RATE, tuned.get(data, HOST_RATE)]) for data in EPOCHS}
    pairs = {(data, other): compare(data, "default", other) for data in EPOCHS for other in others[data]}
    if len(tuned) == len(EPOCHS):
        pairs["mean of the three", "tuned softmax"] = compare_means("default", tuned)
    pairs["mean of the three", HOST_RATE] = compare_means("default", dict.fromkeys(EPOCHS, HOST_RATE))
    return {pair: row for pair, row in pairs.items() if row is not None}


def differences_table(found: dict[tuple[str, str], Difference]) -> str:
    rows = [[*pair, row.seeds, *cells(row), f"{row.not_above:.3f}"] for pair, row in found.items()]
    return draw_table(["data", "default less", "seeds", "test F1", "95 % interval", "resamples at most 0"], rows)


def changes_table() -> str:
    """Draw what one part left out, added or decoded otherwise changes; choices are made on dev."""
    rows = []
    for data, name in product(EPOCHS, CHANGES):
        dev, test = (compare(data, name, "default", split) for split in ("dev", "test"))
        if dev and test:
            rows.append([data, name, dev.seeds, *cells(dev), *cells(test)])
    return draw_table(["data", "changed", "seeds", "dev F1", "95 % interval", "test F1", "95 % interval"], rows)


def draw_table(head: list[str], rows: list[list[Any]]) -> str:
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in [head, ["---"] * len(head), *rows])


def cells(row: Difference) -> list[str]:
    return [f"{row.mean:+.2f}", f"{row.low:+.2f} to {row.high:+.2f}"]


def plot(found: dict[tuple[str, str], Difference]) -> None:
    """Draw the differences and their intervals; mid-tone ink on no background, to be read on light and dark pages."""
    ink = "#7a828e"
    mpl.rcParams |= {"svg.hashsalt": "accuracy", "text.color": ink, "axes.labelcolor": ink, "font.size": 9}
    mpl.rcParams |= {"xtick.color": ink, "ytick.color": ink, "axes.edgecolor": ink}
    figure, axes = pyplot.subplots(figsize=(6.5, 0.6 + 0.35 * len(found)), layout="constrained")
    for place, row in enumerate(reversed(found.values())):
        axes.plot([row.low, row.high], [place, place], color="#3b82c4", linewidth=2)
        axes.plot(row.mean, place, "o", color="#3b82c4")
        axes.annotate(f"{row.mean:+.1f}", (row.mean, place), (0, 5), textcoords="offset points", ha="center")
    axes.axvline(0, color=ink, linewidth=1)
    names = [
        f"{TITLES.get(data, data)}, {f'softmax {write_rate(other)}' if other in SYSTEMS else other}"
        for data, other in reversed(found)
    ]
    axes.set_yticks(range(len(found)), names)
    axes.set_xlabel("default less softmax, test F1 in points, 95 % interval")
    axes.margins(y=0.2)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(PLOT, transparent=True, metadata={"Date": None})


def docs_tables() -> dict[str, str]:
    """Draw the docs' tables, by the name of the comment that stands around each."""
    return {"results": results_table(), "parts": parts_table()}


def main() -> None:
    found = differences()
    tables = [systems_table(), differences_table(found), changes_table()]
    FULL.write_text("\n\n".join([PREAMBLE.rstrip(), *tables]) + "\n")
    plot(found)
    text = PAGE.read_text()
    for name, table in docs_tables().items():
        before, rest = text.split(f"<!-- {name} -->\n\n")
        text = f"{before}<!-- {name} -->\n\n{table}\n\n<!-- end -->{rest.split('<!-- end -->', 1)[1]}"
    PAGE.write_text(text)


if __name__ == "__main__":
    main()
