"""Texts to words, and words to sentences."""

import itertools
import logging
import random

import pytest
from conftest import encode_words
from transformers import BertTokenizer

from modeling_bert_crf import splitters
from modeling_bert_crf.splitters import SPLITTERS, split_sentences, split_text


def test_texts_split_into_the_tokenizers_words(tokenizer):
    text = " Ada  sang, in Paris.\n"

    assert [text[start:end] for start, end in split_text(tokenizer, text)] == ["Ada", "sang", ",", "in", "Paris", "."]
    assert split_text(tokenizer, " \t ") == []


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        (
            'It rained. Ada sang! Did she? "Yes." 7 came.',
            ["It rained .", "Ada sang !", "Did she ?", '" Yes . "', "7 came ."],
        ),
        ("Dr. Ada J. Lovelace of St. Ives sang.", ["Dr . Ada J . Lovelace of St . Ives sang ."]),
        ("It cost 3.5 pounds. no more", ["It cost 3 . 5 pounds . no more"]),
        ("one\ntwo\r\nthree\rfour", ["one", "two", "three", "four"]),
        ("Mrs. Ada met Anna. She sang.", ["Mrs . Ada met Anna .", "She sang ."]),  # three letters, and four
        ("", []),
        (" \n ", []),
    ],
)
def test_sentences_end_where_they_seem_to(tokenizer, text, sentences):
    words = split_text(tokenizer, text)

    groups = split_sentences(text, words)

    assert [" ".join(text[slice(*words[index])] for index in group) for group in groups] == sentences
    assert [index for group in groups for index in group] == list(range(len(words)))


TEXT = "I don't like @Ada_1's U.S. trip... :) see http://a.b/c?d=1 #fun AT&T, 1,000.5 or 50%!!"
END = "U.S . trip ... :) see http://a.b/c?d=1 #fun AT&T , 1,000.5 or 50% !!"
UNICODE = ("unicode_words", "unicode_clitics")


@pytest.mark.parametrize(
    ("splitter", "words"),
    [
        ("blanks", TEXT),
        ("words", f"I don't like @Ada_1 ' s {END}"),
        ("clitics", f"I do n't like @Ada_1 's {END}"),
        ("unicode_words", f"I don't like @Ada_1 ' s {END}"),
        ("unicode_clitics", f"I do n't like @Ada_1 's {END}"),
    ],
)
def test_texts_are_split_into_words(tokenizer, splitter, words):
    assert " ".join(TEXT[start:end] for start, end in split_text(tokenizer, TEXT, splitter)) == words


@pytest.mark.parametrize("splitter", ["clitics", "unicode_clitics"])
def test_where_clitics_are_words_no_other_word_has_an_apostrophe_inside(tokenizer, splitter):
    text = "O'Neill's rock'n'roll"
    words = ["O", "'", "Neill", "'s", "rock", "'", "n", "'", "roll"]
    assert [text[start:end] for start, end in split_text(tokenizer, text, splitter)] == words


@pytest.mark.parametrize("splitter", UNICODE)
@pytest.mark.parametrize(
    "words",
    [
        ["Zoe\u0308", "A\u030angstro\u0308m", ",", "Jose\u0301", "."],
        ["#cafe\u0301", "@Zoe\u0308_1", "Jean-Rene\u0301", "Na\u0303o/Sa\u0303o"],
        ["\u0928\u092e\u0938\u094d\u0924\u0947", "\u0926\u0941\u0928\u093f\u092f\u093e", "\u0964"],  # Devanagari
        ["\u09ac\u09be\u0982\u09b2\u09be", "\u09ad\u09be\u09b7\u09be"],  # Bengali
        ["\u0ba4\u0bae\u0bbf\u0bb4\u0bcd", "\u0bae\u0bca\u0bb4\u0bbf"],  # Tamil
        ["\u05e9\u05b8\u05c1\u05dc\u05d5\u05b9\u05dd", "\u05e2\u05d5\u05b9\u05dc\u05b8\u05dd"],  # Hebrew
        ["\u05e6\u05d4\u05f4\u05dc", '\u05e6\u05d4"\u05dc'],  # whose acronyms have a quotation mark
        ["\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"],  # Persian, a joiner inside
        ["\uc11c\uc6b8", "\u1112\u1161\u11ab"],  # Korean, composed and not
        ["a\u2060b", "x\u00ady", "1\ufe0f\u20e3", "5\u0301"],
        [
            "\u263a\ufe0f",
            "\U0001f44d\U0001f3fd",
            "\U0001f468\u200d\U0001f469\u200d\U0001f467",
            "?!\u0301"[:1],
            "!\u0301",
        ],
    ],
)
def test_a_word_keeps_its_marks_and_joiners(splitter, words):
    text = " ".join(words)
    assert [text[start:end] for start, end in split_text(None, text, splitter)] == words


