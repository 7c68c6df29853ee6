"""Precision, recall and F1 of entities, computed by seqeval in the two conventions that are in use.

    strict          only a legal sequence of tags is an entity: an `I-` that continues nothing is none
    conlleval       an illegal sequence is read as the program conlleval reads it: an `I-` that continues nothing opens
                    an entity

Both give the same scores for a CRF with constraints, since it predicts legal sequences only. They differ for taggers
that can break the rules.
"""

import itertools
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, cast

import datasets
import evaluate
import numpy as np
from seqeval.metrics import classification_report
from seqeval.scheme import IOB2, IOBES
from sklearn.metrics import accuracy_score, f1_score
from transformers import EvalPrediction

from ..crf import UNKNOWN
from ..readers.conversion import convert
from ..readers.partial import UNKNOWN_TAG, mentioned
from ..readers.spelling import find_spelling
from ..schemes import OUTSIDE, detect_scheme, entity_types, scheme_of, split_tag
from .known import known_part, known_words

__all__ = ["TaggingMetric", "flat_scores", "for_paths", "make_compute_metrics", "score_tags"]

Tags = Sequence[Sequence[str]]
"""The tags of sentences."""
# seqeval does not know BILOU's letters nor BMES, which are its IOBES under other names. It does not know IO either.
_TO_IOBES = {"BILOU": {"B": "B", "I": "I", "L": "E", "U": "S"}, "BMES": {"B": "B", "M": "I", "E": "E", "S": "S"}}


def score_tags(gold: Tags, predicted: Tags, scheme: str | None) -> dict[str, Any]:
    """Score predicted tags against gold tags, sentence by sentence.

    Args:
        gold, predicted: tags of the same sentences, of the same lengths. Gold tags may be known in part; what that
            leaves open is not scored (see `known.py`).
        scheme: that of both, as `detect_scheme` names it. None if the tags have no prefixes; then words are scored.

    Returns:
        `accuracy`, the share of words with the right tag; and more, depending on the scheme. All are from 0 to 1.

        Without a scheme: `macro_f1`, the mean over all tags of the F1 of their words.

        With a scheme, once under `strict` and once under `conlleval`: `precision`, `recall` and `f1` over all entities
        (micro); `macro_f1`, the mean over the types; and `types`, for each type in either argument its `precision`,
        `recall`, `f1` and `support`, the number of its gold entities.

    Raises:
        ValueError: if a sentence has another number of predicted tags than of gold tags.
    """
    gold, predicted = [list(tags) for tags in gold], [list(tags) for tags in predicted]
    _check_lengths(gold, predicted)
    known = [known_words(*pair) for pair in zip(gold, predicted, strict=True)]
    words, guesses = (
        list(itertools.chain.from_iterable(side)) for side in (zip(*known, strict=True) if known else ((), ()))
    )
    scores: dict[str, Any] = {"accuracy": float(accuracy_score(words, guesses)) if words else 0.0}
    if scheme is None:
        macro: dict[str, Any] = {"average": "macro", "zero_division": 0}
        scores["macro_f1"] = float(f1_score(words, guesses, **macro)) if words else 0.0
        return scores
    parts = [known_part(*pair, scheme) for pair in zip(gold, predicted, strict=True)]
    gold, predicted = [one for one, _ in parts], [other for _, other in parts]
    kinds = entity_types(itertools.chain.from_iterable(itertools.chain(gold, predicted)), scheme)
    return scores | _entity_scores(gold, predicted, kinds, scheme)


def _entity_scores(gold: Tags, predicted: Tags, kinds: list[str], scheme: str) -> dict[str, Any]:
    """Score the entities of these types in both conventions."""
    if scheme == "IO":
        gold, predicted = ([convert(tags, "IO", "IOB2") for tags in side] for side in (gold, predicted))
        scheme = "IOB2"
    letters = _TO_IOBES.get(scheme, {})
    gold, predicted = ([[_coded(tag, letters, kinds) for tag in tags] for tags in side] for side in (gold, predicted))
    strict = {"mode": "strict", "scheme": IOB2 if scheme == "IOB2" else IOBES}
    return {
        "strict": _figures(gold, predicted, kinds, strict),
        "conlleval": _figures(gold, predicted, kinds, {}),
    }


