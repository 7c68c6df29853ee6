"""Attacks by way of a checkpoint, its configuration, the data, or the options: none runs code or gets a secret out."""

import ast
import inspect
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import textwrap
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
import yaml
from markdown_it import MarkdownIt
from test_remote_code import PACKAGE, SHIPPED
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForTokenClassification,
    PreTrainedModel,
    modeling_utils,
    pipeline,
)

import run_ner
from modeling_bert_crf import BertBiLSTMCRFConfig, BertBiLSTMCRFForTokenClassification
from modeling_bert_crf.pages.render import render
from modeling_bert_crf.readers.files import read_conll
from modeling_bert_crf.training.trainer import CRFTrainingArguments

from_encoder = BertBiLSTMCRFForTokenClassification.from_encoder
SECRET = "hf_aSecretThatNobodyMayRead"


class Bomb:
    """Writes a marker file wherever it is unpickled, imported or run."""

    def __init__(self, folder):
        self.marker = folder / "marker"

    def __reduce__(self):
        return open, (str(self.marker), "w")

    @property
    def code(self):
        return f"open({str(self.marker)!r}, 'w')\n"

    @property
    def has_exploded(self):
        return self.marker.exists()


@pytest.fixture
def bomb(tmp_path):
    """A bomb that was tried: it goes off when read without care."""
    bomb = Bomb(tmp_path)
    torch.save(bomb, tmp_path / "bomb.pt")
    torch.load(tmp_path / "bomb.pt", weights_only=False).close()
    assert bomb.has_exploded
    bomb.marker.unlink()
    yield bomb
    assert not bomb.has_exploded


@pytest.fixture
def tagger_folder(model, tokenizer, tmp_path):
    model.save_pretrained(tmp_path / "tagger")
    tokenizer.save_pretrained(tmp_path / "tagger")
    return tmp_path / "tagger"


