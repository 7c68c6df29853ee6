"""Entity scores against hand counts."""

import random
import subprocess
import sys
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import seqeval.metrics
from seqeval.scheme import IOB2
from transformers import EvalPrediction

from modeling_bert_crf.schemes import SCHEMES, tags_to_spans
from modeling_bert_crf.scores.metrics import TaggingMetric, flat_scores, make_compute_metrics, score_tags


def rows(*sentences):
    return [sentence.split() for sentence in sentences]


def test_the_two_conventions_part_on_illegal_tags():
    gold = rows("B-PER I-PER O B-LOC", "O B-PER O")
    predicted = rows("I-PER I-PER O B-LOC", "B-LOC B-PER I-LOC")

    scores = score_tags(gold, predicted, "IOB2")

    # strict: of LOC, PER predicted in the second sentence and LOC in the first, two are right out of three gold.
    # conlleval: the leading I-PER I-PER is read as an entity (right), I-LOC as one (wrong).
    strict, conlleval = scores["strict"], scores["conlleval"]
    assert (strict["precision"], strict["recall"]) == pytest.approx((2 / 3, 2 / 3))
    assert (conlleval["precision"], conlleval["recall"]) == pytest.approx((3 / 5, 3 / 3))
    assert strict["types"]["PER"] == {"precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "support": 2}
    assert strict["types"]["LOC"] == {"precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3), "support": 1}
    assert scores["accuracy"] == pytest.approx(4 / 7)


@pytest.mark.parametrize(
    ("scheme", "gold", "predicted"),
    [
        ("IOB2", "B-A I-A O B-B O B-A I-A", "B-A I-A O B-A O B-A O"),
        ("BIOES", "B-A E-A O S-B O B-A E-A", "B-A E-A O S-A O S-A O"),
        ("BILOU", "B-A L-A O U-B O B-A L-A", "B-A L-A O U-A O U-A O"),
        ("BMES", "B-A E-A O S-B O B-A E-A", "B-A E-A O S-A O S-A O"),
    ],
)
def test_the_scheme_does_not_change_the_score(scheme, gold, predicted):
    scores = score_tags(rows(gold), rows(predicted), scheme)

    for convention in ("strict", "conlleval"):
        assert (scores[convention]["precision"], scores[convention]["recall"]) == pytest.approx((1 / 3, 1 / 3))
        assert scores[convention]["types"]["B"]["support"] == 1


def test_tags_without_types_are_scored_as_entities_of_one_type():
    gold, predicted = rows("B I O B", "B O O"), rows("B I O O", "B I O")

    figures = TaggingMetric().compute(predictions=predicted, references=gold)

    # Of three gold entities and two predicted ones, one is right.
    assert (figures["precision"], figures["recall"], figures["f1"]) == pytest.approx((1 / 2, 1 / 3, 2 / 5))
    assert figures["types"] == {"_": {"precision": 0.5, "recall": 1 / 3, "f1": pytest.approx(0.4), "support": 3}}
    strict = {"mode": "strict", "scheme": IOB2, "zero_division": 0}
    assert figures["f1"] == pytest.approx(seqeval.metrics.f1_score(gold, predicted, **strict))
    assert figures["conlleval_f1"] == pytest.approx(seqeval.metrics.f1_score(gold, predicted))
    other = TaggingMetric().compute(
        predictions=rows("b_x i_x o o", "b_x i_x o"), references=rows("b_x i_x o b_x", "b_x o o")
    )
    assert (other["f1"], list(other["types"])) == (figures["f1"], ["x"])


def test_io_is_scored_by_its_runs():
    gold, predicted = rows("I-X I-X O I-Y", "O I-X I-Y"), rows("I-X I-X O I-X", "I-X I-X I-Y")

    scores = score_tags(gold, predicted, "IO")

    # Gold: X(0,2) Y(3,4); X(1,2) Y(2,3). Predicted: X(0,2) X(3,4); X(0,2) Y(2,3). Two of four are right.
    for convention in ("strict", "conlleval"):
        assert (scores[convention]["precision"], scores[convention]["recall"]) == (0.5, 0.5)
        assert scores[convention]["types"]["Y"] == {
            "precision": 1.0,
            "recall": 0.5,
            "f1": pytest.approx(2 / 3),
            "support": 2,
        }
    assert scores["accuracy"] == pytest.approx(5 / 7)
    assert TaggingMetric().compute(predictions=predicted, references=gold)["f1"] == scores["strict"]["f1"]


@pytest.mark.parametrize("name", ["micro avg", "macro avg", "weighted avg", "0"])
def test_a_type_may_have_the_name_of_an_average(name):
    # One B is right; of two entities of the other type one is right, and one B is taken for it.
    gold = [[f"B-{name}", "O", "B-B", "O", f"B-{name}", "B-B"]]
    predicted = [[f"B-{name}", "O", "B-B", "O", "O", f"B-{name}"]]

    for scores in map(score_tags(gold, predicted, "IOB2").get, ("strict", "conlleval")):
        assert set(scores["types"]) == {"B", name}
        assert scores["types"][name] == {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2}
        assert (scores["precision"], scores["recall"]) == pytest.approx((2 / 3, 2 / 4))
        assert scores["macro_f1"] == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_a_type_that_is_never_predicted_counts_as_missed():
    scores = score_tags(rows("B-X O B-Y"), rows("B-X O O"), "IOB2")

    assert scores["strict"]["recall"] == 0.5
    assert scores["strict"]["types"]["Y"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1}


def test_no_entities_at_all():
    assert score_tags(rows("O O"), rows("O O"), "IOB2")["strict"] == {
        "precision": 0.0,
        "recall": 0.0,
        "f1": 0.0,
        "macro_f1": 0.0,
        "types": {},
    }


def test_tags_without_a_scheme_are_scored_by_word():
    scores = score_tags(rows("NOUN VERB"), rows("NOUN NOUN"), None)

    # NOUN: precision 1/2, recall 1; VERB: nothing found.
    assert flat_scores(scores) == {"accuracy": 0.5, "f1": pytest.approx((2 / 3 + 0) / 2)}


def test_unequal_lengths_are_refused():
    with pytest.raises(ValueError, match="predicted must have 2 tags in sentence 1, got 1"):
        score_tags(rows("O", "O O"), rows("O", "O"), "IOB2")


def test_compute_metrics_reads_paths_where_there_are_labels():
    compute = make_compute_metrics(["O", "B-X", "I-X"])
    labels = np.array([[-100, 1, 2, -100], [-100, 0, -100, 1]])
    paths = np.array([[-100, 1, 2, -100], [-100, 0, 2, 0]])

    figures = compute(EvalPrediction(predictions=paths, label_ids=labels))

    assert figures["precision"] == 1.0
    assert figures["recall"] == 0.5
    assert figures["conlleval_f1"] == figures["f1"] == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="every labelled word must have a prediction"):
        compute(EvalPrediction(predictions=np.full((2, 4), -100), label_ids=labels))


def test_compute_metrics_reads_labels_by_the_scheme_that_it_is_told():
    labels, prediction = (
        ["O", "B-X", "I-Y"],
        EvalPrediction(predictions=np.array([[2, 2]]), label_ids=np.array([[1, 2]])),
    )
    with pytest.raises(ValueError, match="'I-Y' can never be reached"):
        make_compute_metrics(labels)
    # Y Y is one entity where X and Y are two; as free labels, half of the words are right.
    assert make_compute_metrics(labels, scheme="IOB2")(prediction)["conlleval_recall"] == 0.0
    assert make_compute_metrics(labels, scheme=None)(prediction)["accuracy"] == 0.5
    figures = make_compute_metrics(["O", "I-X"])(
        EvalPrediction(predictions=np.array([[1, 1, 0]]), label_ids=np.array([[1, 1, 1]]))
    )
    assert (figures["f1"], figures["accuracy"]) == (0.0, pytest.approx(2 / 3))


def conlleval_entities(tags):
    """Find entities as the conlleval script does, by where a chunk ends and where one starts, from its description."""
    found, start = [], None
    for index, (before, tag) in enumerate(pairwise(["O", *tags, "O"])):
        (prefix, kind), (tag_prefix, tag_kind) = (
            (tag[0], tag[2:]) if tag != "O" else ("O", "") for tag in (before, tag)
        )
        ends = prefix != "O" and (tag_prefix in "BSUO" or prefix in "ESLU" or kind != tag_kind)
        starts = tag_prefix != "O" and (tag_prefix in "BSU" or prefix in "ESLUO" or kind != tag_kind)
        if ends:
            found.append((start, index, kind))
        if starts:
            start = index
    return found


@pytest.mark.parametrize("scheme", ["IOB2", "BIOES", "BILOU"])
def test_a_thousand_random_pairs_agree_with_seqeval_and_with_the_definition_of_conlleval(scheme):
    rng = random.Random(0)
    prefixes = list(SCHEMES[scheme])
    alphabet = ["O", "O", *(f"{prefix}-{kind}" for prefix in prefixes for kind in ("X", "Y-Z"))]
    for _ in range(1000 if scheme == "IOB2" else 200):
        lengths = [rng.randint(1, 7) for _ in range(rng.randint(1, 3))]
        gold, predicted = ([rng.choices(alphabet, k=length) for length in lengths] for _ in range(2))
        if not any(tag != "O" for tags in gold + predicted for tag in tags):
            continue
        scores = score_tags(gold, predicted, scheme)

        wanted, got = (
            Counter((row, *span) for row, tags in enumerate(side) for span in conlleval_entities(tags))
            for side in (gold, predicted)
        )
        right = sum((wanted & got).values())
        expected = right / max(1, got.total()), right / max(1, wanted.total())
        assert (scores["conlleval"]["precision"], scores["conlleval"]["recall"]) == pytest.approx(expected)
        if scheme == "IOB2":
            strict = {"mode": "strict", "scheme": IOB2, "zero_division": 0}
            assert scores["strict"]["f1"] == pytest.approx(seqeval.metrics.f1_score(gold, predicted, **strict))
            lenient = seqeval.metrics.f1_score(gold, predicted, zero_division=0)
            assert scores["conlleval"]["f1"] == pytest.approx(lenient)
            for tags in gold:
                assert tags_to_spans(tags, "IOB2") == conlleval_entities(tags)


# Counted by hand: 4 gold entities, 5 predicted, 2 of them right (the first PER, the last LOC).
GOLD = ["B-PER I-PER O B-LOC", "O B-ORG I-ORG", "B-LOC"]
PREDICTED = ["B-PER I-PER B-LOC I-LOC", "B-ORG I-ORG B-PER", "B-LOC"]


def test_the_metric_of_evaluate():
    metric = TaggingMetric()
    for gold, predicted in zip(GOLD, PREDICTED, strict=True):
        metric.add_batch(predictions=rows(predicted), references=rows(gold))

    figures = metric.compute()

    assert (figures["precision"], figures["recall"]) == pytest.approx((2 / 5, 2 / 4))
    assert figures["conlleval_f1"] == figures["f1"] == pytest.approx(4 / 9)
    assert figures["macro_f1"] == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert figures["types"]["LOC"] == {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2}
    assert metric.compute(predictions=[["A"]], references=[["B"]]) == {"accuracy": 0.0, "f1": 0.0, "types": {}}


PROCESS = """
import sys
from modeling_bert_crf.scores.metrics import TaggingMetric
rank, cache = int(sys.argv[1]), sys.argv[2]
gold, predicted = {gold!r}, {predicted!r}
metric = TaggingMetric(num_process=2, process_id=rank, experiment_id="two", cache_dir=cache)
for one, other in list(zip(gold, predicted))[rank::2]:
    metric.add(prediction=other.split(), reference=one.split())
figures = metric.compute()
print(None if figures is None else (figures["precision"], figures["recall"]))
"""


@pytest.mark.process
def test_the_metric_works_in_two_processes(tmp_path):
    script = PROCESS.format(gold=GOLD, predicted=PREDICTED)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(rank), str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for rank in range(2)
    ]
    said = [process.communicate(timeout=120)[0].decode().strip() for process in processes]

    assert said == ["(0.4, 0.5)", "None"]
