"""The model card, the plots and the HTML report: they show what `metrics.json` holds, and text in it stays text."""

import copy
import io
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import matplotlib.image
import pytest
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import model_index_to_eval_results
from markdown_it import MarkdownIt
from typer.testing import CliRunner

import run_ner
from bert_crf_command.app import app
from modeling_bert_crf.reports.card import TEMPLATE, write_card
from modeling_bert_crf.reports.page import make_report
from modeling_bert_crf.reports.plots import INK, draw_plots

CARDS = Path(run_ner.__file__).parent / "model_cards"
PLOTS = ("learning", "errors", "calibration", "transitions")


@pytest.fixture
def metrics():
    """The figures of a real run."""
    return json.loads((CARDS / "wnut17.json").read_text())


@pytest.fixture
def card_of(tmp_path):
    def make(metrics, plots=PLOTS):
        facts = {name: value for name, value in metrics.items() if name != "scores"}
        write_card(tmp_path / "README.md", TEMPLATE, facts, metrics["scores"], plots)
        return (tmp_path / "README.md").read_text(encoding="utf-8")

    return make


def test_the_committed_card_is_what_its_figures_give(metrics, card_of):
    """After a change of the template write it anew: `write_card` with the figures of `wnut17.json`."""
    card = (CARDS / "wnut17.md").read_text(encoding="utf-8")
    assert card == card_of(metrics)
    assert all((CARDS / name).is_file() for name in re.findall(r"\]\((.*?\.png)\)", card))


def test_the_metadata_survive_the_hubs_own_classes(metrics, card_of):
    metrics |= {"hub": {"base_model": "org/encoder", "dataset": "org/data"}, "dataset": "org/data: news"}
    metrics["license"] = "apache-2.0"
    data = ModelCard(card_of(metrics)).data

    name, results = model_index_to_eval_results(data.to_dict()["model-index"])
    assert name == metrics["model_name"]
    assert len(results) == 2 * 7
    found = {(one.dataset_split, one.metric_name): one.metric_value for one in results}
    assert found["test", "F1 (strict)"] == round(metrics["scores"]["test"]["strict"]["f1"], 4)
    assert found["validation", "Recall (conlleval)"] == round(
        metrics["scores"]["validation"]["conlleval"]["recall"], 4
    )
    assert {one.dataset_type for one in results} == {"org/data-news"}
    assert all(re.fullmatch(r"(?:[\w-]+/)?[\w.-]+", one.dataset_type) for one in results)  # the Hub's own rule
    assert (data.base_model, data.datasets, data.license, data.language) == (
        "org/encoder",
        ["org/data"],
        "apache-2.0",
        ["en"],
    )


def test_what_nobody_said_is_not_invented(metrics, card_of):
    metrics |= {"language": None}
    card = card_of(metrics)
    assert card.count("not stated") == 4
    data = ModelCard(card).data.to_dict()
    assert not {"license", "language", "datasets", "base_model"} & set(data)


def test_examples_and_the_encoders_licence_stand_in_the_card(metrics, card_of):
    card = card_of(metrics | {"examples": ['Ada "sang".', "The rain"], "base_license": "cc-by-4.0"})
    assert ModelCard(card).data.to_dict()["widget"] == [{"text": 'Ada "sang".'}, {"text": "The rain"}]
    assert 'for entity in tagger("Ada \\"sang\\"."):' in card
    assert "- Licence of the encoder: cc-by-4.0" in card


def leaves(value, path=()):
    if isinstance(value, dict):
        for name, one in value.items():
            yield from leaves(one, (*path, name))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path


def shown(path):
    """List the figures that a card must show: all of the test part and of the run, except those that are plotted."""
    drawn = {"bins", "level", "macro_f1", "predicted", "gold"}
    if path[0] == "scores":
        conlleval_types = path[2:4] == ("conlleval", "types")
        return path[1] == "test" and not drawn & set(path) and not conlleval_types
    return path[0] in ("temperature", "speed", "data", "settings", "parameters") and path[1:2] != ("validation",)


