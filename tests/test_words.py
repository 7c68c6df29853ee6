"""Words to sub-tokens, and windows of them."""

import copy
import random

import pytest
from conftest import encode_document, encode_words
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertTokenizer, PreTrainedTokenizerFast

from modeling_bert_crf.words import (
    BEGINS,
    WORD_SHAPES,
    Pieces,
    encode_documents,
    loses_case,
    token_roles,
    word_shape,
)


def test_each_word_has_one_position(tokenizer):
    (window,) = encode_words(tokenizer, ["Ada", "sang", ".", "Paris"])

    tokens = tokenizer.convert_ids_to_tokens(window.input_ids)
    assert tokens == ["[CLS]", "Ada", "s", "##a", "##n", "##g", ".", "Paris", "[SEP]"]
    assert window.word_mask == [False, True, True, False, False, False, True, True, False]
    assert [WORD_SHAPES[shape] for shape in window.word_shape_ids] == [
        *("unknown", "Capitalised", "lower", "unknown", "unknown", "unknown", "other", "Capitalised", "unknown")
    ]
    assert window.words == range(4)


@pytest.mark.parametrize(
    ("word", "shape"),
    [
        ("2020", "number"),
        ("3.5%", "number"),
        ("A4", "with a digit"),
        ("EU", "CAPITALS"),
        ("U.S.", "CAPITALS"),
        ("É", "one capital"),
        ("Łódź", "Capitalised"),
        ("O'neill", "Capitalised"),
        ("O'Neill", "mixed"),
        ("eBay", "mixed"),
        ("straße", "lower"),
        ("北京", "other"),
        ("\ufe0f", "other"),
        ("", "other"),
    ],
)
def test_word_shapes(word, shape):
    assert WORD_SHAPES[word_shape(word)] == shape


def test_tokenizers_that_lose_case_are_known(tokenizer):
    assert not loses_case(tokenizer)
    assert loses_case(BertTokenizer(vocab=tokenizer.get_vocab(), do_lower_case=True))


def test_a_word_that_the_tokenizer_deletes_is_fed_as_unknown(tokenizer):
    (window,) = encode_words(tokenizer, ["Ada", "\ufe0f", "\u200b", "Paris"])

    assert tokenizer.convert_ids_to_tokens(window.input_ids) == ["[CLS]", "Ada", "[UNK]", "[UNK]", "Paris", "[SEP]"]
    assert window.word_mask == [False, True, True, True, True, False]


def test_no_words_make_one_row_without_a_scored_word(tokenizer):
    (window,) = encode_words(tokenizer, [])

    assert tokenizer.convert_ids_to_tokens(window.input_ids) == ["[CLS]", "[SEP]"]
    assert window.word_mask == [False, False]


@pytest.mark.parametrize("limit", [3, 4, 7, 20, 48])
@pytest.mark.parametrize("stride", [None, 0, 1])
def test_windows_score_each_word_once(tokenizer, limit, stride):
    if stride is not None and stride >= limit - 2:
        pytest.skip("no room")
    rng = random.Random(limit)
    for _ in range(60):
        words = ["".join(rng.choices("abcdef", k=rng.choice([1, 1, 2, 5, 40]))) for _ in range(rng.randint(0, 50))]

        windows = encode_words(tokenizer, words, limit, stride)

        assert all(len(window.input_ids) == len(window.word_mask) <= limit for window in windows)
        assert all(sum(window.word_mask) == len(window.words) for window in windows)
        assert [word for window in windows for word in window.words] == list(range(len(words)))
        firsts = [
            tokenizer.convert_ids_to_tokens(token)
            for window in windows
            for token, scored in zip(window.input_ids, window.word_mask, strict=True)
            if scored
        ]
        assert firsts == [word[0] for word in words]


def test_each_word_is_scored_where_it_has_the_most_context(tokenizer):
    words = [chr(ord("a") + index) for index in range(20)]  # one sub-token each

    windows = encode_words(tokenizer, words, max_length=10, stride=4)

    rows = [tokenizer.convert_ids_to_tokens(window.input_ids)[1:-1] for window in windows]
    assert rows == [list("abcdefgh"), list("efghijkl"), list("ijklmnop"), list("mnopqrst")]
    assert [window.words for window in windows] == [range(0, 6), range(6, 10), range(10, 14), range(14, 20)]


@pytest.mark.parametrize(
    ("words", "stride", "rows", "scored"),
    [
        # With three words shared, the one in the middle has as much context on either side, and stays in the left row.
        (list("abcdefghijklm"), 3, ["a b c d e f g h", "f g h i j k l m"], [range(7), range(7, 13)]),
        (list("abcdefghijklmn"), None, ["a b c d e f g h", "g h i j k l m n"], [range(7), range(7, 14)]),  # a quarter
        # Where the next word leaves no room for shared ones, there are none, and there is no row without a new word.
        (["a", "b", "c", "hijklmno"], 4, ["a b c", "h ##i ##j ##k ##l ##m ##n ##o"], [range(3), range(3, 4)]),
        # A row begins at least a word further on than the one before, and shares what it can.
        (["zz", *"abc", "vwxyz"], 7, ["z ##z a b c", "a b c v ##w ##x ##y ##z"], [range(3), range(3, 5)]),
    ],
    ids=["tie", "quarter", "no room", "progress"],
)
def test_rows_of_eight_sub_tokens(tokenizer, words, stride, rows, scored):
    windows = encode_words(tokenizer, words, max_length=10, stride=stride)

    assert [" ".join(tokenizer.convert_ids_to_tokens(one.input_ids)[1:-1]) for one in windows] == rows
    assert [window.words for window in windows] == scored


