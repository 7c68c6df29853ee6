"""What holds for tokenizers of every kind: of words, rows, roles, offsets, and what is asked of a tokenizer once."""

from copy import deepcopy
from itertools import chain, pairwise

import pytest
import torch
from conftest import encode_document, encode_words
from kinds import KINDS, tokenizer_of
from tokenizers import normalizers, pre_tokenizers, processors
from transformers import AddedToken

from modeling_bert_crf import BertBiLSTMCRFConfig, BertBiLSTMCRFForTokenClassification
from modeling_bert_crf.export.runtime import Tokenizer as ExportedTokenizer
from modeling_bert_crf.readers.sentences import Sentence
from modeling_bert_crf.splitters import split_text
from modeling_bert_crf.training.dataset import StreamingTaggingDataset
from modeling_bert_crf.words import (
    BEGINS,
    BLANK,
    CONTINUES,
    OPEN,
    SPECIAL,
    UNMARKED,
    WORD_SHAPES,
    Habits,
    loses_case,
    token_roles,
)

AROUND = {
    "WordPiece": ["[CLS]", "[SEP]"],
    "characters": ["[CLS]", "[SEP]"],
    "byte-level BPE": ["<s>", "</s>"],
    "byte-level BPE, rows without special tokens": ["", ""],
    "byte-level BPE, no special token": ["", ""],
    "SentencePiece": ["<s>", "</s>"],
    "SentencePiece of DeBERTa": ["[CLS]", "[SEP]"],
    "SentencePiece, uncased": ["[CLS]", "[SEP]"],
    "SentencePiece, rows with an end alone": ["", "</s>"],
    "BPE with open ends, slow": ["<s>", "</s>"],
    "bytes, slow": ["", "</s>"],
}
"""The special tokens before a row and after it, by a kind's name or how it begins: at most one each here."""
UNKNOWN = {
    "byte-level BPE, rows without special tokens": "<|endoftext|>",
    "byte-level BPE, no special token": None,
    "byte-level BPE": "<unk>",
    "SentencePiece of DeBERTa": "[UNK]",
    "SentencePiece": "<unk>",
    "BPE with open ends, slow": "<unk>",
    "bytes, slow": "<unk>",
    "": "[UNK]",
}
WITHOUT_BLANKS = ("WordPiece", "characters, slow", "BPE with open ends")
"""The kinds whose sub-tokens say nothing of blanks. All others read a word as in running text behind a blank alone."""
FAST = [kind for kind in KINDS if not kind.endswith("slow")]
SIGNS = "\u2581\u0120 "

every_kind = pytest.mark.parametrize("kind", KINDS)


def of_kind(table, kind):
    return next(value for name, value in sorted(table.items(), reverse=True) if kind.startswith(name))


def blank(kind):
    return "" if kind.startswith(WITHOUT_BLANKS) else " "


def pieces(kind, word):
    """A word in sub-tokens as it stands in running text, by the tokenizer alone."""
    return tokenizer_of(kind).tokenize(blank(kind) + word)


def tokens_of(tokenizer, window):
    return tokenizer.convert_ids_to_tokens(window.input_ids)


def written(tokens):
    """What sub-tokens say without the signs that are not of the text."""
    plain = [token.removeprefix("##").removesuffix("@@").strip(SIGNS) for token in tokens]
    return "".join(plain)


def heads(window):
    return [index for index, scored in enumerate(window.word_mask) if scored]


def around(kind):
    return [[token] if token else [] for token in of_kind(AROUND, kind)]


def small_model(vocab_size):
    config = BertBiLSTMCRFConfig(
        vocab_size=vocab_size,
        hidden_size=6,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=5,
        max_position_embeddings=64,
        id2label={0: "O", 1: "B-X", 2: "I-X"},
        label2id={"O": 0, "B-X": 1, "I-X": 2},
    )
    return BertBiLSTMCRFForTokenClassification(config).eval()


def found_by_the_model(tokenizer, text, model=None):
    """A text in sub-tokens, and which of them the model takes for words when nobody tells it."""
    if model is None:
        model = small_model(len(tokenizer))
        model.token_roles.copy_(torch.tensor(token_roles(tokenizer, len(tokenizer))))
    row = torch.tensor([tokenizer(text)["input_ids"]])
    with torch.no_grad():
        paths = model(row, attention_mask=torch.ones_like(row)).paths[0]
    return row[0].tolist(), (paths >= 0).tolist()


WORDS = ["Ada", "walked", "from", "Paris", "to", "NATO", "in", "1842", "with", "Luigi", "and", "iPhone"]


