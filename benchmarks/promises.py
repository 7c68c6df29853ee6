"""Whether promises are kept: an operating point is chosen on one half of the data, and measured on the other half.

    python benchmarks/promises.py DATA_SET TAGGER [HALVES]

DATA_SET is a folder with dev.conll and test.conll, TAGGER a finished tagger that was trained on neither. Their
sentences are parted into random halves, 20 times if HALVES does not say how often. The tagger reads them once; about
three minutes on one thread.

A MiniLM with a stock softmax, trained for two epochs on NCBI-disease and wrapped without a fit (precision 80.2, recall
83.7; in characters 90.0 and 92.2), halves of its 1,863 sentences. A promise may be broken in 10 % of the halves: in 2
of 20, or 20 of 200. It is made in fewer halves the nearer it comes to what the tagger can do.

    promise                     20 halves: made, kept   200 halves: made, kept   other half   its price
    precision 0.85 in entities               20     17                200    190         88.4        75.4
    precision 0.9 in entities                17     16                152    144         92.8        58.6
    recall 0.8 in entities                   20     19                200    188         83.5        79.1
    recall 0.85 in entities                   5      5                 74     60         86.2        60.5
    recall 0.9 in characters                 20     19                200    189         92.7        88.8
    recall 0.95 in characters                20     20                200    190         97.0        78.4

The last two columns are means over the 200: what the other half shows of the figure, and of the one that pays for it.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from modeling_bert_crf.fitting.evidence import Evidence, Readings
from modeling_bert_crf.fitting.promises import Promise, biases_to_try, choose
from modeling_bert_crf.opening.tagger import open_tagger
from modeling_bert_crf.readers.files import read_file
from modeling_bert_crf.readers.labelled import understand
from modeling_bert_crf.readers.sentences import Sentence
from modeling_bert_crf.readers.tags import convert_tags

PROMISES = (
    Promise("precision", 0.85),
    Promise("precision", 0.9),
    Promise("recall", 0.8),
    Promise("recall", 0.85),
    Promise("recall", 0.9, in_characters=True),
    Promise("recall", 0.95, in_characters=True),
)


def read(data_set: Path, scheme: str | None) -> list[Sentence]:
    sentences = []
    for part in ("dev", "test"):
        labelled = understand(read_file(data_set / f"{part}.conll"), repair_tags=True)
        sentences += [convert_tags(sentence, labelled.scheme, scheme) for sentence in labelled.sentences]
    return sentences


def row(evidence: Evidence, promise: Promise, halves: int) -> str:
    """Choose on one half and measure on the other; write how often the promise was made, and how often kept."""
    made = kept = 0
    seen: list[tuple[float, float]] = []
    for seed in range(halves):
        order = np.random.default_rng(seed).permutation(evidence.count)
        border = evidence.count // 2
        setting = choose(evidence.of(order[:border]), promise).setting
        if setting is None:
            continue
        other = evidence.of(order[border:])
        found = setting.found(other)
        figures = [other.share(found, name, promise.in_characters).value for name in (promise.figure, promise.other)]
        made += 1
        kept += figures[0] >= promise.target
        seen.append((figures[0], figures[1]))
    name = f"{promise.figure} {promise.target:g} in {'characters' if promise.in_characters else 'entities'}"
    means = [100 * float(np.mean(values)) for values in zip(*seen, strict=True)] or [float("nan")] * 2
    return f"{name:<30} {halves:>6} {made:>5} {kept:>5} {means[0]:>11.1f} {means[1]:>11.1f}"


def main(data_set: str, tagger: str, halves: str = "20") -> None:
    pipeline = open_tagger(tagger)
    readings = Readings(pipeline, read(Path(data_set), pipeline.model.config.span_scheme))
    found = [readings.find({"biases": biases} if biases else {}) for biases in biases_to_try()]
    evidence = Evidence(readings.types, readings.count, readings.gold, found)
    print(f"{'promise':<30} {'halves':>6} {'made':>5} {'kept':>5} {'other half':>11} {'its price':>11}")
    for promise in PROMISES:
        print(row(evidence, promise, int(halves)), flush=True)


def arguments() -> Sequence[str]:
    if not 3 <= len(sys.argv) <= 4:
        sys.exit(__doc__)
    return sys.argv[1:]


if __name__ == "__main__":
    main(*arguments())