def change(path, **values):
    """Overwrite values of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def only_a_pickle(folder, bomb):
    (folder / "model.safetensors").unlink()
    torch.save(bomb, folder / "pytorch_model.bin")


def index_that_names_a_pickle(folder, bomb):
    only_a_pickle(folder, bomb)
    index = {"metadata": {}, "weight_map": {"classifier.bias": "pytorch_model.bin"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def index_that_names_a_file_elsewhere(folder, bomb):
    (folder / "model.safetensors").rename(folder.parent / "private.safetensors")
    index = {"metadata": {}, "weight_map": {"classifier.bias": "../private.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def configuration_that_names_a_pickle(folder, bomb):
    (folder / "model.safetensors").unlink()
    torch.save(bomb, folder / "adapter_model.bin")
    change(folder / "config.json", transformers_weights="adapter_model.bin")


def adapter_in_a_pickle(folder, bomb):
    torch.save(bomb, folder / "adapter_model.bin")
    adapter = {"peft_type": "LORA", "target_modules": ["query"], "base_model_name_or_path": str(folder)}
    (folder / "adapter_config.json").write_text(json.dumps(adapter))


PICKLES = [
    (only_a_pickle, "must hold its weights as model.safetensors; an old pytorch_model.bin is a pickle"),
    (index_that_names_a_pickle, "must be safetensors, got .*pytorch_model.bin"),
    (index_that_names_a_file_elsewhere, "the weights must lie in .*, got .*private.safetensors"),
    (configuration_that_names_a_pickle, "must be safetensors, got .*adapter_model.bin"),
    (adapter_in_a_pickle, "No such file or directory: .*adapter_model.safetensors"),
]


@pytest.mark.parametrize(("attack", "message"), PICKLES, ids=lambda value: getattr(value, "__name__", ""))
@pytest.mark.parametrize("door", [BertBiLSTMCRFForTokenClassification, AutoModel, AutoModelForTokenClassification])
def test_nothing_but_safetensors_is_loaded(tagger_folder, bomb, door, attack, message):
    attack(tagger_folder, bomb)
    with pytest.raises(OSError, match=message):
        door.from_pretrained(tagger_folder)


@pytest.fixture(params=["renamed", "no longer called"])
def other_host(request, monkeypatch, tagger_folder):
    """A host that reads weights by a method of another name; the old one is gone, or stands there unused."""
    code = textwrap.dedent(inspect.getsource(PreTrainedModel.from_pretrained.__func__))
    made = {}
    exec(code.replace("._load_pretrained_model(", "._read_weights("), vars(modeling_utils), made)
    monkeypatch.setattr(PreTrainedModel, "_read_weights", PreTrainedModel._load_pretrained_model, raising=False)
    monkeypatch.setattr(PreTrainedModel, "from_pretrained", made["from_pretrained"])
    if request.param == "renamed":
        monkeypatch.delattr(PreTrainedModel, "_load_pretrained_model")


@pytest.mark.parametrize("door", [BertBiLSTMCRFForTokenClassification, AutoModelForTokenClassification])
def test_a_host_that_passes_the_checks_by_loads_nothing(other_host, tagger_folder, encoder_folder, door):
    message = "the weights in .* cannot be checked: transformers .* does not read them by `PreTrainedModel._load_pre"
    with pytest.raises(ImportError, match=message):
        door.from_pretrained(tagger_folder)
    with pytest.raises(ImportError, match=message):
        from_encoder(str(encoder_folder), ["O", "B-X"])


def test_no_argument_makes_a_pickle_load(tagger_folder, bomb):
    only_a_pickle(tagger_folder, bomb)
    for options in ({"use_safetensors": False}, {"gguf_file": "pytorch_model.bin"}):
        with pytest.raises(ValueError, match="weights must be safetensors"):
            BertBiLSTMCRFForTokenClassification.from_pretrained(tagger_folder, **options)


def test_an_encoder_in_a_pickle_is_refused_with_the_way_to_convert_it(
    encoder_folder, bomb, command, error_of, tmp_path
):
    folder = Path(shutil.copytree(encoder_folder, tmp_path / "encoder"))
    weights = AutoModel.from_pretrained(folder).state_dict()
    only_a_pickle(folder, bomb)
    cure = re.escape(f"AutoModel.from_pretrained({str(folder)!r}).save_pretrained(FOLDER)")
    with pytest.raises(OSError, match=cure):
        from_encoder(str(folder), ["O", "B-X"])
    assert re.search(cure, error_of(command(model_name_or_path=str(folder))))

    torch.save(weights, folder / "pytorch_model.bin")  # what somebody has who trusts it
    AutoModel.from_pretrained(folder).save_pretrained(folder)
    from_encoder(str(folder), ["O", "B-X"])


def test_the_program_refuses_a_tagger_in_a_pickle(tagger_folder, bomb, command, error_of):
    only_a_pickle(tagger_folder, bomb)
    options = {"do_train": None, "do_eval": None, "train_file": None, "validation_file": None}
    assert "is a pickle" in error_of(command(model_name_or_path=str(tagger_folder), **options))


def name_code(folder, bomb, place, tokenizer):
    """Name code in a configuration, or in a tokenizer's, with a word for trusting it."""
    (folder / "evil.py").write_text(bomb.code + "class Evil: ...\n")
    evil = f"{place}evil.Evil"
    auto_map = dict.fromkeys(("AutoConfig", "AutoModel", "AutoModelForTokenClassification"), evil)
    task = {"impl": evil, "pt": ["AutoModelForTokenClassification"]}
    tasks = {"token-classification": task, "ner": task}
    change(folder / "config.json", trust_remote_code=True, auto_map=auto_map, custom_pipelines=tasks)
    if tokenizer:
        named = {"tokenizer_class": "Evil", "auto_map": {"AutoTokenizer": [None, evil]}}
        change(folder / "tokenizer_config.json", trust_remote_code=True, **named)


