"""Words and sub-tokens: the one place that knows tokenizers.

The CRF's chain runs over words, the encoder reads sub-tokens. Collator, evaluation and pipeline all go through
`encode_document`, so that training and inference see the same chain: every word has exactly one position in it, that
of the word's first sub-token.

Ships with every checkpoint: the standard library and `regex` only; a tokenizer comes in as an argument.
"""

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, groupby, pairwise
from operator import itemgetter
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import regex

logger = logging.getLogger(__name__)

SPECIAL, BEGINS, CONTINUES, BLANK, UNMARKED, OPEN = range(6)
"""What a token of the vocabulary is: no part of a word; the first piece of one; a later piece. Where tokenizers mark
the blank before a word instead of later pieces: a blank by itself; a piece without a blank before it, which continues
a word, or begins one right behind a blank or a special token. Where they mark all pieces but the last: a piece after
which the word goes on."""
MARKS = {"\u2581": "", "\u0120": "\u010a\u010d\u0109", " ": ""}
"""How tokenizers write the blank before a word: SentencePiece and its kin, byte-level BPE, characters by themselves;
and how they write line feed, carriage return and tab, which are letters to the others."""
GOES_ON = "@@"
"""At the end of a piece: the word goes on. Of subword-nmt and its kin."""
WORD_SHAPES = (
    "unknown",
    "number",
    "with a digit",
    "CAPITALS",
    "one capital",
    "Capitalised",
    "lower",
    "mixed",
    "other",
)
"""How a word is written: the names of `word_shape_ids`. No word's shape is `"unknown"`; a call without them has it."""


PROBE = "a a"
"""What tokenizers are asked to write, to see how they write words."""


@dataclass(frozen=True)
class Habits:
    """How a tokenizer writes a row of words: asked of the tokenizer, not known by its name.

    Attributes:
        opening, closing: the special tokens that it puts around a row, `[CLS]` and `[SEP]` or others or none.
        mark: the sign of `MARKS` that it writes for the blank before a word, `""` if it writes none.
        probe: `PROBE` as a row. As long as it is written so, the habits are these.
    """

    opening: list[int]
    closing: list[int]
    mark: str
    probe: list[int]

    @classmethod
    def of(cls, tokenizer: Any) -> "Habits":
        """Find out by trying."""
        bare = tokenizer([PROBE], add_special_tokens=False)["input_ids"][0]
        row = tokenizer([PROBE], add_special_tokens=True)["input_ids"][0]
        count = len(bare)
        start = next((index for index in range(len(row)) if row[index : index + count] == bare), len(row))
        return cls(row[:start], row[start + count :], blank_mark(tokenizer), row)


_HABITS: WeakKeyDictionary[Any, Habits] = WeakKeyDictionary()
"""What was asked of tokenizers that are in use."""


def blank_mark(tokenizer: Any) -> str:
    """Return the sign that a tokenizer writes for the blank before a word, one of `MARKS`; `""` if it writes none."""
    later = tokenizer.tokenize(PROBE)[1:]
    return next((mark for mark in MARKS if any(piece.startswith(mark) for piece in later)), "")


@dataclass(frozen=True)
class Window:
    """A stretch of a sentence that fits the encoder: one row of its input.

    Attributes:
        input_ids: the sub-tokens, special tokens included.
        word_mask: True at the first sub-token of each word that is scored here (a lone blank before a word is no part
            of it). Words around them are context only.
        word_shape_ids: the `word_shape` of each scored word where `word_mask` is True, 0 elsewhere.
        words: the scored words' indices in the sentence, as many as `word_mask` has True.
    """

    input_ids: list[int]
    word_mask: list[bool]
    word_shape_ids: list[int]
    words: range


