"""What `model(**tokenizer(text))` costs next to the words of the file.

    python benchmarks/bare_call.py runs/mine test.conll

Without a `word_mask` the model tags the tokenizer's words. Where those are the file's own, the paths must be equal;
where they are not (`don't` becomes three words), the file's word gets the tag of its first piece, and both are scored.
"""

import sys
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import torch
from transformers import AutoModelForTokenClassification, AutoTokenizer

import modeling_bert_crf  # noqa: F401  (registers the model)
from modeling_bert_crf.crf import UNKNOWN
from modeling_bert_crf.readers.files import read_conll
from modeling_bert_crf.schemes import OUTSIDE
from modeling_bert_crf.scores.metrics import score_tags
from modeling_bert_crf.splitters import split_text
from modeling_bert_crf.training.dataset import TaggingCollator, TaggingDataset


@torch.inference_mode()
def main(folder: str, path: str, batch_size: int = 32) -> None:
    model = AutoModelForTokenClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    sentences = read_conll(path)
    dataset = TaggingDataset(sentences, tokenizer, model.config.labels)
    collate = TaggingCollator(tokenizer.pad_token_id)

    by_words, by_text, same_words, same_paths = [], [], 0, 0
    for start in range(0, len(sentences), batch_size):
        chunk = sentences[start : start + batch_size]
        rows = [dataset[index] for index in range(start, start + len(chunk))]
        paths = model(**collate(rows)).paths
        by_words += [tags_at(path, model) for path in paths]
        texts = [" ".join(sentence.words) for sentence in chunk]
        bare = model(**tokenizer(texts, return_tensors="pt", padding=True)).paths
        for sentence, text, path, given in zip(chunk, texts, bare, by_words[start:], strict=False):
            starts, tags = [start for start, _ in split_text(tokenizer, text)], tags_at(path, model)
            if starts == starts_of(sentence.words):
                same_words += 1
                same_paths += tags == given
            # A file's word gets the tag of the piece that starts with it.
            found = dict(zip(starts, tags, strict=True))
            by_text.append([found.get(start, OUTSIDE) for start in starts_of(sentence.words)])

    scheme = dataset.scheme
    print(f"sentences: {len(sentences)}, of which the tokenizer splits {same_words} as the file does")
    print(f"equal paths among those: {same_paths}")
    for name, tags in (("the file's words", by_words), ("bare call", by_text)):
        print(f"strict F1, {name}: {100 * score_tags(dataset.gold, tags, scheme)['strict']['f1']:.2f}")


def tags_at(path: torch.Tensor, model: Any) -> list[str]:
    return [model.config.labels[tag] for tag in path.tolist() if tag != UNKNOWN]


def starts_of(words: Sequence[str]) -> list[int]:
    """Where the words start in their text, joined by blanks."""
    return [0, *accumulate(len(word) + 1 for word in words)][:-1]


if __name__ == "__main__":
    main(*sys.argv[1:])
