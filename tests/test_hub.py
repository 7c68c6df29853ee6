"""Pushing to the Hub and loading from it, against one on the loopback interface: what arrives, and what fails how."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import traceback
from datetime import datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import huggingface_hub
import pytest
import transformers
from conftest import LABELS, TRAIN
from hub import READER, STRANGERS, WRITER, Fault, Hub, Repo
from test_remote_code import WITH_BERT
from typer.testing import CliRunner

import modeling_bert_crf
import run_ner
from bert_crf_command.app import app
from modeling_bert_crf import BertBiLSTMCRFPipeline
from modeling_bert_crf.hub.answers import HubError
from modeling_bert_crf.hub.folders import files_to_push, push_folder
from modeling_bert_crf.opening.tagger import OpeningError, open_tagger
from modeling_bert_crf.training.trainer import CRFTrainer, CRFTrainingArguments

# The client of huggingface_hub 2.4 uploads large files by an argument that its own HTTP library deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

PACKAGE = Path(modeling_bert_crf.__file__).parent
SHIPPED = {*WITH_BERT}
TEXTS = ["Ada Lovelace visited Paris in the rain .", "rain , yesterday"]
OFFLINE = [("by-trainer", "v1"), ("by-stranger", "main")]

# Loads models as somebody would who has only their names, once the download of one has failed; pushes one on.
SCRIPT = f"""
import importlib.util, json, sys
sys.path = [path for path in sys.path if path not in ("", {str(PACKAGE.parent)!r})]
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in repr(finder)]
assert importlib.util.find_spec("modeling_bert_crf") is None
from transformers import AutoConfig, AutoModel, AutoModelForTokenClassification, AutoTokenizer, pipeline
said, texts = {{}}, {TEXTS!r}

def load(name, revision):
    options = {{"revision": revision, "trust_remote_code": True}}
    assert AutoConfig.from_pretrained(name, **options).labels == {LABELS!r}
    batch = AutoTokenizer.from_pretrained(name, **options)(texts, return_tensors="pt", padding=True)
    for auto in (AutoModel, AutoModelForTokenClassification):
        output = auto.from_pretrained(name, **options).eval()(**batch)
        said[f"{{name}} {{auto.__name__}}"] = [output.paths.tolist(), output.logits.tolist()]
    tagger = pipeline("token-classification", model=name, **options)
    said[f"{{name}} pipeline"] = tagger(texts)
    return tagger

*names, out = sys.argv[1:]
for name in names:
    try:
        tagger = load(*name.split("@"))
    except OSError as error:
        said["failure"] = str(error)
        tagger = load(*name.split("@"))
if "offline" not in out:
    tagger.push_to_hub("tester/by-stranger")
    load("tester/by-stranger", "main")
json.dump(said, open(out, "w"))
"""


class Clock:
    """Stands for `time` where the client waits between two attempts: it counts them."""

    time = staticmethod(time.time)

    def __init__(self):
        self.waits = []

    def sleep(self, seconds):
        self.waits.append(seconds)


def go_online(patch, hub, folder, token=WRITER):
    """Let this process reach a Hub, and nothing else; return the clock that its client waits by."""
    constants, clock = huggingface_hub.constants, Clock()
    patch.setattr(constants, "HF_HUB_OFFLINE", False)
    patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    patch.setattr(constants, "ENDPOINT", hub.endpoint)
    template = hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    patch.setattr(constants, "HF_HUB_CACHE", str(folder / "cache"))
    patch.setattr(constants, "HF_TOKEN_PATH", str(folder / "token"))
    patch.setattr(transformers.utils.hub, "_hf_api", None)
    patch.setattr(huggingface_hub.utils._http, "time", clock)
    patch.setenv("HF_TOKEN", token)
    return clock


@pytest.fixture
def hub():
    return Hub()


@pytest.fixture
def clock(hub, monkeypatch, tmp_path):
    return go_online(monkeypatch, hub, tmp_path)


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def trained(tmp_path_factory, encoder_folder):
    """A finished run's folder, with what it may hold besides."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "train.conll").write_text(TRAIN)
    run_ner.main(training(folder, encoder_folder))
    (folder / "run" / "plots").mkdir(exist_ok=True)  # the run has drawn what there was to draw
    (folder / "run" / "plots" / "calibration.png").write_bytes(b"a picture")
    (folder / "run" / ".saving-metrics.json").write_text("{}")
    return folder / "run"


