"""The labels of a new model."""

from ..readers.sentences import Sentence
from ..readers.tags import find_labels
from .arguments import DataArguments
from .splits import Split, scheme_of_labels

__all__ = ["choose_labels"]


def choose_labels(train: Split, data: DataArguments) -> list[str]:
    """Choose the tags of a new model, in the order of their ids.

    They are those that the user or the data set names; else the prefixes of the wanted scheme with all types of the
    training data.

    Raises:
        UserError: if the named labels are of no one scheme.
    """
    if train.labels is not None and data.tag_scheme is None:
        scheme_of_labels(train.labels, data)
        return train.labels
    # A model cannot speak IOB1, and IO would join neighbours of one type.
    scheme = data.tag_scheme or ("IOB2" if train.scheme in ("IO", "IOB1") else train.scheme)
    if train.sentences is not None:
        return find_labels(train.sentences, scheme)
    labels = train.labels or []  # streamed data have them, see `read_splits`
    return find_labels([Sentence(labels, labels, "labels", [])], scheme)
