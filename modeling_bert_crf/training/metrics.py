"""Entity precision, recall and F1, in the two conventions in use, by seqeval.

    strict          an entity counts if its tags are a legal sequence: an `I-` that continues nothing is no entity
    conlleval       an illegal sequence is read as conlleval reads it: an `I-` that continues nothing opens an entity

The two agree on everything that a CRF with constraints predicts. They part on taggers that can break the rules.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from seqeval.metrics import accuracy_score, classification_report
from seqeval.scheme import IOB2, IOBES
from transformers import EvalPrediction

from ..crf import UNKNOWN
from ..schemes import OUTSIDE, detect_scheme, split_tag

Tags = Sequence[Sequence[str]]
# seqeval knows neither BMES nor these letters; the schemes are one but for their names.
_TO_IOBES = {"BILOU": {"B": "B", "I": "I", "L": "E", "U": "S"}, "BMES": {"B": "B", "M": "I", "E": "E", "S": "S"}}


def score_tags(gold: Tags, predicted: Tags, scheme: str | None) -> dict[str, Any]:
    """Score predicted tags against gold tags, sentence by sentence.

    Args:
        gold, predicted: tags of the same sentences, of the same lengths.
        scheme: as `detect_scheme` names it. None: the tags have no prefixes, and only words are scored.

    Returns:
        `accuracy`, the share of words with the right tag; and unless the scheme is None, under `strict` and
        `conlleval`
        each: `precision`, `recall`, `f1` over all entities (micro), and `types`, a dictionary from each type in either
        argument to its `precision`, `recall`, `f1` and `support`, its number of gold entities. From 0 to 1.
    """
    gold, predicted = [list(tags) for tags in gold], [list(tags) for tags in predicted]
    for index, (one, other) in enumerate(zip(gold, predicted, strict=True)):
        if len(one) != len(other):
            raise ValueError(f"predicted must have {len(one)} tags in sentence {index}, got {len(other)}")
    scores: dict[str, Any] = {"accuracy": float(accuracy_score(gold, predicted))}
    if scheme is None:
        return scores
    if scheme in _TO_IOBES:
        letters = _TO_IOBES[scheme]
        gold, predicted = ([[_rename(tag, letters) for tag in tags] for tags in side] for side in (gold, predicted))
    scores["strict"] = _report(gold, predicted, mode="strict", scheme=IOB2 if scheme == "IOB2" else IOBES)
    scores["conlleval"] = _report(gold, predicted)
    return scores


def _rename(tag: str, letters: dict[str, str]) -> str:
    prefix, kind = split_tag(tag)
    return OUTSIDE if tag == OUTSIDE else f"{letters[prefix]}-{kind}"


def _report(gold: Tags, predicted: Tags, **mode: Any) -> dict[str, Any]:
    if not any(tag != OUTSIDE for side in (gold, predicted) for tags in side for tag in tags):
        return {"precision": 0.0, "recall": 0.0, "f1": 0.0, "types": {}}  # seqeval fails without any entity
    report = classification_report(gold, predicted, output_dict=True, zero_division=0, **mode)
    figures = {
        name: {
            "precision": float(row["precision"]),
            "recall": float(row["recall"]),
            "f1": float(row["f1-score"]),
            "support": int(row["support"]),
        }
        for name, row in report.items()
    }
    total = figures["micro avg"]
    types = {name: row for name, row in figures.items() if not name.endswith(" avg")}
    return {"precision": total["precision"], "recall": total["recall"], "f1": total["f1"], "types": types}


def flat_scores(scores: dict[str, Any]) -> dict[str, float]:
    """Flatten `score_tags` for the Trainer: `f1, precision, recall` (strict), `conlleval_f1, ...` and `accuracy`."""
    flat = {"accuracy": scores["accuracy"]}
    for convention, prefix in (("strict", ""), ("conlleval", "conlleval_")):
        for name in ("precision", "recall", "f1"):
            if convention in scores:
                flat[prefix + name] = scores[convention][name]
    return flat


def make_compute_metrics(labels: Sequence[str]) -> Callable[[EvalPrediction], dict[str, float]]:
    """Make a `compute_metrics` for anybody's Trainer: `Trainer(..., compute_metrics=make_compute_metrics(labels))`.

    It reads the model's `paths`, which are all that the Trainer gathers, at the words whose label is not -100.

    Args:
        labels: the tags in the order of their ids (`model.config.labels`).
    """
    names = np.array(labels)
    scheme = detect_scheme(labels)

    def compute_metrics(prediction: EvalPrediction) -> dict[str, float]:
        paths, gold = np.asarray(prediction.predictions), np.asarray(prediction.label_ids)
        scored = gold != UNKNOWN
        if (paths[scored] == UNKNOWN).any():
            raise ValueError("every labelled word must have a prediction: labels and word_mask disagree")
        rows = range(len(gold))
        return flat_scores(
            score_tags(
                [names[gold[row][scored[row]]].tolist() for row in rows],
                [names[paths[row][scored[row]]].tolist() for row in rows],
                scheme,
            )
        )

    return compute_metrics
