"""Labels and tags of every kind, from the data to what is said of them: one answer in all parts of the product."""

import json

import datasets
import pytest
import torch
from typer.testing import CliRunner

import run_ner
from bert_crf_command.app import app
from bert_crf_command.export import _read
from modeling_bert_crf import BertBiLSTMCRFForTokenClassification, BertBiLSTMCRFPipeline
from modeling_bert_crf.readers.files import read_conll, read_file
from modeling_bert_crf.training.arguments import parse_arguments
from modeling_bert_crf.training.labels import choose_labels
from modeling_bert_crf.training.splits import read_splits


@pytest.fixture
def save_stubborn(make_model, tokenizer, tmp_path):
    """Save a tagger that gives each word one label; where the rules forbid it, the best one that they allow."""

    def save(labels, favourite, **config):
        model = make_model(labels, **config)
        with torch.no_grad():
            for parameter in (model.classifier.weight, model.classifier.bias, *model.crf.parameters()):
                parameter.zero_()
            model.classifier.bias[labels.index(favourite)] = 9.0
        model.save_pretrained(tmp_path / "tagger")
        tokenizer.save_pretrained(tmp_path / "tagger")
        return model.eval()

    return save


@pytest.fixture
def splits_of(command):
    """Read the data of a run's options; return them and a new model's labels."""

    def read(**options):
        _, data, training = parse_arguments(command(**options))
        splits = read_splits(data, training)
        return splits, choose_labels(splits["train"], data) if "train" in splits else None

    return read


KINDS = {
    "IOB2 without rules": (["O", "B-PER", "I-PER"], "I-PER", None, "PER", ["I-PER"] * 3),
    "IO": (["O", "I-PER", "I-LOC"], "I-PER", "auto", "PER", ["I-PER"] * 3),
    "IO without rules": (["O", "I-PER"], "I-PER", None, "PER", ["I-PER"] * 3),
    "without types": (["B", "I", "O"], "I", "auto", "_", ["B", "I", "I"]),
    "without types, BIOES": (["O", "B", "I", "E", "S"], "I", "auto", "_", ["B", "I", "E"]),
    "words": (["O", "NOUN", "B"], "B", "auto", "B", ["B"] * 3),
}


@pytest.mark.parametrize(("labels", "favourite", "tag_scheme", "kind", "tags"), KINDS.values(), ids=KINDS)
def test_a_finished_tagger_is_read_alike_by_all_parts(
    labels, favourite, tag_scheme, kind, tags, save_stubborn, tokenizer, files, command, capsys
):
    model = save_stubborn(labels, favourite, tag_scheme=tag_scheme)
    gold = ["B-PER", "I-PER", "I-PER"] if kind == "PER" else tags
    (files / "test.conll").write_text("".join(map("{}\t{}\n".format, ["Ada", "in", "Paris"], gold)))

    entities = BertBiLSTMCRFPipeline(model=model, tokenizer=tokenizer)("Ada in Paris")
    program = {"do_train": None, "train_file": None, "do_eval": None, "validation_file": None}
    run_ner.main(command(model_name_or_path=str(files / "tagger"), **program))
    said = capsys.readouterr().out
    tagged = {
        form: CliRunner().invoke(app, ["tag", str(files / "tagger"), "Ada in Paris", "--format", form]).stdout
        for form in ("conll", "terminal", "html")
    }

    assert [(entity["entity_group"], entity["word"]) for entity in entities] == [(kind, "Ada in Paris")]
    assert f"  [Ada in Paris | {kind}]\n" in said
    assert [one.tags for one in read_conll(files / "out" / "predictions.conll")] == [tags]
    assert f"[Ada in Paris {kind} " in tagged["terminal"]
    assert "Ada in Paris" in tagged["html"]
    written = ["B-PER", "I-PER", "I-PER"] if labels[1] == "B-PER" else tags
    assert tagged["conll"] == "".join(map("{}\t{}\n".format, ["Ada", "in", "Paris"], written)) + "\n"
    facts = json.loads((files / "out" / "metrics.json").read_text())
    assert facts["types"] == sorted({"NOUN", "B"} if kind == "B" else {"LOC", kind} if "I-LOC" in labels else {kind})
    scores = facts["scores"]["test"]
    if kind == "B":
        assert scores["accuracy"] == 1.0
    else:
        # In the strict reading an I- that continues nothing is no entity.
        assert scores["strict"]["f1"] == (0.0 if favourite == "I-PER" and labels[1] == "B-PER" else 1.0)
        assert scores["conlleval"]["types"][kind]["support"] == 1
        assert scores["conlleval"]["f1"] == 1.0