def unicode_fault(text: str) -> str:
    """Say what is wrong with a text that holds half a character; an empty string if nothing is.

    JSON can escape half a surrogate pair, and a shell can pass one; no tokenizer reads it, and no file holds it.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"must be Unicode text, got half a character, {text[error.start]!r}"
    return ""


def _refuse_half_characters(what: str, texts: Iterable[str]) -> None:
    if fault := next(filter(None, map(unicode_fault, texts)), ""):
        raise ValueError(f"a {what} {fault}")


def encode_words(
    tokenizer: Any, words: Sequence[str], max_length: int | None = None, stride: int | None = None
) -> list[Window]:
    """Turn a sentence's words into the encoder's input: one row, or several where it is too long for one.

    Rows break at word borders and overlap; each word is scored in one row, the one where it has the most context. A
    word that the tokenizer deletes (a lone variation selector, say) is fed as the unknown token.

    Args:
        tokenizer: the encoder's, fast or slow.
        words: the sentence, already split. May be empty: one row without a scored word.
        max_length: most sub-tokens in a row, the special ones included; None means `tokenizer.model_max_length`.
        stride: sub-tokens that neighbouring rows share, up to a word's length; None means a quarter of a row.

    Returns:
        The windows in order. Their `words` are the sentence's words, each once.

    Raises:
        ValueError: if `max_length` leaves no room for a word, or `stride` none for progress, or a word holds half a
            character.
    """
    return encode_document(tokenizer, [words], max_length, stride)[0]


def encode_document(
    tokenizer: Any,
    sentences: Sequence[Sequence[str]],
    max_length: int | None = None,
    stride: int | None = None,
    context_size: int = 0,
) -> list[list[Window]]:
    """Turn a document's sentences into the encoder's input, each with the words around it as unscored context.

    Args:
        sentences: consecutive sentences, already split into words.
        context_size: most sub-tokens of the neighbouring sentences on each side of a sentence, as far as there is
            room. A sentence that fills more than one row gets none: its rows are each other's context.
        tokenizer, max_length, stride: as for `encode_words`.

    Returns:
        For each sentence its windows, as `encode_words` returns them.
    """
    return next(encode_documents(tokenizer, [sentences], max_length, stride, context_size))


def encode_documents(
    tokenizer: Any,
    documents: Sequence[Sequence[Sequence[str]]],
    max_length: int | None = None,
    stride: int | None = None,
    context_size: int = 0,
) -> Iterator[list[list[Window]]]:
    """Do what `encode_document` does for many documents, at the price of one call of the tokenizer."""
    limit = tokenizer.model_max_length if max_length is None else max_length
    distinct = {word for document in documents for sentence in document for word in sentence}
    habits, pieces_of = _pieces(tokenizer, list(distinct))
    special = len(habits.opening) + len(habits.closing)
    capacity = limit - special
    if capacity < 1:
        raise ValueError(f"max_length must be at least {special + 1}, got {limit}")
    stride = capacity // 4 if stride is None else stride
    if not 0 <= stride < capacity:
        raise ValueError(f"stride must be at least 0 and below {capacity}, got {stride}")
    pieces_of = {word: pieces.cut(capacity) for word, pieces in pieces_of.items()}
    for document in documents:
        words = [word for sentence in document for word in sentence]
        pieces = [pieces_of[word] for word in words]
        borders = [0, *accumulate(len(one.ids) for one in pieces)]  # sub-tokens before each word, and in all
        ends = [0, *accumulate(map(len, document))]
        yield [
            [
                _window(habits, words, pieces, stretch, scored, sentence.start)
                for stretch, scored in _rows(borders, sentence, capacity, stride, context_size)
            ]
            for sentence in (range(*pair) for pair in pairwise(ends))
        ]


def _rows(
    borders: list[int], sentence: range, capacity: int, stride: int, context_size: int
) -> Iterator[tuple[range, range]]:
    """Lay a sentence out in rows: the words that each shows, and those of them that it scores."""
    stretches = list(_stretches(borders, sentence, capacity, stride))
    if len(stretches) == 1:
        yield _widen(borders, sentence, capacity, context_size), sentence
        return
    inner = (_cut(borders, left, right) for left, right in pairwise(stretches))
    cuts = pairwise([sentence.start, *inner, sentence.stop])
    yield from ((stretch, range(*scored)) for stretch, scored in zip(stretches, cuts, strict=True))


class Pieces(NamedTuple):
    """A word in sub-tokens."""

    ids: list[int]
    head: int  # which of them stands for the word

    def cut(self, capacity: int) -> "Pieces":
        """Keep as many as there is room for."""
        return self if len(self.ids) <= capacity else Pieces(self.ids[:capacity], min(self.head, capacity - 1))


def _pieces(tokenizer: Any, words: list[str]) -> tuple[Habits, dict[str, Pieces]]:
    """Write words in sub-tokens, and say how the tokenizer writes rows of them."""
    _refuse_half_characters("word", words)
    unknown = tokenizer.unk_token_id if tokenizer.unk_token_id is not None else tokenizer.mask_token_id
    if unknown is None:
        raise ValueError("the tokenizer must have an unk_token or a mask_token for words that it deletes, got none")
    habits, rows = _rows_of(tokenizer, words)
    mark_id = tokenizer.convert_tokens_to_ids(habits.mark) if habits.mark else None
    mark_id = None if mark_id == tokenizer.unk_token_id else mark_id  # the vocabulary has no mark by itself
    pieces = {}
    for word, row in zip(words, rows, strict=True):
        ids = row[len(habits.opening) : len(row) - len(habits.closing)]
        head = next((index for index, one in enumerate(ids) if one != mark_id), None)
        # Nothing, or nothing but the blank: the tokenizer has deleted the word.
        pieces[word] = Pieces([unknown], 0) if head is None else Pieces(ids, head)
    return habits, pieces


def _rows_of(tokenizer: Any, words: list[str]) -> tuple[Habits, list[list[int]]]:
    """Write each word as a row of its own, by habits that are asked for once a tokenizer.

    Who changes a tokenizer (adds tokens, has rows begin otherwise) changes how it writes `PROBE`, or nothing that
    matters. So that goes along with the words, and if it comes back otherwise than before the habits are asked anew.
    """
    for habits in (_HABITS.get(tokenizer), None):
        if habits is None:
            habits = _HABITS[tokenizer] = Habits.of(tokenizer)
        # Each word on its own: for BERT's WordPiece the same as `is_split_into_words`, and slow tokenizers can do it
        # too. Behind a blank where it is marked: without, every word would be written as one that goes on.
        blank = " " if habits.mark else ""
        probe, *rows = tokenizer(
            [PROBE, *(blank + word for word in words)],
            add_special_tokens=True,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )["input_ids"]
        if probe == habits.probe:
            break
    return habits, rows


def _stretches(borders: list[int], sentence: range, capacity: int, stride: int) -> Iterator[range]:
    """Cover a sentence's words with runs of at most `capacity` sub-tokens that share about `stride` with the next."""
    start, count = sentence.start, sentence.stop
    while True:
        end = start
        while end < count and borders[end + 1] - borders[start] <= capacity:
            end += 1
        yield range(start, end)
        if end == count:
            return
        following = end
        while following > start + 1 and borders[end] - borders[following - 1] <= stride:
            following -= 1
        # A long word at the border can leave no room for both: then the runs share nothing.
        if borders[end + 1] - borders[following] > capacity:
            following = end
        start = following


