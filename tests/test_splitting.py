"""Which splitter fits the words of the training data."""

import pytest
from transformers import AutoTokenizer
from typer.testing import CliRunner

import run_ner
from bert_crf_command.app import app
from modeling_bert_crf import BertBiLSTMCRFForTokenClassification, BertBiLSTMCRFPipeline
from modeling_bert_crf.opening.tagger import open_tagger
from modeling_bert_crf.readers.sentences import Sentence
from modeling_bert_crf.splitters import split_text
from modeling_bert_crf.training.splitter_choice import choose_splitter, detokenise, share_of_words_found


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


def test_a_tokenizer_without_offsets_is_not_offered_as_a_splitter(slow_encoder_folder):
    slow = AutoTokenizer.from_pretrained(slow_encoder_folder)
    assert not slow.is_fast
    assert choose_splitter([sentence("the rain in - Paris , said @ Ada .")], slow) == "unicode_words"
    assert choose_splitter([], slow) == "unicode_words"


def test_a_new_tagger_without_offsets_of_its_tokenizer_splits_texts_by_itself(slow_encoder_folder):
    slow = AutoTokenizer.from_pretrained(slow_encoder_folder)
    model = BertBiLSTMCRFForTokenClassification.from_encoder(str(slow_encoder_folder), ["O", "PER"])
    tagger = BertBiLSTMCRFPipeline(model=model, tokenizer=slow, aggregation_strategy="none", ignore_labels=[])
    assert [(one["start"], one["end"]) for one in tagger("Ada, rain")] == [(0, 3), (3, 4), (5, 9)]

    model.config.word_splitter = "tokenizer"
    with pytest.raises(
        ValueError, match=r"the splitter 'tokenizer' needs a fast .* got BertJapaneseTokenizer: set config"
    ):
        tagger("Ada, rain")


def test_a_run_with_a_tokenizer_without_offsets_leaves_a_tagger_of_raw_text(slow_encoder_folder, command, files):
    run_ner.main(command(model_name_or_path=slow_encoder_folder))

    tagger = open_tagger(str(files / "out"))
    assert not tagger.tokenizer.is_fast
    every = {"aggregation_strategy": "none", "ignore_labels": []}
    (expected,) = tagger([["Ada", "visited", "Paris", "."]], is_split_into_words=True, **every)
    found = tagger("Ada visited Paris.", **every)
    assert [(one["word"], one["entity"]) for one in found] == [(one["word"], one["entity"]) for one in expected]
    assert [one["score"] for one in found] == pytest.approx([one["score"] for one in expected], abs=1e-5)
    argv = ["tag", str(files / "out"), "Ada visited Paris.", "-o", str(files / "found.conll")]
    assert CliRunner().invoke(app, argv).exit_code == 0
    rows = [f"{one['word']}\t{one['entity']}" for one in expected]
    assert (files / "found.conll").read_text() == "\n".join(rows) + "\n\n"
    result = CliRunner().invoke(
        app, ["export", str(files / "out"), str(files / "onnx"), "--sentences", str(files / "test.conll")]
    )
    assert result.exit_code == 1
    assert "tokenizer must be a fast one, got BertJapaneseTokenizer" in result.stderr
