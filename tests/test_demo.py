"""The demo, as a browser sees it: driven in the very folder that a push uploads as a Space."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import torch
import yaml
from conftest import LABELS
from typer.testing import CliRunner

import modeling_bert_crf
from bert_crf_command.app import app
from modeling_bert_crf import BertBiLSTMCRFForTokenClassification, BertBiLSTMCRFPipeline
from modeling_bert_crf.demo.examples import examples_of
from modeling_bert_crf.demo.space import push_space, write_space
from modeling_bert_crf.hub.folders import files_to_push
from modeling_bert_crf.pages.render import render

EXAMPLES = ["Ada Lovelace visited Paris.", "the rain, yesterday"]
TEXT = "Ada Lovelace visited Paris.\n<b onclick=alert(1)>rain</b> & ${1+1} {{2+2}} <script>alert(2)</script>"


# Writes down whom the app calls, other than this machine.
WATCH = """
import os, sys
def watch(event, values):
    if event in ("socket.getaddrinfo", "socket.connect") and not {"127.0.0.1", "localhost", "0.0.0.0"} & {
        values[0], *(values[1] if event == "socket.connect" else ())}:
        with open(os.environ["CALLS"], "a") as calls:
            print(event, values, file=calls)
sys.addaudithook(watch)
"""


@pytest.fixture(scope="module")
def tagger(encoder_folder, tokenizer):
    """Its probabilities are spread, so that the slider has something to part."""
    model = BertBiLSTMCRFForTokenClassification.from_encoder(str(encoder_folder), LABELS).eval()
    generator = torch.Generator().manual_seed(3)
    for parameter in [model.classifier.weight, *model.crf.parameters()]:
        parameter.data.normal_(generator=generator)
    return BertBiLSTMCRFPipeline(model=model, tokenizer=tokenizer)


@pytest.fixture(scope="module")
def space(tagger, tmp_path_factory):
    folder = tmp_path_factory.mktemp("space")
    tagger.save_pretrained(folder / "saved")
    (folder / "saved" / "README.md").write_text(
        yaml.dump({"widget": [{"text": one} for one in EXAMPLES]}).join(["---\n"] * 2)
    )
    write_space(folder / "space", str(folder / "saved"), None, "A tagger: tried")
    return folder / "space"


@pytest.fixture(scope="module")
def address(space):
    """Run the Space's app in a process of its own; where it listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (space.parent / "watch").mkdir()
    (space.parent / "watch" / "sitecustomize.py").write_text(WATCH)
    environment = os.environ | {"PYTHONPATH": str(space.parent / "watch"), "CALLS": str(space.parent / "calls")}
    environment |= {"GRADIO_SERVER_PORT": str(port), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with open(space.parent / "log", "w") as log:
        process = subprocess.Popen([sys.executable, "app.py"], cwd=space, env=environment, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 240
            while not answers(port):
                assert process.poll() is None, (space.parent / "log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


def answers(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def page(browser, address):
    context = browser.new_context(accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(20_000)
    page.asked = []
    page.on("request", lambda request: page.asked.append(request.url))
    page.goto(address)
    page.locator("#entities mark").first.wait_for(timeout=120_000)  # it opens with an example
    yield page
    context.close()


def marks(page, place="#entities"):
    return page.locator(f"{place} mark").evaluate_all(
        "marks => marks.map(mark => [mark.innerText, mark.dataset.type])"
    )


def tagged(page, text):
    """Wait until a text is what is shown."""
    page.wait_for_function("text => document.querySelector('#entities .marked')?.innerText === text", arg=text)


def test_a_text_is_tagged_in_the_browser(page, address, space, tagger):
    entities, readings = tagger(TEXT), tagger(TEXT, num_paths=5)
    scores = sorted(entity["score"] for entity in entities)
    assert len(scores) > 3
    threshold = round(sum(scores[1:3]) / 2, 2)
    kept = [entity for entity in entities if entity["score"] >= threshold]
    assert 0 < len(kept) < len(entities)

    page.get_by_label("Text", exact=True).fill(TEXT)
    page.get_by_role("button", name="Find entities").click()
    tagged(page, TEXT)
    assert marks(page) == [[entity["word"], entity["entity_group"]] for entity in entities]
    shown = page.locator("#entities mark").evaluate_all("all => all.map(one => one.dataset.score)")
    assert shown == ["<0.01" if one["score"] < 0.01 else f"{one['score']:.2f}" for one in entities]
    assert page.locator("#entities .marked").inner_text() == TEXT
    assert page.title() == page.locator("h1").inner_text() == "Find LOC and PER"

    page.get_by_label("number input for Least probability").fill(str(threshold))
    page.get_by_label("number input for Least probability").press("Enter")
    page.get_by_text(f"{len(kept)} of {len(entities)} entities").wait_for()
    assert marks(page) == [[entity["word"], entity["entity_group"]] for entity in kept]

    page.get_by_role("button", name="Other readings").click()
    page.locator("#readings .reading").first.wait_for()
    paths = [path for chain in readings for path in chain["paths"]]
    assert page.locator("#readings .reading").count() == len(paths)
    expected = [[one["word"], one["entity_group"]] for path in paths for one in path["entities"]]
    assert marks(page, "#readings") == expected

    page.get_by_role("button", name="JSON").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    assert download.value.suggested_filename == "entities.json"
    assert json.loads(Path(download.value.path()).read_text()) == {
        "text": TEXT,
        "entities": kept,
        "readings": readings,
        "threshold": threshold,
    }
    assert not (space.parent / "calls").exists()
    hosts = {urlsplit(url).netloc for url in page.asked if not url.startswith(("data:", "blob:"))}
    assert hosts == {urlsplit(address).netloc}


def test_markup_is_text_before_in_and_after_an_entity():
    attack = "<script>alert(1)</script>"
    entity = {"entity_group": attack, "score": 0.5, "word": attack, "start": 25, "end": 50}
    paths = [{"probability": 0.5, "entities": [entity]}]
    readings = [{"start": 0, "end": 75, "entropy": 0.7, "paths": paths}]
    found = {"text": 3 * attack, "entities": [entity], "readings": readings}
    values = {
        "hues": {attack: 255},
        "found": found,
        "entities": [entity],
        "model": attack,
        "title": "Find",
        "examples": 0,
    }
    for template, times in (("entities", 5), ("readings", 5), ("heading", 2)):
        page = render(f"demo/{template}.html", **values)
        assert page.count("&lt;script&gt;") == times
        assert "<script" not in page


def test_the_page_opens_with_the_examples_of_the_card(page, tagger):
    text = page.get_by_label("Text", exact=True)
    assert text.input_value() == EXAMPLES[0]
    assert text.get_attribute("placeholder") == "A text in which there may be LOC or PER."
    assert marks(page) == [[one["word"], one["entity_group"]] for one in tagger(EXAMPLES[0])]
    page.get_by_role("button", name=EXAMPLES[1]).click()
    expect = [[one["word"], one["entity_group"]] for one in tagger(EXAMPLES[1])]
    tagged(page, EXAMPLES[1])
    assert marks(page) == expect


def test_an_empty_text_is_answered_by_what_to_do(page):
    page.get_by_label("Text", exact=True).fill("  ")
    page.get_by_role("button", name="Find entities").click()
    page.get_by_text("There is no text yet. Write one, or choose an example; its entities are shown here.").wait_for()


@pytest.mark.parametrize(
    ("card", "texts"),
    [
        (None, []),
        ("no metadata", []),
        ("---\nwidget: [\n---\n", []),
        ("---\nwidget: Ada\n---\n", []),
        ("---\nwidget: [{text: Ada}, {text: ' '}, {src: a.png}, 3, {text: 5}]\n---\n", ["Ada"]),
    ],
    ids=["none", "bare", "broken", "no list", "odd rows"],
)
def test_a_card_that_names_no_texts_is_no_fault(tmp_path, card, texts):
    if card is not None:
        (tmp_path / "README.md").write_text(card)
    assert examples_of(str(tmp_path)) == texts


def test_a_text_that_is_too_long_is_refused(page):
    page.get_by_label("Text", exact=True).fill("rain " * 4001)
    page.get_by_role("button", name="Find entities").click()
    page.get_by_text("A text must be at most 20,000 characters long, got 20,005.").wait_for()


def test_a_space_holds_all_that_it_needs(space):
    names = {str(path.relative_to(space)) for path in space.rglob("*") if path.is_file()}
    names = {name for name in names if "__pycache__" not in name}
    package = Path(modeling_bert_crf.__file__).parent
    assert {f"modeling_bert_crf/{path.name}" for path in package.glob("*.py")} <= names
    assert {"app.py", "README.md", "requirements.txt", "model/model.safetensors", "model/config.json"} <= names
    assert not any(name.startswith(("modeling_bert_crf/training", "bert_crf_command")) for name in names)
    header = yaml.safe_load((space / "README.md").read_text().split("---")[1])
    assert (header["sdk"], header["app_file"], header["title"]) == ("gradio", "app.py", "A tagger: tried")
    assert re.fullmatch(
        r"torch==[\d.]+\ntransformers==[\d.]+\njinja2==[\d.]+\n", (space / "requirements.txt").read_text()
    )


def test_a_space_for_a_model_of_the_hub_loads_it_by_the_commit(tmp_path):
    write_space(tmp_path / "space", "owner/model", "c0ffee", "model")
    assert "open_tagger('owner/model', revision='c0ffee'), [])" in (tmp_path / "space" / "app.py").read_text()
    assert yaml.safe_load((tmp_path / "space" / "README.md").read_text().split("---")[1])["models"] == ["owner/model"]
    assert not (tmp_path / "space" / "model").exists()


def test_a_space_and_a_push_take_all_files_of_a_tokenizer_written_in_python(tmp_path):
    names = ["config.json", "spiece.model", "tokenizer_config.json", "vocab.txt"]
    for name in [*names, "rest.txt"]:
        (tmp_path / name).write_text(name)
    write_space(tmp_path / "space", str(tmp_path), None, "mine")
    assert sorted(path.name for path in (tmp_path / "space" / "model").iterdir()) == names
    assert files_to_push(tmp_path) == names


class Hub:
    """Writes down what it is asked."""

    def __init__(self):
        self.calls = []

    def __getattr__(self, name):
        return lambda *args, **options: self.calls.append((name, args, options))


def test_a_space_goes_up_in_one_commit(space):
    hub = Hub()
    push_space(space, "owner/name", private=True, api=hub)
    (create, args, created), (upload, _, uploaded) = hub.calls
    assert (create, args, upload) == ("create_repo", ("owner/name",), "upload_folder")
    assert created == {"repo_type": "space", "space_sdk": "gradio", "private": True, "exist_ok": True}
    assert (uploaded["folder_path"], uploaded["repo_id"], uploaded["repo_type"]) == (space, "owner/name", "space")
    assert uploaded["delete_patterns"] == "*"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["no/such-model"], "bert-crf demo: error: no/such-model: "),
        (["{model}", "--push_to_space", "owner/name"], "bert-crf demo: error: --push_to_space owner/name: "),
    ],
)
def test_mistakes_end_in_one_sentence(space, options, message):
    """Here without a network."""
    result = CliRunner().invoke(app, ["demo", *(option.format(model=space / "model") for option in options)])
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith(message)
    assert "Traceback" not in result.output