@every_kind
def test_each_word_has_one_position_at_its_first_piece(kind):
    tokenizer = tokenizer_of(kind)

    (window,) = encode_words(tokenizer, WORDS, 100)

    tokens, (_, closing) = tokens_of(tokenizer, window), around(kind)
    borders = [*heads(window), len(tokens) - len(closing)]
    texts = [written(tokens[start:end]) for start, end in pairwise(borders)]
    assert texts == [word.lower() if "uncased" in kind else word for word in WORDS]
    assert window.words == range(len(WORDS))


@every_kind
def test_words_are_written_as_in_running_text(kind):
    """So that the encoder reads what it has read in pretraining."""
    tokenizer = tokenizer_of(kind)

    (window,) = encode_words(tokenizer, WORDS, 100)

    assert window.input_ids == tokenizer(blank(kind) + " ".join(WORDS))["input_ids"]


@every_kind
@pytest.mark.parametrize(
    "words",
    [WORDS, ["Z\u0495e", "in", "\u0495", "Z\u0495"], ["A", "Z", "b", "1"]],
    ids=["known", "unknown signs", "letters"],
)
def test_raw_text_and_given_words_are_the_same_chain(kind, words):
    if kind == "characters, slow" and max(map(len, words)) > 1:
        words = [letter for word in words for letter in word]  # its words, by itself, are characters
    if kind == "BPE with open ends, slow" and "\u0495" in words:
        pytest.skip("the unknown token does not say whether the word goes on")
    tokenizer = tokenizer_of(kind)

    (window,) = encode_words(tokenizer, words, 100)

    assert found_by_the_model(tokenizer, blank(kind) + " ".join(words)) == (window.input_ids, window.word_mask)


@pytest.mark.parametrize(
    "kind", ["SentencePiece", "SentencePiece of DeBERTa", "characters", "characters, blanks as they are"]
)
def test_letters_that_byte_level_tokenizers_write_for_blanks_are_letters_to_others(kind):
    words = ["\u010daj", "a", "o\u010di", "v\u010dela", "\u010d", "za\u0109o", "\u010aoffa"]
    tokenizer = KINDS[kind]([" ".join(words)] * 9)

    (window,) = encode_words(tokenizer, words)

    assert tokenizer.unk_token_id not in window.input_ids
    assert found_by_the_model(tokenizer, " " + " ".join(words)) == (window.input_ids, window.word_mask)
    assert sum(window.word_mask) == len(words)


@every_kind
def test_words_that_the_tokenizer_deletes_are_kept(kind):
    tokenizer = tokenizer_of(kind)
    words = ["Ada", "", "\ufe0f", "\u200b", "in", "\u0301", " ", "Paris"]

    (window,) = encode_words(tokenizer, words)

    tokens = tokens_of(tokenizer, window)
    own = heads(window)
    assert len(own) == len(words)
    # Without an unknown token all that is written of them stands for them: blanks.
    stands = of_kind(UNKNOWN, kind) or tokenizer.tokenize(" ")[0]
    assert [tokens[own[index]] for index in (1, 6)] == [stands] * 2
    for index in (0, 4, 7):
        end = own[index] + len([token for token in pieces(kind, words[index]) if token.strip(SIGNS)])
        assert tokens[own[index] : end] == [token for token in pieces(kind, words[index]) if token.strip(SIGNS)]


@every_kind
@pytest.mark.parametrize(("room", "stride"), [(7, 0), (9, 2), (20, None)])
def test_rows_break_at_word_borders_between_the_kinds_special_tokens(kind, room, stride):
    tokenizer, (opening, closing) = tokenizer_of(kind), around(kind)
    words = [word for word in [*WORDS, *WORDS[::-1]] if len(pieces(kind, word)) <= room]

    windows = encode_words(tokenizer, words, room + len(opening) + len(closing), stride)

    assert len(windows) > 1
    assert [word for window in windows for word in window.words] == list(range(len(words)))
    every = [pieces(kind, word) for word in words]
    for window in windows:
        tokens = tokens_of(tokenizer, window)
        assert tokens[: len(opening)] == opening
        assert tokens[len(tokens) - len(closing) :] == closing
        inner = tokens[len(opening) : len(tokens) - len(closing)]
        first, last = window.words.start, window.words.stop
        runs = [(start, end) for start in range(first + 1) for end in range(last, len(words) + 1)]
        runs = [(start, end) for start, end in runs if [*chain.from_iterable(every[start:end])] == inner]
        assert len(inner) <= room
        assert runs
        if stride == 0:
            (_, end) = runs[0]
            assert end == len(words) or len(inner) + len(every[end]) > room