@pytest.mark.parametrize("splitter", UNICODE)
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("\u5317\u4eac\u30ab\u30e9a\u3042", ["\u5317", "\u4eac", "\u30ab\u30e9", "a", "\u3042"]),
        (
            "\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7\U0001f1e9",
            ["\U0001f1e9\U0001f1ea", "\U0001f1eb\U0001f1f7", "\U0001f1e9"],
        ),
        (
            "\U0001f44d\U0001f3fd\U0001f44d\U0001f3fd\U0001f44d",
            ["\U0001f44d\U0001f3fd\U0001f44d\U0001f3fd", "\U0001f44d"],
        ),
        ("a:b\uff1ac", ["a", ":", "b", "\uff1a", "c"]),
        (" \u0301a-\u0301b", ["\u0301", "a", "-\u0301", "b"]),
        ("10\u202f000", ["10", "000"]),
    ],
    ids=["Chinese and Japanese", "flags", "a run of one sign", "colons", "marks without a letter", "a narrow blank"],
)
def test_words_without_a_blank_between_them_come_apart(splitter, text, words):
    assert [text[start:end] for start, end in split_text(None, text, splitter)] == words


@pytest.mark.parametrize("splitter", ["unicode_words", "unicode_clitics", "blanks", "tokenizer"])
def test_thai_is_not_cut_before_a_mark_and_its_words_are_said_to_need_a_dictionary(tokenizer, splitter, caplog):
    splitters._say_that_a_dictionary_is_needed.cache_clear()
    text = "\u0e2b\u0e34\u0e21\u0e30\u0e15\u0e01\u0e17\u0e35\u0e48 Oslo"  # "it snows in"
    with caplog.at_level(logging.WARNING):
        words = split_text(tokenizer, text, splitter)
        assert split_text(tokenizer, text, splitter) == words
    assert not {text[start] for start, _ in words} & {"\u0e34", "\u0e35", "\u0e48"}
    (record,) = caplog.records
    assert (
        "Thai, Lao, Khmer and Burmese are written without blanks, and their words need a dictionary" in record.message
    )

    splitters._say_that_a_dictionary_is_needed.cache_clear()
    split_text(tokenizer, "Ada in \u5317\u4eac", splitter)
    assert len(caplog.records) == 1
    splitters.split_texts(tokenizer, ["Ada", text], splitter)  # one of several texts is enough
    assert len(caplog.records) == 2


def test_a_word_of_the_tokenizers_ends_after_what_the_tokenizer_drops_behind_it(tokenizer):
    uncased = BertTokenizer(vocab=tokenizer.get_vocab(), do_lower_case=True)
    words = [
        "Jose\u0301",
        ",",
        "Zoe\u0308\u2060",
        "\u263a\ufe0f",
        "\U0001f468\u200d\U0001f469\u200d",
        "\u845b\U000e0100",
        "\u0928\u0947",
    ]
    text = "".join(words[:2]) + " " + " ".join(words[2:])
    found = split_text(uncased, text)
    assert [text[start:end] for start, end in found] == words
    rest = "".join(" " if any(start <= i < end for start, end in found) else letter for i, letter in enumerate(text))
    assert rest.isspace()
    assert split_text(uncased, ",\u0301\u0302a\u0301") == [(0, 3), (3, 5)]
    assert split_text(tokenizer, ",\u0301a\u0301") == [
        (0, 1),
        (1, 4),
    ]  # a cased one keeps marks, in the next word here