def _check_lengths(gold: Tags, predicted: Tags) -> None:
    """Refuse predictions that do not belong to the gold sentences."""
    if len(gold) != len(predicted):
        raise ValueError(f"predicted must have {len(gold)} sentences, got {len(predicted)}")
    for index, (one, other) in enumerate(zip(gold, predicted, strict=True)):
        if len(one) != len(other):
            raise ValueError(f"predicted must have {len(one)} tags in sentence {index}, got {len(other)}")


def _coded(tag: str, letters: Mapping[str, str], kinds: list[str]) -> str:
    """Write a tag with seqeval's letter and the number of its type.

    The name of the type will not do: it could be the name of one of the rows that seqeval adds.
    """
    prefix, kind = split_tag(tag)
    return tag if tag == OUTSIDE else f"{letters.get(prefix, prefix)}-{kinds.index(kind)}"


def _figures(gold: Tags, predicted: Tags, kinds: list[str], mode: Mapping[str, Any]) -> dict[str, Any]:
    """Let seqeval score coded tags.

    Args:
        gold, predicted: as `_coded` writes them.
        kinds: the types, by their numbers.
        mode: seqeval's arguments for a convention.
    """
    nothing = {"precision": 0.0, "recall": 0.0, "f1": 0.0, "macro_f1": 0.0, "types": {}}
    if not any(tag != OUTSIDE for side in (gold, predicted) for tags in side for tag in tags):
        return nothing  # seqeval would fail
    options: dict[str, Any] = {"output_dict": True, "zero_division": 0, **mode}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of means over no type, where every entity is illegal
        report = cast(dict[str, dict[str, Any]], classification_report(gold, predicted, **options))
    rows = {kinds[int(code)]: row for code, row in report.items() if code.isdecimal()}
    figures = {
        name: {
            "precision": float(row["precision"]),
            "recall": float(row["recall"]),
            "f1": float(row["f1-score"]),
            "support": int(row["support"]),
        }
        for name, row in sorted(rows.items())
    }
    if not figures:
        return nothing
    micro, macro = report["micro avg"], report["macro avg"]
    return {
        "precision": float(micro["precision"]),
        "recall": float(micro["recall"]),
        "f1": float(micro["f1-score"]),
        "macro_f1": float(macro["f1-score"]),
        "types": figures,
    }


def flat_scores(scores: dict[str, Any]) -> dict[str, float]:
    """Return the scores of `score_tags` without nesting, as the Trainer needs them.

    Returns:
        `accuracy`. With a scheme also `f1`, `precision`, `recall` and `macro_f1`, which are strict, and the same under
        `conlleval_f1` and so on. Without a scheme also `f1`, which is the macro F1 of the words.
    """
    flat = {"accuracy": scores["accuracy"]}
    if "macro_f1" in scores:
        flat["f1"] = scores["macro_f1"]
    for convention, prefix in (("strict", ""), ("conlleval", "conlleval_")):
        for name in ("precision", "recall", "f1", "macro_f1"):
            if convention in scores:
                flat[prefix + name] = scores[convention][name]
    return flat