@every_kind
def test_rows_without_room_are_refused_by_the_kinds_own_number(kind):
    opening, closing = around(kind)
    special = len(opening) + len(closing)

    with pytest.raises(ValueError, match=f"^max_length must be at least {special + 1}, got {special}$"):
        encode_words(tokenizer_of(kind), ["Ada"], special)
    (window,) = encode_words(tokenizer_of(kind), ["A"], special + 1, 0)
    assert len(window.input_ids) == special + 1
    assert sum(window.word_mask) == 1


@every_kind
def test_neighbouring_sentences_are_shown_as_far_as_they_may_be(kind):
    tokenizer, (opening, closing) = tokenizer_of(kind), around(kind)
    document = [["Ada", "and", "Paris"], ["walked", "in"], ["Paris", "from", "Luigi"]]
    size = len(pieces(kind, "Paris"))

    (window,) = encode_document(tokenizer, document, 100, context_size=size)[1]

    shown = [pieces(kind, word) for word in ("Paris", "walked", "in", "Paris")]
    assert tokens_of(tokenizer, window) == [*opening, *chain.from_iterable(shown), *closing]
    own = window.input_ids[len(opening) + size : len(opening) + size + len(shown[1]) + len(shown[2])]
    (alone,) = encode_words(tokenizer, document[1], 100)
    assert own == alone.input_ids[len(opening) : len(alone.input_ids) - len(closing)]
    assert heads(window) == [position + size for position in heads(alone)]


ROLES = {
    "WordPiece": {
        "[CLS]": SPECIAL,
        "[PAD]": SPECIAL,
        "[UNK]": BEGINS,
        "[MASK]": BEGINS,
        ",": BEGINS,
        "##e": CONTINUES,
    },
    "byte-level BPE": {
        **{"<s>": SPECIAL, "<mask>": BEGINS, "\u0120": BLANK, "\u010a": BLANK, "\u0120Paris": BEGINS},
        **{"e": UNMARKED, ",": UNMARKED},
    },
    "byte-level BPE, rows without special tokens": {"\u0120": BLANK, "\u0120Paris": BEGINS, "e": UNMARKED},
    "SentencePiece": {
        **{"<s>": SPECIAL, "<unk>": UNMARKED, "<mask>": BEGINS, "\u2581": BLANK, "\u2581Paris": BEGINS},
        **{"e": UNMARKED, ",": UNMARKED},
    },
    "byte-level BPE, no special token": {"<|endoftext|>": SPECIAL, "\u0120": BLANK, "\u0120in": BEGINS, "e": UNMARKED},
    "SentencePiece of DeBERTa": {
        "[CLS]": SPECIAL,
        "[UNK]": UNMARKED,
        "[MASK]": BEGINS,
        "\u2581": BLANK,
        "e": UNMARKED,
    },
    "SentencePiece, uncased": {"[CLS]": SPECIAL, "<unk>": UNMARKED, "\u2581": BLANK, "\u2581paris": BEGINS},
    "SentencePiece, rows with an end alone": {"</s>": SPECIAL, "<unk>": UNMARKED, "\u2581": BLANK, "e": UNMARKED},
    "characters": {"[CLS]": SPECIAL, "[UNK]": UNMARKED, "[MASK]": BEGINS, "\u2581": BLANK, "e": UNMARKED},
    "characters, blanks as they are": {"[CLS]": SPECIAL, "[UNK]": UNMARKED, " ": BLANK, "e": UNMARKED},
    "characters, slow": {"[CLS]": SPECIAL, "[UNK]": BEGINS, "[MASK]": BEGINS, "e": BEGINS},
    "BPE with open ends, slow": {
        **{"<s>": SPECIAL, "<unk>": BEGINS, "<mask>": BEGINS, "e": BEGINS, "e@@": OPEN, "Paris": BEGINS},
    },
    "bytes, slow": {"</s>": SPECIAL, "<unk>": UNMARKED, " ": BLANK, "\n": BLANK, "e": UNMARKED, "\u00e4": UNMARKED},
}


@every_kind
def test_roles_of_the_vocabulary(kind):
    tokenizer, expected = tokenizer_of(kind), of_kind(ROLES, kind)

    roles = token_roles(tokenizer, len(tokenizer) + 2)

    vocabulary = tokenizer.get_vocab()
    assert {token: roles[vocabulary[token]] for token in expected} == expected
    assert roles[len(tokenizer) :] == [BEGINS] * 2