def _widen(borders: list[int], sentence: range, capacity: int, context_size: int) -> range:
    """Add words on both sides in turn, at most `context_size` sub-tokens on each and `capacity` in all."""
    start, end = sentence.start, sentence.stop
    grown = True
    while grown:
        grown = False
        before, after = max(start - 1, 0), min(end + 1, len(borders) - 1)
        if borders[sentence.start] - borders[before] <= context_size and borders[end] - borders[before] <= capacity:
            grown, start = before < start, before
        if borders[after] - borders[sentence.stop] <= context_size and borders[after] - borders[start] <= capacity:
            grown, end = grown or after > end, after
    return range(start, end)


def _cut(borders: list[int], left: range, right: range) -> int:
    """Return the first word that has more context in the right run than in the left one."""
    for word in range(right.start, left.stop):
        if borders[word] - borders[right.start] > borders[left.stop] - borders[word + 1]:
            return word
    return left.stop


def _window(
    habits: Habits, words: Sequence[str], pieces: list[Pieces], stretch: range, scored: range, start: int
) -> Window:
    """Write the words of a stretch as a row; `start` is the first word of the sentence that is scored."""
    input_ids = list(habits.opening)
    word_mask, shapes = [False] * len(input_ids), [0] * len(input_ids)
    for word in stretch:
        ids, head = pieces[word]
        if word in scored:
            rest = len(ids) - head - 1
            word_mask += [False] * head + [True] + [False] * rest
            shapes += [0] * head + [word_shape(words[word])] + [0] * rest
        else:
            word_mask += [False] * len(ids)
            shapes += [0] * len(ids)
        input_ids += ids
    closing, own = len(habits.closing), range(scored.start - start, scored.stop - start)
    return Window([*input_ids, *habits.closing], word_mask + [False] * closing, shapes + [0] * closing, own)


