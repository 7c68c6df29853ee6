"""The whole way of tags: from how they are spelt in a file to a known scheme that they obey."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..dataset_columns import is_data_set
from .datasets import read_dataset
from .files import read_file
from .sentences import Sentence
from .spelling import find_spelling, respell
from .tags import convert_tags, count_repairs, find_scheme, of_annotated_types, tag_places, with_legal_tags

__all__ = ["Labelled", "read_labelled", "understand"]


class Labelled(NamedTuple):
    """Sentences whose tags are understood.

    Attributes:
        sentences: their tags spelt as usual, legal in the scheme.
        scheme: as `find_scheme` names it.
        repairs: how often which tag was repaired, as `count_repairs` counts.
    """

    sentences: list[Sentence]
    scheme: str | None
    repairs: Counter[str]


def understand(
    sentences: Iterable[Sentence], spelling: Mapping[str, str] | None = None, repair_tags: bool = False
) -> Labelled:
    """Find out the spelling and the scheme of sentences' tags, and bring the tags into both.

    Args:
        sentences: as they were read.
        spelling: of their tags, if it is known; if not, it is found as `find_spelling` does.
        repair_tags: whether illegal tags are repaired rather than refused.

    Raises:
        DataError: if the tags are of no one spelling, of no one scheme, or illegal and not to be repaired.
    """
    sentences = list(sentences)
    if spelling is None:
        spelling = find_spelling(tag_places(sentences))
    if spelling:
        sentences = [respell(sentence, spelling) for sentence in sentences]
    scheme = find_scheme(sentences)
    sentences = [of_annotated_types(sentence, scheme) for sentence in sentences]
    legal = [with_legal_tags(sentence, scheme, repair_tags) for sentence in sentences]
    return Labelled(legal, scheme, count_repairs(sentences, legal))


def read_labelled(
    source: Any, scheme: str | None = "IOB2", repair_tags: bool = False, **columns: Any
) -> list[Sentence]:
    """Read sentences, whatever scheme their tags are in, with tags in the scheme that is asked for.

    Args:
        source: a file, a split of a data set of the `datasets` library, or sentences.
        scheme: in which the tags come back; None for tags without prefixes.
        repair_tags: whether illegal tags are repaired rather than refused.
        columns: as for `read_file` or `read_dataset`.

    Raises:
        DataError: as by these, and by `understand`; or if the tags cannot be written in the scheme.
    """
    if isinstance(source, str | Path):
        sentences: Iterable[Sentence] = read_file(source, **columns)
    elif is_data_set(source):
        sentences = read_dataset(source, "the data set", **columns)
    else:
        sentences = source
    labelled = understand(sentences, repair_tags=repair_tags)
    return [convert_tags(sentence, labelled.scheme, scheme) for sentence in labelled.sentences]