def test_sentences_of_an_export_are_read_in_the_taggers_scheme(save_stubborn, tmp_path):
    """Whatever rules it obeys, and however their own tags are spelt."""
    labels = ["O", "B-PER", "I-PER", "E-PER", "S-PER"]
    config = save_stubborn(labels, "O", tag_scheme=None).config
    (tmp_path / "gold.conll").write_text("Ada\tB_PER\nLovelace\tI_PER\nmet\tO\nBo\tB_PER\n")

    words, tags = _read(tmp_path / "gold.conll", config)

    assert (words, tags) == ([["Ada", "Lovelace", "met", "Bo"]], [["B-PER", "E-PER", "O", "S-PER"]])


def test_a_model_is_trained_in_io_if_it_is_asked_for(files, command, capsys, caplog):
    """Neighbours of one type in the data then become one entity, and the log says so."""
    text = "Ada\tB-PER\nLovelace\tB-PER\nin\tO\nParis\tB-LOC\n\n"
    (files / "train.conll").write_text(text * 4)
    (files / "validation.conll").write_text(text.replace("B-", "I-"))
    (files / "test.conll").write_text(text)

    run_ner.main(command(tag_scheme="IO"))

    model = BertBiLSTMCRFForTokenClassification.from_pretrained(files / "out")
    assert (model.config.labels, model.config.scheme) == (["O", "I-LOC", "I-PER"], "IO")
    said = capsys.readouterr().out
    assert "train: 4 sentences, 16 words, tags in IOB2, written as IO\n" in said
    assert "validation: 1 sentences, 4 words, tags in IO\n" in said
    assert "train: 4 entities are joined with a neighbour of their type, which IO cannot tell apart" in caplog.messages
    (gold,) = read_file(files / "out" / "predictions.conll", tag_column="1")
    assert gold.tags == ["I-PER", "I-PER", "O", "I-LOC"]
    scores = json.loads((files / "out" / "metrics.json").read_text())["scores"]["test"]
    assert scores["strict"]["types"]["PER"]["support"] == 1
    assert scores["strict"] == scores["conlleval"]


@pytest.mark.parametrize(
    ("text", "scheme", "labels"),
    [
        ("Ada/I-PER Lovelace/I-PER in/O Paris/I-LOC", "IO", ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]),
        ("Fever/B of/I Malta/I and/O ague/B gout/B", "IOB2", ["O", "B", "I"]),
        ("a/B b/E c/S d/B e/M f/E", "BMES", ["O", "B", "M", "E", "S"]),
        ("Ada/B_PER Lovelace/I_PER sang/O", "IOB2", ["O", "B-PER", "I-PER"]),
        ("Ada/PER-B Lovelace/PER-I sang/O", "IOB2", ["O", "B-PER", "I-PER"]),
        ("Ada/b-per Lovelace/i-per sang/o", "IOB2", ["O", "B-per", "I-per"]),
        ("Ada/B- Lovelace/I- sang/O", "IOB2", ["O", "B", "I"]),
        ("Ada/name=B-PER Lovelace/SpaceAfter=No|name=I-PER sang/name=O", "IOB2", ["O", "B-PER", "I-PER"]),
        ("Ada/NOUN sang/VERB B/B I/I", None, ["B", "I", "NOUN", "VERB"]),
    ],
)
def test_tags_are_understood_and_another_spelling_is_logged(files, splits_of, caplog, text, scheme, labels):
    rows = [word.split("/", 1) for word in text.split(" ")]
    for split in ("train", "validation", "test"):
        (files / f"{split}.conll").write_text("".join(f"{word}\t{tag}\n" for word, tag in rows))

    splits, found = splits_of()

    assert [split.scheme for split in splits.values()] == [scheme] * 3
    assert found == labels
    assert set(splits["test"].sentences[0].tags) <= {*labels, "I-PER", "I-LOC"}
    logged = [message for message in caplog.messages if "are read as" in message]
    assert len(logged) == (0 if {tag for _, tag in rows} <= {*labels, "O"} else 3)


