"""Sentences and documents that stand in two parts of the data, or several times in one.

What a model has seen in training it finds again in the test, and the score says nothing of other texts.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations, groupby
from operator import attrgetter

from ..readers.sentences import Sentence
from .findings import ERROR, NOTE, WARNING, Example, Finding, few, in_context, share
from .parts import TRAIN, Part, plural

__all__ = ["check_copies", "key_of"]

LONG = 5
"""Shorter sentences, such as headings, may well be the same by chance."""
MUCH = 0.1
"""If a larger share of a part stands in training, its score is no test any more."""
MANY = 0.05
"""If a larger share of the training sentences are copies, they are worth a warning."""


def key_of(sentence: Sentence) -> str:
    """Return what copies of a sentence have in common: its letters, whatever its capitals and blanks are."""
    return "".join(sentence.words).casefold()


def check_copies(parts: Sequence[Part]) -> Iterator[Finding]:
    """Find copies of sentences and documents."""
    firsts = {part.name: _firsts(part.sentences) for part in parts}
    # The pairs of a part with the training part come first, and are the ones that count.
    ordered = sorted(parts, key=lambda part: part.name != TRAIN)
    for one, other in combinations(ordered, 2):
        documents = list(_documents(one, other, firsts[one.name]))
        if documents:
            text = f"{plural(len(documents), 'document stands', 'documents stand')} in {one.name}, too"
            cure = "split by document"
            yield Finding(WARNING, "document_in_two_parts", other.name, text, cure, len(documents), few(documents))
        yield from _sentences(one, other, firsts[one.name])
    for part in parts:
        yield from _within(part, firsts[part.name])


def _firsts(sentences: Iterable[Sentence]) -> dict[str, Sentence]:
    """Return sentences without their copies."""
    firsts: dict[str, Sentence] = {}
    for sentence in sentences:
        firsts.setdefault(key_of(sentence), sentence)
    return firsts


def _sentences(one: Part, other: Part, known: Mapping[str, Sentence]) -> Iterator[Finding]:
    """Find sentences of a part that stand in one before, too."""
    long = [sentence for sentence in other.sentences if len(sentence.words) >= LONG]
    copies = [sentence for sentence in long if key_of(sentence) in known]
    if not copies:
        return
    text = f"{plural(len(copies), 'sentence')} ({share(len(copies), len(long))}) of {LONG} or more words "
    text += f"{'stands' if len(copies) == 1 else 'stand'} in {one.name}, too"
    is_much = one.name == TRAIN and len(copies) > MUCH * len(long)
    examples = few(_pair(sentence, known) for sentence in _firsts(copies).values())
    severity = ERROR if is_much else WARNING if one.name == TRAIN else NOTE
    yield Finding(severity, "sentence_in_two_parts", other.name, text, "keep each once", len(copies), examples)


def _pair(sentence: Sentence, known: Mapping[str, Sentence]) -> Example:
    """Return a sentence as an example, with the place of its copy."""
    one = in_context(sentence)
    return one._replace(place=f"{one.place} and {known[key_of(sentence)].where(0)}")


def _documents(one: Part, other: Part, known: Mapping[str, Sentence]) -> Iterator[Example]:
    """Yield documents most of whose sentences stand in another part; a file without borders is no document here."""
    if not (_has_documents(one) and _has_documents(other)):
        return
    for _, group in groupby(other.sentences, key=attrgetter("source", "document")):
        document = [sentence for sentence in group if len(sentence.words) >= LONG]
        copied = [sentence for sentence in document if key_of(sentence) in known]
        if len(copied) >= 2 and 2 * len(copied) > len(document):
            yield _pair(copied[0], known)


def _has_documents(part: Part) -> bool:
    return part.documents > len({sentence.source for sentence in part.sentences})


def _within(part: Part, firsts: Mapping[str, Sentence]) -> Iterator[Finding]:
    """Find sentences that stand several times in a part."""
    groups = defaultdict[str, list[Sentence]](list)
    long = [sentence for sentence in part.sentences if len(sentence.words) >= LONG]
    for sentence in long:
        if firsts[key := key_of(sentence)] is not sentence:
            groups[key].append(sentence)
    count = sum(map(len, groups.values()))
    if count:
        text = f"{plural(count, 'sentence')} ({share(count, len(long))}) {'is a copy' if count == 1 else 'are copies'}"
        gravest = sorted(groups.values(), key=len, reverse=True)
        severity = WARNING if count > MANY * len(long) else NOTE
        examples = few(in_context(group[0]) for group in gravest)
        yield Finding(severity, "copies", part.name, f"{text} of another one", "", count, examples)
