"""The record of a run: what makes it another one, and what does not."""

import json
import shutil
from dataclasses import fields
from fnmatch import fnmatchcase

import pytest
from conftest import TRAIN
from transformers import BertConfig, BertModel, BertTokenizer

from modeling_bert_crf.opening.records import configuration_record, differences
from modeling_bert_crf.training.arguments import given_options, parse_arguments
from modeling_bert_crf.training.run_record import MAY_CHANGE, run_record
from modeling_bert_crf.training.split_datasets import make_datasets
from modeling_bert_crf.training.splits import read_splits
from modeling_bert_crf.training.starting_model import load_model


@pytest.fixture
def record_of(command):
    """Return the record of a run that is not begun."""

    def record(**changes):
        argv = command(**changes)
        arguments = parse_arguments(argv)
        splits = read_splits(arguments[1], arguments[2])
        model, tokenizer = load_model(arguments[0], arguments[1], splits, given_options(argv))
        return run_record(arguments, model, tokenizer, make_datasets(splits, tokenizer, model, arguments[1]))

    return record


def test_a_record_is_the_same_wherever_the_files_lie(files, encoder_folder, record_of):
    first = record_of()
    assert json.loads(json.dumps(first)) == first
    (files / "moved").mkdir()
    for name in ("train", "validation"):
        shutil.move(files / f"{name}.conll", files / "moved" / f"{name}.txt")
    shutil.copytree(encoder_folder, files / "moved" / "encoder")
    moved = {f"{name}_file": str(files / "moved" / f"{name}.txt") for name in ("train", "validation")}

    assert differences(first, record_of(**moved, model_name_or_path=str(files / "moved" / "encoder"))) == []


def test_what_a_resumed_run_may_be_given_otherwise(files, record_of):
    (files / "other.conll").write_text(TRAIN * 2)
    others = {
        "output_dir": "elsewhere",
        "test_file": str(files / "other.conll"),
        "num_train_epochs": 7,
        "max_steps": 9,
    }
    others |= {"per_device_eval_batch_size": 3, "logging_steps": 5, "save_total_limit": 4, "report_to": "none"}
    others |= {"dataloader_num_workers": 2, "hub_model_id": "me/mine", "card_license": "mit", "torch_compile": False}
    assert differences(record_of(), record_of(**others)) == []
    assert differences(record_of(), record_of(do_predict=None, test_file=None)) == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"seed": 7}, ["--seed (42 there, 7 here)"]),
        ({"per_device_train_batch_size": 3}, ["--per_device_train_batch_size (16 there, 3 here)"]),
        ({"optim": "sgd"}, ["--optim (adamw_torch_fused there, sgd here)"]),
        ({"max_seq_length": 9}, ["--max_seq_length (None there, 9 here)"]),
        ({"lstm_hidden_size": 7}, ["lstm_hidden_size in the configuration (None there, 7 here)"]),
        (
            {"accelerator_config": '{"even_batches": false}'},
            ["--accelerator_config even_batches (True there, False here)"],
        ),
        (
            {"tag_scheme": "BIOES"},
            [
                "the labels (O, B-LOC, I-LOC, B-PER, I-PER there, "
                "O, B-LOC, I-LOC, E-LOC, S-LOC, B-PER, I-PER, E-PER, S-PER here)"
            ],
        ),
    ],
    ids=str,
)
def test_options_that_decide_a_run(record_of, changes, told):
    found = differences(record_of(), record_of(**changes))
    assert found[: len(told)] == told
    assert all(" data (" in one for one in found[len(told) :])  # written in another scheme, they are other data, too


def test_the_data_decide_a_run(files, record_of):
    first = record_of()

    def told():
        found = differences(first, record_of())
        return [difference.split(", digest")[0] for difference in found]

    (files / "train.conll").write_text(TRAIN * 3)
    assert told() == ["the train data (8 sentences"]
    (files / "train.conll").write_text(TRAIN * 3 + TRAIN.replace("rain", "Rain"))
    assert told() == ["the train data (8 sentences"]
    (files / "train.conll").write_text(TRAIN * 4)
    (files / "validation.conll").write_text(TRAIN.replace("B-LOC", "O"))
    assert told() == ["the validation data (2 sentences"]


