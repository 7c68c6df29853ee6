"""The example texts of a tagger, which its card names in the way of the Hub's widgets."""

from ..hub.cards import card_metadata

__all__ = ["examples_of"]


def examples_of(name: str, revision: str | None = None) -> list[str]:
    """Return the texts under `widget` in the metadata of a tagger's card; none if there is no such card.

    Args:
        name: a folder, or a repository of the Hub.
        revision: branch, tag or commit of the repository.
    """
    rows = card_metadata(name, revision=revision).get("widget")
    texts = [row.get("text") for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    return [text for text in texts if isinstance(text, str) and text.strip()]
