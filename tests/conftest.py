"""Fixtures: a tokenizer, an encoder and a tagger made in memory; no network."""

import atexit
import os
import shutil
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # one process on each core: more threads would only wait for each other
# An empty cache of its own for each process, so that tests neither read nor leave anything in the user's.
os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="hf-home-")

import pytest
import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # is read when Triton is imported, as Transformers does

import device
from transformers import BertConfig, BertJapaneseTokenizer, BertModel, BertTokenizer
from transformers.utils import logging

import run_ner
from bert_crf_command import program
from modeling_bert_crf import BertBiLSTMCRFForTokenClassification
from modeling_bert_crf.words import encode_documents

atexit.register(shutil.rmtree, os.environ["HF_HOME"], ignore_errors=True)

LABELS = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
TRAIN = "Ada\tB-PER\nLovelace\tI-PER\nvisited\tO\nParis\tB-LOC\n\nthe\tO\nrain\tO\n\n"
WORDS = ["Ada", "Lovelace", "visited", "Paris", "in", "the", "rain", ",", "yesterday", "."]


def encode_words(tokenizer, words, max_length=None, stride=None):
    """Turn one sentence into windows."""
    return encode_document(tokenizer, [words], max_length, stride)[0]


def encode_document(tokenizer, sentences, max_length=None, stride=None, context_size=0):
    """Turn the sentences of one document into windows."""
    return next(encode_documents(tokenizer, [sentences], max_length, stride, context_size))


def pytest_collection_modifyitems(items):
    """Mark the tests that look at a page in a browser, and skip what is otherwise on another device."""
    device.leave_out(items)
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.process)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)
    logging.warning_once.cache_clear()  # what is said once is said once a test


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch):
    if device.DEVICE:
        device.redirect(monkeypatch)


@pytest.fixture
def drawn():
    """For tests that look at the plots of a run; drawing them takes half a second."""


@pytest.fixture(autouse=True)
def undrawn(request, monkeypatch):
    if "drawn" not in request.fixturenames:
        monkeypatch.setattr(program, "draw_plots", lambda *_: {})


@pytest.fixture(scope="session")
def tokenizer():
    """Ten words whole; everything else letter by letter."""
    letters = [chr(code) for code in range(33, 127)]
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokens = [*special, *letters, *(f"##{letter}" for letter in letters), *(word for word in WORDS if len(word) > 1)]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    return BertTokenizer(vocab=vocabulary, do_lower_case=False, model_max_length=48)


@pytest.fixture(scope="session")
def encoder_folder(tokenizer, tmp_path_factory):
    """A BERT checkpoint with its tokenizer, no two of its sizes the same."""
    folder = tmp_path_factory.mktemp("encoder")
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=36,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=50,
        max_position_embeddings=48,
        initializer_range=0.2,  # untrained, but its outputs differ
    )
    torch.manual_seed(1)
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def slow_encoder_folder(encoder_folder, tokenizer, tmp_path_factory):
    """The same checkpoint with a tokenizer that is written in Python, and says of no sub-token where it stands."""
    folder = tmp_path_factory.mktemp("slow") / "encoder"
    shutil.copytree(encoder_folder, folder, ignore=shutil.ignore_patterns("tokenizer*"))
    (folder / "vocab.txt").write_text("\n".join(tokenizer.get_vocab()))
    slow = BertJapaneseTokenizer(
        str(folder / "vocab.txt"), word_tokenizer_type="basic", do_lower_case=False, model_max_length=48
    )
    slow.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def make_model(encoder_folder):
    """Make a tagger in evaluation mode, its head's scores scattered as if it had been trained."""

    def make(labels=LABELS, **config):
        torch.manual_seed(2)  # of what is new and not drawn below
        model = BertBiLSTMCRFForTokenClassification.from_encoder(str(encoder_folder), labels, **config)
        torch.manual_seed(2)
        with torch.no_grad():
            model.classifier.weight.normal_(std=0.5)
            for parameter in model.crf.parameters():
                parameter.normal_()
            for name, parameter in model.named_parameters():
                if name.startswith("lstm"):  # with zero biases an LSTM would not notice that it reads zeros
                    parameter.normal_(std=0.3)
        return model.eval()

    return make


@pytest.fixture
def model(make_model):
    return make_model()


@pytest.fixture
def files(tmp_path):
    """Small files of each split; the test part has a type that training never saw."""
    texts = {"train": TRAIN * 4, "validation": TRAIN, "test": TRAIN + "Ada\tB-WORK\nin\tO\nParis\tB-LOC\n\n"}
    for split, text in texts.items():
        (tmp_path / f"{split}.conll").write_text(text)
    return tmp_path


@pytest.fixture
def command(files, encoder_folder):
    """A whole run's options; None removes one."""

    def make(**changes):
        options = {
            "model_name_or_path": str(encoder_folder),
            **{f"{split}_file": str(files / f"{split}.conll") for split in ("train", "validation", "test")},
            "output_dir": str(files / "out"),
            "do_train": True,
            "do_eval": True,
            "do_predict": True,
            "num_train_epochs": 1,
            "use_cpu": True,
            "disable_tqdm": True,
            **changes,
        }
        command = []
        for name, value in options.items():
            values = value if isinstance(value, list) else [value]
            command += [] if value is None else [f"--{name}", *map(str, values)]
        return command

    return make


@pytest.fixture
def error_of():
    """Run the program on a command that must fail; return what it says."""

    def run(argv):
        with pytest.raises(SystemExit) as info:
            run_ner.main(argv)
        return info.value.code

    return run


@pytest.fixture(scope="session")
def browser():
    """The machine's own Chromium, without a window and without a network. Continuous integration must have one."""
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None and not os.environ.get("CI"):
        pytest.skip("no Chromium on this machine")
    switches = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    switches += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=switches)
        yield chromium
        chromium.close()