@pytest.mark.parametrize("kind", FAST)
def test_offsets_are_those_of_the_words(kind):
    words = ["Ada", "walked", "in", "Zo\u00eb", "A\u030angstro\u0308m", "Z\u4e2d", "iPhone", "\U0001f600", "1842"]
    text = "  " + "   ".join(words) + " "
    words = [*words[:5], "Z", "\u4e2d", *words[6:]] if kind.startswith("WordPiece") else words

    spans = split_text(tokenizer_of(kind), text)

    assert [text[start:end] for start, end in spans] == words
    assert [len(text[:start].split()) for start, _ in spans] == sorted(len(text[:start].split()) for start, _ in spans)


@pytest.mark.parametrize("kind", FAST)
def test_signs_are_words_where_blanks_are_not_marked(kind):
    text = "Ada, won't go (in) 1842."
    words = ["Ada", ",", "won", "'", "t", "go", "(", "in", ")", "1842", "."]
    words = words if kind.startswith("WordPiece") else ["Ada,", "won't", "go", "(in)", "1842."]

    assert [text[start:end] for start, end in split_text(tokenizer_of(kind), text)] == words


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in FAST])
def test_a_slow_tokenizer_has_no_offsets_to_split_by(kind):
    tokenizer = tokenizer_of(kind)

    with pytest.raises(ValueError, match=f"^the splitter 'tokenizer' needs .* got {type(tokenizer).__name__}: set"):
        split_text(tokenizer, "Ada, in")
    assert split_text(tokenizer, "Ada, in", "unicode_words") == [(0, 3), (3, 4), (5, 7)]


def with_added(kind):
    tokenizer = deepcopy(tokenizer_of(kind))
    tokenizer.add_tokens(["NEWTOK", AddedToken("Neu Ort", normalized=False)])
    return tokenizer


@every_kind
def test_added_tokens_are_words(kind):
    tokenizer = with_added(kind)
    words = ["Ada", "NEWTOK", "in", "Neu Ort", "Paris"]

    (window,) = encode_words(tokenizer, words)

    own = [window.input_ids[index] for index in heads(window)]
    assert [own[1], own[3]] == [len(tokenizer) - 2, len(tokenizer) - 1]
    assert window.input_ids == tokenizer(blank(kind) + " ".join(words))["input_ids"]
    assert token_roles(tokenizer, len(tokenizer))[-2:] == [BEGINS, BEGINS]


@pytest.mark.parametrize("kind", FAST)
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Ada NEWTOK in", ["Ada", "NEWTOK", "in"]),
        ("AdaNEWTOK in Neu Ort", ["Ada", "NEWTOK", "in", "Neu Ort"]),
        ("NEWTOK NEWTOKNEWTOK", ["NEWTOK", "NEWTOK", "NEWTOK"]),
    ],
)
def test_the_words_of_a_text_with_added_tokens_are_those_that_the_model_finds(kind, text, words):
    tokenizer = with_added(kind)

    spans = split_text(tokenizer, text)

    assert [text[start:end] for start, end in spans] == words
    assert sum(found_by_the_model(tokenizer, blank(kind) + text)[1]) == len(words)


@pytest.mark.parametrize("kind", FAST)
def test_an_export_reads_texts_and_words_as_the_tokenizer_does(kind, tmp_path):
    tokenizer, text = with_added(kind), "AdaNEWTOK in  Zo\u00eb Neu Ort, Z\u0495e \u0495."
    tokenizer.backend_tokenizer.save(str(tmp_path / "tokenizer.json"))
    ids = {name: getattr(tokenizer, f"{name}_token_id") for name in ("unk", "mask")}

    exported = ExportedTokenizer(tmp_path / "tokenizer.json", ids)

    spans = split_text(exported, text)
    assert spans == split_text(tokenizer, text)
    words = [*(text[start:end] for start, end in spans), "", "Neu Ort"]
    assert encode_words(exported, words, 30) == encode_words(tokenizer, words, 30)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "characters, slow"])
def test_a_model_grows_with_its_tokenizer(kind):
    plain, tokenizer = tokenizer_of(kind), with_added(kind)
    model = small_model(len(plain))
    model.token_roles.copy_(torch.tensor(token_roles(plain, len(plain))))

    model.resize_token_embeddings(len(tokenizer))

    assert model.token_roles.tolist() == token_roles(tokenizer, len(tokenizer))
    words = ["NEWTOK", "Ada", "in", "Neu Ort", "Paris"]
    (window,) = encode_words(tokenizer, words)
    assert found_by_the_model(tokenizer, blank(kind) + " ".join(words), model) == (window.input_ids, window.word_mask)


