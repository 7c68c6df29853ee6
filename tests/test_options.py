"""The program that trains: its command line, which is read without torch, and the two names that it is started by."""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pytest
import transformers
from typer.testing import CliRunner

import run_ner
from bert_crf_command import options, program
from bert_crf_command.app import VERBS, app
from bert_crf_command.frame import CommandError
from bert_crf_command.options import describe, make_parser, read_command_line, read_table
from bert_crf_command.train import RUN_NER, TRAIN
from modeling_bert_crf.training.arguments import given_options, option_parser

ROOT = Path(run_ner.__file__).parent


def test_the_list_of_options_is_that_of_the_real_parser():
    """If not, run `python -m bert_crf_command.options`."""
    table = json.loads(options.TABLE.read_text(encoding="utf-8"))
    assert table["transformers"] == transformers.__version__
    assert table["options"] == json.loads(json.dumps(describe(option_parser())))


def test_the_help_is_that_of_the_real_parser(monkeypatch):
    monkeypatch.setenv("COLUMNS", "91")
    real = option_parser()
    real.usage = RUN_NER.usage
    for action in real._actions:
        action.default = argparse.SUPPRESS
    shown = make_parser(read_table(), RUN_NER).format_help()
    assert shown == real.format_help()
    assert "--crf_learning_rate CRF_LEARNING_RATE, --crf-learning-rate" in shown


WRONG = [
    ("--learning_rate", "abc"),
    ("--seed", "1.5"),
    ("--bf16", "perhaps"),
    ("--text_unit", "word"),
    ("--eval_strategy", "never"),
    ("--train_file",),
    ("--h",),
    ("--do_t", "yes", "--dataloader_n"),
]


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_what_the_real_parser_refuses_is_refused_in_the_same_words(words, capsys):
    with pytest.raises(SystemExit) as info:
        read_command_line(words, TRAIN)
    assert info.value.code == 2
    usage, said = capsys.readouterr().err.splitlines()
    assert usage == f"usage: {TRAIN.usage}"
    with pytest.raises(ValueError, match=r"\w") as refused:
        given_options(words)
    assert said == f"bert-crf train: error: {refused.value}"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--do_train", "--trian_file", "x"], "--trian_file is no option; did you mean --train_file?"),
        (["--learningrate=3"], "--learningrate=3 is no option; did you mean --learning_rate?"),
        (["--zzz"], "--zzz is no option; --help lists them"),
        (["demo", "--seed", "3"], "demo is no option; "),
    ],
)
def test_a_mistyped_option_is_named_with_the_nearest_one(words, message):
    with pytest.raises(CommandError) as info:
        read_command_line(words, RUN_NER)
    assert str(info.value).startswith(message)


def test_what_argparse_accepts_is_accepted():
    words = ["--do_tr", "--see=7", "--train-file", "a", "b", "--no_remove_unused", "--lr_scheduler_kwargs", "{}"]
    assert read_command_line(words, RUN_NER) == (words, None)


def test_a_file_of_options_is_read_and_checked_as_the_command_line_is(tmp_path):
    file = tmp_path / "o.yml"
    file.write_text("do_train: true\ntrain_file: [a, b]\nlstm_hidden_size:\nlr_scheduler_kwargs: {num_cycles: 2}\n")
    words = ["--do_train", "True", "--train_file", "a", "b", "--lr_scheduler_kwargs", '{"num_cycles": 2}']
    assert read_command_line([str(file)], RUN_NER) == (words, file)

    refused = {
        "trian_file: a": "--trian_file is no option; did you mean --train_file?",
        "log_on_each_node:": "log_on_each_node must have a value, got none: leave it away for its default, True",
    }
    for text, message in refused.items():
        file.write_text(text)
        with pytest.raises(CommandError) as info:
            read_command_line([str(file)], RUN_NER)
        assert str(info.value) == f"{file}: {message}"


def test_another_version_of_transformers_has_its_own_options(monkeypatch, tmp_path):
    """The list may lack some of them, or have too many."""
    table = json.loads(options.TABLE.read_text(encoding="utf-8"))
    table["options"] = table["options"][:3]
    monkeypatch.setattr(options, "TABLE", tmp_path / "options.json")
    for number, known in ((transformers.__version__, False), ("5.0.0", True)):
        options.TABLE.write_text(json.dumps(table | {"transformers": number}))
        assert (len(read_table()) > 100) == known


PROGRAM = """
import contextlib, io, runpy, sys
from pathlib import Path

TOP, *lines = sys.argv[1:]
said = []
for line in lines:
    name, *argv = line.split()
    sys.argv = [name, *argv]
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
        try:
            if name == "run_ner.py":
                runpy.run_path(f"{TOP}/run_ner.py", run_name="__main__")
            else:
                runpy.run_module("bert_crf_command", run_name="__main__")
        except SystemExit as end:
            print(end.code if isinstance(end.code, str) else "", file=stream)
    said.append(stream.getvalue())
print(*sorted({name.partition(".")[0] for name in sys.modules}))
print(*said, sep="\\0")
"""