def training(folder, encoder_folder, **options):
    """The command of a run in a folder that holds `train.conll`."""
    file = folder / "train.conll"
    options = {
        "model_name_or_path": encoder_folder,
        "output_dir": folder / "run",
        **dict.fromkeys(("train_file", "validation_file", "test_file"), file),
        **dict.fromkeys(("do_train", "do_eval", "do_predict", "use_cpu", "disable_tqdm"), True),
        "num_train_epochs": 1,
    } | options
    return [word for name, value in options.items() for word in (f"--{name}", str(value))]


def push_by_trainer(folder, model, tokenizer, **options):
    arguments = CRFTrainingArguments(str(folder), use_cpu=True, **options)
    return CRFTrainer(model, arguments, processing_class=tokenizer).push_to_hub()


WAYS = {
    "program": lambda run, model, tokenizer, repo: run_ner.main(
        [
            "--output_dir",
            str(run),
            "--push_to_hub",
            "--hub_model_id",
            repo,
            "--hub_private_repo",
            "True",
            "--hub_revision",
            "dev",
        ]
    ),
    "model": lambda run, model, tokenizer, repo: model.push_to_hub(repo, private=True),
    "pipeline": lambda run, model, tokenizer, repo: BertBiLSTMCRFPipeline(
        model=model, tokenizer=tokenizer
    ).push_to_hub(repo, private=True, revision="dev"),
    "trainer": lambda run, model, tokenizer, repo: push_by_trainer(
        run.parent / repo, model, tokenizer, hub_model_id=repo, hub_private_repo=True, hub_tag="v1"
    ),
}


class Stranger:
    """A process that knows the models' names only: no package, an empty cache."""

    def __init__(self, hub, folder):
        self.hub, self.folder = hub, folder

    def start(self, out, *names, offline="0"):
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environment |= {"HF_HOME": str(self.folder / "cache"), "HF_ENDPOINT": self.hub.endpoint, "HF_TOKEN": WRITER}
        environment |= {"HF_HUB_OFFLINE": offline, "HF_HUB_DISABLE_XET": "1"}
        self.out = self.folder / out
        self.process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, *names, str(self.out)],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait(self):
        _, errors = self.process.communicate()
        assert self.process.returncode == 0, errors
        return json.loads(self.out.read_text())


@pytest.fixture(scope="module")
def remote(trained, make_model, tokenizer, tmp_path_factory):
    """A Hub that a model was pushed to in each of the four ways, and what it says."""
    hub, folder, model = Hub(), tmp_path_factory.mktemp("remote"), make_model()
    run = shutil.copytree(trained, folder / "run")
    model.save_pretrained(run)
    with pytest.MonkeyPatch.context() as patch:
        go_online(patch, hub, folder)
        for name, push in WAYS.items():
            push(run, model, tokenizer, f"by-{name}")
    output = model(**tokenizer(TEXTS, return_tensors="pt", padding=True))
    auto = [output.paths.tolist(), output.logits.tolist()]
    hub.expected = {"AutoModel": auto, "AutoModelForTokenClassification": auto}
    hub.expected["pipeline"] = BertBiLSTMCRFPipeline(model=model, tokenizer=tokenizer)(TEXTS)
    return hub


