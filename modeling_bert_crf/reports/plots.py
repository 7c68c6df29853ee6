"""The plots of a run, drawn from its figures.

They have no background, and inks of middle brightness, so that they can be read on white and on black.
"""

import io
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import matplotlib
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, PercentFormatter, StrMethodFormatter
from matplotlib.typing import RcKeyType

from ..scores.mistakes import PAIRED
from .figures import shown_split

__all__ = ["MOST_TAGS", "OUTCOMES", "draw_plots", "merge_short", "short"]

INK = "#7b8494"  # contrast of 3.8 to white, 5.0 to black
BLUE, ORANGE, GREEN, PURPLE, RED = "#3d8bd4", "#d98324", "#2f9e6e", "#9a6fd0", "#d9534f"
OUTCOMES = dict(zip((*PAIRED, "missed"), (GREEN, PURPLE, ORANGE, RED, INK), strict=True))
_SETTINGS = {
    "font.size": 9,
    "font.family": "DejaVu Sans",
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.8,
    "savefig.dpi": 144,
    "savefig.transparent": True,
    "text.parse_math": False,  # a `$` in a label is a dollar
    **{f"{part}.color": INK for part in ("text", "xtick", "ytick", "grid")},
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
}
_STYLE = cast(dict[RcKeyType, Any], _SETTINGS)  # matplotlib has a type of its own for these names
_DIVERGING = LinearSegmentedColormap.from_list("transitions", ["#e08a2e", "#eceff4", "#5b9fe0"])  # under dark figures
MOST_TAGS = 60
"""How many tags a heat map may have; with more it could not be read."""
MOST_NUMBERED = 20
"""How many rows a heat map may have if the scores are to stand in its cells as numbers."""


def draw_plots(facts: Mapping[str, Any], scores: Mapping[str, Mapping[str, Any]]) -> dict[str, bytes]:
    """Draw those plots that there are figures for.

    Args:
        facts: as `run_facts` gathers them.
        scores: of each split; the plots show those of `shown_split`.

    Returns:
        PNG images by their names: `learning`, `errors`, `calibration`, `transitions`.
    """
    figures = scores.get(shown_split(scores) or "", {})
    curve, table = facts.get("learning_curve") or {}, facts.get("transitions")
    images = {}
    if curve.get("training"):
        images["learning"] = _png(7.2, 2.7, _learning, curve)
    if (figures.get("errors") or {}).get("types"):
        images["errors"] = _png(7.2, 0.9 + 0.3 * len(figures["errors"]["types"]), _mistakes, figures["errors"])
    if (figures.get("calibration") or {}).get("bins"):
        images["calibration"] = _png(7.2, 3.1, _calibration, figures["calibration"])
    if table and len(table) <= MOST_TAGS + 1:
        side = 2.0 + 0.34 * len(table)
        images["transitions"] = _png(side + 0.8, side, _transitions, facts["labels"], table)
    return images


def _png(width: float, height: float, draw: Callable[..., None], *values: Any) -> bytes:
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)  # of scripts that the font lacks
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure, *values)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _learning(figure: Figure, curve: Mapping[str, Sequence[Mapping[str, float]]]) -> None:
    loss, f1 = figure.subplots(1, 2)
    training, validation = merge_short(curve["training"]), curve.get("validation", [])
    loss.plot(*_columns(training, "epoch", "loss"), color=INK, label="training")
    loss.plot(*_columns(validation, "epoch", "loss"), "o-", color=BLUE, markersize=4, label="validation")
    loss.set(title="Loss", xlabel="epoch", ylabel="nats per word", yscale="log")
    loss.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    loss.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    loss.yaxis.set_minor_formatter(NullFormatter())
    loss.legend()
    f1.plot(*_columns(validation, "epoch", "f1"), "o-", color=BLUE, markersize=4)
    f1.set(title="F1 on the validation data", xlabel="epoch")
    f1.yaxis.set_major_formatter(PercentFormatter(1.0))
    f1.yaxis.set_major_locator(MaxNLocator(6))
    for axes in (loss, f1):
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))


