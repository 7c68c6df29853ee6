"""What newcomers get wrong: each mistake ends in one sentence that says how to mend it, and leaves nothing behind."""

import json
import shutil

import datasets
import pytest
import torch
from conftest import LABELS
from transformers import AutoModelForTokenClassification, BertTokenizer, BertTokenizerLegacy, GPT2Config

import run_ner
from bert_crf_command.options import read_command_line
from bert_crf_command.train import RUN_NER
from modeling_bert_crf import (
    BertBiLSTMCRFConfig,
    BertBiLSTMCRFForTokenClassification,
    BertBiLSTMCRFPipeline,
)
from modeling_bert_crf.training.arguments import parse_arguments


@pytest.fixture
def fails(files, error_of):
    """Check that a command fails with a message, in one line, and makes no output folder."""

    def check(argv, message):
        error = error_of(argv)
        assert error.startswith("run_ner.py: error: ")
        assert message in error
        assert "\n" not in error
        assert not (files / "out").exists()
        assert sorted(path.name for path in files.glob("tmp*")) == []

    return check


OPTIONS = [
    ({"do_train": None, "do_eval": None, "do_predict": None}, "nothing to do: pass --do_train"),
    ({"train_file": None}, "--do_train needs --train_file (or --dataset_name)"),
    ({"train_file": "nowhere.conll"}, "nowhere.conll: no such file"),
    ({"dataset_name": "somewhere"}, "--dataset_name and files exclude each other: pass one of them"),
    ({"learningrate": 1e-4}, "--learningrate is no option; did you mean --learning_rate?"),
    ({"label_smoothing_factor": 0.1}, "label_smoothing_factor must be 0"),
    ({"tag_scheme": "BIO"}, "--tag_scheme must be one of IO, IOB2, BIOES, BILOU, BMES, got 'BIO'"),
    ({"label_list": ["O", "B-X", "B-X"]}, "--label_list must name each tag once, got 'B-X' twice"),
    (
        {"label_list": ["O", "B-X", "S-X", "U-X"]},
        "--label_list: labels must use the prefixes of one scheme of IO, IOB2",
    ),
    ({"label_list": "tags/of/mine.txt"}, "--label_list: tags/of/mine.txt: no such file"),
    ({"label_list": ["O", "B-LOC", "I-LOC"]}, "the model's labels lack 'B-PER', which stands at"),
    ({"text_column_name": "tokens"}, "the column of the words in a column file must be a number from 0, got 'tokens'"),
    ({"label_column_name": 5}, "train.conll:1: must have a column 5, got 2 columns"),
    ({"max_seq_length": 600}, "--max_seq_length must be from 3 to the encoder's 48, got 600"),
    ({"streaming": True}, "--streaming needs --max_steps"),
    ({"streaming": True, "max_steps": 3}, "--streaming needs --label_list"),
    ({"early_stopping_patience": 2, "do_eval": None}, "--early_stopping_patience needs --do_eval, evaluations"),
    (
        {"early_stopping_patience": 2, "save_strategy": "no"},
        "and their checkpoints: leave --save_strategy away",
    ),
    ({"early_stopping_patience": 0}, "early_stopping_patience must be at least 1, got 0"),
    ({"fp16": True}, "--fp16 needs a GPU, and there is none here: leave it away, or pass --bf16 --use_cpu"),
    ({"report_to": "wandb"}, "--report_to wandb must be installed (pip install wandb) or one of"),
    ({"resume_from_checkpoint": "nowhere"}, "--resume_from_checkpoint: nowhere is no checkpoint's folder"),
    ({"model_name_or_path": None}, "--model_name_or_path must name an encoder or a finished tagger"),
    ({"model_name_or_path": "no/such-model"}, "--model_name_or_path: "),
    ({"do_train": None}, "must be a finished tagger when there is no --do_train, got model_type 'bert'"),
    (
        {"metric_for_best_model": "auc"},
        "metric_for_best_model must be one of loss, accuracy, precision, recall, f1, macro_f1, conlleval_precision, "
        "conlleval_recall, conlleval_f1, conlleval_macro_f1, got 'auc'",
    ),
    ({"metric_for_best_model": "auc", "lr_scheduler_type": "greedy"}, "metric_for_best_model must be one of loss, "),
    ({"fsdp": "full_shard"}, "--fsdp needs several processes: leave it away, or start the program with torchrun"),
    ({"eval_do_concat_batches": False}, "eval_do_concat_batches must stay True: F1 is that of a whole data set's"),
    ({"debug": "underflow_overflow"}, "debug must be without underflow_overflow, which cannot read the masks"),
    ({"resume_from_checkpoint": "True", "do_train": None}, "--resume_from_checkpoint needs --do_train: pass both"),
]