@pytest.fixture(scope="module")
def stranger(remote, tmp_path_factory):
    """Starts loading at once, beside the tests that follow."""
    stranger = Stranger(remote, tmp_path_factory.mktemp("stranger"))
    weights = "/resolve/.*/model.safetensors"
    remote.faults = [
        Fault(f"GET /tester/by-program{weights}", "cut", 1),  # goes on where it was cut
        Fault(f"GET /tester/by-trainer{weights}", "truncated", 1),  # fails, and leaves nothing behind
    ]
    stranger.start("said", "tester/by-program@dev", "tester/by-pipeline@dev", "tester/by-trainer@v1")
    yield stranger
    stranger.process.kill()
    for pipe in filter(None, (stranger.process.stdout, stranger.process.stderr)):
        pipe.close()


def test_each_way_to_push_leaves_a_whole_repository(remote, stranger, trained):
    whole = SHIPPED | {"README.md", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    plots = {f"plots/{path.name}" for path in (trained / "plots").iterdir()}
    results = {f"{step}_results.json" for step in ("train", "eval", "predict", "all")}
    names = {"program": whole | {"metrics.json", *results, *plots}, "pipeline": whole, "trainer": whole}
    names["model"] = whole - {"tokenizer.json", "tokenizer_config.json"}
    for way, expected in names.items():
        repo = remote.repos[f"tester/by-{way}"]
        assert repo.private
        assert len(repo.commits) == 2, way  # that which made it, and one more
        files = remote.files(f"tester/by-{way}", list(repo.commits)[-1])
        assert files.keys() == expected, way
        config = json.loads(files["config.json"])
        assert config["auto_map"].keys() == {"AutoConfig", "AutoModel", "AutoModelForTokenClassification"}
        assert config["custom_pipelines"].keys() == {"token-classification", "ner"}
        card = huggingface_hub.ModelCard(files["README.md"].decode())
        assert card.data.pipeline_tag == "token-classification", way
        assert "More Information Needed" not in card.content
    assert "## Results" in remote.files("tester/by-program", "dev")["README.md"].decode()
    assert remote.files("tester/by-pipeline") == remote.files("tester/by-program") == {}  # they went to a branch
    assert remote.repos["tester/by-trainer"].tags.keys() == {"v1"}


def test_the_card_of_a_model_pushed_without_one(hub, clock, model, tokenizer):
    model.config.id2label = {**model.config.id2label, 4: "I-<b>\n```"}
    model.push_to_hub("bare", tags=["mine"])
    first = hub.files("tester/bare")["README.md"].decode()
    assert 'model="tester/bare", trust_remote_code=True' in first
    assert "tokenizer=" in first
    assert first.endswith('\n    ["O", "B-LOC", "I-LOC", "B-PER", "I-<b>\\n```"]\n')
    assert huggingface_hub.ModelCard(first).data.tags == ["mine"]

    written = "---\ntags:\n- ours\n---\nIts own card.\n"
    for branch in ("main", "dev"):
        hub.write("tester/bare", branch, "README.md", written.encode())
    tagger = BertBiLSTMCRFPipeline(model=model, tokenizer=tokenizer)
    tagger.push_to_hub("bare")
    assert "tokenizer.json" in hub.files("tester/bare")
    assert hub.files("tester/bare")["README.md"].decode().split("---")[2] == "\nIts own card.\n"

    hub.write("tester/bare", "main", "README.md", None)
    tagger.push_to_hub("bare", revision="dev")
    assert "tokenizer.json" in hub.files("tester/bare", "dev")
    assert hub.files("tester/bare", "dev")["README.md"].decode() == written


FAILURES = [
    ("POST /api/repos/create", 403, "the token has no right to write there (403)"),
    ("POST /api/models/.*/preupload/main", 429, "it takes no more requests for now (429, rate limit)"),
    ("POST /.*/info/lfs/objects/batch", 500, "it answered 500"),
    ("PUT /_lfs/.*", 500, "it answered 500"),
    ("PUT /_lfs/.*", "cut", "it could not be reached or did not answer"),
    ("POST /api/models/.*/commit/main", 401, "it does not know the token (401)"),
    ("POST /api/models/.*/commit/main", 403, "the token has no right to write there (403)"),
    ("POST /api/models/.*/commit/main", 404, "there is no such repository or revision"),
    ("POST /api/models/.*/commit/main", 429, "it takes no more requests for now (429, rate limit)"),
    ("POST /api/models/.*/commit/main", 503, "it answered 503 (as the test wants it)"),
    ("POST /api/models/.*/commit/main", "cut", "it could not be reached or did not answer"),
    ("POST /api/models/.*/commit/main", "lost", "it could not be reached or did not answer"),
]


@pytest.mark.parametrize(("request_", "how", "message"), FAILURES, ids=[f"{how} at {one}" for one, how, _ in FAILURES])
def test_a_push_that_fails_leaves_all_as_it_was_and_goes_on(hub, clock, trained, tmp_path, request_, how, message):
    run = shutil.copytree(trained, tmp_path / "run")
    push_folder(run, "mine")
    before = hub.files("tester/mine")
    (run / "model.safetensors").write_bytes(b"newer weights")
    (run / "metrics.json").write_text('{"newer": "figures"}')
    (run / "plots" / "calibration.png").write_bytes(b"a newer picture")
    local, sent = contents(run), hub.count("PUT .*")

    hub.fail(request_, how)
    with pytest.raises(HubError) as info:
        push_folder(run, "mine")

    sentence = str(info.value)
    assert sentence.startswith(f"mine could not be pushed to the Hub: {message}")
    assert sentence.endswith(f"; the model in {run} is whole, and the same command again pushes what is missing")
    assert "\n" not in sentence
    assert WRITER not in sentence
    assert contents(run) == local
    newer = {name: content for name, content in local.items() if name in files_to_push(run)}
    assert hub.files("tester/mine") == (newer if how == "lost" else before)
    assert sum(clock.waits) < 60

    arrived = hub.count("PUT .*") - sent if "commit" in request_ else 0
    hub.faults.clear()
    push_folder(run, "mine")
    assert hub.files("tester/mine") == newer
    assert len(hub.repos["tester/mine"].commits) == 3
    if "commit" in request_:  # the weights and the picture had arrived: nothing is sent again
        assert (arrived, hub.count("PUT .*") - sent) == (2, 2)


def test_an_upload_that_broke_off_sends_only_the_file_that_is_missing(hub, clock, trained):
    picture = hashlib.sha256((trained / "plots" / "calibration.png").read_bytes()).hexdigest()
    hub.fail(f"PUT /_lfs/{picture}", "cut")
    with pytest.raises(HubError):
        push_folder(trained, "mine")
    assert hub.files("tester/mine") == {}
    arrived = hub.count(f"PUT /_lfs/(?!{picture}).*")

    hub.faults.clear()
    push_folder(trained, "mine")
    assert hub.files("tester/mine").keys() == set(files_to_push(trained))
    others = len(list((trained / "plots").iterdir()))  # the weights, and all pictures but this one
    assert (arrived, hub.count(f"PUT /_lfs/(?!{picture}).*")) == (others, others)


@pytest.mark.parametrize("way", WAYS)
def test_each_way_to_push_fails_in_one_sentence(hub, clock, trained, model, tokenizer, tmp_path, way):
    run = shutil.copytree(trained, tmp_path / "run")
    local = contents(run)
    hub.fail("POST /api/models/.*/commit/.*", 403)
    with pytest.raises((HubError, SystemExit)) as info:
        WAYS[way](run, model, tokenizer, "mine")
    assert "mine could not be pushed to the Hub: the token has no right to write there (403); " in str(info.value)
    assert "\n" not in str(info.value)
    assert hub.state() == {}
    assert contents(run) == local


STRANGER = "what answered was not the Hub, but perhaps a proxy, or the login page of this network"
LATER = r"no request is taken before (\d{4}-\d\d-\d\d \d\d:\d\d) \((?:429|503)\): try again then"


def asked(hub, repo="tester/mine"):
    """Return patterns of the requests that a Hub has had about a repository."""
    about = rf" /(api/models/)?{repo}(/|\.git/|$)| /api/(repos|validate-yaml)| /_lfs/"
    return sorted({re.sub(r"\b[0-9a-f]{40,64}\b", "[0-9a-f]+", one) for one in hub.requests if re.search(about, one)})


@pytest.mark.parametrize("way", WAYS)
def test_no_answer_of_another_server_is_taken_for_the_hubs(hub, clock, trained, model, tokenizer, tmp_path, way):
    """That holds for each request. Where nobody reads the answer, one without content does no harm."""

    def push():
        hub.repos.clear()
        hub.blobs.clear()
        run = shutil.copytree(trained, tmp_path / str(len(list(tmp_path.iterdir()))) / "run")
        WAYS[way](run, model, tokenizer, "mine")

    push()
    requests, whole = asked(hub), hub.state()
    assert len(requests) >= 6
    for request in requests:
        for how in STRANGERS if way == "program" else ("page", "object"):
            hub.fail(request, how)
            is_unread = "auth-check" in request or "/tag/" in request
            if "HEAD" in request or (is_unread and how != "page") or ("yaml" in request and how == "object"):
                push()
                continue
            with pytest.raises((HubError, SystemExit)) as info:
                push()
            said = str(info.value)
            assert "mine could not be pushed to the Hub: " in said, (request, how)
            assert "\n" not in said
            unread = "/branch/" in request or "PUT" in request  # by the client, but the next request fails
            assert (STRANGER in said) or (unread and how != "page"), (request, how, said)
            assert hub.state() == {} or "/tag/" in request
    hub.faults.clear()
    push()
    assert hub.state().keys() == whole.keys()


@pytest.mark.parametrize("way", WAYS)
def test_a_push_waits_for_seconds_and_not_for_days(hub, clock, trained, model, tokenizer, tmp_path, way):
    def push():
        hub.repos.clear()
        hub.blobs.clear()
        run = shutil.copytree(trained, tmp_path / str(len(list(tmp_path.iterdir()))) / "run")
        WAYS[way](run, model, tokenizer, "mine")

    push()
    for request in asked(hub):
        for status, headers in (
            (429, {"Retry_After": "999999"}),
            (503, {"Retry_After": "999999"}),
            (429, {"Ratelimit": '"api";r=0;t=999999'}),
        ):
            hub.fail(request, status, **headers)
            with pytest.raises((HubError, SystemExit), match=f"mine could not be pushed to the Hub: {LATER}") as info:
                push()
            when = datetime.strptime(re.search(LATER, str(info.value))[1], "%Y-%m-%d %H:%M")
            assert abs(when - datetime.now() - timedelta(seconds=999_999)) < timedelta(minutes=2)
    assert clock.waits == []


def test_what_the_hub_asks_to_wait_is_added_up(hub, clock, trained):
    hub.fail("POST /api/.*/preupload/.*", 429, times=2, Retry_After="40")
    push_folder(trained, "mine")
    assert clock.waits == [41, 41]  # the client adds a second

    hub.repos.clear()
    hub.fail("POST /api/.*/preupload/.*", 429, Retry_After="50")
    with pytest.raises(HubError, match=LATER):
        push_folder(trained, "mine")
    assert clock.waits[2:] == [51, 51]

    moment = datetime.now().astimezone() + timedelta(days=3)
    hub.fail("POST /api/.*/preupload/.*", 503, Retry_After=format_datetime(moment))
    with pytest.raises(HubError, match=f"before {moment:%Y-%m-%d} "):
        push_folder(trained, "mine")
    hub.fail("POST /api/.*/preupload/.*", 503, Retry_After="9" * 5000)
    with pytest.raises(HubError, match="no request is taken before the year 10000"):
        push_folder(trained, "mine")
    assert clock.waits[4:] == []
    hub.fail("POST /api/.*/preupload/.*", 429, Retry_After="soon")
    with pytest.raises(HubError, match=r"no more requests for now \(429, rate limit\): wait some minutes"):
        push_folder(trained, "mine")


@pytest.fixture
def stored(hub, clock, model, tokenizer, tmp_path):
    """A tagger and an encoder on the Hub."""
    BertBiLSTMCRFPipeline(model=model, tokenizer=tokenizer).push_to_hub("mine")
    hub.requests.clear()
    return hub


def test_a_tagger_loads_from_the_hub_alone_and_soon_or_not(stored, clock, tmp_path, monkeypatch):
    def load():
        cache = tmp_path / "caches" / str(len(list(tmp_path.glob("caches/*"))))
        cache.mkdir(parents=True)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
        return open_tagger("tester/mine")(TEXTS)

    expected = load()
    requests = asked(stored)
    assert len(requests) >= 8
    for request in requests:
        for how, headers in (("page", {}), ("object", {}), (429, {"Retry_After": "999999"})):
            stored.fail(request, how, **headers)
            try:
                found = load()
            except OpeningError as error:
                said = str(error)
                assert said.startswith("tester/mine: "), (request, how)
                assert "\n" not in said
                assert (re.search(LATER, said) is not None) == (how == 429), (request, how, said)
            else:
                assert found == expected, (request, how)
    assert clock.waits == []


def test_the_program_says_that_the_hub_did_not_answer(stored, encoder_folder, tmp_path):
    (tmp_path / "train.conll").write_text(TRAIN)
    stored.repos["tester/encoder"] = Repo(private=False)
    for path in encoder_folder.iterdir():
        stored.write("tester/encoder", "main", path.name, path.read_bytes())
    for request, how, headers, said in (
        ("HEAD /.*/config.json", 429, {"Retry_After": "999999"}, LATER),
        ("GET /api/.*/tree/.*", "object", {}, STRANGER),
    ):
        stored.fail(request, how, **headers)
        with pytest.raises(SystemExit, match=f"run_ner.py: error: --model_name_or_path: .*{said}"):
            run_ner.main(training(tmp_path, "tester/encoder"))


def test_a_space_that_is_not_pushed_is_said_in_one_sentence(stored):
    for request, how, said in (
        ("GET /api/models/tester/mine", "object", STRANGER),
        ("POST /api/repos/create", "page", STRANGER),
        ("POST /api/repos/create", "object", STRANGER),
        ("POST /api/repos/create", 403, "the token has no right to write there"),
    ):
        stored.fail(request, how)
        result = CliRunner().invoke(app, ["demo", "tester/mine", "--push_to_space", "tester/space"])
        assert result.exit_code == 1
        assert re.match(rf"bert-crf demo: error: --push_to_space tester/space: .*({said})", result.stderr)
        assert result.stderr.count("\n") == 1
    assert "tester/space" not in stored.repos


@pytest.mark.parametrize(
    ("token", "name", "message"),
    [
        ("", "mine", "there is no token, log in with `hf auth login` or set HF_TOKEN"),
        ("hf_wrong_secret", "mine", "it does not know the token (401)"),
        (READER, "tester/mine", "the token has no right to write there (403)"),
        (WRITER, "others/mine", "the token has no right to write there (403)"),
        ("hf_\nsecret", "mine", "the token holds a character that no token has"),
        ("hf_secret\u00e9", "mine", "the token holds a character that no token has"),
        (WRITER, "no name", "Repo id must use alphanumeric chars"),
    ],
)
def test_tokens_and_names_that_will_not_do(hub, trained, model, tmp_path, monkeypatch, token, name, message):
    go_online(monkeypatch, hub, tmp_path, token="")
    token = token or None
    for push in (lambda: push_folder(trained, name, token=token), lambda: model.push_to_hub(name, token=token)):
        with pytest.raises(HubError) as info:
            push()
        assert message in str(info.value)
        assert "\n" not in str(info.value)
        assert "secret" not in "".join(traceback.format_exception(info.value))
    assert hub.repos == {}


def test_no_network(hub, clock, trained, model, monkeypatch):
    hub.shutdown()
    hub.server_close()
    for push in (lambda: push_folder(trained, "mine"), lambda: model.push_to_hub("mine")):
        with pytest.raises(HubError, match=r"it could not be reached or did not answer \(ConnectError\)"):
            push()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match="this machine is told to stay offline, unset HF_HUB_OFFLINE"):
        push_folder(trained, "mine")


