"""Entity scores against hand counts."""

import numpy as np
import pytest
from transformers import EvalPrediction

from modeling_bert_crf.training.metrics import flat_scores, make_compute_metrics, score_tags


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


def test_a_type_that_is_never_predicted_counts_as_missed():
    scores = score_tags(rows("B-X O B-Y"), rows("B-X O O"), "IOB2")

    assert scores["strict"]["recall"] == 0.5
    assert scores["strict"]["types"]["Y"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1}


def test_no_entities_at_all():
    assert score_tags(rows("O O"), rows("O O"), "IOB2")["strict"] == {
        "precision": 0.0,
        "recall": 0.0,
        "f1": 0.0,
        "types": {},
    }


def test_tags_without_a_scheme_are_scored_by_word():
    scores = score_tags(rows("NOUN VERB"), rows("NOUN NOUN"), None)

    assert flat_scores(scores) == {"accuracy": 0.5}


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
