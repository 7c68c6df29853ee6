"""Words and sub-tokens: the one place that knows tokenizers.

The CRF's chain runs over words, and the encoder reads sub-tokens. Collator, evaluation and pipeline all call
`encode_documents`, so that training and inference see the same chain: every word has exactly one position in it, that
of the word's first sub-token.

Ships with every checkpoint and every export: standard library only; a tokenizer comes in as an argument.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby, pairwise
from operator import itemgetter
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

SPECIAL, BEGINS, CONTINUES, BLANK, UNMARKED, OPEN = range(6)
"""What a token of the vocabulary is, for the words of a row:

    SPECIAL    no part of a word
    BEGINS     the first piece of a word
    CONTINUES  a later piece of a word

Some tokenizers do not mark later pieces, but the blank before a word, or the pieces after which a word goes on:

    BLANK      the blank before a word, as a token by itself
    UNMARKED   a piece without a blank before it: right behind a blank or a special token it is the first one of a
               word, elsewhere a later one
    OPEN       a piece after which the word goes on
"""
BYTE_LEVEL = "\u0120"
MARKS = {"\u2581": "", BYTE_LEVEL: "\u010a\u010d\u0109", " ": ""}
"""How tokenizers write the blank before a word: SentencePiece and its kin, byte-level BPE, those that write characters
as they are. And what they write for line feed, carriage return and tab, if that is something else."""
GOES_ON = "@@"
"""How subword-nmt and its kin mark, at the end of a piece, that the word goes on."""
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
"""How a word is written: what the numbers in `word_shape_ids` mean. No word's own shape is `"unknown"`; it stands in
calls that do not give the shapes."""

ROW_OF_REACHES = 4
"""How long a row is for an encoder of limited reach, as a multiple of that. A row shows the reach on both sides of
what it scores, so that half of it is read twice; longer rows would need more memory, by the square of their length."""
SHORT_ROW = 512
"""The most sub-tokens in a row that needs no more memory than any encoder's rows do."""
PROBE = "a a"
"""What tokenizers are asked to write, to see how they write words."""


@dataclass(frozen=True)
class Habits:
    """How a tokenizer writes a row of words. This is found out by trying, so that no tokenizer need be known by name.

    Attributes:
        opening, closing: the special tokens that it puts around a row, `[CLS]` and `[SEP]` or others or none.
        mark: the sign of `MARKS` that it writes for the blank before a word, `""` if it writes none.
        probe: `PROBE` as a row. As long as the tokenizer writes it like this, the habits are these.
    """

    opening: list[int]
    closing: list[int]
    mark: str
    probe: list[int]

    @classmethod
    def of(cls, tokenizer: Any) -> "Habits":
        """Ask a tokenizer for its habits."""
        bare = tokenizer([PROBE], add_special_tokens=False)["input_ids"][0]
        row = tokenizer([PROBE], add_special_tokens=True)["input_ids"][0]
        count = len(bare)
        start = next((index for index in range(len(row)) if row[index : index + count] == bare), len(row))
        return cls(row[:start], row[start + count :], blank_mark(tokenizer), row)


_HABITS: WeakKeyDictionary[Any, Habits] = WeakKeyDictionary()
"""The habits of the tokenizers that are in use."""


def blank_mark(tokenizer: Any) -> str:
    """Return the sign that a tokenizer writes for the blank before a word, one of `MARKS`; `""` if it writes none."""
    later = tokenizer.tokenize(PROBE)[1:]
    return next((mark for mark in MARKS if any(piece.startswith(mark) for piece in later)), "")


class Token(NamedTuple):
    """A sub-token of a text, in a chain that runs over sub-tokens: it takes the place of a word."""

    id: int
    text: str  # what it stands for, with the blanks that the tokenizer counts as part of it


@dataclass(frozen=True)
class Window:
    """A stretch of a sentence that fits the encoder: one row of its input.

    Attributes:
        input_ids: the sub-tokens, special tokens included.
        word_mask: True at the first sub-token of each word that is scored here. (A blank that is a sub-token by itself
            is no part of a word.) Other words are context only.
        word_shape_ids: the `word_shape` of each scored word where `word_mask` is True, 0 elsewhere.
        words: the scored words' indices in the sentence; there are as many as `word_mask` has True.
    """

    input_ids: list[int]
    word_mask: list[bool]
    word_shape_ids: list[int]
    words: range


class Pieces(NamedTuple):
    """A word in sub-tokens."""

    ids: list[int]
    head: int  # which of them stands for the word

    def cut(self, capacity: int) -> "Pieces":
        """Return as many of them as there is room for."""
        return self if len(self.ids) <= capacity else Pieces(self.ids[:capacity], min(self.head, capacity - 1))