@pytest.mark.parametrize(("changes", "message"), OPTIONS, ids=lambda value: value if isinstance(value, str) else "")
def test_options(command, fails, changes, message):
    fails(command(**changes), message)


FILES = [
    ("Ada\nsang\n", "test.conll:1: must have a word and a tag column, got one column: 'Ada'"),
    ("B-PER\tAda\nO\tsang\n", "test.conll: the columns of words and tags seem swapped: the words are B-PER, O"),
    ("Ada B-PER\nsang O x\n", "test.conll:2: must have 2 columns as line 1, got 3: 'sang O x'"),
    ("Ada\tB-PER\nsang\t\n", "test.conll:2: the tag must not be empty, got 'sang\\t'"),
    ("Ada\tB-PER\nsang\tS-LOC\nx\tU-LOC\n", "labels must use the prefixes of one scheme of IO, IOB2, BIOES"),
    ("Ada\tB-PER\nsang\tLOC\n", "test.conll:2: labels must all have a scheme prefix such as 'B-', or none of them"),
    ("Ada\tB-PER\nsang\tI-LOC\n", "test.conll:2: the tags must obey IOB2, got 'I-LOC' after 'B-PER'; --repair_tags"),
    ("\n\n", "test.conll: must hold at least one sentence, got none"),
    ("".join(f"word\tfree{i}\n" for i in range(600)), "the column of tags must hold tags, got 600 different ones"),
]


@pytest.mark.parametrize(("text", "message"), FILES, ids=[message for _, message in FILES])
def test_column_files(files, command, fails, text, message):
    (files / "test.conll").write_text(text)
    fails(command(), message)


def test_a_file_in_another_encoding(files, command, fails):
    (files / "test.conll").write_bytes("Zoë\tB-PER\n".encode("latin-1"))
    fails(command(), "test.conll:1: must be UTF-8, got byte 0xeb")


ROWS = [
    ({"tokens": ["Ada"], "ner_tags": ["O", "O"]}, "test.jsonl:1: 'ner_tags' must hold 1 tags, one per word, got 2"),
    ({"tokens": ["Ada"], "ner_tags": [3]}, "integer tags need their names: give them, in order, with --label_list"),
    ({"text": ["Ada"], "ner_tags": ["O"]}, "must have a column of words named tokens or words, got text, ner_tags"),
    ({"tokens": "Ada sang", "ner_tags": ["O"]}, "'tokens' must be a list of words, got 'Ada sang'"),
]


@pytest.mark.parametrize(("row", "message"), ROWS, ids=[message for _, message in ROWS])
def test_json_lines(files, command, fails, row, message):
    (files / "test.jsonl").write_text(json.dumps(row) + "\n")
    fails(command(test_file=str(files / "test.jsonl")), message)


def test_a_data_set_that_is_not_there_or_lacks_a_split(files, command, fails):
    no_files = {"train_file": None, "validation_file": None, "test_file": None}
    fails(command(**no_files, dataset_name="no/such-data"), "--dataset_name no/such-data: ")
    rows = datasets.Dataset.from_dict({"tokens": [["Ada"]], "ner_tags": [["O"]]})
    datasets.DatasetDict(train=rows, dev=rows).save_to_disk(files / "data")
    fails(command(**no_files, dataset_name=str(files / "data")), "must have a split validation, got train, dev")


CONFIGURATIONS = [
    ("c.yaml", "learning_rate: [1\n", "c.yaml: must be YAML: while parsing a flow sequence"),
    ("c.json", '{"learning_rate": 1e-4', "c.json: must be JSON: Expecting ',' delimiter"),
    ("c.yaml", "just words\n", "c.yaml: must hold options and their values, got 'just words'"),
    ("c.yaml", "do_training: true\n", "c.yaml: --do_training is no option; did you mean --do_train"),
]


