"""`bert-crf upgrade`: an older tagger's folder gets today's code and configuration, and nothing else changes."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from test_encoders import closure
from test_remote_code import PACKAGE, WITH_BERT, bare_process
from typer.testing import CliRunner

from bert_crf_command.app import app
from modeling_bert_crf import BertBiLSTMCRFConfig
from modeling_bert_crf.opening import upgrading
from modeling_bert_crf.opening.tagger import open_tagger

OLD_TAGGER = Path(__file__).parent / "data" / "tagger_0_1"
TEXTS = ["Ada Lovelace visited Paris in the rain.", "in Paris, yesterday", "the banana"]
OLD_CODE = {
    "modeling_bert_crf.py": "from .crf import LinearChainCRF\n",
    "configuration_bert_crf.py": "",
    "pipeline_bert_crf.py": "from .pieces import cut\n",
    "pieces.py": "",
    "crf.py": "",
}
"""A folder's old code, whose files have other names than today's in part."""


@pytest.fixture
def old(tmp_path):
    """A tagger of version 0.1 with old code, which must not run, and with other things that a run leaves."""
    folder = Path(shutil.copytree(OLD_TAGGER, tmp_path / "old"))
    for name, text in OLD_CODE.items():
        (folder / name).write_text(f"{text}open({str(tmp_path / 'marker')!r}, 'w')\n")
    (folder / "notes.py").write_text("# the user's own\n")
    (folder / "plots").mkdir()
    (folder / "plots" / "errors.png").write_bytes(b"a picture")
    (folder / "model.safetensors").chmod(0o640)
    yield folder
    assert not (tmp_path / "marker").exists()
    assert {path.name for path in tmp_path.iterdir() if path.name.startswith(".")} == set()


def upgrade(folder):
    return CliRunner().invoke(app, ["upgrade", str(folder)])


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.process
def test_an_old_folder_gets_todays_code_and_says_the_same(old, tmp_path):
    before, said = content(old), open_tagger(str(old))(TEXTS)
    weights = (old / "model.safetensors").stat()

    result = upgrade(old)

    assert result.exit_code == 0, result.output
    after = content(old)
    assert {name for name in after if name.endswith(".py")} == {*WITH_BERT, "notes.py"}
    for name in WITH_BERT:
        assert after[name] == (PACKAGE / name).read_bytes()
    kept = {*before} - {*OLD_CODE, "config.json"}
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    now = (old / "model.safetensors").stat()
    assert (now.st_mode, now.st_mtime_ns, now.st_size) == (weights.st_mode, weights.st_mtime_ns, weights.st_size)
    config = json.loads(after["config.json"])
    assert config["custom_pipelines"]["ner"]["impl"] == "pipeline_crf.BiLSTMCRFPipeline"
    assert (config["temperature"], config["chain_unit"]) == (1.3, "word")
    changed = len({*OLD_CODE, *WITH_BERT, "config.json"})
    assert f"{changed} files of code and configuration are replaced" in result.output
    assert open_tagger(str(old))(TEXTS) == said
    remote = bare_process(old, tmp_path / "copy", tmp_path)
    assert remote["AutoModel"][0] == "BertBiLSTMCRFForTokenClassification"


def test_a_folder_of_today_stays_as_it_is(model, tokenizer, tmp_path):
    for part in (model, tokenizer):
        part.save_pretrained(tmp_path / "new")
    before, node = content(tmp_path / "new"), (tmp_path / "new").stat().st_ino

    result = upgrade(tmp_path / "new")

    assert (result.exit_code, content(tmp_path / "new")) == (0, before)
    assert "nothing is replaced" in result.output
    assert (tmp_path / "new").stat().st_ino == node


def test_a_folder_behind_a_link_is_upgraded_where_it_is(old, tmp_path):
    (tmp_path / "link").symlink_to(old)

    assert upgrade(tmp_path / "link").exit_code == 0

    assert (tmp_path / "link").is_symlink()
    assert (old / "crf.py").read_bytes() == (PACKAGE / "crf.py").read_bytes()


def other_outputs(monkeypatch, old):
    to_dict = BertBiLSTMCRFConfig.to_dict
    monkeypatch.setattr(BertBiLSTMCRFConfig, "to_dict", lambda self: to_dict(self) | {"temperature": 1.4})


def other_code(monkeypatch, old):
    change(old, auto_map={"AutoConfig": "mine.MyConfig", "AutoModel": "mine.MyTagger"})


def a_full_disk(monkeypatch, old):
    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(upgrading, "_take_over", fail)


def a_folder_that_cannot_be_moved(monkeypatch, old):
    rename = os.rename

    def fail(source, target):
        if ".saving-" in str(source):
            raise OSError(16, "Device or resource busy")
        rename(source, target)

    monkeypatch.setattr(os, "rename", fail)


def an_unfinished_run(monkeypatch, old):
    (old / ".run.json").write_text("{}")


def no_weights(monkeypatch, old):
    (old / "model.safetensors").unlink()


def no_tagger(monkeypatch, old):
    change(old, model_type="bert")


def change(folder, **values):
    (folder / "config.json").write_text(json.dumps(json.loads((folder / "config.json").read_text()) | values))


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (other_outputs, "the upgraded tagger must tag as before, got other emissions for 'Ada Lovelace wrote"),
        (other_code, "its `auto_map` must name classes of this package, .* got 'mine.MyConfig'"),
        (a_full_disk, "No space left on device"),
        (a_folder_that_cannot_be_moved, "Device or resource busy"),
        (an_unfinished_run, "must be finished, and its run is not: go on with it first"),
        (no_weights, "its model .* cannot be loaded"),
        (no_tagger, "`model_type` in its config.json must be that of a tagger"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_fails_leaves_the_folder_as_it_was(old, fault, message, monkeypatch):
    fault(monkeypatch, old)
    before = content(old)

    result = upgrade(old)

    assert result.exit_code == 1, result.output
    said = result.stderr.strip().splitlines()
    assert len(said) == 1
    assert said[0].startswith("bert-crf upgrade: error: ")
    assert re.search(message, said[0])
    assert content(old) == before


def test_a_name_of_the_hub_is_no_folder():
    result = upgrade("me/tagger")

    assert result.exit_code == 1
    assert "me/tagger: must be a folder; `hf download NAME --local-dir FOLDER` makes one" in result.stderr


def test_what_is_named_as_old_code_is_what_the_configuration_names_and_its_imports(old):
    assert upgrading._code(old) == {*OLD_CODE}
    assert closure("modeling_bert_crf.py") == {*WITH_BERT}