def test_what_is_not_the_hubs_fault_stays_what_it_is(hub, clock, model, monkeypatch):
    monkeypatch.setattr(type(model), "save_pretrained", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(OSError, match="full") as info:
        model.push_to_hub("mine")
    assert not isinstance(info.value, HubError)


def test_a_tag_stands_at_one_commit(hub, clock, trained, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    for _ in range(2):
        push_folder(run, "mine", tag="v1")
    assert hub.files("tester/mine", "v1") == hub.files("tester/mine")
    (run / "metrics.json").write_text("{}")
    with pytest.raises(HubError, match="tester/mine has been pushed, but its tag 'v1' stands at another commit"):
        push_folder(run, "mine", tag="v1")
    assert hub.files("tester/mine")["metrics.json"] == b"{}"
    assert hub.files("tester/mine", "v1")["metrics.json"] != b"{}"


def test_a_run_is_pushed_at_its_end_and_tells_no_token(
    hub, clock, encoder_folder, tmp_path, capsys, caplog, monkeypatch
):
    """A push that breaks off is repeated by the same command, which trains nothing anew."""
    monkeypatch.delenv("HF_TOKEN")
    (tmp_path / "train.conll").write_text(TRAIN)
    run = tmp_path / "run"
    command = training(tmp_path, encoder_folder, push_to_hub=True, hub_model_id="mine", hub_token=WRITER)
    hub.fail("POST /api/models/.*/commit/.*", 503)
    with pytest.raises(SystemExit) as info:
        run_ner.main(command)
    assert WRITER not in "".join(capsys.readouterr())
    assert info.value.code.startswith("run_ner.py: error: tester/mine could not be pushed to the Hub: it answered 503")
    assert hub.state() == {}
    local = contents(run)
    assert any(name.startswith("checkpoint-") and name.endswith("training_args.bin") for name in local)

    hub.faults.clear()
    with pytest.raises(SystemExit, match="holds a finished model: choose another folder"):
        run_ner.main([*command, "--learning_rate", "1e-3"])
    run_ner.main(command)

    assert contents(run) == local
    pushed = hub.files("tester/mine")
    assert pushed == {name: local[name] for name in files_to_push(run)}
    assert {"metrics.json", "README.md", "tokenizer.json"} <= pushed.keys()
    assert not pushed.keys() & {"predictions.conll", "entities.jsonl", "training_args.bin"}
    assert 'model="tester/mine"' in pushed["README.md"].decode()
    said = capsys.readouterr()
    assert said.out.startswith(f"pushed to {hub.endpoint}/tester/mine, commit ")
    arguments = CRFTrainingArguments(str(run), hub_token=WRITER, use_cpu=True)
    for text in (said.out, said.err, caplog.text, repr(arguments), str(arguments), arguments.to_json_string()):
        assert WRITER not in text
    for name, content in [*local.items(), *hub.blobs.items()]:
        assert WRITER.encode() not in content, name


def test_a_wrong_token_is_noticed_before_training(hub, encoder_folder, tmp_path, monkeypatch):
    go_online(monkeypatch, hub, tmp_path, READER)
    hub.repos["tester/mine"] = Repo(private=False)
    (tmp_path / "train.conll").write_text(TRAIN)
    with pytest.raises(SystemExit, match=r"no right to write there.*; nothing there has changed$"):
        run_ner.main(training(tmp_path, encoder_folder, push_to_hub=True, hub_model_id="tester/mine"))
    assert not (tmp_path / "run").exists()


def test_a_dry_run_lists_what_would_go_up(hub, clock, trained, encoder_folder, model, tokenizer, tmp_path, capsys):
    options = {"push_to_hub": True, "hub_dry_run": True, "hub_model_id": "me/mine", "hub_revision": "dev"}
    run_ner.main(training(trained.parent, encoder_folder, **options))
    said = capsys.readouterr().out.splitlines()
    names = files_to_push(trained)
    size = sum((trained / name).stat().st_size for name in names) / 1e6
    assert said[0] == f"{len(names)} files, {size:.1f} MB, would go to me/mine, branch dev:"
    assert [line.split()[1] for line in said[1:-1]] == names
    assert said[-1].startswith("would stay here: .saving-metrics.json, checkpoint-")
    assert said[-1].endswith(", predictions.conll")

    arguments = CRFTrainingArguments(str(tmp_path / "out"), use_cpu=True, push_to_hub=True, hub_dry_run=True)
    CRFTrainer(model, arguments, processing_class=tokenizer).push_to_hub()
    assert "would go to out, branch main:" in capsys.readouterr().out
    assert hub.requests == []


def test_a_trainers_card_takes_metadata(hub, clock, model, tokenizer, tmp_path):
    arguments = CRFTrainingArguments(str(tmp_path / "out"), use_cpu=True, hub_model_id="mine")
    trainer = CRFTrainer(model, arguments, processing_class=tokenizer)
    assert trainer.push_to_hub(license="mit", blocking=False).result().oid in hub.repos["tester/mine"].commits
    assert huggingface_hub.ModelCard(hub.files("tester/mine")["README.md"].decode()).data.license == "mit"


def test_options_that_cannot_be(encoder_folder, tmp_path, error_of):
    (tmp_path / "train.conll").write_text(TRAIN)
    assert "hub_strategy must be 'end'" in error_of(training(tmp_path, encoder_folder, hub_strategy="every_save"))
    nothing = error_of(["--output_dir", str(tmp_path / "none"), "--push_to_hub"])
    assert "--push_to_hub needs --do_train or a finished model, got none in" in nothing
    with pytest.raises(HubError, match=r"it holds no finished model, since no config\.json"):
        push_folder(tmp_path, "mine")


def test_a_stranger_loads_and_pushes_on_what_was_pushed(remote, stranger):
    """By three auto classes and as a pipeline, by branch and tag; then the same without a network.

    The code that writes a card where there is none does not travel: there a stranger's is the host's.
    """
    said = stranger.wait()
    assert "Consistency check failed" in said.pop("failure")
    names = ["by-program", "by-pipeline", "by-trainer", "by-stranger"]
    assert said == {f"tester/{name} {how}": value for name in names for how, value in remote.expected.items()}
    pushed_on = remote.files("tester/by-stranger")
    original = remote.files("tester/by-trainer", "v1")
    assert pushed_on.keys() == original.keys()
    for name in original.keys() - {"README.md", "tokenizer_config.json"}:  # the host notes in it how it was loaded
        assert pushed_on[name].replace(b"by-stranger", b"by-trainer") == original[name], name

    asked = len(remote.requests)
    stranger.start("offline", *(f"tester/{name}@{revision}" for name, revision in OFFLINE), offline="1")
    assert stranger.wait() == {key: said[key] for key in said if any(name in key for name, _ in OFFLINE)}
    assert len(remote.requests) == asked