def test_the_names_of_classes_may_be_a_scheme_without_types(files, splits_of):
    features = datasets.Features(
        {
            "tokens": datasets.List(datasets.Value("string")),
            "ner_tags": datasets.List(datasets.ClassLabel(names=["B", "I", "O"])),
        }
    )
    rows = [{"tokens": ["Fever", "of", "Malta", "and", "ague"], "ner_tags": [0, 1, 1, 2, 0]}]
    datasets.DatasetDict(train=datasets.Dataset.from_list(rows, features=features)).save_to_disk(files / "data")
    one = {"do_eval": None, "do_predict": None, "train_file": None, "validation_file": None, "test_file": None}

    splits, labels = splits_of(dataset_name=str(files / "data"), **one)

    assert (splits["train"].scheme, labels) == ("IOB2", ["B", "I", "O"])
    names = datasets.ClassLabel(names=["o", "b-per", "i-per"])
    rows = datasets.Dataset.from_list([{"tokens": ["Ada", "sang"], "ner_tags": [1, 0]}])
    datasets.DatasetDict(train=rows.cast_column("ner_tags", datasets.List(names))).save_to_disk(files / "other")
    splits, labels = splits_of(dataset_name=str(files / "other"), **one)
    assert (splits["train"].sentences[0].tags, labels) == (["B-per", "O"], ["O", "B-per", "I-per"])


@pytest.mark.parametrize(
    ("labels", "lacking"),
    [
        ("B-PER I-PER B-LOC I-LOC", "'O', which stands at {}:3"),
        ("O B-PER B-LOC", "'I-PER', which stands at {}:2"),
        ("O B-PER I-PER", "'B-LOC', which stands at {}:4"),
    ],
)
@pytest.mark.parametrize("streaming", [False, True])
def test_a_tag_of_the_training_data_that_the_label_list_lacks_is_refused(
    files, command, error_of, labels, lacking, streaming
):
    options = {"streaming": True, "max_steps": 2} if streaming else {}

    error = error_of(command(label_list=labels.split(), **options))

    wanted = (
        f"the model's labels lack {lacking.format(files / 'train.conll')}: add it to --label_list, or leave that away"
    )
    assert error == f"run_ner.py: error: {wanted}"
    assert not (files / "out").exists()


def test_a_data_set_that_is_streamed_is_refused_where_a_tag_is_met(files, command, error_of):
    rows = [{"tokens": [word], "ner_tags": [tag]} for word, tag in (("Ada", "B-PER"), ("Paris", "B-LOC"))]
    datasets.DatasetDict(train=datasets.Dataset.from_list(rows)).save_to_disk(files / "data")
    no_files = {"do_eval": None, "do_predict": None, "train_file": None, "validation_file": None, "test_file": None}
    streamed = {"streaming": True, "max_steps": 2, "label_list": ["O", "B-PER"], "dataset_name": str(files / "data")}

    error = error_of(command(**streamed, **no_files))

    assert f"the model's labels lack 'B-LOC', which stands at {files / 'data'} (train):1: add it to" in error


def test_a_finished_tagger_that_lacks_a_tag_says_so(save_stubborn, files, command, error_of, caplog):
    save_stubborn(["O", "B-LOC", "I-LOC", "B-PER"], "O")
    finished = {"model_name_or_path": str(files / "tagger"), "do_eval": None, "frozen_steps": 0}

    error = error_of(command(**finished))
    assert f"the model's labels lack 'I-PER', which stands at {files / 'train.conll'}:2: train a new model" in error

    run_ner.main(command(**finished, do_train=None))
    assert "test: the model has no tag 'I-PER': whatever it says of 1 words is wrong" in caplog.messages
    assert any("test: the model has no tag for type 'WORK': its 1 words" in message for message in caplog.messages)


