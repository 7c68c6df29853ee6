"""Tokenizers of every kind that encoders come with, trained here on invented text."""

import json
from functools import cache

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    BertTokenizer,
    DebertaV2Tokenizer,
    PreTrainedTokenizerFast,
    RobertaTokenizer,
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
SIZE = 180


def _trained(tokenizer, trainer, texts):
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def wordpiece(texts, lower):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lower)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trained = _trained(
        tokenizer, trainers.WordPieceTrainer(vocab_size=SIZE, special_tokens=[*BERT_TOKENS.values()]), texts
    )
    return BertTokenizer(vocab=trained.get_vocab(), do_lower_case=lower, model_max_length=48)


def byte_level(texts, **options):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=SIZE + 256,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    trained = _trained(tokenizer, trainer, texts)
    merges = [" ".join(pair) if isinstance(pair, list) else pair for pair in _merges(trained)]
    pairs = [tuple(merge.split(" ")) for merge in merges]
    return RobertaTokenizer(vocab=trained.get_vocab(), merges=pairs, model_max_length=48, **options)


def _merges(tokenizer):
    return json.loads(tokenizer.to_str())["model"]["merges"]


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


def characters(texts):
    """One sub-token for each character; blanks are sub-tokens of their own."""
    letters = sorted({letter for line in texts for letter in line} - {" "})
    vocabulary = {token: index for index, token in enumerate([*BERT_TOKENS.values(), "\u2581", *letters])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=48, **BERT_TOKENS)


KINDS = {
    "WordPiece, cased": lambda texts: wordpiece(texts, lower=False),
    "WordPiece, uncased": lambda texts: wordpiece(texts, lower=True),
    "byte-level BPE": byte_level,
    "byte-level BPE with add_prefix_space": lambda texts: byte_level(texts, add_prefix_space=True),
    "SentencePiece": sentencepiece,
    "SentencePiece of DeBERTa": sentencepiece_deberta,
    "characters": characters,
}


@cache
def tokenizer_of(kind):
    """Make a tokenizer of a kind once; whoever changes it copies it."""
    return KINDS[kind](TEXT)