@every_kind
def test_word_shapes_stand_at_words_whatever_the_tokenizer_writes(kind):
    tokenizer = tokenizer_of(kind)

    (window,) = encode_words(tokenizer, ["Ada", "NATO", "in", "1842", "iPhone", "A4", "."])

    names = ["Capitalised", "CAPITALS", "lower", "number", "mixed", "with a digit", "other"]
    assert [WORD_SHAPES[window.word_shape_ids[index]] for index in heads(window)] == names
    assert sum(map(bool, window.word_shape_ids)) == len(names)
    assert loses_case(tokenizer) == ("uncased" in kind)


class Counted:
    """A tokenizer that counts how often it is asked to write something."""

    def __init__(self, tokenizer):
        self.tokenizer, self.calls = tokenizer, 0

    def __call__(self, *args, **kwargs):
        self.calls += 1
        return self.tokenizer(*args, **kwargs)

    def tokenize(self, *args, **kwargs):
        self.calls += 1
        return self.tokenizer.tokenize(*args, **kwargs)

    def __getattr__(self, name):
        return getattr(self.tokenizer, name)


@every_kind
def test_a_tokenizer_is_asked_for_its_habits_once(kind):
    tokenizer = Counted(tokenizer_of(kind))
    encode_words(tokenizer, ["Ada"])
    asked = tokenizer.calls

    for count in range(1, 5):
        encode_words(tokenizer, ["Paris", "in"] * count)
        assert tokenizer.calls == asked + count


def test_streamed_sentences_cost_a_call_each():
    tokenizer = Counted(tokenizer_of("SentencePiece"))
    sentences = [Sentence(["Ada", "in", "Paris"], ["O", "O", "O"], "data.conll", [])] * 7
    calls = []
    for _ in StreamingTaggingDataset(lambda: iter(sentences), tokenizer, ["O"]):
        calls.append(tokenizer.calls)

    assert [after - before for before, after in pairwise(calls)] == [1] * 6


def ends_otherwise(tokenizer):
    ends = [("<s>", tokenizer.bos_token_id), ("</s>", tokenizer.eos_token_id)]
    template = processors.TemplateProcessing(single="$A </s> <s>", special_tokens=ends)
    tokenizer.backend_tokenizer.post_processor = template


def marks_blanks_no_more(tokenizer):
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()


def writes_lower_case_letters_by_marks(tokenizer):
    tokenizer.backend_tokenizer.normalizer = normalizers.Replace("a", "\u2581")


CHANGES = {
    "other special tokens around a row": ("SentencePiece", ends_otherwise),
    "blanks that are no longer marked": ("SentencePiece", marks_blanks_no_more),
    "another normalizer": ("SentencePiece", writes_lower_case_letters_by_marks),
    "a token for what stood in the probe": ("byte-level BPE", lambda tokenizer: tokenizer.add_tokens(["a a", "da"])),
    "another unknown token": ("WordPiece, cased", lambda tokenizer: setattr(tokenizer, "unk_token", "[MASK]")),
    "other signs at the ends": ("WordPiece, slow", lambda tokenizer: setattr(tokenizer, "cls_token", "[MASK]")),
    "capitals that are lost": (
        "WordPiece, slow",
        lambda tokenizer: setattr(tokenizer.word_tokenizer, "do_lower_case", True),
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_was_asked_of_a_tokenizer_is_forgotten_when_it_changes(name):
    kind, change = CHANGES[name]
    words = ["Ada", "", "a", "NATO", "\u4e2d", "Paris"]
    used, unused = deepcopy(tokenizer_of(kind)), deepcopy(tokenizer_of(kind))
    before = encode_words(used, words)

    change(used)
    change(unused)
    expected = encode_words(unused, words)

    assert encode_words(used, words) == expected
    assert encode_words(used, words[::-1]) == encode_words(unused, words[::-1])
    assert before == encode_words(deepcopy(tokenizer_of(kind)), words)
    if name in ("other special tokens around a row", "other signs at the ends", "another unknown token"):
        assert expected != before


def test_a_tokenizer_that_is_no_longer_used_is_forgotten():
    from modeling_bert_crf import words as words_module

    tokenizer = deepcopy(tokenizer_of("characters"))
    encode_words(tokenizer, ["Ada"])
    assert words_module._HABITS[tokenizer] == Habits.of(tokenizer)
    known = len(words_module._HABITS)

    del tokenizer

    assert len(words_module._HABITS) == known - 1