def word_shape(word: str) -> int:
    """Say how a word is written, for an encoder that does not see it: one of `WORD_SHAPES`, by its index.

    >>> [WORD_SHAPES[word_shape(word)] for word in ("Paris", "NATO", "iPhone", "B-52", "1,000", "J.", "the", "...")]
    ['Capitalised', 'CAPITALS', 'mixed', 'with a digit', 'number', 'one capital', 'lower', 'other']
    """
    letters = [letter for letter in word if letter.isalpha()]
    upper = [letter.isupper() for letter in letters]
    lower = [letter.islower() for letter in letters]
    if any(character.isdigit() for character in word):
        name = "with a digit" if letters else "number"
    elif not any(upper) and not any(lower):
        name = "other"  # no letters, or those of a script without case
    elif all(lower):
        name = "lower"
    elif all(upper):
        name = "CAPITALS" if len(letters) > 1 else "one capital"
    else:
        name = "Capitalised" if upper[0] and all(lower[1:]) else "mixed"
    return WORD_SHAPES.index(name)


def loses_case(tokenizer: Any) -> bool:
    """Say whether a tokenizer writes capitals in lower case."""
    return tokenizer.tokenize("A") == tokenizer.tokenize("a")


_KEPT_WHOLE = r"(?:https?://|www\.)\S+|[@#]\w+|&\w+;|[:;=]['-]?[()DPp/\\|*]+|<3"
_NUMBER = r"[$\u20ac\xa3]?\d+(?:[.,:/-]\d+)*%?(?!\w)"


def _words(letters: str, signs: str) -> str:
    """Words joined by what stands inside them: "don't", "Jean-Paul", "U.S.A", "AT&T"."""
    return rf"{_KEPT_WHOLE}|{_NUMBER}|{letters}(?:[-'\u2019.&/]{letters})*|{signs}"


def _clitics(letters: str, signs: str) -> str:
    """The same, with English clitics by themselves: "do" "n't", "Ada" "'s"."""
    clitics = r"(?i:n['\u2019]t|['\u2019](?:s|m|d|re|ve|ll))(?!\w)"
    before = rf"{letters}?(?=n['\u2019]t(?!\w))"  # the fewest letters: `letters` ends in a star or a plus
    return rf"{_KEPT_WHOLE}|{_NUMBER}|{clitics}|{before}|{letters}(?:[-.&/]{letters})*|{signs}"


_ATTACHED = r"[\p{WB=Extend}\p{WB=Format}\p{WB=ZWJ}]"
"""Combining marks, variation selectors, joiners: no word ends before them (rule 4 of Unicode's annex 29)."""
# From a letter to the next border of the annex's, or to a colon, which the annex joins to letters ("note:this").
_LETTERS, _LETTERS_OF_CLITICS = (
    rf"(?!{_ATTACHED})\w(?:\B[^\s:\uff1a{apostrophes}])*" for apostrophes in ("", r"'\u2019")
)
_SIGN = rf"(?:[^\w\s\x1c-\x1f]|{_ATTACHED}){_ATTACHED}*(?:(?<=\u200d)\p{{ExtPict}}{_ATTACHED}*)*"  # emoji are joined
# A flag is a pair of letters of its own kind; all else is a run of one sign. Never by `\B`, which would count back
# over a run of flags at every one of them.
_SIGNS = rf"\p{{RI}}{_ATTACHED}*\p{{RI}}|({_SIGN})(?:\1(?!{_ATTACHED}))*"