def test_every_figure_of_the_card_comes_from_the_metrics(metrics, card_of):
    metrics["scores"]["test"]["forms"]["seen"] = {"gold": 9, "predicted": 8, "correct": 7}  # there are none
    before = card_of(metrics)
    paths = [path for path in leaves(metrics) if shown(path)]
    assert len(paths) > 90
    for path in paths:
        changed = copy.deepcopy(metrics)
        place = changed
        for name in path[:-1]:
            place = place[name]
        place[path[-1]] = place[path[-1]] * 2 + 3
        assert card_of(changed) != before, path


def test_the_template_has_no_figures_of_its_own():
    template = TEMPLATE.read_text()
    outputs = re.findall(r"\{\{(.*?)\}\}", template)
    assert all(re.search("[a-z_]{3}", re.sub(r'"[^"]*"|percent|format', "", one)) for one in outputs)
    assert set(re.findall(r"(?<!F)\d+\S*", re.sub(r"\{\{.*?\}\}|\{%.*?%\}", "", template))) == {"95", "0.8`", "2))"}


NASTY = ["a|b", "<script>alert(1)</script>", "new\nline", "[x](javascript:y) `t` $_$ *z*", "&amp; #", "\\|"]


@pytest.fixture
def nasty(metrics):
    """The same figures under names that would break tables, or out of the text."""
    names = dict(zip(metrics["types"], NASTY, strict=True))
    text = json.dumps(metrics)
    for old, new in names.items():
        text = text.replace(f'"{old}"', json.dumps(new))
    evil = json.loads(text)
    evil["labels"] = ["O", *(f"{prefix}-{name}" for name in NASTY for prefix in "BI")]
    evil |= {"dataset": "d|a\n<script>", "model_name": 'm"\n---\n# <script>', "command": "run\n```\n# <script>"}
    evil["language"] = ["<script>"]
    return evil


