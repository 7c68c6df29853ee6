"""How the data are laid out: sentences that are none, and stretches that nobody seems to have annotated."""

from collections.abc import Iterator, Sequence
from math import log

from .findings import WARNING, Finding, few, in_context, share
from .parts import Part, plural

__all__ = ["check_layout"]

LONG = 300
"""No sentence has more words, but a file without empty lines has."""
SINGLE = 0.5
"""If a larger share of the sentences has one word, there is an empty line behind each word."""
LEAST, LEAST_SHARE = 100, 0.05
"""So many sentences, or such a share of a part, without an entity are worth a look."""
CHANCE = 1e-6
"""A stretch without entities is reported if it is less probable than this in data annotated alike from end to end."""


def check_layout(parts: Sequence[Part]) -> Iterator[Finding]:
    """Find sentences that are none, and stretches without entities."""
    for part in parts:
        if part.sentences:
            yield from _borders(part)
            if part.has_spans and part.types:
                yield from _bare_stretch(part)


def _borders(part: Part) -> Iterator[Finding]:
    count = len(part.sentences)
    if long := [sentence for sentence in part.sentences if len(sentence.words) > LONG]:
        text = f"{plural(len(long), 'sentence has', 'sentences have')} more than {LONG} words"
        cure = "an empty line ends a sentence"
        examples = few(map(in_context, long))
        yield Finding(WARNING, "very_long_sentence", part.name, text, cure, len(long), examples)
    single = [sentence for sentence in part.sentences if len(sentence.words) == 1]
    if count >= 10 and len(single) > SINGLE * count:
        text = f"{plural(len(single), 'sentence')} ({share(len(single), count)}) of one word"
        cure = "an empty line ends a sentence, not a word"
        yield Finding(WARNING, "one_word_sentences", part.name, text, cure, len(single), few(map(in_context, single)))


def _bare_stretch(part: Part) -> Iterator[Finding]:
    """Find the longest stretch of sentences without an entity, if it can hardly be chance."""
    start = longest = since = 0
    for index, (spans, is_open) in enumerate(zip(part.spans, part.is_open, strict=True)):
        if spans or is_open:
            since = index + 1
        elif index + 1 - since > longest:
            start, longest = since, index + 1 - since
    count = len(part.sentences)
    bare = sum(not spans for spans in part.spans)
    # The share is that of the other sentences: a stretch must not make itself probable.
    without = (bare - longest + 1) / (count - longest + 1)
    if longest >= min(LEAST, LEAST_SHARE * count) and log(count) + longest * log(without) < log(CHANCE):
        first, last = part.sentences[start], part.sentences[start + longest - 1]
        others = share(count - bare, count - longest)
        text = f"no entity in {plural(longest, 'sentence')} on end, though {others} of the others have one"
        examples = [in_context(first), in_context(last)]
        yield Finding(
            WARNING, "bare_stretch", part.name, text, "leave them out if nobody has annotated them", longest, examples
        )
