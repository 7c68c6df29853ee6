"""The scripts in examples/ run, on a tiny encoder."""

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import transformers

from modeling_bert_crf.opening.tagger import open_tagger

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.slow


@pytest.fixture
def example(monkeypatch):
    """Import an example."""
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    return import_module


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft asks for it
def test_adapters_are_trained_and_merged(example, encoder_folder, files, tmp_path):
    example("lora").main(str(encoder_folder), str(files / "train.conll"), str(tmp_path / "out"))
    tagger = open_tagger(str(tmp_path / "out"))
    assert tagger.model.config.labels == ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    assert not any("lora" in name for name in tagger.model.state_dict())


@pytest.mark.filterwarnings("ignore::DeprecationWarning:optuna")
def test_rates_are_searched_for(example, encoder_folder, files, tmp_path, capsys):
    transformers.utils.logging.disable_progress_bar()
    names = [str(files / f"{name}.conll") for name in ("train", "validation")]
    example("search").main(str(encoder_folder), *names, str(tmp_path / "out"), "2")
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("F1 ")
    assert "'head_learning_rate': 0.00" in last


@pytest.mark.parametrize(
    ("name", "library"), [("spacy_component", "spacy"), ("presidio_recognizer", "presidio-analyzer")]
)
def test_other_pipelines_use_a_tagger(name, library, make_model, tokenizer, tmp_path):
    """In an environment of their own, since they pin other versions of what we need."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "env"], check=True)
    python, folder, text = tmp_path / "env" / "bin" / "python", tmp_path / "tagger", "Ada met Ada Rome in Paris"
    done = subprocess.run([python, "-m", "pip", "install", "--quiet", library], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"{library} cannot be installed here: {done.stderr.strip().splitlines()[-1]}")
    make_model().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    ours = os.pathsep.join([str(ROOT), *(path for path in sys.path if path.endswith("site-packages"))])
    script = ROOT / "examples" / f"{name}.py"
    done = subprocess.run(
        [python, script, folder, text], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": ours}
    )
    found = open_tagger(str(folder))(text)
    expected = [f"{one['entity_group']} {one['word']} {round(one['score'], 2)}" for one in found]
    assert done.stdout.splitlines() == expected, done.stderr
    assert expected