class Seen(HTMLParser):
    """The tags, attributes, text, and table cells, row by row, of a page."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.text, self.cells, self.in_cell = set(), [], "", [], False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs
        if tag == "tr":
            self.cells.append([])
        if tag in ("td", "th"):
            self.cells[-1].append("")
        self.in_cell = tag in ("td", "th") or (self.in_cell and tag in ("strong", "code"))

    def handle_data(self, data):
        self.text += data
        if self.in_cell:
            self.cells[-1][-1] += data

    def handle_endtag(self, tag):
        self.in_cell = self.in_cell and tag not in ("td", "th")


def test_markup_in_names_stays_text_in_the_card(nasty, metrics, card_of):
    def rendered(card):
        return Seen(MarkdownIt("commonmark", {"html": True}).enable("table").render(card.split("\n---\n", 1)[1]))

    page, plain = rendered(card_of(nasty)), rendered(card_of(metrics))
    names = dict(zip(metrics["types"], (" ".join(name.split()) for name in NASTY), strict=True))

    assert "script" not in page.tags
    assert page.tags == plain.tags
    assert page.cells == [[names.get(cell, cell) for cell in row] for row in plain.cells]
    for name in [*(" ".join(name.split()) for name in NASTY), "d|a <script>", "run\n```\n# <script>"]:
        assert name in page.text
    assert not any(name == "href" for name, _ in page.attributes)
    assert ModelCard(card_of(nasty)).data.model_name == 'm" --- # <script>'


def test_markup_in_names_stays_text_in_the_report(nasty, metrics):
    page, plain = Seen(make_report(nasty)), Seen(make_report(metrics))

    assert page.tags == plain.tags
    assert list(map(len, page.cells)) == list(map(len, plain.cells))
    assert [row[0] for row in page.cells][1:7] == NASTY


@pytest.mark.process
def test_the_usage_of_the_card_runs_on_the_saved_folder(files, command):
    run_ner.main(
        command(
            num_train_epochs=40, head_learning_rate=1e-2, save_strategy="no", do_eval=None, card_language=["en", "fr"]
        )
    )
    card = (files / "out" / "README.md").read_text()
    assert ModelCard(card).data.language == ["en", "fr"]
    (usage,) = re.findall(r"```python\n(.*?)```", card, flags=re.S)
    assert len(usage.splitlines()) == 5

    result = subprocess.run(
        [sys.executable, "-c", usage],
        cwd=files,
        env=os.environ | {"HF_HOME": str(files / "cache"), "HF_HUB_OFFLINE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )

    assert result.returncode == 0, result.stderr
    assert "PER Ada Lovelace" in result.stdout


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ({}, "# mine"),
        ({"test": {"accuracy": 0.875}}, "**87.5 %** of the words"),
        (
            {"test": {"accuracy": 0.875, "macro_f1": 0.5, "interval": {"low": 0.8, "high": 0.9, "resamples": 9}}},
            "95 % interval 80.0 to 90.0",
        ),
    ],
    ids=["nothing measured", "words only", "with an interval"],
)
def test_a_card_needs_no_more_than_a_name_and_labels(card_of, scores, said):
    card = card_of({"model_name": "mine", "labels": ["NOUN", "VERB"], "scores": scores}, plots=())
    assert said in card
    assert "None" not in card
    ModelCard(card)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"card_license": "Apache 2"},
            "--card_license must be a licence's short name, such as apache-2.0, got 'Apache 2'",
        ),
        ({"card_language": "English"}, "--card_language must be ISO 639 codes, such as en, got 'English'"),
    ],
)
def test_what_the_hub_would_refuse_is_refused_before_training(command, error_of, options, message):
    assert message in error_of(command(**options))


def luminance(colour):
    parts = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_plots_show_on_white_and_on_black(metrics):
    images = draw_plots(metrics, metrics["scores"])

    assert tuple(images) == PLOTS
    assert sum(map(len, images.values())) < 300_000
    for image in images.values():
        pixels = matplotlib.image.imread(io.BytesIO(image))
        assert pixels[0, 0, 3] == 0  # no background
        assert (pixels[..., 3] == 1).mean() > 0.01
    for page in ("#ffffff", "#0b0f19"):
        light, dark = sorted((luminance(INK), luminance(page)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) > 3.5


def test_plots_bear_any_label_and_no_figures(metrics):
    metrics["labels"] = ["O", "B-人名", "$x^$", *metrics["labels"][3:]]  # warnings would fail the test
    assert "transitions" in draw_plots(metrics, {})
    assert draw_plots({"labels": ["O"]}, {}) == {}


def report(*arguments):
    return CliRunner().invoke(app, ["report", *map(str, arguments)])


def test_the_report_is_one_file_that_a_browser_shows(tmp_path, metrics, browser):
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    (tmp_path / "predictions.conll").write_text("Ada\tB-person\tO\nsang\tO\tO\n\n")
    result = report(tmp_path)
    assert (result.exit_code, result.stdout.strip()) == (0, str(tmp_path / "report.html"))

    page = browser.new_page()
    problems = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("request", lambda request: problems.append(request.url) if request.url.startswith("http") else None)
    page.goto((tmp_path / "report.html").as_uri())

    widths = page.evaluate("[...document.images].map(image => image.complete ? image.naturalWidth : 0)")
    assert len(widths) == len(PLOTS)
    assert min(widths) > 500
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.inner_text("p.score").split("\n") == ["47.6", "strict F1, test", "95 % interval 44.2 to 50.8"]
    titles = page.locator("h2").evaluate_all("all => all.map(one => [one.id, one.innerText.split(':')[0]])")
    links = page.locator("nav a").evaluate_all("all => all.map(one => one.getAttribute('href').slice(1))")
    assert links == [name for name, _ in titles]  # every section can be reached, in its order
    assert links[:4] == ["test", "mistakes", "calibration", "validation"]
    assert page.locator("details", has_text="learning_rate").get_attribute("open") is None
    assert page.inner_text(".verdict").startswith("Of 100 entities that it finds ")
    assert not re.search(r"[a-z)][.][A-Z0-9]|\)[.]?\d", page.inner_text("body"))  # no blank is missing
    assert "Not in this run" not in page.inner_text("body")
    assert "The commonest mistake, 1 of 1: person missed." in page.inner_text("body")
    page.set_viewport_size({"width": 390, "height": 600})
    hidden = "all => all.map(one => one.scrollWidth - one.clientWidth)"
    assert set(page.locator("html, div.wide").evaluate_all(hidden)) == {0}  # no column is cut
    assert problems == []
    page.close()


def test_a_report_of_less_says_what_is_missing(tmp_path, metrics):
    old = {name: metrics[name] for name in ("model_name", "labels", "dataset", "settings", "temperature")}
    strict = {name: metrics["scores"]["test"][name] for name in ("accuracy", "strict", "conlleval")}
    (tmp_path / "metrics.json").write_text(json.dumps({**old, "scores": {"test": strict}}))

    assert report(tmp_path, "--output", tmp_path / "page.html").exit_code == 0

    text = (tmp_path / "page.html").read_text()
    assert "<strong>47.6</strong> strict F1" in text
    missing = text.split("Not in this run")[1]
    for name in (
        "learning curve",
        "kinds of errors",
        "calibration plot",
        "transitions",
        "interval",
        "seen in training",
    ):
        assert name in missing


ODD = "does not hold what bert-crf train writes"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "holds no metrics.json: name the --output_dir of a finished run"),
        ("{", "metrics.json cannot be read: "),
        ("[]", "metrics.json must hold the `scores` and `labels` of a run of bert-crf train"),
        ('{"scores": {"test": {"strict": 3}}, "labels": []}', f"metrics.json {ODD}: "),
        ('{"scores": {"test": {"accuracy": "x"}}, "labels": []}', f"metrics.json {ODD}"),
        ('{"scores": {"test": 3}, "labels": []}', f"metrics.json {ODD}: "),
        ("[" * 100_000, "metrics.json cannot be read: "),
        (
            f'{{"scores": {{"test": {{"accuracy": {10**400}}}}}, "labels": []}}',
            f"{ODD}: ",
        ),
    ],
    ids=[
        "none",
        "cut off",
        "a list",
        "no scores of types",
        "text for a figure",
        "a figure for a split",
        "nested",
        "a huge figure",
    ],
)
def test_a_folder_that_is_no_run_ends_in_one_sentence(tmp_path, content, message):
    if content is not None:
        (tmp_path / "metrics.json").write_text(content)

    result = report(tmp_path)

    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("bert-crf report: error: ")
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "report.html").exists()


def test_names_that_cannot_be_written_or_would_turn_the_text_are_shown(metrics, card_of):
    """Half a character, a NUL, and a direction of writing; of a label, a data set, and the name of a file."""
    text = json.dumps(metrics).replace("location", r"loc\ud800\u0000\u202eation").replace("WNUT", r"WNUT\u202e\udce9")
    nasty = json.loads(text) | {"command": "python run_ner.py --train_file '\udce9.conll'"}

    page, card = make_report(nasty), card_of(nasty)

    assert page.encode()
    assert "loc\ufffd\u2400\ufffdation" in page
    assert "&#39;\ufffd.conll&#39;" in page
    assert "'?.conll'" in card
    assert not {"\0", "\u202e"} & {*page, *card}


def test_a_folder_that_is_not_there_ends_in_one_sentence(tmp_path):
    result = report(tmp_path / "nowhere")
    assert (result.exit_code, result.stderr) == (
        1,
        f"bert-crf report: error: {tmp_path / 'nowhere'} is no folder: name the --output_dir of a run\n",
    )