@pytest.mark.parametrize(("name", "text", "message"), CONFIGURATIONS, ids=[row[2] for row in CONFIGURATIONS])
def test_configuration_files(files, fails, name, text, message):
    (files / name).write_text(text)
    fails([str(files / name)], message)


def test_a_configuration_file_that_is_not_there(fails):
    fails(["nowhere.yaml"], "nowhere.yaml: No such file or directory")


def test_yaml_numbers_without_a_point_are_numbers(files):
    """YAML 1.1 reads 1e-4 as a text."""
    (files / "c.yaml").write_text("learning_rate: 1e-4\nhead_learning_rate: 2e-3\ntrain_file: a.conll\n")
    _, data, training = parse_arguments(read_command_line([str(files / "c.yaml")], RUN_NER).words)
    assert (training.learning_rate, training.head_learning_rate, data.train_file) == (1e-4, 2e-3, ["a.conll"])


@pytest.mark.parametrize("place", ["train.conll", "train.conll/out", "/proc/out"])
def test_an_output_folder_that_cannot_be(files, command, fails, place):
    fails(command(output_dir=str(files / place)), "must be a folder that can be written: ")


def test_a_wrong_model_folder(files, command, fails, encoder_folder):
    folder = files / "model"
    folder.mkdir()
    fails(command(model_name_or_path=str(folder)), "this folder holds no model, it has no config.json")

    GPT2Config().save_pretrained(folder)
    for path in encoder_folder.glob("tokenizer*"):
        shutil.copy(path, folder)
    fails(command(model_name_or_path=str(folder)), "the encoder must be of one of the families albert, bert, ")

    shutil.copytree(encoder_folder, folder, dirs_exist_ok=True)
    for path in folder.glob("tokenizer*"):
        path.unlink()
    fails(
        command(model_name_or_path=str(folder)),
        "model: the tokenizer must have words, got special tokens alone, as where tokenizer.json",
    )


def test_a_wrong_tokenizer(files, command, fails, model, tokenizer):
    model.save_pretrained(files / "tagger")
    tokenizer.save_pretrained(files / "tagger")
    other = tokenizer.get_vocab() | {"Ada": tokenizer.vocab["rain"], "rain": tokenizer.vocab["##a"], "##a": 300}
    other["##a"] = tokenizer.vocab["Ada"]
    BertTokenizer(vocab=other, do_lower_case=False).save_pretrained(files / "other")
    larger = tokenizer.get_vocab() | {"new": len(tokenizer)}
    BertTokenizer(vocab=larger, do_lower_case=False).save_pretrained(files / "larger")

    tagger = {"model_name_or_path": str(files / "tagger")}
    learnt = "--tokenizer_name must be the tokenizer that the tagger was trained with: leave it away"
    fails(command(**tagger, tokenizer_name=str(files / "other")), learnt)
    known = f"the tokenizer's token 'new' has id {len(tokenizer)}, the model knows {len(tokenizer)} ids"
    fails(command(**tagger, tokenizer_name=str(files / "larger")), known)
    fails(command(tokenizer_name=str(files / "larger")), known)
    config = json.loads((files / "tagger" / "config.json").read_text()) | {"context_size": 9}
    shutil.copytree(files / "tagger", files / "reader")
    (files / "reader" / "config.json").write_text(json.dumps(config))
    streamed = {"streaming": True, "max_steps": 2, "label_list": LABELS}
    alone = "--streaming reads sentences one by one, and this tagger reads them among their neighbours"
    fails(command(model_name_or_path=str(files / "reader"), **streamed), alone)
    fails(command(**tagger, tag_scheme="BIOES"), "--tag_scheme is for a new model")
    fails(command(**tagger, context_size=64), f"--context_size is for a new model: {files / 'tagger'} has learnt 0")
    reader = command(model_name_or_path=str(files / "reader"), context_size=0)  # the default, but it was given
    fails(reader, f"--context_size is for a new model: {files / 'reader'} has learnt 9")


