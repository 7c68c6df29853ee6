"""Tokenizers of every kind that encoders come with, trained here on invented text."""

import atexit
import json
import shutil
import tempfile
from functools import cache
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    AlbertTokenizer,
    BertJapaneseTokenizer,
    BertTokenizer,
    ByT5Tokenizer,
    DebertaV2Tokenizer,
    GPT2Tokenizer,
    PhobertTokenizer,
    PreTrainedTokenizerFast,
    RobertaTokenizer,
    T5Tokenizer,
    XLMRobertaTokenizer,
)

TEXT = """
Ada Lovelace visited Paris in the rain, yesterday. Charles Babbage wrote to Ada: "Come to London!"
The engine of Zoë Ångström won't stop; in 1842 Luigi Menabrea described it in Turin, and Ada translated it.
Nobody at NATO or AT&T had heard of the iPhone, and the rain in Paris did not stop for Charles.
Ada and Charles and Luigi walked from London to Paris, from Paris to Turin, and from Turin to London.
""".strip().splitlines()
BERT_TOKENS = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
BERT_TOKENS |= {"mask_token": "[MASK]"}
ROBERTA_TOKENS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
SIZE = 180


def _trained(tokenizer, trainer, texts):
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def wordpiece(texts, lower):
    return BertTokenizer(vocab=_wordpieces(texts, lower), do_lower_case=lower, model_max_length=48)


def _wordpieces(texts, lower=False):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lower)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=SIZE, special_tokens=[*BERT_TOKENS.values()])
    return _trained(tokenizer, trainer, texts).get_vocab()


def byte_level(texts, make=RobertaTokenizer, special=ROBERTA_TOKENS, **options):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=SIZE + 256, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    trained = _trained(tokenizer, trainer, texts)
    return make(vocab=trained.get_vocab(), merges=_merges(trained), model_max_length=48, **options)


def byte_level_bare(texts):
    """As `o200k`: nothing stands around a row, and no token for what is unknown or masked."""

    def make(vocab, merges, **options):
        tokenizer = Tokenizer(models.BPE(vocab, merges))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **options)

    return byte_level(texts, make, ["<|endoftext|>"], pad_token="<|endoftext|>", eos_token="<|endoftext|>")


def _merges(tokenizer):
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return [tuple(pair if isinstance(pair, list) else pair.split(" ")) for pair in merges]


def _unigram(texts, special):
    """The pieces of a SentencePiece model with their scores."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=SIZE, special_tokens=special, unk_token="<unk>")
    return [tuple(piece) for piece in json.loads(_trained(tokenizer, trainer, texts).to_str())["model"]["vocab"]]


def sentencepiece(texts):
    pieces = _unigram(texts, ["<s>", "<pad>", "</s>", "<unk>"])
    return XLMRobertaTokenizer(vocab=[*pieces, ("<mask>", 0.0)], model_max_length=48)


def sentencepiece_deberta(texts):
    pieces = [
        ("[PAD]", 0.0),
        ("[CLS]", 0.0),
        ("[SEP]", 0.0),
        ("[UNK]", 0.0),
        *_unigram(texts, ["<unk>"])[1:],
        ("[MASK]", 0.0),
    ]
    return DebertaV2Tokenizer(vocab=pieces, unk_id=3, model_max_length=48)


def sentencepiece_uncased(texts):
    pieces = _unigram([line.lower() for line in texts], ["<pad>", "<unk>", "[CLS]", "[SEP]"])
    return AlbertTokenizer(vocab=[*pieces, ("[MASK]", 0.0)], model_max_length=48)


def sentencepiece_with_an_end(texts):
    """One special token: at the end of a row."""
    return T5Tokenizer(vocab=_unigram(texts, ["<pad>", "</s>", "<unk>"]), extra_ids=0, model_max_length=48)


def characters(texts, blank="\u2581"):
    """One sub-token for each character; blanks are sub-tokens of their own."""
    letters = sorted({letter for line in texts for letter in line} - {" "})
    vocabulary = {token: index for index, token in enumerate([*BERT_TOKENS.values(), blank, *letters])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Replace(" ", blank)
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=48, **BERT_TOKENS)


def _files(*contents):
    """Write files for the tokenizers that are made of nothing else, and copy them when they are saved."""
    folder = Path(tempfile.mkdtemp(prefix="tokenizer-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for number, lines in enumerate(contents):
        (folder / str(number)).write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return [str(folder / str(number)) for number in range(len(contents))]


def slow_wordpiece(texts):
    vocabulary = _wordpieces(texts)
    files = _files(sorted(vocabulary, key=vocabulary.get))
    return BertJapaneseTokenizer(*files, word_tokenizer_type="basic", model_max_length=48)


def slow_characters(texts):
    """One sub-token for each character, and no blanks: every character seems to be a word."""
    letters = sorted({letter for line in texts for letter in line} - {" "})
    options = {"word_tokenizer_type": "basic", "subword_tokenizer_type": "character"}
    return BertJapaneseTokenizer(*_files([*BERT_TOKENS.values(), *letters]), model_max_length=48, **options)


def slow_bpe(texts):
    """Of a word's pieces all but the last are marked."""
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    merges = _merges(_trained(tokenizer, trainers.BpeTrainer(vocab_size=SIZE, end_of_word_suffix="</w>"), texts))
    letters = sorted({letter for line in texts for letter in line} - {" "})
    pieces = [*letters, *(f"{letter}@@" for letter in letters)]
    pieces += [
        whole.removesuffix("</w>") if whole.endswith("</w>") else f"{whole}@@" for whole in map("".join, merges)
    ]
    lines = [f"{piece} 1" for piece in dict.fromkeys(pieces)], [f"{one} {two} 1" for one, two in merges]
    return PhobertTokenizer(*_files(*lines), model_max_length=48)


KINDS = {
    "WordPiece, cased": lambda texts: wordpiece(texts, lower=False),
    "WordPiece, uncased": lambda texts: wordpiece(texts, lower=True),
    "byte-level BPE": byte_level,
    "byte-level BPE with add_prefix_space": lambda texts: byte_level(texts, add_prefix_space=True),
    "byte-level BPE, rows without special tokens": lambda texts: byte_level(texts, GPT2Tokenizer, ["<|endoftext|>"]),
    "byte-level BPE, no special token but that of padding": byte_level_bare,
    "SentencePiece": sentencepiece,
    "SentencePiece, uncased": sentencepiece_uncased,
    "SentencePiece of DeBERTa": sentencepiece_deberta,
    "SentencePiece, rows with an end alone": sentencepiece_with_an_end,
    "characters": characters,
    "characters, blanks as they are": lambda texts: characters(texts, " "),
    "WordPiece, slow": slow_wordpiece,
    "characters, slow": slow_characters,
    "BPE with open ends, slow": slow_bpe,
    "bytes, slow": lambda texts: ByT5Tokenizer(extra_ids=0, model_max_length=48),
}


@cache
def tokenizer_of(kind):
    """Make a tokenizer of a kind once; whoever changes it copies it."""
    return KINDS[kind](TEXT)