@pytest.mark.parametrize("place", ["", "other/repository--"])
def test_code_that_a_configuration_names_is_not_run(tagger_folder, bomb, command, error_of, place):
    """Neither beside the weights nor in another repository, whatever the configuration says of trust."""
    name_code(tagger_folder, bomb, place, tokenizer=False)
    options = {"do_train": None, "do_eval": None, "train_file": None, "validation_file": None}
    scoring = command(model_name_or_path=str(tagger_folder), **options)

    assert type(AutoConfig.from_pretrained(tagger_folder)) is BertBiLSTMCRFConfig
    for door in (BertBiLSTMCRFForTokenClassification, AutoModel, AutoModelForTokenClassification):
        model = door.from_pretrained(tagger_folder)
        assert type(model) is BertBiLSTMCRFForTokenClassification
    run_ner.main(scoring)
    with pytest.raises(ValueError, match="requires you to execute the code"):
        pipeline("token-classification", model=str(tagger_folder))
    name_code(tagger_folder, bomb, place, tokenizer=True)
    assert "--model_name_or_path: " in error_of(scoring)

    model.save_pretrained(tagger_folder.parent / "saved")
    assert "evil" not in (tagger_folder.parent / "saved" / "config.json").read_text()


def test_code_that_an_encoder_names_is_not_run(encoder_folder, bomb, tmp_path):
    folder = Path(shutil.copytree(encoder_folder, tmp_path / "encoder"))
    name_code(folder, bomb, "", tokenizer=True)
    from_encoder(str(folder), ["O", "B-X"])


FORGED = [
    ({"num_lstm_layers": 10**9}, "`num_lstm_layers` must be an integer from 0 to 100, got 1000000000"),
    ({"num_hidden_layers": 10**9}, "`num_hidden_layers` must be an integer from 0 to"),
    ({"hidden_size": -36}, "`hidden_size` must be an integer from 1 to"),
    ({"num_attention_heads": 0}, "`num_attention_heads` must be an integer from 1 to"),
    ({"vocab_size": 10**12}, "`vocab_size` must be an integer from 1 to"),
    ({"max_position_embeddings": -1}, "`max_position_embeddings` must be an integer from 1 to"),
    ({"lstm_hidden_size": 10**9}, "`lstm_hidden_size` must be an integer from 1 to"),
    ({"word_shape_size": 10**9}, "`word_shape_size` must be an integer from 0 to"),
    ({"temperature": float("nan")}, "`temperature` must be above 0 and finite, got nan"),
    ({"lstm_dropout": float("nan")}, "`lstm_dropout` must be a number of at least 0 and below 1, got nan"),
    ({"context_size": -1}, "`context_size` must be an integer from 0 to"),
    ({"id2label": None, "label2id": None, "num_labels": 10**9}, "`num_labels` must be an integer from 1 to 4096 or"),
    ({"id2label": {str(i): "O" for i in range(10**5)}}, "from 1 to 4096 labels, got 100000"),
    ({"id2label": {}, "label2id": None}, "from 1 to 4096 labels, got 0"),
    ({"id2label": ["O"]}, "`id2label` must be a dictionary"),
    ({"id2label": {"0": ["O"]}}, "`id2label` must give numbers their labels' names"),
    ({"id2label": {"x": "O"}}, "`id2label` must give numbers their labels' names"),
]


@pytest.mark.parametrize(("values", "message"), FORGED, ids=[message for _, message in FORGED])
def test_a_forged_configuration_ends_in_a_clear_error(tagger_folder, values, message):
    change(tagger_folder / "config.json", **values)
    with pytest.raises(ValueError, match=re.escape(message)):
        BertBiLSTMCRFForTokenClassification.from_pretrained(tagger_folder)


def test_weights_of_other_sizes_are_refused_before_memory_is_taken(tagger_folder):
    """Sizes within the limits, 2.6 TB in all."""
    change(tagger_folder / "config.json", vocab_size=10**7, hidden_size=65_532)
    with pytest.raises(RuntimeError, match="ignore_mismatched_sizes"):
        BertBiLSTMCRFForTokenClassification.from_pretrained(tagger_folder)


def test_yaml_options_run_nothing(files, bomb, error_of):
    (files / "options.yaml").write_text(f"output_dir: !!python/object/apply:os.mkdir [{str(bomb.marker)!r}]\n")
    assert "options.yaml: must be YAML: could not determine a constructor" in error_of([str(files / "options.yaml")])