def merge_short(points: Sequence[Mapping[str, float]]) -> list[Mapping[str, float]]:
    """Merge those points of a loss that are means of few steps, as at the end of an epoch, with the point after them.

    >>> merge_short([{"step": 4, "loss": 1.0}, {"step": 5, "loss": 9.0}, {"step": 8, "loss": 5.0}])
    [{'step': 4, 'loss': 1.0}, {'step': 8, 'loss': 6.0}]
    """
    gaps = [point["step"] - before for before, point in zip((0, *(p["step"] for p in points)), points, strict=False)]
    merged, steps, total = [], 0, 0.0
    for point, gap in zip(points, gaps, strict=True):
        steps, total = steps + gap, total + gap * point["loss"]
        if 2 * steps >= max(gaps):
            merged.append({**point, "loss": total / max(1, steps)})
            steps, total = 0, 0.0
    return merged


def _columns(points: Sequence[Mapping[str, float]], *names: str) -> list[list[float]]:
    whole = [point for point in points if all(name in point for name in names)]
    return [[point[name] for point in whole] for name in names]


def _mistakes(figure: Figure, profile: Mapping[str, Any]) -> None:
    axes = figure.subplots()
    types = {name: row for name, row in profile["types"].items() if row["gold"]}
    left = [0.0] * len(types)
    for kind, colour in OUTCOMES.items():
        shares = [row[kind] / row["gold"] for row in types.values()]
        axes.barh(range(len(types)), shares, left=left, color=colour, height=0.68, label=kind.replace("_", " "))
        left = [before + share for before, share in zip(left, shares, strict=True)]
    axes.set_yticks(range(len(types)), [f"{short(name)} ({row['gold']:,})" for name, row in types.items()])
    axes.set(xlim=(0, 1), xlabel="share of the gold entities")
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    figure.legend(loc="outside upper center", ncols=len(OUTCOMES), handlelength=1.2, columnspacing=1.4)


def _calibration(figure: Figure, calibration: Mapping[str, Any]) -> None:
    share, number = figure.subplots(1, 2)
    probability, right, count = _columns(calibration["bins"], "probability", "right", "count")
    share.plot([0, 1], [0, 1], "--", color=INK, linewidth=1.2, label="perfectly calibrated")
    share.plot(probability, right, "o-", color=BLUE, markersize=5, label="this model", clip_on=False)
    share.set(xlim=(0, 1), ylim=(0, 1), title="Share that is right", xlabel="probability of a found entity")
    share.yaxis.set_major_formatter(PercentFormatter(1.0))
    share.legend(loc="upper left")
    middles = [math.floor(min(value, 0.999) * 10) / 10 + 0.05 for value in probability]
    number.bar(middles, count, width=0.085, color=BLUE)
    number.set(xlim=(0, 1), title="Number", xlabel="probability of a found entity")
    number.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    for axes in (share, number):
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))


def _transitions(figure: Figure, labels: Sequence[str], table: Sequence[Sequence[float | None]]) -> None:
    axes: Axes = figure.subplots()
    values = [[math.nan if score is None else score for score in row] for row in table]
    size = len(table)
    image = axes.imshow(values, cmap=_DIVERGING, norm=_even(table), aspect="equal")
    axes.set_xticks(range(size), [*map(short, labels), "end"], rotation=90)
    axes.set_yticks(range(size), ["start", *map(short, labels)])
    axes.set(xlabel="to", ylabel="from")
    axes.xaxis.set_label_position("top")
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    cells = [(column, row, score) for row, scores in enumerate(table) for column, score in enumerate(scores)]
    forbidden = [(column, row) for column, row, score in cells if score is None]
    axes.scatter(*zip(*forbidden, strict=True), s=1.5, color=INK)
    if size <= MOST_NUMBERED:
        for column, row, score in cells:
            if score is not None:
                _write_score(axes, column, row, score)
    figure.colorbar(image, ax=axes, shrink=0.6, label="score in nats").outline.set_visible(False)


def _even(table: Sequence[Sequence[float | None]]) -> Normalize:
    """Return a scale of colours for scores, with 0 in its middle."""
    reach = max((abs(score) for row in table for score in row if score is not None), default=0) or 1.0
    return Normalize(-reach, reach)


def _write_score(axes: Axes, column: int, row: int, score: float) -> None:
    text = f"{round(score, 1) + 0.0:.1f}"  # the sum turns -0.0 into 0.0
    axes.text(column, row, text, ha="center", va="center", fontsize=7, color="#20262e")


def short(name: str, most: int = 24) -> str:
    """Return a label on one line, cut if it is long.

    >>> short("work\\nof art"), short("a very long name of a type")
    ('work of art', 'a very long name of a t…')
    """
    line = "".join(letter if letter.isprintable() else "\ufffd" for letter in " ".join(name.split()))
    return line if len(line) <= most else line[: most - 1] + "…"