def _by_unicode(pattern: str) -> regex.Pattern:
    return regex.compile(rf"(?w)(?:{pattern}){_ATTACHED}*")


_OLD_SIGNS = r"([^\w\s])\1*"
_PATTERNS: dict[str, re.Pattern | regex.Pattern] = {
    "words": re.compile(_words(r"\w+", _OLD_SIGNS)),
    "clitics": re.compile(_clitics(r"\w+", _OLD_SIGNS)),
    "blanks": re.compile(r"\S+"),
    "unicode_words": _by_unicode(_words(_LETTERS, _SIGNS)),
    "unicode_clitics": _by_unicode(_clitics(_LETTERS_OF_CLITICS, _SIGNS)),
}
SPLITTERS = ("tokenizer", *_PATTERNS)
"""Ways to split a text into words, for `split_text`."""
_ATTACHED_RUN = regex.compile(rf"{_ATTACHED}*")
_WITHOUT_BLANKS = regex.compile(r"\p{Line_Break=Complex_Context}")


def split_text(tokenizer: Any, text: str, splitter: str = "tokenizer") -> list[tuple[int, int]]:
    """Split a text into words.

    Args:
        tokenizer: a fast tokenizer; read by `"tokenizer"` alone.
        text: any.
        splitter: one of `SPLITTERS`. `"tokenizer"` gives the tokenizer's own words, those that the model itself finds
            in `input_ids` when no `word_mask` says otherwise: every sign of punctuation is one. `"unicode_words"`
            gives the words of Unicode's annex 29, and keeps addresses, mentions, emoticons, and words with inner signs
            whole; `"unicode_clitics"` splits `'s` and `n't` off; `"blanks"` splits at blanks alone. `"words"` and
            `"clitics"` are what version 0.1 had in place of the two of Unicode: they cut words at combining marks, and
            stay for the taggers that learnt such words.

    Returns:
        Character ranges (start, end) without blanks, in order. But for the two of version 0.1, a word ends after the
        marks and joiners that follow its last letter.

    Raises:
        ValueError: if the splitter is `"tokenizer"`, and the tokenizer is not a fast one or the text holds half a
            character.
    """
    return split_texts(tokenizer, [text], splitter)[0]


def split_texts(tokenizer: Any, texts: Sequence[str], splitter: str = "tokenizer") -> list[list[tuple[int, int]]]:
    """Do what `split_text` does for many texts, at the price of one call of the tokenizer."""
    if any(map(_WITHOUT_BLANKS.search, texts)):
        _say_that_a_dictionary_is_needed()
    if splitter != "tokenizer":
        return [[match.span() for match in _PATTERNS[splitter].finditer(text)] for text in texts]
    if not tokenizer.is_fast:
        raise ValueError(
            f"the splitter 'tokenizer' needs a fast tokenizer, for its offsets, got {type(tokenizer).__name__}: set "
            "config.word_splitter to 'unicode_words', or split the texts and pass is_split_into_words=True"
        )
    _refuse_half_characters("text", texts)
    encoding = tokenizer(
        list(texts),
        add_special_tokens=False,
        return_offsets_mapping=True,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,
    )
    mark = blank_mark(tokenizer)
    added = _added(tokenizer) if mark else set()
    words = []
    for index, (text, ids, offsets) in enumerate(
        zip(texts, encoding["input_ids"], encoding["offset_mapping"], strict=True)
    ):
        # Where blanks are marked, the tokenizer's own words are finer than those that the model finds by the marks.
        alone = [one in added for one in ids]
        groups = _by_marks(encoding.tokens(index), mark, alone) if mark else encoding.word_ids(index)
        pieces = groupby(zip(groups, offsets, strict=True), key=itemgetter(0))
        spans = [[span for _, span in group] for word, group in pieces if word is not None]
        found = _without_blanks(text, [(span[0][0], span[-1][1]) for span in spans])
        words.append(_with_marks(text, list(found)))
    return words