def test_help_and_mistyped_options_do_not_wait_for_torch(tmp_path):
    """In a process of its own, which imports nothing but what these answers need."""
    (tmp_path / "o.yaml").write_text("trian_file: a\n")
    answers = {
        "run_ner.py --help": "--crf_learning_rate",
        "run_ner.py --trian_file a": "run_ner.py: error: --trian_file is no option; did you mean --train_file?",
        "run_ner.py o.yaml": "run_ner.py: error: o.yaml: --trian_file is no option; did you mean --train_file?",
        "run_ner.py --seed x": "run_ner.py: error: argument --seed: invalid int value: 'x'",
        "bert-crf": "Commands",
        "bert-crf --version": "bert-crf ",
        "bert-crf --help": "Commands",
        "bert-crf trian": "Did you mean 'train'?",
        "bert-crf train": "bert-crf train demo an invented corpus",
        "bert-crf train --trian_file a": "bert-crf train: error: --trian_file is no option; did you mean --train_file",
        "bert-crf tag x --batchsize 3": "No such option: --batchsize",
        **{f"bert-crf {verb} --help": f"bert-crf {verb}" for verb in VERBS},
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, ROOT, *answers], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    loaded, said = done.stdout.split("\n", 1)
    assert not {"torch", "transformers", "datasets", "numpy", "modeling_bert_crf"} & {*loaded.split()}
    assert "bert_crf_command" in loaded
    for (line, wanted), shown in zip(answers.items(), said.split("\0"), strict=True):
        assert wanted in " ".join(shown.split()) + " ", line


def test_a_verb_is_imported_when_it_is_used():
    import_help = "import sys; from bert_crf_command.app import app; app(['report', '--help'], standalone_mode=False)"
    done = subprocess.run(
        [sys.executable, "-c", f"{import_help}; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    loaded = {*done.stdout.splitlines()[-1].split()}
    assert {f"bert_crf_command.{verb}" for verb in VERBS} & loaded == {"bert_crf_command.report"}


def test_train_without_anything_says_what_to_do():
    result = CliRunner().invoke(app, ["train"])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("usage: bert-crf train [demo | CONFIG.yaml | --OPTION VALUE ...]")
    assert "bert-crf train --model_name_or_path" in result.stderr


def test_both_programs_train_alike_and_each_writes_its_own_command(command, files):
    run_ner.main(command(output_dir=str(files / "script")))
    result = CliRunner().invoke(app, ["train", *command(output_dir=str(files / "verb"))])
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1].startswith("test F1 (strict): ")

    script, verb = (json.loads((files / name / "metrics.json").read_text()) for name in ("script", "verb"))
    rest = " --validation_file validation.conll --test_file test.conll --output_dir {} --do_train"
    assert script["command"].startswith("python run_ner.py --model_name_or_path encoder")
    assert verb["command"].startswith("bert-crf train --model_name_or_path encoder")
    assert rest.format("script") in script["command"]
    assert rest.format("verb") in verb["command"]
    assert verb["command"] in (files / "verb" / "README.md").read_text()
    assert verb["scores"] == script["scores"]
    assert verb["options"] == script["options"]
    weights = [(files / name / "model.safetensors").read_bytes() for name in ("script", "verb")]
    assert weights[0] == weights[1]


def test_what_several_processes_were_started_by():
    assert RUN_NER.started(3) == "torchrun --nproc_per_node 3 run_ner.py"
    assert TRAIN.started(3) == "torchrun --nproc_per_node 3 -m bert_crf_command train"
    assert (RUN_NER.started(1), TRAIN.started(1)) == ("python run_ner.py", "bert-crf train")


def test_a_mistake_in_a_run_begins_with_the_programs_name(files):
    result = CliRunner().invoke(app, ["train", "--output_dir", str(files / "out")])
    assert result.exit_code == 1
    assert result.output == "bert-crf train: error: nothing to do: pass --do_train, --do_eval or --do_predict\n"


@pytest.mark.parametrize("start", [run_ner.main, lambda argv: CliRunner().invoke(app, ["train", "demo", *argv])])
def test_the_demo_is_made_in_its_folder(start, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    asked = []
    monkeypatch.setattr(program, "run", lambda arguments, *_: asked.append(arguments[2].output_dir))
    shown = start([])
    shown = capsys.readouterr().out if shown is None else shown.stdout
    begins = "python run_ner.py" if start is run_ner.main else "bert-crf train"
    assert shown.startswith(
        f"The demo runs: {begins} --model_name_or_path runs/demo/input/encoder --output_dir runs/demo "
    )
    assert asked == ["runs/demo"]
    assert (tmp_path / "runs" / "demo" / "input" / "train.conll").is_file()