def unicode_fault(text: str) -> str:
    """Say what is wrong with a text that holds half a character; return an empty string if nothing is wrong.

    Half of a surrogate pair can come from an escape in JSON, or from a shell. No tokenizer can read it, and no file
    can hold it.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"must be Unicode text, got half a character, {text[error.start]!r}"
    return ""


def _refuse_half_characters(what: str, texts: Iterable[str]) -> None:
    """Raise an error if one of the words, or texts, holds half a character."""
    if fault := next(filter(None, map(unicode_fault, texts)), ""):
        raise ValueError(f"a {what} {fault}")


def encode_documents(
    tokenizer: Any,
    documents: Sequence[Sequence[Sequence[str | Token]]],
    max_length: int | None = None,
    stride: int | None = None,
    context_size: int = 0,
    reach: int | None = None,
) -> Iterator[list[list[Window]]]:
    """Turn sentences into the encoder's input, each with the words around it in its document as context, not scored.

    A sentence becomes one row, or several if it is too long for one. Rows break between words and overlap; each word
    is scored in one row, the one where it has the most context. If the tokenizer deletes a word (a variation selector
    by itself, say), the unknown token stands for it, or if there is none the blank before it.

    Args:
        tokenizer: the encoder's, fast or slow.
        documents: each a list of consecutive sentences, already split into words; or into sub-tokens, each of which
            is then scored as a word is. A sentence without words becomes a row without a scored word.
        max_length: most sub-tokens in a row, the special ones included; None means `tokenizer.model_max_length`.
        stride: sub-tokens that neighbouring rows share, up to a word's length; None means a quarter of a row.
        context_size: how many sub-tokens of the neighbouring sentences stand on each side of a sentence, at most and
            as far as there is room. A sentence that fills more than one row gets none: its rows are each other's
            context.
        reach: how far away, in sub-tokens, the encoder sees anything at all; None if it sees the whole row. If there
            is room, and `stride` is None, each word's row then shows all that the encoder can see from it, and what
            it makes of a word does not depend on where rows break. Rows are then no longer than `ROW_OF_REACHES` such
            distances or `SHORT_ROW`.

    Returns:
        For each document, for each of its sentences, the windows in order. Their `words` are the sentence's words,
        each once.

    Raises:
        ValueError: if `max_length` leaves no room for a word, or `stride` is as large as a row, or a word holds half a
            character.
    """
    limit = tokenizer.model_max_length if max_length is None else max_length
    distinct = {word for document in documents for sentence in document for word in sentence}
    habits, pieces_of = pieces_of_words(tokenizer, [word for word in distinct if isinstance(word, str)])
    special = len(habits.opening) + len(habits.closing)
    capacity = limit - special
    if capacity < 1:
        raise ValueError(f"max_length must be at least {special + 1}, got {limit}")
    if stride is None and reach is not None:
        capacity = min(capacity, max(ROW_OF_REACHES * reach, SHORT_ROW))
    shared = capacity // 4 if stride is None else stride
    if not 0 <= shared < capacity:
        raise ValueError(f"stride must be at least 0 and below {capacity}, got {shared}")
    written = {word: pieces_of[word] if isinstance(word, str) else Pieces([word.id], 0) for word in distinct}
    written = {word: pieces.cut(capacity) for word, pieces in written.items()}
    room = _Room(capacity, shared, context_size, None if stride is not None else reach)
    for document in documents:
        yield _windows_of_document(habits, written, document, room)


class _Room(NamedTuple):
    """What fits into a row, in sub-tokens."""

    capacity: int  # most in a row, the special ones not included
    stride: int  # shared by neighbouring rows of a sentence
    context_size: int  # most of the neighbouring sentences on each side
    reach: (
        int | None
    )  # what neighbouring rows have to share on each side of where they are cut; None if no number will do

    def for_words(self, pieces: Sequence[Pieces]) -> "_Room":
        """Return the room with a stride that shows the encoder's whole reach on each side of each of these words.

        Rows share whole words, and at most as many sub-tokens as the stride: hence one word's length on top. Three
        quarters of a row are the most, so that rows get on with a sentence.
        """
        if self.reach is None:
            return self
        longest = max((len(one.ids) for one in pieces), default=1)
        return self._replace(stride=min(2 * (self.reach + longest - 1), self.capacity * 3 // 4))


def _windows_of_document(
    habits: Habits,
    pieces_of: Mapping[str | Token, Pieces],
    document: Sequence[Sequence[str | Token]],
    room: _Room,
) -> list[list[Window]]:
    """Lay the sentences of a document out in windows."""
    words = [word for sentence in document for word in sentence]
    pieces = [pieces_of[word] for word in words]
    room = room.for_words(pieces)
    borders = [0, *accumulate(len(one.ids) for one in pieces)]  # sub-tokens before each word, and in all
    ends = [0, *accumulate(map(len, document))]
    return [
        [
            _window(habits, words, pieces, stretch, scored, sentence.start)
            for stretch, scored in _rows(borders, sentence, room)
        ]
        for sentence in (range(*pair) for pair in pairwise(ends))
    ]


def _rows(borders: list[int], sentence: range, room: _Room) -> Iterator[tuple[range, range]]:
    """Lay a sentence out in rows: yield the words that each row shows, and those of them that it scores."""
    stretches = list(_stretches(borders, sentence, room))
    if len(stretches) == 1:
        yield _widen(borders, sentence, room), sentence
        return
    inner = (_cut(borders, left, right) for left, right in pairwise(stretches))
    cuts = pairwise([sentence.start, *inner, sentence.stop])
    yield from ((stretch, range(*scored)) for stretch, scored in zip(stretches, cuts, strict=True))


def pieces_of_words(tokenizer: Any, words: list[str]) -> tuple[Habits, dict[str, Pieces]]:
    """Write words in sub-tokens, each by itself; return the tokenizer's habits as well.

    Raises:
        ValueError: if a word holds half a character, or is deleted and there is nothing to write in its place.
    """
    _refuse_half_characters("word", words)
    unknown = tokenizer.unk_token_id if tokenizer.unk_token_id is not None else tokenizer.mask_token_id
    habits, rows = _rows_of(tokenizer, words)
    mark_id = tokenizer.convert_tokens_to_ids(habits.mark) if habits.mark else None
    mark_id = None if mark_id == tokenizer.unk_token_id else mark_id  # then the mark is no token by itself
    pieces = {}
    for word, row in zip(words, rows, strict=True):
        ids = row[len(habits.opening) : len(row) - len(habits.closing)]
        head = next((index for index, one in enumerate(ids) if one != mark_id), None)
        # Without a head there is nothing, or nothing but the blank: the tokenizer has deleted the word.
        stands = ids if unknown is None else [unknown]
        if head is None and not stands:
            raise ValueError(
                f"the tokenizer must have an unk_token or a mask_token for {word!r:.80}, which it deletes"
            )
        pieces[word] = Pieces(stands, 0) if head is None else Pieces(ids, head)
    return habits, pieces


def _rows_of(tokenizer: Any, words: list[str]) -> tuple[Habits, list[list[int]]]:
    """Write each word as a row of its own; return the tokenizer's habits as well.

    Asking for habits takes several calls of the tokenizer, so they are kept. But somebody may change the tokenizer
    later: add tokens to it, or let its rows begin otherwise. Every change that matters shows in how it writes `PROBE`.
    So `PROBE` goes along with the words, and if it comes back otherwise than before, the habits are asked for again.
    """
    for habits in (_HABITS.get(tokenizer), None):
        if habits is None:
            habits = _HABITS[tokenizer] = Habits.of(tokenizer)
        # Each word is written by itself. For BERT's WordPiece this is the same as `is_split_into_words`, and slow
        # tokenizers can do it, too. Where blanks are marked each word needs one before it: otherwise it would be
        # written as the rest of a longer word.
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


def _stretches(borders: list[int], sentence: range, room: _Room) -> Iterator[range]:
    """Cover a sentence with stretches of words that fit into rows, each of which shares some words with the next."""
    start, count = sentence.start, sentence.stop
    while True:
        end = start
        while end < count and borders[end + 1] - borders[start] <= room.capacity:
            end += 1
        yield range(start, end)
        if end == count:
            return
        following = end
        while following > start + 1 and borders[end] - borders[following - 1] <= room.stride:
            following -= 1
        # If the next word is so long that it and the shared words do not fit into one row, nothing is shared.
        if borders[end + 1] - borders[following] > room.capacity:
            following = end
        start = following


def _widen(borders: list[int], sentence: range, room: _Room) -> range:
    """Add the words around a sentence, one on each side in turn, as long as there is room for them."""
    capacity, context_size = room.capacity, room.context_size
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
    """Return the first word that has more context in the right stretch than in the left one."""
    for word in range(right.start, left.stop):
        if borders[word] - borders[right.start] > borders[left.stop] - borders[word + 1]:
            return word
    return left.stop


def _window(
    habits: Habits, words: Sequence[str | Token], pieces: list[Pieces], stretch: range, scored: range, start: int
) -> Window:
    """Write the words of a stretch as a row; `start` is the first word of the sentence that is scored."""
    input_ids = list(habits.opening)
    word_mask, shapes = [False] * len(input_ids), [0] * len(input_ids)
    for word in stretch:
        ids, head = pieces[word]
        if word in scored:
            rest = len(ids) - head - 1
            word_mask += [False] * head + [True] + [False] * rest
            written = words[word]
            shape = word_shape(written if isinstance(written, str) else written.text)
            shapes += [0] * head + [shape] + [0] * rest
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
    if any(map(str.isdigit, word)):
        return WORD_SHAPES.index("with a digit" if letters else "number")
    return WORD_SHAPES.index(_case_of(letters))


def _case_of(letters: Sequence[str]) -> str:
    """Say which of a word's letters are capitals, as one of `WORD_SHAPES`."""
    upper = [letter.isupper() for letter in letters]
    lower = [letter.islower() for letter in letters]
    if not any(upper) and not any(lower):
        return "other"  # no letters, or those of a script without case
    if all(lower):
        return "lower"
    if all(upper):
        return "CAPITALS" if len(letters) > 1 else "one capital"
    return "Capitalised" if upper[0] and all(lower[1:]) else "mixed"


