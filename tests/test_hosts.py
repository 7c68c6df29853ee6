"""A checkpoint that is saved today, under the oldest host that it promises to work with, and under the newest.

python -m pytest -m slow tests/test_hosts.py

installs both beside this Python's own libraries, a quarter of a gigabyte each, and removes them. The oldest Python and
the oldest torch of the promise need an environment of their own (where there are wheels of torch without CUDA, a small
one):

python3.10 -m venv OLD && OLD/bin/pip install torch==2.6.0 transformers==5.4.0
OTHER_PYTHON=OLD/bin/python python -m pytest -m slow tests/test_hosts.py
"""

import os
import subprocess
import sys
from math import isclose
from pathlib import Path

import pytest
from families import FAMILIES
from kinds import tokenizer_of
from test_remote_code import ARGUMENTS, TEXTS, bare_process

from modeling_bert_crf import BiLSTMCRFForTokenClassification, BiLSTMCRFPipeline

pytestmark = pytest.mark.slow

HOSTS = {"oldest": "transformers==5.4.*", "newest": "transformers>=5.24,<6"}
FAMILIES_HERE = ("bert", "xlm_roberta")
"""One whose configuration has a file of its own, and one that has all in one file, as all others have."""


@pytest.fixture(scope="module", params=[*HOSTS, "other Python"])
def host(request, tmp_path_factory):
    """Return which Python to run, and the folder of the libraries that it should find before its own, if any."""
    if request.param == "other Python":
        if "OTHER_PYTHON" not in os.environ:
            pytest.skip("OTHER_PYTHON names no Python with an older torch and Transformers")
        return Path(os.environ["OTHER_PYTHON"]).absolute(), None
    folder = tmp_path_factory.mktemp("host")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder), HOSTS[request.param]]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if result.returncode:
        last = (result.stderr.strip() or "no reason given").splitlines()[-1]
        pytest.skip(f"{HOSTS[request.param]} cannot be installed here: {last}")
    return sys.executable, folder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Make a tagger of a family, saved with its tokenizer; return the folder and the pipeline."""

    def make(family):
        tokenizer = tokenizer_of(FAMILIES[family].kind)
        folder = tmp_path_factory.mktemp(family)
        FAMILIES[family].host("Model")(FAMILIES[family].config(tokenizer)).save_pretrained(folder / "encoder")
        labels = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
        model = BiLSTMCRFForTokenClassification.from_encoder(str(folder / "encoder"), labels, tokenizer)
        for name, parameter in model.named_parameters():
            if not name.startswith(model.base_model_prefix):
                parameter.data.normal_(std=0.5)
        model.config.operating_points = {"more": {"biases": {"background_to_start": 1.5}, "thresholds": {"LOC": 0.2}}}
        model.config.operating_point = "more"
        model.eval().save_pretrained(folder / "tagger")
        tokenizer.save_pretrained(folder / "tagger")
        return folder / "tagger", BiLSTMCRFPipeline(model=model, tokenizer=tokenizer)

    return make


def alike(one, other):
    """Compare what two processes wrote; numbers may differ as far as two versions of torch add them up differently."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(one[name], other[name]) for name in one)
    if isinstance(one, float) and isinstance(other, float):
        return isclose(one, other, rel_tol=1e-4, abs_tol=1e-4)
    return one == other


@pytest.mark.parametrize("family", FAMILIES_HERE)
def test_a_checkpoint_loads_and_tags_alike_under_the_oldest_host_and_the_newest(family, host, checkpoint, tmp_path):
    folder, tagger = checkpoint(family)
    model = tagger.model
    output = model(**tagger.tokenizer(TEXTS, return_tensors="pt", padding=True))
    entities = tagger(TEXTS)
    assert any(entities)

    said = bare_process(folder, tmp_path / "second", tmp_path, *host)
    (tmp_path / "again").mkdir()
    again = bare_process(tmp_path / "second", tmp_path / "third", tmp_path / "again", *host)

    tagged = [type(model).__name__, output.paths.tolist(), output.logits.tolist()]
    expected = {"config": type(model.config).__name__, "labels": model.config.labels}
    expected |= dict.fromkeys(("AutoModel", "AutoModelForTokenClassification"), tagged)
    expected |= {task: ["BiLSTMCRFPipeline", entities, *entities] for task in ("token-classification", "ner")}
    expected |= {str(arguments): tagger(TEXTS, **arguments) for arguments in ARGUMENTS}
    for name in expected:
        assert alike(said[name], expected[name]), name
    assert again == said
    assert {path.name: path.read_bytes() for path in (tmp_path / "third").glob("*.py")} == {
        path.name: path.read_bytes() for path in folder.glob("*.py")
    }