def test_taggers_of_version_0_1_split_as_they_learnt_it():
    """Into what was never meant, too."""
    text = "Zoe\u0308's\u200d 3.5mg, 1,000a \u5317\u4eac \U0001f44d\U0001f3fd a:b don't"
    words = [text[start:end] for start, end in split_text(None, text, "words")]
    assert words[:5] == ["Zoe", "\u0308", "'", "s", "\u200d"]
    assert words[5:13] == ["3", ".", "5mg", ",", "1", ",", "000a", "\u5317\u4eac"]
    assert words[13:] == ["\U0001f44d", "\U0001f3fd", "a", ":", "b", "don't"]
    clitics = [text[start:end] for start, end in split_text(None, text, "clitics")]
    assert clitics[:4] == ["Zoe", "\u0308", "'s", "\u200d"]
    assert clitics[4:] == [*words[5:-1], "do", "n't"]


@pytest.mark.parametrize("splitter", SPLITTERS)
def test_every_splitter_finds_all_that_is_no_blank(tokenizer, splitter):
    rng = random.Random(1)
    alphabet = "aB1 '\u2019@#&;:)!.,-/\u4eac\u0301\u200d\U0001f600\U0001f1e6\u2060\u05d0\n\t$%\x1c"
    for _ in range(300):
        text = "".join(rng.choices(alphabet, k=rng.randint(0, 30)))
        words = split_text(tokenizer, text, splitter)
        assert all(start < end for start, end in words)
        assert all(one[1] <= other[0] for one, other in itertools.pairwise(words))
        left = set(range(len(text))) - {index for start, end in words for index in range(start, end)}
        if splitter != "tokenizer":  # which deletes some characters by itself
            assert all(text[index].isspace() for index in left)
            assert not any(character.isspace() for start, end in words for character in text[start:end])
        if splitter in UNICODE:  # a mark begins a word where there is nothing before it to belong to
            starts = [start for start, _ in words if text[start] in "\u0301\u200d\u2060"]
            assert all(start == 0 or text[start - 1].isspace() for start in starts)


HOSTILE = ["!", "a-", "a'", "n't", "1,", "&a", ":", "\u0301", "a\u0301", "!\u0301", "a'\u0301", "\u200d", "\u2060"]
HOSTILE += ["\U0001f468\u200d", "\U0001f1e6", "a\U0001f1e6", '\u05d0"', "\u4eac"]


@pytest.mark.parametrize("splitter", [splitter for splitter in SPLITTERS if splitter != "tokenizer"])
def test_hostile_runs_do_not_hold_a_splitter_up(splitter):
    """All of them in a second or two; in time that grows with the square each would need minutes."""
    for unit in HOSTILE:
        text = f"a{unit * (200_000 // len(unit))}b"
        assert split_text(None, text, splitter)[-1][1] == len(text)


def test_a_long_run_of_end_signs_does_not_hold_up():
    """By a search for the run's end at each sign it was a minute."""
    text = "!" * 50_000 + "a B"
    for splitter in ("words", "unicode_words"):
        assert split_sentences(text, split_text(None, text, splitter)) == [range(0, 3)]


def test_words_of_the_tokenizer_need_a_fast_one():
    class Slow:
        is_fast = False

    with pytest.raises(ValueError, match="the splitter 'tokenizer' needs a fast tokenizer, for its offsets, got Slow"):
        split_text(Slow(), "Ada")
    assert split_text(Slow(), "Ada", "unicode_words") == [(0, 3)]


def test_half_a_character_is_refused_where_a_tokenizer_would_read_it(tokenizer):
    rule = r"must be Unicode text, got half a character, '\\udc80'$"
    with pytest.raises(ValueError, match=rf"^a word {rule}"):
        encode_words(tokenizer, ["Ada", "in\udc80"])
    with pytest.raises(ValueError, match=rf"^a text {rule}"):
        split_text(tokenizer, "Ada in\udc80")