def test_scripts_of_data_sets_are_not_run(files, bomb, command, error_of):
    (files / "data").mkdir()
    (files / "data" / "data.py").write_text(bomb.code)
    options = dict.fromkeys(("train_file", "validation_file", "test_file"))
    assert "--dataset_name" in error_of(command(dataset_name=str(files / "data"), **options))


CLIPBOARD = "\x1b]52;c;cm0gLXJm\x07"
STEERING = (CLIPBOARD, "\x1b]0;title", "\x9b", "\u202e", "\u2066", "\u2028")
"""What fills a clipboard, gives a window a title, begins a command, turns the direction of writing, ends a line."""
WORDS = ["Ada", *(f"Ada{one}b" for one in STEERING), "\u05de\u05e9\u05d4", "x\ntest F1 (strict): 1.00"]

TYPES = [
    "<img/src=x/onerror=alert(1)>",
    "[x](javascript:alert(1))",
    "`|`",
    "../../escaped",
    "x\n---\n\n<script>alert(1)</script>",
    f"PER{CLIPBOARD}\x9b\u202e\u2066\u2028",
    "\u05d0\u05d3\u05dd\ntest F1 (strict): 1.00",
]


@pytest.fixture
def hostile_run(files, command, monkeypatch, capfd, caplog):
    """A run on data whose types are markup and paths, in a folder named so, by somebody with a token.

    Returns the output folder, with a checkpoint, and all that was said.
    """
    monkeypatch.setenv("HF_TOKEN", SECRET)
    tags = [tag for kind in TYPES for tag in (f"B-{kind}", f"I-{kind}")]
    row = {"tokens": [WORDS[index % len(WORDS)] for index in range(len(tags))], "ner_tags": tags}
    for split in ("train", "validation", "test"):
        (files / f"{split}.jsonl").write_text(json.dumps(row) + "\n")
    out = files / "<b>out`"
    before = set(files.iterdir())
    paths = {f"{split}_file": str(files / f"{split}.jsonl") for split in ("train", "validation", "test")}
    run_ner.main(command(**paths, output_dir=str(out), hub_token=SECRET, token=SECRET, save_total_limit=None))
    assert set(files.iterdir()) == before | {out}
    captured = capfd.readouterr()
    return out, captured.out + captured.err + caplog.text


class Tags(HTMLParser):
    """Collects what a page makes a browser do."""

    def __init__(self, html):
        super().__init__()
        self.found, self.text = [], ""
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data

    @property
    def dangers(self):
        """Elements that run or fetch something, and attributes that do."""
        active = {"script", "iframe", "object", "embed", "form", "base", "b"}
        return [
            (tag, attributes)
            for tag, attributes in self.found
            if tag in active
            or any(name.startswith("on") or "javascript:" in (value or "") for name, value in attributes.items())
        ]


def test_the_card_shows_names_as_text(hostile_run):
    out, _ = hostile_run
    _, metadata, body = re.split(r"^---\n", (out / "README.md").read_text(), maxsplit=2, flags=re.M)
    page = Tags(MarkdownIt("commonmark", {"html": True}).enable("table").render(body))

    assert page.dangers == []
    assert "<img/src=x/onerror=alert(1)>" in page.text
    assert "[x](javascript:alert(1))" in page.text
    assert yaml.safe_load(metadata)["pipeline_tag"] == "token-classification"


def test_what_a_run_says_of_its_data_steers_no_terminal(hostile_run):
    """Not by its words, and not by its types; and none of them looks like a line of the program's."""
    out, said = hostile_run
    assert "PER\u241b]52;c;cm0gLXJm\u2407\ufffd\ufffd\ufffd\u2424 " in said
    assert "Ada\u241b]0;titleb" in said
    assert [one for one in STEERING if one in said] == []
    assert len(re.findall("^test F1", said, flags=re.M)) == 1
    words = [word for sentence in read_conll(out / "predictions.conll") for word in sentence.words]
    assert {*words} == {*WORDS}  # data stay what they are


