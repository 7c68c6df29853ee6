"""Settings that the program makes are made in one place; what checks, finds or asks changes nothing."""

import ast
import copy
import re
from dataclasses import fields
from pathlib import Path

import pytest

import modeling_bert_crf
from modeling_bert_crf.training.arguments import given_options, parse_arguments
from modeling_bert_crf.training.checks import check_arguments, find_checkpoint
from modeling_bert_crf.training.settings import settings_of_model
from modeling_bert_crf.training.split_datasets import make_datasets
from modeling_bert_crf.training.splits import read_splits
from modeling_bert_crf.training.starting_model import load_model

PACKAGE = Path(modeling_bert_crf.__file__).parent


@pytest.fixture
def begun(command):
    """Read the options, the data and the model of a run."""

    def begin(**options):
        argv = command(**options)
        arguments = parse_arguments(argv)
        splits = read_splits(arguments[1], arguments[2])
        model, tokenizer = load_model(arguments[0], arguments[1], splits, given_options(argv))
        return arguments, given_options(argv), splits, model, tokenizer

    return begin


def test_data_sets_are_made_without_changing_the_tokenizer(begun):
    (_, data, _), _, splits, model, tokenizer = begun(max_seq_length=9)
    assert tokenizer.model_max_length == 48

    datasets = make_datasets(splits, tokenizer, model, data)

    assert max(datasets["train"].lengths) <= 9
    assert tokenizer.model_max_length == 48


@pytest.mark.parametrize(("asked", "length"), [(None, 48), (9, 9)])
def test_the_tokenizer_that_is_saved_cuts_windows_as_in_training(begun, asked, length):
    (_, data, training), options, _, model, tokenizer = begun(max_seq_length=asked)

    settings_of_model(training, options, model, tokenizer, data.max_seq_length)

    assert tokenizer.model_max_length == length


@pytest.mark.parametrize("asked", [2, 49])
def test_a_window_must_hold_a_word_and_fit_the_encoder(begun, asked):
    (_, data, training), options, splits, model, tokenizer = begun(max_seq_length=asked)

    for make in (
        lambda: settings_of_model(training, options, model, tokenizer, data.max_seq_length),
        lambda: make_datasets(splits, tokenizer, model, data),
    ):
        with pytest.raises(ValueError, match=f"--max_seq_length must be from 3 to the encoder's 48, got {asked}"):
            make()


def test_a_run_that_does_not_train_has_no_recipe(begun):
    (_, data, training), options, _, model, tokenizer = begun()
    assert settings_of_model(training, options, model, tokenizer, data.max_seq_length).startswith("recipe for small")
    assert training.learning_rate == 1e-4

    training.do_train, training.learning_rate = False, 7.0

    assert settings_of_model(training, options, model, tokenizer, data.max_seq_length) == ""
    assert training.learning_rate == 7.0


def test_checks_change_no_option_and_no_file(command, files):
    arguments = parse_arguments(command(early_stopping_patience=2))

    def values():
        return [{field.name: copy.deepcopy(getattr(part, field.name)) for field in fields(part)} for part in arguments]

    before, there = values(), sorted(files.rglob("*"))

    check_arguments(*arguments)
    assert find_checkpoint(arguments[2]) is None

    assert values() == before
    assert sorted(files.rglob("*")) == there


def functions():
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and re.match("_*(check|find|has|is)_|_*check$", node.name):
                yield f"{path.relative_to(PACKAGE).as_posix()}:{node.name}", node


def test_no_function_that_checks_or_finds_sets_anything():
    """It may fill what it has made itself: a variable of its own, and the parts of that."""
    setting = {}
    for place, function in functions():
        stored = [one for one in ast.walk(function) if isinstance(getattr(one, "ctx", None), ast.Store)]
        own = {one.id for one in stored if isinstance(one, ast.Name)}
        parts = [ast.unparse(one) for one in stored if isinstance(one, ast.Attribute | ast.Subscript)]
        called = [ast.unparse(one.func) for one in ast.walk(function) if isinstance(one, ast.Call)]
        foreign = [part for part in parts if re.match(r"\w+", part)[0] not in own]
        foreign += [name for name in called if re.search(r"(setattr|delattr|write_text|write_bytes|unlink)$", name)]
        if foreign:
            setting[place] = foreign

    assert setting == {}
