"""What an operating point costs: precision, recall and F1 by type, and the characters left in clear, as a table."""

from collections.abc import Iterator, Mapping, Sequence

from .evidence import Evidence, Found


def cost_lines(evidence: Evidence, before: Found, after: Found, bounds: Mapping[str, float]) -> Iterator[str]:
    """Write a table: how much, in percent, is found before and after; a row for each type, and one for all of them.

    Entities count where they are found exactly. Characters are in clear if no entity covers them, of whatever type.

    Args:
        evidence: what is there.
        before, after: what is found.
        bounds: for types, or `"all"`, what is promised by the interval.
    """
    width = max(map(len, ["all", *evidence.types]))
    heads = "".join(f"{name:>18}" for name in ("precision", "recall", "F1", "in clear"))
    yield f"{'':<{width}}{heads}{'at least':>10}" if bounds else f"{'':<{width}}{heads}"
    rows: list[tuple[str, Sequence[int] | None]] = [(kind, [index]) for index, kind in enumerate(evidence.types)]
    if len(rows) > 1:
        rows.append(("all", None))
    elif "all" in bounds:  # the only type is all of them
        bounds = {evidence.types[0]: bounds["all"]}
    for name, kinds in rows:
        pairs = zip(*(_figures(evidence, found, kinds) for found in (before, after)), strict=True)
        cells = "".join(f"{100 * one:>8.2f} -> {100 * two:>6.2f}" for one, two in pairs)
        promised = f"{100 * bounds[name]:>10.2f}" if name in bounds else ""
        yield f"{name:<{width}}{cells}{promised}"


def _figures(evidence: Evidence, found: Found, kinds: Sequence[int] | None) -> tuple[float, float, float, float]:
    """Return precision, recall, F1, and the share of characters in clear."""
    precision, recall = (evidence.share(found, figure, kinds=kinds) for figure in ("precision", "recall"))
    right = float(recall.parts.sum())
    f1 = 2 * right / max(1, precision.entities + recall.entities)
    return precision.value, recall.value, f1, 1 - evidence.share(found, "recall", True, kinds).value


__all__ = ["cost_lines"]
