"""What is measured beside the scores: kinds of errors, intervals, and the facts of a run."""

import json
import math
import random

import pytest
import torch

from bert_crf_command.options import read_command_line
from bert_crf_command.train import RUN_NER
from modeling_bert_crf.scores.intervals import bootstrap_f1
from modeling_bert_crf.scores.metrics import score_tags
from modeling_bert_crf.scores.mistakes import compare, error_profile, split_by_form, strict_spans
from modeling_bert_crf.training.arguments import given_options
from modeling_bert_crf.training.crf_statistics import transition_table
from modeling_bert_crf.training.facts import command_line, learning_curve

CASES = {
    "the same": ([(0, 2, "PER")], [(0, 2, "PER")], ["correct"]),
    "another type": ([(0, 2, "PER")], [(0, 2, "LOC")], ["type"]),
    "a word too few": ([(0, 2, "PER")], [(0, 1, "PER")], ["boundary"]),
    "another type and a word too many": ([(1, 2, "PER")], [(0, 2, "LOC")], ["boundary_and_type"]),
    "nothing found": ([(0, 2, "PER")], [], ["missed"]),
    "nothing there": ([], [(0, 2, "PER")], ["spurious"]),
    "neighbours share no word": ([(0, 2, "PER")], [(2, 3, "PER")], ["missed", "spurious"]),
    "two halves of one": ([(0, 4, "PER")], [(0, 1, "PER"), (1, 4, "PER")], ["boundary", "spurious"]),
    "one over two": ([(0, 1, "PER"), (1, 4, "PER")], [(0, 4, "PER")], ["boundary", "missed"]),
    "the right type goes first": ([(0, 4, "PER")], [(0, 3, "LOC"), (3, 4, "PER")], ["boundary", "spurious"]),
    "nothing at all": ([], [], []),
}


@pytest.mark.parametrize(("gold", "predicted", "kinds"), CASES.values(), ids=CASES)
def test_kinds_of_errors(gold, predicted, kinds):
    assert [outcome.kind for outcome in compare(gold, predicted)] == kinds


def test_the_pair_with_more_words_in_common_goes_first():
    outcomes = compare([(0, 4, "PER")], [(0, 1, "PER"), (1, 4, "PER")])
    assert outcomes[0].predicted == (1, 4, "PER")


def random_tags(rng, scheme_letters, length):
    return [
        rng.choice(["O", *(f"{letter}-{kind}" for letter in scheme_letters for kind in "XYZ")]) for _ in range(length)
    ]


@pytest.mark.parametrize(("scheme", "letters"), [("IOB2", "BI"), ("BIOES", "BIES")])
def test_every_entity_is_counted_once_and_the_correct_ones_are_those_of_seqeval(scheme, letters):
    rng = random.Random(3)
    for _ in range(60):
        lengths = [rng.randint(0, 9) for _ in range(7)]
        gold, mine = ([random_tags(rng, letters, length) for length in lengths] for _ in range(2))
        mine = [one if rng.random() < 0.4 else other for one, other in zip(gold, mine, strict=True)]
        spans = [[strict_spans(tags, scheme) for tags in side] for side in (gold, mine)]

        profile = error_profile(map(compare, *spans))

        assert profile["gold"] == sum(map(len, spans[0]))
        assert profile["predicted"] == sum(map(len, spans[1]))
        paired = sum(profile[kind] for kind in ("correct", "type", "boundary", "boundary_and_type"))
        assert profile["gold"] == paired + profile["missed"]
        assert profile["predicted"] == paired + profile["spurious"]
        for name in ("gold", "predicted", "correct", "missed", "spurious"):
            assert profile[name] == sum(row[name] for row in profile["types"].values())
        strict = score_tags(gold, mine, scheme)["strict"]
        assert strict["precision"] == pytest.approx(profile["correct"] / max(1, profile["predicted"]))
        assert strict["recall"] == pytest.approx(profile["correct"] / max(1, profile["gold"]))


def test_confusions_are_ranked():
    sentences = [compare([(0, 1, "PER")], [(0, 1, "LOC")]), compare([(0, 2, "LOC")], [(0, 1, "PER")])]
    sentences.append(compare([(0, 2, "PER")], [(1, 2, "LOC")]))
    assert error_profile(sentences)["confusions"] == [["PER", "LOC", 2], ["LOC", "PER", 1]]


