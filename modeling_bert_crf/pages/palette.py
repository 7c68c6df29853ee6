"""What all pages, and the terminal, have in common: the colours of types, and how a probability is written."""

__all__ = ["HUES", "probability"]

HUES = (255, 60, 150, 350, 300, 100, 200, 25)
"""Of the colour space oklch, in which all hues are equally bright; `entity.css` makes colours of them."""


def probability(value: float) -> str:
    """Return a probability as it is written everywhere.

    >>> [probability(one) for one in (0.954, 0.0099, 0.999)]
    ['0.95', '<0.01', '1.00']
    """
    return "<0.01" if value < 0.01 else f"{value:.2f}"