def _by_marks(tokens: Sequence[str], mark: str, added: Sequence[bool]) -> Iterator[int | None]:
    """Number the words that pieces belong to, as the model finds them in a row; None is a lone blank, of no word."""
    word, before = 0, SPECIAL
    for token, is_added in zip(tokens, added, strict=True):
        role = _role(token, mark, is_added)
        word += role == BEGINS or before in (SPECIAL, BLANK)
        yield None if role == BLANK else word
        before = role


def _without_blanks(text: str, spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Leave out the blanks around spans, which tokenizers that mark them count as part of words."""
    for start, end in spans:
        word = text[start:end]
        start, end = start + len(word) - len(word.lstrip()), end - len(word) + len(word.rstrip())
        if start < end:
            yield start, end


def _with_marks(text: str, words: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Take what is attached to each word's end into it: the tokenizer drops it, but it is no text without the word."""
    return [
        (start, _ATTACHED_RUN.match(text, end, max(end, following)).end())
        for (start, end), (following, _) in pairwise([*words, (len(text), len(text))])
    ]


@cache
def _say_that_a_dictionary_is_needed() -> None:
    logger.warning(
        "Thai, Lao, Khmer and Burmese are written without blanks, and their words need a dictionary: split such texts "
        "into the words of the training data, and pass is_split_into_words=True"
    )


_SENTENCE_END = ".!?\u2026\u3002\uff01\uff1f"  # with the full stop and marks of Chinese and Japanese
_CLOSING = "\"'\u201d\u2019»)]"


def split_sentences(text: str, words: Sequence[tuple[int, int]]) -> list[range]:
    """Group a text's words into sentences, by line breaks and by rule.

    A sentence ends at a line break, or after `.`, `!` or `?` (and closing quotes) before a blank and a word that
    begins with a capital, a digit or no letter at all; not after a single letter or a short capitalised word (`J.`,
    `Dr.`).

    Args:
        text: any.
        words: (start, end) of its words, in order.

    Returns:
        Ranges of word indices, none empty, together all words.
    """
    starts = [0] if words else []
    for index in range(1, len(words)):
        before, after = words[index - 1], words[index]
        gap = text[before[1] : after[0]]
        if "\n" in gap or "\r" in gap or (gap and _ends_sentence(text, words, index, starts[-1])):
            starts.append(index)
    return [range(start, end) for start, end in pairwise([*starts, len(words)])]


def _ends_sentence(text: str, words: Sequence[tuple[int, int]], index: int, start: int) -> bool:
    following = text[words[index][0]]
    if following.islower():
        return False
    # The stretch without blanks before the gap: "U.S.", "word.", 'said."', or "." by itself in split text.
    first = index - 1
    while first > start and words[first - 1][1] == words[first][0]:
        first -= 1
    stretch = text[words[first][0] : words[index - 1][1]]
    sentence = stretch.rstrip(_CLOSING)
    word = sentence.rstrip(_SENTENCE_END)
    if word == sentence:
        return False
    return not (stretch[len(word) :] == "." and (len(word) == 1 or (1 < len(word) <= 3 and word[0].isupper())))


def check_tokenizer(tokenizer: Any, vocab_size: int | None = None, roles: Sequence[int] | None = None) -> None:
    """Refuse a tokenizer that cannot feed a model, or only with nonsense.

    Args:
        tokenizer: any.
        vocab_size: the ids that the model knows, if there is one yet.
        roles: what `token_roles` said of the tokenizer that the model was trained with, if that is known.

    Raises:
        ValueError: if the tokenizer has no words, lacks a special token that it needs, has more ids than the model or
            another vocabulary, or leaves no room for a word.
    """
    if tokenizer is None:
        raise ValueError("tokenizer must be the model's tokenizer, got None")
    # Where there are no files, the host makes a tokenizer of nothing but special tokens.
    if len(tokenizer) <= len(tokenizer.all_special_tokens):
        raise ValueError("the tokenizer must have words, got special tokens alone, as where tokenizer.json is missing")
    # Some have others in their place: byte-level BPE knows every word, and some begin with a bos_token.
    for name, other in (("unk_token", "mask_token"), ("cls_token", "bos_token"), ("sep_token", "eos_token")):
        needed = (name,) if name == "unk_token" and not blank_mark(tokenizer) else (name, other)
        if all(getattr(tokenizer, f"{one}_id") is None for one in needed):
            raise ValueError(f"the tokenizer must have a {name}, got {getattr(tokenizer, name)!r}")
    longest = tokenizer.model_max_length
    if not (isinstance(longest, int) and longest >= 3) and longest != float("inf"):
        raise ValueError(f"the tokenizer's model_max_length must be an integer of at least 3, got {longest!r:.80}")
    own = None if vocab_size is None else token_roles(tokenizer, vocab_size)
    if own is None or roles is None or min(roles) < SPECIAL:  # unset
        return
    for name in ("cls_token", "sep_token"):
        index = getattr(tokenizer, f"{name}_id")
        if index is not None and roles[index] != SPECIAL:
            token = getattr(tokenizer, name)
            raise ValueError(f"the tokenizer's {name} must be the one that the tagger learnt with, got {token!r:.80}")
    # Which tokens are special, and what was added later, depends on more than the vocabulary.
    for index, (role, learnt) in enumerate(zip(own, roles, strict=False)):
        if (role in (CONTINUES, UNMARKED, OPEN)) != (learnt in (CONTINUES, UNMARKED, OPEN)):
            token = tokenizer.convert_ids_to_tokens(index)
            raise ValueError(
                "the tokenizer must be the one that the tagger learnt with, got another vocabulary: its token "
                f"{token!r:.80} has the id {index}"
            )


def token_roles(tokenizer: Any, vocab_size: int) -> list[int]:
    """Say of every id of the vocabulary what it is: `SPECIAL`, `BEGINS` and so on.

    The mask token stands for a word, and so do tokens added later; ids that the tokenizer does not know are counted as
    such. The unknown token stands for a word, too, or where blanks are marked for a piece without one before it.

    Raises:
        ValueError: if the tokenizer's vocabulary is larger than the model's.
    """
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id, tokenizer.mask_token_id}
    added, mark = _added(tokenizer), blank_mark(tokenizer)
    # A word that nobody writes has pieces.
    goes_on = any(piece.endswith(GOES_ON) for piece in tokenizer.tokenize("qzxjqzxj"))
    roles = [BEGINS] * vocab_size
    for token, index in tokenizer.get_vocab().items():
        if index >= vocab_size:
            raise ValueError(f"the tokenizer's token {token!r:.80} has id {index}, the model knows {vocab_size} ids")
        if index in special:
            roles[index] = SPECIAL
        elif goes_on and token.endswith(GOES_ON) and index not in added:
            roles[index] = OPEN
        else:
            roles[index] = _role(token, mark, index in added)
    return roles


def _added(tokenizer: Any) -> set[int]:
    """Return the ids of tokens that stand for words by themselves: all that were added to the vocabulary, but for the
    unknown one, which stands for any piece."""
    return set(tokenizer.get_added_vocab().values()) - {tokenizer.unk_token_id}


def _role(token: str, mark: str, is_added: bool) -> int:
    """Say what a token is that is not special."""
    if mark and not token.strip(mark + MARKS[mark] + " \t\r\n"):
        return BLANK
    if is_added:
        return BEGINS
    if mark:
        return BEGINS if token.startswith(mark) else UNMARKED
    return CONTINUES if token.startswith("##") and len(token) > 2 else BEGINS