def test_entities_that_training_has_seen_are_counted_apart():
    words = [["Ada", "met", "Ada", "Byron"], ["Paris"]]
    gold = [[(0, 1, "PER"), (2, 4, "PER")], [(0, 1, "LOC")]]
    predicted = [[(0, 1, "PER"), (2, 3, "PER")], [(0, 1, "PER")]]

    counts = split_by_form(words, list(map(compare, gold, predicted)), {(("Ada",), "PER"), (("Paris",), "LOC")})

    assert counts["seen"] == {"gold": 2, "predicted": 2, "correct": 1}  # Ada twice; Paris is no person to training
    assert counts["unseen"] == {"gold": 1, "predicted": 1, "correct": 0}


def test_the_interval_of_an_accuracy_is_that_of_the_binomial_distribution():
    right = [int(index % 10 < 7) for index in range(400)]
    interval = bootstrap_f1([(one, 1, 1) for one in right])

    spread = 1.96 * math.sqrt(0.7 * 0.3 / 400)
    assert interval["low"] == pytest.approx(0.7 - spread, abs=0.1 * spread)
    assert interval["high"] == pytest.approx(0.7 + spread, abs=0.1 * spread)
    assert interval == bootstrap_f1([(one, 1, 1) for one in right])


def test_sentences_are_drawn_whole():
    """Ten sentences of 40 words each, all right or all wrong: as wide as ten words, not as 400."""
    wide = bootstrap_f1([(40 * (index < 5), 40, 40) for index in range(10)])
    assert wide["high"] - wide["low"] > 0.5


@pytest.mark.parametrize("counts", [[], [(0, 0, 0)]], ids=["no sentence", "no entity"])
def test_the_interval_of_nothing_is_zero(counts):
    interval = bootstrap_f1(counts)
    assert (interval["low"], interval["high"]) == (0.0, 0.0)


def test_the_command_holds_no_secret_and_no_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a b.conll").touch()
    options = ["--do_train", "--train_file", str(tmp_path / "data" / "a b.conll"), "data/a b.conll"]
    options += ["--model_name_or_path", "google-bert/bert-base-cased", "--output_dir", "runs/mine", "--seed=7"]
    options += ["--hub_tok", "hf_secret", "--push_to_hub", "--resume_from_checkpoint", "True"]
    options += ["--lr_scheduler_kwargs", json.dumps({"file": str(tmp_path / "x.json"), "num_cycles": 2})]

    command = command_line(given_options(options), "python run_ner.py")

    assert command == (
        "python run_ner.py --do_train --train_file 'a b.conll' 'a b.conll' --model_name_or_path "
        "google-bert/bert-base-cased --output_dir mine --seed 7 "
        """--lr_scheduler_kwargs '{"file": "x.json", "num_cycles": 2}'"""
    )


def test_the_command_of_a_file_of_options_is_that_of_the_command_line(tmp_path):
    (tmp_path / "options.yaml").write_text("do_train: true\ntrain_file: [a.conll, b.conll]\nhub_token: hf_secret\n")

    line = read_command_line([str(tmp_path / "options.yaml")], RUN_NER)
    command = command_line(given_options(line.words), "torchrun --nproc_per_node 3 run_ner.py")

    assert command == "torchrun --nproc_per_node 3 run_ner.py --do_train --train_file a.conll b.conll"


def test_the_learning_curve_is_picked_out_of_the_log():
    log = [
        {"loss": 2.0, "grad_norm": 1.0, "epoch": 0.5, "step": 3},
        {"eval_loss": 1.5, "eval_f1": 0.25, "eval_runtime": 9.0, "epoch": 1.0, "step": 6},
        {"train_runtime": 12.0, "train_loss": 2.0, "epoch": 1.0, "step": 6},
    ]
    assert learning_curve(log) == {
        "training": [{"step": 3, "epoch": 0.5, "loss": 2.0}],
        "validation": [{"step": 6, "epoch": 1.0, "loss": 1.5, "f1": 0.25}],
    }


def test_the_transition_table_has_start_tags_and_end(model):
    table, crf, labels = transition_table(model), model.crf, model.config.labels
    person, inside = labels.index("B-PER"), labels.index("I-PER")

    assert (len(table), len(table[0])) == (len(labels) + 1, len(labels) + 1)
    with torch.no_grad():
        assert table[0][person] == pytest.approx(crf.start_transitions[person].item(), abs=1e-4)
        assert table[person + 1][inside] == pytest.approx(crf.transitions[person, inside].item(), abs=1e-4)
        assert table[person + 1][-1] == pytest.approx(crf.end_transitions[person].item(), abs=1e-4)
    assert table[0][inside] is None
    assert table[0][-1] is None