class TaggingMetric(evaluate.Metric):
    """`score_tags` as a metric of the library `evaluate`. It is made from the class, so it needs no network.

    >>> metric = TaggingMetric()
    >>> metric.compute(predictions=[["B-PER", "O"]], references=[["B-PER", "B-LOC"]])["recall"]
    0.5

    `add_batch` and several processes (`num_process`, `process_id`, `experiment_id`) work as usual. `compute` returns
    `flat_scores`, and under `types` the strict figures of each type. It takes a `scheme`; by default the scheme is
    read off the tags, which may then also be spelt otherwise, such as `B_PER`.
    """

    def _info(self) -> evaluate.MetricInfo:
        tags = datasets.List(datasets.Value("string"))
        return evaluate.MetricInfo(
            description="Precision, recall and F1 of entities in tagged sentences, strict and conlleval-like.",
            citation="",
            features=datasets.Features({"predictions": tags, "references": tags}),
        )

    def _compute(self, predictions: Tags, references: Tags, scheme: str | None = "auto") -> dict[str, Any]:
        if scheme == "auto":
            both = itertools.chain(predictions, references)
            spelling = find_spelling({tag: "the tags" for tags in both for tag in tags})
            predictions, references = (
                [[spelling.get(tag, tag) for tag in tags] for tags in side] for side in (predictions, references)
            )
            cells = (cell for tags in itertools.chain(predictions, references) for cell in tags)
            scheme = scheme_of(tag for cell in cells for tag in mentioned(cell))
        scores = score_tags(references, predictions, scheme)
        return {**flat_scores(scores), "types": scores.get("strict", {}).get("types", {})}


class _Paths(np.ndarray):
    """Paths, int (B, S), whose argmax over tags is themselves."""

    def argmax(self, axis: Any = None, *args: Any, **kwargs: Any) -> Any:
        if axis in (2, -1):
            return self.view(np.ndarray)
        return self.view(np.ndarray).argmax(axis, *args, **kwargs)


def for_paths(compute_metrics: Callable[..., Any]) -> Callable[..., Any]:
    """Make a metric function for stock classifiers work with this model: `Trainer(compute_metrics=for_paths(mine))`.

    Stock classifiers give a Trainer scores (B, S, K), and metric functions, as those of the tutorials, take their
    argmax over the last axis. This model gives paths (B, S), which are the tags already: their argmax over that axis
    is to be the paths. `CRFTrainer` does this by itself.

    Args:
        compute_metrics: as a Trainer takes it. What it is given that is no paths, such as scores made by a
            `preprocess_logits_for_metrics`, stays as it is.
    """

    @wraps(compute_metrics)
    def compute(prediction: EvalPrediction, **options: Any) -> Any:
        found = prediction.predictions
        if isinstance(found, np.ndarray) and found.ndim == 2 and found.dtype.kind == "i":
            inputs, losses = prediction.inputs, prediction.losses
            prediction = EvalPrediction(found.view(_Paths), prediction.label_ids, inputs=inputs, losses=losses)
        return compute_metrics(prediction, **options)

    return compute


def make_compute_metrics(
    labels: Sequence[str], scheme: str | None = "auto"
) -> Callable[[EvalPrediction], dict[str, float]]:
    """Make a `compute_metrics` for anybody's Trainer: `Trainer(..., compute_metrics=make_compute_metrics(labels))`.

    It reads the model's `paths`, the only predictions that the Trainer gathers. What is open because a word has no
    label, or one of several, is not scored.

    Args:
        labels: the tags in the order of their ids (`model.config.labels`).
        scheme: that of the tags, `model.config.span_scheme`. `"auto"` reads it off the labels; that is the same scheme
            unless the model's `tag_scheme` says otherwise.
    """
    names = np.array(labels)
    scheme = detect_scheme(labels) if scheme == "auto" else scheme

    def compute_metrics(prediction: EvalPrediction) -> dict[str, float]:
        paths, gold = np.asarray(prediction.predictions), np.asarray(prediction.label_ids)
        scored = paths != UNKNOWN
        if (gold[~scored] != UNKNOWN).any():
            raise ValueError("every labelled word must have a prediction: labels and word_mask disagree")
        rows = [(gold[row][scored[row]].tolist(), paths[row][scored[row]]) for row in range(len(gold))]
        known: list[str] = [*labels, UNKNOWN_TAG]  # the last one by -1
        return flat_scores(
            score_tags(
                [[known[max(tag, -1)] for tag in tags] for tags, _ in rows],
                [names[path].tolist() for _, path in rows],
                scheme,
            )
        )

    return compute_metrics