def test_a_tokenizer_of_the_wrong_case_is_noticed(files, command, tokenizer, caplog):
    """This is not refused, since somebody may mean it, but the log says so."""
    BertTokenizer(vocab=tokenizer.get_vocab(), do_lower_case=True).save_pretrained(files / "lower")
    run_ner.main(command(tokenizer_name=str(files / "lower"), do_eval=None, do_predict=None, max_steps=1))
    assert any("in lower case, but its vocabulary is cased" in record.message for record in caplog.records)

    caplog.clear()
    uncased = {token: index for token, index in tokenizer.get_vocab().items() if token.strip("#") == token.lower()}
    uncased = {token: index for index, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *uncased])}
    BertTokenizer(vocab=uncased, do_lower_case=False).save_pretrained(files / "upper")
    run_ner.main(
        command(tokenizer_name=str(files / "upper"), do_eval=None, do_predict=None, output_dir=str(files / "two"))
    )
    assert any("train: 50% of the words are unknown to the tokenizer" in record.message for record in caplog.records)


@pytest.mark.parametrize(
    ("labels", "config", "message"),
    [
        ("O B-X I-X", {}, "labels must be a list of tags, got the string 'O B-X I-X'"),
        (LABELS, {"num_labels": 5}, "'num_labels' must be left out: `labels` names the tags and their number"),
        (LABELS, {"id2label": {0: "O"}}, "'id2label' must be left out"),
        (LABELS, {"lstm_size": 7}, "'lstm_size' must be a field of the configuration or one of"),
        (["O", "B-X", "B-X"], {}, "labels must be distinct strings"),
        (["O", "B-X", "I-Y"], {}, "'I-Y' can never be reached"),
    ],
)
def test_from_encoder(encoder_folder, labels, config, message):
    with pytest.raises(ValueError, match=message):
        BertBiLSTMCRFForTokenClassification.from_encoder(str(encoder_folder), labels, **config)


def test_labels_are_not_renamed_behind_the_users_back(model, tmp_path):
    model.save_pretrained(tmp_path)

    with pytest.raises(ValueError, match=r"`num_labels` must be left out .* there are 5, got 7"):
        AutoModelForTokenClassification.from_pretrained(tmp_path, num_labels=7)
    with pytest.raises(ValueError, match="`label2id` must be the inverse of `id2label`"):
        BertBiLSTMCRFConfig(id2label={0: "O", 1: "B-X"}, label2id={"O": 1, "B-X": 0})
    assert BertBiLSTMCRFConfig(id2label={0: "O", 1: "B-X"}).label2id == {"O": 0, "B-X": 1}
    assert BertBiLSTMCRFConfig(label2id={"O": 0, "B-X": 1}).labels == ["O", "B-X"]


def test_labels_for_every_sub_token(model, tokenizer):
    encoding = tokenizer(["rainy day"], return_tensors="pt")
    with pytest.raises(ValueError, match="labels must be -100 off the chain of words, got 0 in row 0, position 0"):
        model(**encoding, labels=torch.zeros_like(encoding["input_ids"]))


def test_training_without_the_crfs_loss_is_noticed(model, tokenizer, caplog):
    """The host's Trainer takes the labels away when it smooths them."""
    model.train()(**tokenizer(["rain"], return_tensors="pt"))
    assert any("in training mode without labels" in record.message for record in caplog.records)


def test_the_pipeline(model, tokenizer, tmp_path):
    tagger = BertBiLSTMCRFPipeline(model=model, tokenizer=tokenizer)
    with pytest.raises(TypeError, match="unknown argument of the pipeline: grouped_entities"):
        tagger("Ada", grouped_entities=True)
    with pytest.raises(ValueError, match="is_split_into_words"):
        tagger([["Ada", "sang"]])
    (tmp_path / "vocab.txt").write_text("\n".join(sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)))
    slow = BertTokenizerLegacy(str(tmp_path / "vocab.txt"), do_lower_case=False, model_max_length=48)
    with pytest.raises(ValueError, match="fast"):
        BertBiLSTMCRFPipeline(model=model, tokenizer=slow)("Ada sang")
