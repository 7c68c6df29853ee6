"""What windows cost: the same texts read at once, and in windows of fewer sub-tokens.

    python benchmarks/windows.py runs/mine test.conll [window, 128]

Joins sentences into texts of 300 to 500 sub-tokens, each tagged as one chain, and compares the entities.
"""

import sys

from transformers import AutoModelForTokenClassification, AutoTokenizer

from modeling_bert_crf import BiLSTMCRFPipeline
from modeling_bert_crf.readers.files import read_conll


def main(folder: str, path: str, window: str = "128") -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tagger = BiLSTMCRFPipeline(model=AutoModelForTokenClassification.from_pretrained(folder), tokenizer=tokenizer)
    texts: list[list[str]] = [[]]
    for sentence in read_conll(path):
        length = len(tokenizer(" ".join(texts[-1] + sentence.words))["input_ids"])
        if length > 500:
            texts.append([])
        texts[-1] += sentence.words
    texts = [words for words in texts if 300 <= len(tokenizer(" ".join(words))["input_ids"]) <= 500]

    whole = tagger(texts, is_split_into_words=True)
    tokenizer.model_max_length = int(window)
    print(f"texts {len(texts)}, entities read at once {sum(map(len, whole))}")
    for stride in (0, int(window) // 8, int(window) // 4, int(window) // 2):
        cut = tagger(texts, is_split_into_words=True, stride=stride)
        common = total = 0
        for one, other in zip(whole, cut, strict=True):
            one, other = ({(e["start"], e["end"], e["entity_group"]) for e in side} for side in (one, other))
            common += len(one & other)
            total += len(one | other)
        print(f"windows of {window}, stride {stride}: {100 * common / max(1, total):.1f} % of all entities in both")


if __name__ == "__main__":
    main(*sys.argv[1:])
