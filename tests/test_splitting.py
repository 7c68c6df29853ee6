"""Which splitter fits the words of the training data."""

import pytest
from modeling_bert_crf.training.data import Sentence
from modeling_bert_crf.training.splitting import choose_splitter, detokenise, share_of_words_found
from modeling_bert_crf.words import split_text


def sentence(words):
    return Sentence(words.split(), ["O"] * len(words.split()), "data.conll", [])


def test_words_are_joined_as_people_write_them():
    words = sentence("He said ( loudly ) : do n't , Ada \u2019s !").words
    text, offsets = detokenise(words)

    assert text == "He said (loudly): don't, Ada\u2019s!"
    assert [text[start:end] for start, end in offsets] == words


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (
            "\u5317\u4eac \u4e0b \u96e8 \uff0c \u4eac\u90fd \u3082 \u3002",
            "\u5317\u4eac\u4e0b\u96e8\uff0c\u4eac\u90fd\u3082\u3002",
        ),
        (
            "\u0e2b\u0e34\u0e21\u0e30 \u0e15\u0e01 \u0e17\u0e35\u0e48 Oslo",
            "\u0e2b\u0e34\u0e21\u0e30\u0e15\u0e01\u0e17\u0e35\u0e48 Oslo",
        ),
        ("\uc11c\uc6b8 \uc5d0 Ada in \u5317\u4eac", "\uc11c\uc6b8 \uc5d0 Ada in \u5317\u4eac"),
    ],
    ids=["Chinese and Japanese", "Thai", "Korean and English"],
)
def test_blanks_stand_where_the_script_has_them(words, text):
    assert detokenise(words.split())[0] == text


@pytest.mark.parametrize(
    ("words", "splitter"),
    [
        ("the rain - in - Paris , said @ Ada .", "tokenizer"),
        ("Jean-Paul saw http://a.b :) and @Ada !", "unicode_words"),
        ("Ada 's son does n't see http://a.b", "unicode_clitics"),
        ("Ada, in the rain. Again!", "blanks"),
        ("\u5317 \u4eac \u5728 \u4e0b \u96e8 Ada\u2019s", "unicode_words"),  # "blanks" would find but one
    ],
)
def test_the_splitter_is_read_off_the_data(tokenizer, words, splitter):
    assert choose_splitter([sentence(words)], tokenizer) == splitter


def test_the_share_counts_words_with_both_borders(tokenizer):
    one = sentence("Ada 's rain")
    assert share_of_words_found([one], "blanks", tokenizer) == pytest.approx(1 / 3)
    assert share_of_words_found([one], "clitics", tokenizer) == 1.0
    assert split_text(tokenizer, "Ada's rain", "clitics") == [(0, 3), (3, 5), (6, 10)]