def test_context_makes_the_documents_part_of_the_data(files, record_of):
    (files / "one.conll").write_text(TRAIN)
    first = record_of(train_file=[str(files / "one.conll")] * 2)
    (files / "one.conll").write_text(TRAIN + "-DOCSTART-\tO\n\n")
    second = record_of(train_file=[str(files / "one.conll")] * 2)
    assert differences(first, second) == []  # a file is a document in any case
    (files / "one.conll").write_text(TRAIN.replace("\n\nthe", "\n\n-DOCSTART-\tO\n\nthe"))
    assert len(differences(first, record_of(train_file=[str(files / "one.conll")] * 2))) == 1


def test_the_encoders_weights_and_the_tokenizer_decide_a_run(files, encoder_folder, tokenizer, record_of):
    first = record_of()
    config = BertConfig.from_pretrained(encoder_folder)
    BertModel(config).save_pretrained(files / "other")
    tokenizer.save_pretrained(files / "other")
    (told,) = differences(first, record_of(model_name_or_path=str(files / "other")))
    assert told.startswith(f"the model to start from ({encoder_folder.name}, digest ")
    assert " there, other, digest " in told

    BertTokenizer(vocab=tokenizer.get_vocab(), do_lower_case=True).save_pretrained(files / "lower")
    *_, told = differences(first, record_of(tokenizer_name=str(files / "lower")))
    assert told.startswith("the tokenizer (BertTokenizer, digest ")


def test_a_tokenizer_that_was_used_is_the_same(record_of, encoder_folder, files, tokenizer):
    first = record_of()
    shutil.copytree(encoder_folder, files / "used")
    tokenizer(["Ada", "the rain"], padding=True, truncation=True, max_length=4)
    tokenizer.save_pretrained(files / "used")
    assert differences(first, record_of(tokenizer_name=str(files / "used"))) == []


def test_the_head_of_a_finished_tagger_decides_a_run(files, model, tokenizer, record_of):
    for name in ("first", "second"):
        model.save_pretrained(files / name)
        tokenizer.save_pretrained(files / name)
        model.crf.transitions.data[1, 2] += 1
    taggers = [record_of(model_name_or_path=str(files / name)) for name in ("first", "second")]
    assert len(differences(*taggers)) == 1


def test_streamed_data_are_known_by_their_beginning(files, record_of):
    streamed = {"streaming": True, "max_steps": 3, "label_list": ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]}
    first = record_of(**streamed)
    assert first["the train data"]["of"] == "the first 8 sentences"
    workers = differences(first, record_of(**streamed, dataloader_num_workers=2))
    assert workers == ["--dataloader_num_workers (0 there, 2 here)"]
    (files / "train.conll").write_text(TRAIN * 5)
    assert len(differences(first, record_of(**streamed))) == 1


def test_a_record_holds_no_secret_no_path_and_no_text(files, record_of):
    text = json.dumps(record_of(hub_token="hf_secret", token="hf_secret"))
    assert "hf_secret" not in text
    assert str(files) not in text
    assert "Lovelace" not in text


def test_each_entry_of_the_list_means_an_option(command):
    names = [field.name for part in parse_arguments(command()) for field in fields(part)]
    assert [pattern for pattern in MAY_CHANGE if not any(fnmatchcase(name, pattern) for name in names)] == []


def test_configurations_are_compared_by_what_both_have(model):
    config = model.config.to_dict()
    there = configuration_record(config | {"transformers_version": "9.9", "field_of_tomorrow": 1, "pad_token_id": 9})
    assert differences(there, configuration_record(config)) == []
    assert differences(configuration_record(config), configuration_record(config | {"hidden_size": 48})) == [
        "hidden_size in the configuration (36 there, 48 here)"
    ]