def test_a_tagger_that_learnt_another_spelling_keeps_it(save_stubborn, files, command):
    """As 0.1 trained them: each tag a label of its own, and nothing forbidden."""
    save_stubborn(["o", "B_PER", "I_PER"], "B_PER")
    (files / "test.conll").write_text("Ada\tB_PER\nsang\to\nParis\tB_PER\n")
    only = {"do_train": None, "train_file": None, "do_eval": None, "validation_file": None}

    run_ner.main(command(model_name_or_path=str(files / "tagger"), **only))

    assert json.loads((files / "out" / "metrics.json").read_text())["scores"]["test"]["accuracy"] == pytest.approx(
        2 / 3
    )
    (gold,) = read_file(files / "out" / "predictions.conll", tag_column="1")
    assert gold.tags == ["B_PER", "o", "B_PER"]


def test_a_label_list_may_be_a_file_with_a_byte_order_mark(files, splits_of):
    (files / "labels.txt").write_text("\ufeffO\nB-LOC\nI-LOC\nB-PER\nI-PER\n", encoding="utf-8")
    _, labels = splits_of(label_list=str(files / "labels.txt"))
    assert labels == ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]


NOTHING = [
    ("Ada\tO\nsang\tO\n", "no entity in the train data: every tag is 'O', from {}:1 on"),
    ("1\tAda\t-\n2\tsang\t-\n", "no entity in the train data: every tag is '-', from {}:1 on"),
    ("Ada\t1\nsang\t0\n", "{}:1: the tags are numbers, '1', '0': give their names, in order, with --label_list"),
]


@pytest.mark.parametrize(("text", "message"), NOTHING)
def test_training_data_without_an_entity_are_refused(files, command, error_of, text, message):
    (files / "train.conll").write_text(text)
    columns = {"text_column_name": 1, "do_eval": None, "do_predict": None} if text.startswith("1") else {}

    error = error_of(command(**columns))

    assert error.startswith(f"run_ner.py: error: {message.format(files / 'train.conll')}")
    assert not (files / "out").exists()


def test_numbers_in_json_lines_are_no_tags_without_names(files, splits_of):
    row = {"tokens": ["Ada", "sang"], "ner_tags": ["1", "0"]}
    (files / "train.jsonl").write_text(json.dumps(row))
    only = {"train_file": str(files / "train.jsonl"), "do_eval": None, "do_predict": None}
    with pytest.raises(ValueError, match=r"train.jsonl:1: the tags are numbers, '1', '0': give their names"):
        splits_of(**only)
    splits, labels = splits_of(**only, label_list=["O", "B-PER", "I-PER"])
    assert (splits["train"].sentences[0].tags, labels) == (["B-PER", "O"], ["O", "B-PER", "I-PER"])


def test_other_data_without_an_entity_are_scored_but_said(files, splits_of, caplog):
    (files / "validation.conll").write_text("Ada\tO\n\nsang\tO\n")
    splits_of()
    place = files / "validation.conll"
    said = f"no entity in the validation data: every tag is 'O', from {place}:1 on; precision, recall and F1 are 0"
    assert any(message.startswith(said) for message in caplog.messages)


def test_a_conllu_file_is_trained_by_its_form_and_misc(files, splits_of, caplog):
    rows = [("Ada", "B-PER"), ("sang", "O")]
    lines = [f"{i}\t{word}" + "\t_" * 7 + f"\tname={tag}" for i, (word, tag) in enumerate(rows, start=1)]
    lines = ["# sent_id = 1", "1-2\tAdasang" + "\t_" * 8, *lines, ""]
    (files / "train.conllu").write_text("\n".join(lines))

    splits, labels = splits_of(train_file=str(files / "train.conllu"), do_eval=None, do_predict=None)

    (sentence,) = splits["train"].sentences
    assert (sentence.words, sentence.tags, sentence.lines) == (["Ada", "sang"], ["B-PER", "O"], [3, 4])
    assert labels == ["O", "B-PER", "I-PER"]
    assert "train: tags such as 'name=B-PER' are read as 'B-PER'" in caplog.messages