def loses_case(tokenizer: Any) -> bool:
    """Say whether a tokenizer writes capitals in lower case."""
    return tokenizer.tokenize("A") == tokenizer.tokenize("a")


def check_tokenizer(tokenizer: Any, vocab_size: int | None = None, roles: Sequence[int] | None = None) -> None:
    """Refuse a tokenizer that cannot feed a model, or only with nonsense.

    Args:
        tokenizer: any.
        vocab_size: how many ids the model knows, if there is a model yet.
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
    # Some tokenizers use other tokens in place of these. Byte-level BPE needs no unknown token, since it can write
    # every word; and where rows have no special tokens around them, these need not be.
    mark = blank_mark(tokenizer)
    needed = [] if mark == BYTE_LEVEL else [("unk_token", *(("mask_token",) if mark else ()))]
    for names in (*needed, ("cls_token", "bos_token"), ("sep_token", "eos_token")):
        around = names[0] != "unk_token"
        if all(getattr(tokenizer, f"{one}_id") is None for one in names) and not (around and _writes_bare(tokenizer)):
            raise ValueError(f"the tokenizer must have a {names[0]}, got {getattr(tokenizer, names[0])!r}")
    longest = tokenizer.model_max_length
    if not (isinstance(longest, int) and longest >= 3) and longest != float("inf"):
        raise ValueError(f"the tokenizer's model_max_length must be an integer of at least 3, got {longest!r:.80}")
    if vocab_size is not None:
        own = token_roles(tokenizer, vocab_size)
        if roles is not None and min(roles) >= SPECIAL:  # they are set
            _check_same_vocabulary(tokenizer, own, roles)


def _writes_bare(tokenizer: Any) -> bool:
    """Say whether a tokenizer that marks blanks writes rows with no special tokens around them."""
    habits = Habits.of(tokenizer) if blank_mark(tokenizer) else None
    return habits is not None and not habits.opening and not habits.closing


def _check_same_vocabulary(tokenizer: Any, own: Sequence[int], roles: Sequence[int]) -> None:
    """Refuse a tokenizer whose roles, `own`, are not those that a model learnt, `roles`."""
    for name in ("cls_token", "sep_token"):
        index = getattr(tokenizer, f"{name}_id")
        if index is not None and roles[index] != SPECIAL:
            token = getattr(tokenizer, name)
            raise ValueError(f"the tokenizer's {name} must be the one that the tagger learnt with, got {token!r:.80}")
    # Whether a piece can begin a word depends on the vocabulary alone. Which tokens are special does not, nor which
    # were added: so these are not compared.
    later = (CONTINUES, UNMARKED, OPEN)
    for index, (role, learnt) in enumerate(zip(own, roles, strict=False)):
        if (role in later) != (learnt in later):
            token = tokenizer.convert_ids_to_tokens(index)
            raise ValueError(
                "the tokenizer must be the one that the tagger learnt with, got another vocabulary: its token "
                f"{token!r:.80} has the id {index}"
            )


def words_of_tokenizer(tokenizer: Any, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
    """Find the tokenizer's own words in texts: those that the model finds in `input_ids` without a `word_mask`.

    Returns:
        (start, end) of each word of each text, by the tokenizer's count: with the blanks that it counts as part of a
        word, without the marks that it drops.

    Raises:
        ValueError: if the tokenizer is not a fast one, or a text holds half a character.
    """
    if not tokenizer.is_fast:
        raise ValueError(
            f"the splitter 'tokenizer' needs a fast tokenizer, for its offsets, got {type(tokenizer).__name__}: set "
            "config.word_splitter to 'unicode_words', or split the texts and pass is_split_into_words=True"
        )
    encoding = _with_offsets(tokenizer, texts)
    mark = blank_mark(tokenizer)
    added = _added(tokenizer) if mark else set()
    words = []
    for index, (ids, offsets) in enumerate(zip(encoding["input_ids"], encoding["offset_mapping"], strict=True)):
        # Where blanks are marked, the tokenizer's own words are finer than those that the model finds by the marks.
        alone = [one in added for one in ids]
        numbers = _by_marks(encoding.tokens(index), mark, alone) if mark else encoding.word_ids(index)
        pieces = groupby(zip(numbers, offsets, strict=True), key=itemgetter(0))
        spans = [[span for _, span in group] for number, group in pieces if number is not None]
        words.append([(span[0][0], span[-1][1]) for span in spans])
    return words


def tokens_of(tokenizer: Any, texts: Sequence[str]) -> list[list[tuple[int, tuple[int, int]]]]:
    """Write texts in sub-tokens, without the special ones around a row.

    Returns:
        For each text, of each of its sub-tokens, the id and (start, end) in characters, by the tokenizer's count: with
        the blanks that it counts as part of it; and if a sub-token is but a part of a character, the whole character.

    Raises:
        ValueError: if the tokenizer is not a fast one, or a text holds half a character.
    """
    if not tokenizer.is_fast:
        raise ValueError(
            f"a chain over sub-tokens needs a fast tokenizer, for its offsets, got {type(tokenizer).__name__}: set "
            "config.chain_unit to 'word'"
        )
    if not texts:
        return []
    encoding = _with_offsets(tokenizer, texts)
    pairs = zip(encoding["input_ids"], encoding["offset_mapping"], strict=True)
    return [list(zip(ids, map(tuple, offsets), strict=True)) for ids, offsets in pairs]


def _with_offsets(tokenizer: Any, texts: Sequence[str]) -> Any:
    """Call a fast tokenizer on texts, without special tokens around them."""
    _refuse_half_characters("text", texts)
    return tokenizer(
        list(texts),
        add_special_tokens=False,
        return_offsets_mapping=True,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,
    )


def _by_marks(tokens: Sequence[str], mark: str, added: Sequence[bool]) -> Iterator[int | None]:
    """Number the words that pieces belong to, as the model finds them in a row; a blank by itself belongs to none."""
    word, before = 0, SPECIAL
    for token, is_added in zip(tokens, added, strict=True):
        role = _role(token, mark, is_added)
        word += role == BEGINS or before in (SPECIAL, BLANK)
        yield None if role == BLANK else word
        before = role


def token_roles(tokenizer: Any, vocab_size: int) -> list[int]:
    """Say of every id of the vocabulary what its token is: `SPECIAL`, `BEGINS` and so on.

    The mask token and tokens that were added later are words by themselves. An id that the tokenizer does not know is
    taken for a token that will be added. The unknown token is a word by itself, too; but where blanks are marked it is
    a piece without a blank before it.

    Raises:
        ValueError: if the tokenizer's vocabulary is larger than the model's.
    """
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id, tokenizer.mask_token_id}
    added, mark = _added(tokenizer), blank_mark(tokenizer)
    # A word that is in no vocabulary must come in pieces.
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
    """Return the ids of the tokens that were added to the vocabulary as words, without the unknown token."""
    return set(tokenizer.get_added_vocab().values()) - {tokenizer.unk_token_id}


def _role(token: str, mark: str, is_added: bool) -> int:
    """Say what a token is, if it is neither special nor `OPEN`."""
    if mark and not token.strip(mark + MARKS[mark] + " \t\r\n"):
        return BLANK
    if is_added:
        return BEGINS
    if mark:
        return BEGINS if token.startswith(mark) else UNMARKED
    return CONTINUES if token.startswith("##") and len(token) > 2 else BEGINS


__all__ = [
    "BEGINS",
    "BLANK",
    "CONTINUES",
    "OPEN",
    "SPECIAL",
    "UNMARKED",
    "WORD_SHAPES",
    "Habits",
    "Pieces",
    "Token",
    "Window",
    "blank_mark",
    "check_tokenizer",
    "encode_documents",
    "loses_case",
    "pieces_of_words",
    "token_roles",
    "tokens_of",
    "unicode_fault",
    "word_shape",
    "words_of_tokenizer",
]
