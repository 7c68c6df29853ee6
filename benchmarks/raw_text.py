"""What raw text costs next to the words of the file, and one long text next to its sentences.

    python benchmarks/raw_text.py runs/mine test.conll [sentences per text, 8]

Detokenises a column file by simple rules, tags the text with the pipeline, and compares entities by their character
offsets. The same for texts of several sentences, as one chain and split into sentences.
"""

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from transformers import AutoModelForTokenClassification, AutoTokenizer

from modeling_bert_crf import BiLSTMCRFPipeline
from modeling_bert_crf.readers.files import read_conll
from modeling_bert_crf.schemes import tags_to_spans
from modeling_bert_crf.splitters import split_text
from modeling_bert_crf.training.splitter_choice import Offsets, detokenise


def entities(offsets: Offsets, tags: Sequence[str]) -> set[tuple[int, int, str]]:
    """Gold entities as characters."""
    return {(offsets[start][0], offsets[end - 1][1], kind) for start, end, kind in tags_to_spans(tags, "IOB2")}


def f1(gold: Iterable[set], found: Iterable[list[dict[str, Any]]]) -> float:
    """Percent, over all texts."""
    counts = Counter()
    for wanted, result in zip(gold, found, strict=True):
        got = {(entity["start"], entity["end"], entity["entity_group"]) for entity in result}
        counts += Counter(right=len(wanted & got), wanted=len(wanted), got=len(got))
    return 200 * counts["right"] / max(1, counts["wanted"] + counts["got"])


def main(folder: str, path: str, size: str = "8") -> None:
    tagger = BiLSTMCRFPipeline(
        model=AutoModelForTokenClassification.from_pretrained(folder), tokenizer=AutoTokenizer.from_pretrained(folder)
    )
    sentences = read_conll(path)
    words = [sentence.words for sentence in sentences]
    texts = [detokenise(sentence.words) for sentence in sentences]

    joined = [entities(offsets_of(sentence), tags) for sentence, tags in zip(words, tags_of(sentences), strict=True)]
    by_words = tagger(words, is_split_into_words=True)
    print(f"words of the file          {f1(joined, by_words):.2f}")
    gold = [entities(offsets, tags) for (_, offsets), tags in zip(texts, tags_of(sentences), strict=True)]
    tagger.model.config.text_unit = "text"
    chosen = tagger.model.config.word_splitter
    for splitter in dict.fromkeys(("tokenizer", chosen)):  # what detection is worth
        tagger.model.config.word_splitter = splitter
        found = tagger([text for text, _ in texts])
        print(f"detokenised, one chain     {f1(gold, found):.2f} (words split by {splitter!r})")
    explain(tagger.tokenizer, chosen, texts, gold, (gold, found), (joined, by_words))
    tagger.model.config.text_unit = "sentence"
    print(f"detokenised, split         {f1(gold, tagger([text for text, _ in texts])):.2f}")
    tagger.model.config.text_unit = "text"

    long_texts, long_gold = [], []
    for start in range(0, len(sentences), int(size)):
        text, wanted = "", set()
        for (sentence, _), spans in zip(
            texts[start : start + int(size)], gold[start : start + int(size)], strict=True
        ):
            wanted |= {(len(text) + a, len(text) + b, kind) for a, b, kind in spans}
            text += sentence + " "
        long_texts.append(text)
        long_gold.append(wanted)
    print(f"{size} sentences, one chain    {f1(long_gold, tagger(long_texts)):.2f}")
    tagger.model.config.text_unit = "sentence"
    print(f"{size} sentences, split        {f1(long_gold, tagger(long_texts)):.2f}")


def explain(
    tokenizer: Any,
    splitter: str,
    texts: Sequence[tuple[str, Offsets]],
    gold: Sequence[set],
    by_text: tuple,
    by_words: tuple,
) -> None:
    """Score apart the sentences whose text splits into the file's words and those whose text does not."""
    same, unreachable = [], 0
    for (text, offsets), wanted in zip(texts, gold, strict=True):
        pieces = split_text(tokenizer, text, splitter)
        same.append(pieces == offsets)
        starts, ends = {start for start, _ in pieces}, {end for _, end in pieces}
        unreachable += sum(start not in starts or end not in ends for start, end, _ in wanted)
    print(f"  entities with a border inside a word: {unreachable} of {sum(map(len, gold))}")
    for name, alike in (("the same", True), ("other", False)):
        rows = [index for index, flag in enumerate(same) if flag is alike]
        scores = (
            f1([wanted[row] for row in rows], [found[row] for row in rows]) for wanted, found in (by_words, by_text)
        )
        print(
            "  {} sentences split into {} words: F1 by words {:.2f}, by text {:.2f}".format(len(rows), name, *scores)
        )


def offsets_of(words: Sequence[str]) -> Offsets:
    ends = [0]
    for word in words:
        ends.append(ends[-1] + len(word) + 1)
    return [(start, end - 1) for start, end in pairwise(ends)]


def tags_of(sentences: Sequence[Any]) -> list[list[str]]:
    return [sentence.tags for sentence in sentences]


if __name__ == "__main__":
    main(*sys.argv[1:])