@pytest.mark.parametrize(("reach", "longest"), [(10, 512), (200, 800), (600, 1998)])
def test_rows_for_an_encoder_of_limited_reach_are_some_reaches_long(tokenizer, reach, longest):
    (((*windows,),),) = encode_documents(tokenizer, [[["a"] * 3000]], max_length=2000, reach=reach)

    assert max(len(window.input_ids) for window in windows) == longest + 2


def test_a_word_that_is_cut_keeps_a_sub_token_that_stands_for_it():
    assert Pieces([5, 6, 7], 1).cut(2) == Pieces([5, 6], 1)
    assert Pieces([5, 6, 7], 1).cut(1) == Pieces([5], 0)


@pytest.mark.parametrize(
    ("limit", "stride", "message"),
    [(2, None, "max_length must be at least 3, got 2"), (10, 8, "stride must be at least 0 and below 8, got 8")],
)
def test_windows_without_room_are_refused(tokenizer, limit, stride, message):
    with pytest.raises(ValueError, match=message):
        encode_words(tokenizer, ["a"], limit, stride)


def test_roles_of_the_vocabulary(tokenizer):
    roles = token_roles(tokenizer, len(tokenizer) + 3)

    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "Ada", "a", "##a", "#"]
    assert [roles[tokenizer.convert_tokens_to_ids(name)] for name in names] == [0, 1, 0, 0, 1, 1, 1, 2, 1]
    assert roles[len(tokenizer) :] == [1, 1, 1]


@pytest.mark.parametrize(
    ("limit", "size", "rows"),
    [
        (30, 2, ["abcde", "bcdefg", "defghijk", "hijkl"]),
        (30, 3, ["abcdef", "abcdefgh", "cdefghijkl", "ghijkl"]),
        (6, 30, ["abcd", "cdef", "fghi", "ijkl"]),  # room for four: the sides take turns
        (7, 30, ["abcde", "bcdef", "efghi", "hijkl"]),
    ],
)
def test_context_is_counted_from_both_ends_of_a_sentence(tokenizer, limit, size, rows):
    document = [list("abc"), list("de"), list("fghi"), list("jkl")]  # of one sub-token each

    found = [windows[0].input_ids for windows in encode_document(tokenizer, document, limit, context_size=size)]

    assert ["".join(tokenizer.convert_ids_to_tokens(row)[1:-1]) for row in found] == rows


def test_an_unknown_piece_is_no_blank_where_the_blank_is_no_token():
    """A tokenizer that writes blanks as parts of pieces only: what it does not know stands for the word as well."""
    own = Tokenizer(models.Unigram([(piece, -1.0) for piece in ("<unk>", "\u2581a", "a", "b")], unk_id=0))
    own.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=own, unk_token="<unk>", model_max_length=20)

    (window,) = encode_words(tokenizer, ["a", "\u2603b"])

    assert window.input_ids == [1, 0, 3]
    assert window.word_mask == [True, True, False]


def test_two_hashes_alone_are_a_word(tokenizer):
    vocabulary = tokenizer.get_vocab()
    assert token_roles(BertTokenizer(vocab=vocabulary | {"##": len(vocabulary)}), len(vocabulary) + 1)[-1] == BEGINS


def test_an_added_token_is_a_word_even_if_it_looks_like_the_rest_of_one(tokenizer):
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.add_tokens(["##new"])
    new = len(tokenizer) - 1

    (window,) = encode_words(tokenizer, ["Ada", "##new", "in"])

    assert window.input_ids == tokenizer("Ada ##new in")["input_ids"]
    assert window.input_ids[2] == new
    assert window.word_mask == [False, True, True, True, False]
    assert token_roles(tokenizer, len(tokenizer))[new] == BEGINS


def test_roles_refuse_a_tokenizer_that_knows_more_than_the_model(tokenizer):
    with pytest.raises(ValueError, match=r"has id \d+, the model knows 7 ids"):
        token_roles(tokenizer, 7)


@pytest.mark.parametrize("size", [0, 1, 3, 8, 100])
@pytest.mark.parametrize("limit", [6, 11, 48])
def test_neighbouring_sentences_are_shown_and_not_scored(tokenizer, size, limit):
    rng = random.Random(size + limit)
    document = [["".join(rng.choices("abc", k=rng.choice([1, 2, 4]))) for _ in range(n)] for n in (3, 1, 0, 5, 2, 4)]
    pieces = [[tokenizer.tokenize(word) for word in sentence] for sentence in document]

    plain = [encode_words(tokenizer, sentence, limit) for sentence in document]
    windows = encode_document(tokenizer, document, limit, context_size=size)

    flat = [piece for sentence in pieces for word in sentence for piece in word]
    for index, (alone, seen) in enumerate(zip(plain, windows, strict=True)):
        assert [window.words for window in seen] == [window.words for window in alone]
        if len(alone) > 1:
            assert seen == alone
            continue
        before = sum(len(word) for sentence in pieces[:index] for word in sentence)
        own = sum(map(len, pieces[index]))
        tokens = tokenizer.convert_ids_to_tokens(seen[0].input_ids)[1:-1]
        assert len(tokens) <= limit - 2
        left = seen[0].word_mask.index(True) - 1 if own else None
        if left is not None:
            right = len(tokens) - left - own
            assert tokens == flat[before - left : before + own + right]
            assert max(left, right) <= size
            room = limit - 2 - len(tokens)
            # A side stops at its size, at the document's border, or where the next word has no room.
            longest = max((len(word) for sentence in pieces for word in sentence), default=0)
            assert left in (size, before) or size - left < longest or room < longest
            assert seen[0].word_mask[1 + left : 1 + left + own] == alone[0].word_mask[1:-1]
            assert seen[0].word_shape_ids[1 + left : 1 + left + own] == alone[0].word_shape_ids[1:-1]
        assert sum(seen[0].word_mask) == len(document[index])
