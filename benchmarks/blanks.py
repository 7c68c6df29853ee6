"""What the blank before a word is worth to a tokenizer that marks blanks: the same tiny RoBERTa with it and without.

    python benchmarks/blanks.py DATA_SET [SEED ...]

DATA_SET is a folder with train.conll, dev.conll and test.conll. A byte-level BPE is trained on the training part, and
a tiny RoBERTa is pretrained on its running text, as a masked language model. Then the same encoder becomes a tagger
twice: each word written behind a blank, as this package does, and each by itself. About twelve minutes on one thread.
"""

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch
from weakref import WeakKeyDictionary

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import (
    DataCollatorForLanguageModeling,
    RobertaConfig,
    RobertaForMaskedLM,
    RobertaTokenizer,
    Trainer,
    TrainingArguments,
    set_seed,
)

from modeling_bert_crf import BiLSTMCRFForTokenClassification, words
from modeling_bert_crf.readers.files import read_conll
from modeling_bert_crf.readers.sentences import Sentence
from modeling_bert_crf.readers.tags import find_labels
from modeling_bert_crf.training.dataset import TaggingCollator, TaggingDataset
from modeling_bert_crf.training.trainer import CRFTrainer
from modeling_bert_crf.training.training_arguments import CRFTrainingArguments

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def train_tokenizer(texts: Sequence[str]) -> RobertaTokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=4000, special_tokens=SPECIAL, initial_alphabet=alphabet)
    )
    with tempfile.TemporaryDirectory() as folder:
        _, merges = tokenizer.model.save(folder)
        pairs = [tuple(line.split(" ")) for line in Path(merges).read_text("utf-8").splitlines() if line[:1] != "#"]
        return RobertaTokenizer(vocab=tokenizer.get_vocab(), merges=pairs, model_max_length=126)


def share_as_read(tokenizer: RobertaTokenizer, sentences: Sequence[Sentence]) -> float:
    """Return the share of words whose sub-tokens are those that they have in running text."""
    equal = total = 0
    for sentence in sentences:
        text, start = " ".join(sentence.words), 0
        encoding = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        pieces = words._pieces(tokenizer, sentence.words)[1]
        for word in sentence.words:
            end = start + len(word)
            spans = zip(encoding["input_ids"], encoding["offset_mapping"], strict=True)
            own = [one for one, (left, right) in spans if max(left, start - 1) < right and start < right <= end]
            equal, total, start = equal + (own == pieces[word].ids), total + 1, end + 1
    return equal / total


def pretrain(folder: Path, tokenizer: RobertaTokenizer, texts: Sequence[str]) -> None:
    config = RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=256,
        max_position_embeddings=130,
    )
    rows = [{"input_ids": tokenizer(text, truncation=True)["input_ids"]} for text in texts]
    arguments = TrainingArguments(
        str(folder / "pretraining"),
        num_train_epochs=10,
        per_device_train_batch_size=32,
        learning_rate=1e-3,
        use_cpu=True,
        save_strategy="no",
        disable_tqdm=True,
        logging_steps=10_000,
        dataloader_pin_memory=False,
    )
    model = RobertaForMaskedLM(config)
    Trainer(model, arguments, DataCollatorForLanguageModeling(tokenizer), rows).train()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@contextmanager
def without_blank() -> Iterator[None]:
    """Write words by themselves, as `is_split_into_words` does where `add_prefix_space` is forgotten."""
    with patch.object(words, "blank_mark", lambda tokenizer: ""), patch.object(words, "_HABITS", WeakKeyDictionary()):
        yield


def tag(folder: Path, tokenizer: RobertaTokenizer, splits: dict[str, list[Sentence]], seed: int) -> dict[str, float]:
    set_seed(seed)
    labels = find_labels(splits["train"], "IOB2")
    datasets = {name: TaggingDataset(split, tokenizer, labels) for name, split in splits.items()}
    arguments = CRFTrainingArguments(
        str(folder / "tagging"),
        num_train_epochs=4,
        learning_rate=5e-4,
        use_cpu=True,
        save_strategy="no",
        disable_tqdm=True,
        logging_steps=10_000,
        seed=seed,
    )
    trainer = CRFTrainer(
        model=BiLSTMCRFForTokenClassification.from_encoder(str(folder), labels, tokenizer),
        args=arguments,
        train_dataset=datasets["train"],
        data_collator=TaggingCollator(tokenizer.pad_token_id),
    )
    trainer.train()
    return {name: trainer.tag(datasets[name])[1]["strict"]["f1"] for name in ("dev", "test")}


def main(argv: Sequence[str]) -> None:
    torch.set_num_threads(1)
    data, seeds = Path(argv[0]), [int(seed) for seed in argv[1:]] or [42]
    splits = {name: read_conll(data / f"{name}.conll") for name in ("train", "dev", "test")}
    texts = [" ".join(sentence.words) for sentence in splits["train"]]
    tokenizer = train_tokenizer(texts)
    share = share_as_read(tokenizer, splits["test"])
    with without_blank():
        share_without = share_as_read(tokenizer, splits["test"])
    print(f"words of test written as in running text: {share:.1%} with the blank, {share_without:.1%} without")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        set_seed(seeds[0])
        pretrain(folder, tokenizer, texts)
        for seed in seeds:
            blank = tag(folder, tokenizer, splits, seed)
            with without_blank():
                bare = tag(folder, tokenizer, splits, seed)
            for split in ("dev", "test"):
                print(f"seed {seed}, {split}: F1 {100 * blank[split]:.1f} with, {100 * bare[split]:.1f} without")


if __name__ == "__main__":
    main(sys.argv[1:])