def test_what_the_program_refuses_steers_no_terminal(files, tagger_folder, command, error_of, capsys):
    shown = "\u241b]52;c;cm0gLXJm\u2407\ufffd"
    (files / "options.json").write_text(json.dumps({f"do{CLIPBOARD}\u202e": 1}))
    assert f"--do{shown} is no option" in error_of([str(files / "options.json")])
    (files / "options.json").write_text(json.dumps({f"do_={CLIPBOARD}\u202e": 1}))
    with pytest.raises(SystemExit):
        run_ner.main([str(files / "options.json")])
    assert f"ambiguous option: --do_={shown} could match" in capsys.readouterr().err
    (files / "keys.jsonl").write_text(json.dumps({f"to{CLIPBOARD}\u202e\nkens": ["Ada"], "ner_tags": ["O"]}) + "\n")
    assert r"'to\x1b]52;c;cm0gLXJm\x07\u202e\nkens'" in error_of(command(train_file=str(files / "keys.jsonl")))
    change(tagger_folder / "config.json", model_type=f"bert{CLIPBOARD}\u202e")
    said = error_of(command(model_name_or_path=str(tagger_folder)))
    assert not {"\x1b", "\x07", "\u202e", "\n"} & {*said}


def test_pages_show_values_as_text():
    attack = '"><script>alert(1)</script><b onmouseover=alert(1)>'
    page = Tags(render("base.html", title=attack))
    assert page.dangers == []
    assert page.text.count(attack) == 2


def test_the_token_is_nowhere(hostile_run):
    out, said = hostile_run
    assert SECRET not in said
    files = [path for path in out.rglob("*") if path.is_file()]
    assert any(path.name == "training_args.bin" for path in files)
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []


def test_the_token_is_not_in_errors_or_what_arguments_print(tmp_path, command, error_of):
    arguments = CRFTrainingArguments(output_dir=str(tmp_path), hub_token=SECRET, use_cpu=True)
    assert arguments.hub_token == SECRET
    assert SECRET not in repr(arguments) + str(arguments) + arguments.to_json_string()
    assert SECRET.encode() not in pickle.dumps(arguments)
    assert SECRET not in error_of(command(hub_token=SECRET, model_name_or_path="no/such-model"))


@pytest.fixture
def checkpoint(files, command):
    """A run's checkpoint, by itself in a folder."""
    run_ner.main(command())
    shutil.move(next((files / "out").glob("checkpoint-*")), files / "checkpoint-1")
    shutil.rmtree(files / "out")
    return files / "checkpoint-1"


def test_a_checkpoint_to_go_on_from_runs_nothing(checkpoint, bomb, command, error_of):
    resume = command(resume_from_checkpoint=str(checkpoint), num_train_epochs=2)
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth"):
        whole = (checkpoint / name).read_bytes()
        torch.save(bomb, checkpoint / name)
        assert f"is not whole ({name} holds more than numbers: it would run " in error_of(resume)
        (checkpoint / name).write_bytes(whole)
    weights = (checkpoint / "model.safetensors").rename(checkpoint / "kept")
    torch.save(bomb, checkpoint / "pytorch_model.bin")
    assert "is not whole (it lacks the weights)" in error_of(resume)
    weights.rename(checkpoint / "model.safetensors")

    (checkpoint / "pytorch_model.bin").unlink()
    torch.save(bomb, checkpoint / "training_args.bin")  # nobody reads it
    run_ner.main(resume)


# Loads a folder by remote code, tags a text, and writes down all that is asked of the machine meanwhile.
WATCHED = """
import sys
sys.path = [path for path in sys.path if path not in ("", {checkout!r})]
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in repr(finder)]
import json, os, sysconfig, transformers, torch
from transformers import AutoModelForTokenClassification, pipeline
good, bad, cache, out = sys.argv[1:]
inside = tuple(map(os.path.realpath, (good, bad, cache, sys.prefix, sys.base_prefix, transformers.__path__[0] + "/..",
    torch.__path__[0] + "/..", sysconfig.get_path("stdlib"))))
seen = []
EVENTS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.connect", "socket.bind",
    "socket.getaddrinfo", "socket.sendto", "ctypes.dlopen", "os.remove", "os.rename", "shutil.rmtree", "open")
def watch(event, values):
    if event not in EVENTS or not watching: return
    if values[0] in ("/proc/mounts", "/proc/stat"): return  # the host: is the Hub mounted; psutil, when imported
    path = os.path.realpath(values[0]) if isinstance(values[0], str | bytes) else None
    if isinstance(path, bytes): path = path.decode()
    if event in ("open", "ctypes.dlopen", "os.remove", "os.rename", "shutil.rmtree") and (
        path is None or path.startswith(inside)): return
    seen.append([event, repr(values)])
watching = True
sys.addaudithook(watch)
found = pipeline("token-classification", model=good, trust_remote_code=True)("Ada visited Paris")
refused = []
for loader in (AutoModelForTokenClassification.from_pretrained, lambda *a, **k: pipeline("ner", *a, **k)):
    try: loader(bad, trust_remote_code=True)
    except (OSError, ValueError) as error: refused.append(str(error))
watching = False
json.dump(dict(found=found, refused=refused, seen=seen), open(out, "w"))
"""


@pytest.mark.process
def test_a_model_loaded_by_remote_code_asks_nothing_of_the_machine(model, tokenizer, tagger_folder, bomb, tmp_path):
    bad = Path(shutil.copytree(tagger_folder, tmp_path / "bad"))
    only_a_pickle(bad, bomb)
    cache, out = tmp_path / "cache", tmp_path / "said.json"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    result = subprocess.run(
        [sys.executable, "-c", WATCHED.format(checkout=str(PACKAGE.parent)), tagger_folder, bad, cache, out],
        cwd=tmp_path,
        env=environment | {"HF_HOME": str(cache), "HF_HUB_OFFLINE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    said = json.loads(out.read_text())
    assert said["seen"] == []
    assert len(said["refused"]) == 2
    assert all("must hold its weights as model.safetensors" in refusal for refusal in said["refused"])
    assert {entity["word"] for entity in said["found"]} <= {
        "Ada",
        "Ada visited",
        "Ada visited Paris",
        "visited",
        "Paris",
    }


FORBIDDEN_CALLS = {"open", "exec", "eval", "compile", "__import__", "breakpoint", "input"}
FORBIDDEN_MODULES = {
    "socket",
    "ssl",
    "http",
    "urllib",
    "ftplib",
    "smtplib",
    "asyncio",
    "subprocess",
    "multiprocessing",
}
FORBIDDEN_MODULES |= {"pickle", "marshal", "shelve", "ctypes", "importlib", "runpy", "builtins", "code", "pty"}


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_files_have_no_way_to_run_other_code(name):
    """No module for processes, sockets or pickles; of `os` nothing but paths and variables. Of imports by name only
    those of this package, where it is installed."""
    for node in ast.walk(ast.parse((PACKAGE / name).read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "import_module":
            (home,) = node.args
            assert isinstance(home, ast.Constant)
            assert home.value.split(".")[0] == "modeling_bert_crf"
        if isinstance(node, ast.ImportFrom) and node.module == "importlib":
            assert [alias.name for alias in node.names] == ["import_module"]
            continue
        if isinstance(node, ast.Import):
            assert not {alias.name.split(".")[0] for alias in node.names} & FORBIDDEN_MODULES
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            assert node.module.split(".")[0] not in FORBIDDEN_MODULES | {"os"}
        elif isinstance(node, ast.Name):
            assert node.id not in FORBIDDEN_CALLS
        elif isinstance(node, ast.Attribute):
            whole = ast.unparse(node)
            assert not whole.startswith("os.") or whole.startswith(("os.path", "os.PathLike", "os.environ"))
            assert not whole.startswith(("torch.load", "torch.hub", "torch.ops.load", "torch.classes"))
