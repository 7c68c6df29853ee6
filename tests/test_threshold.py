"""Operating points that keep a promise, and `bert-crf threshold`, which finds and stores them."""

import json
import math
import random
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from huggingface_hub.errors import EntryNotFoundError
from typer.testing import CliRunner

from bert_crf_command.app import app
from modeling_bert_crf import BertBiLSTMCRFPipeline
from modeling_bert_crf.fitting import promises
from modeling_bert_crf.fitting.costs import cost_lines
from modeling_bert_crf.fitting.evidence import Evidence, Found, Gold, Readings, Share
from modeling_bert_crf.fitting.promises import Promise, Setting, biases_to_try, choose, lower_bound, operating_point
from modeling_bert_crf.opening import viterbi_calibration as viterbi
from modeling_bert_crf.opening.tagger import open_tagger
from modeling_bert_crf.opening.viterbi_calibration import operating_points_of, viterbi_calibration
from modeling_bert_crf.path_biases import check_operating_point
from modeling_bert_crf.readers.sentences import Sentence

ZEROS = {
    "transition_bias_background_stay": 0.0,
    "transition_bias_background_to_start": 0.0,
    "transition_bias_end_to_background": 0.0,
    "transition_bias_end_to_start": 0.0,
    "transition_bias_inside_to_continue": 0.0,
    "transition_bias_inside_to_end": 0.0,
}


def drawn(rng, sentences):
    """Draw sentences of two types, with what a tagger finds in them without a bias, and with an eager one.

    Sentences are easy or hard as a whole, so that entities of one are not independent. The eager bias finds more of
    what is there, and more of what is not.
    """
    ease = rng.normal(0, 0.7, sentences)
    units = np.repeat(np.arange(sentences), rng.poisson(1.3, sentences))
    kinds = (rng.random(len(units)) < 0.3).astype(int)
    lengths, doubt = rng.integers(3, 20, len(units)), rng.random(len(units))
    plausible = 1 / (1 + np.exp(-ease[units] - 2.2 + 1.1 * kinds))
    found = []
    for eager in (0.0, 0.12):
        hit = doubt < plausible + eager
        wrong = np.repeat(np.arange(sentences), rng.poisson(0.18 * (1 + 4 * eager) * np.exp(-0.4 * ease)))
        right = np.concatenate([np.ones(hit.sum(), bool), np.zeros(len(wrong), bool)])
        odds = np.concatenate([rng.normal(2.5, 1.2, hit.sum()), rng.normal(0.6, 1.2, len(wrong))])
        own = np.concatenate([kinds[hit], (rng.random(len(wrong)) < 0.5).astype(int)])
        size = np.concatenate([lengths[hit], rng.integers(3, 20, len(wrong))])
        covered = np.zeros((len(own), 2), int)
        covered[np.arange(len(own)), own] = size * right
        places = np.concatenate([units[hit], wrong])
        found.append(Found(places, own, size, 1 / (1 + np.exp(-odds)), right, covered))
    return Evidence(["X", "Y"], sentences, Gold(units, kinds, lengths), found)


def figure_of(evidence, setting, promise, kinds=None):
    return evidence.share(setting.found(evidence), promise.figure, promise.in_characters, kinds).value


def made_and_broken(choose, promise, sentences, draws):
    """Make a promise on one sample and look at it on a second one, again and again."""
    rng, made, broken = np.random.default_rng(11), 0, 0
    for _ in range(draws):
        setting = choose(drawn(rng, sentences), promise)
        if setting is not None:
            made += 1
            broken += figure_of(drawn(rng, sentences), setting, promise) < promise.target
    return made, broken


def setting_of(evidence, promise):
    return choose(evidence, promise).setting


def what_looks_right(evidence, promise):
    """Take the cheapest setting that reaches the figure on the very sentences that it is chosen on."""
    settings = [Setting(biases, np.full(2, step / 50)) for biases in (0, 1) for step in range(50)]
    able = [one for one in settings if figure_of(evidence, one, promise) >= promise.target]
    price = promise._replace(figure=promise.other)
    return max(able, key=lambda one: figure_of(evidence, one, price), default=None)


CASES = [
    (Promise("precision", 0.9), 400, 0.8),
    (Promise("precision", 0.9), 150, 0.2),
    (Promise("recall", 0.85), 400, 0.8),
    (Promise("recall", 0.85, in_characters=True, confidence=0.8), 250, 0.8),
]


def assert_kept(promise, sentences, often, draws):
    made, broken = made_and_broken(setting_of, promise, sentences, draws)
    share = 1 - promise.confidence

    assert made >= often * draws
    assert broken <= draws * (share + 3 * math.sqrt(share * (1 - share) / draws))  # three standard errors of a count


@pytest.mark.parametrize(("promise", "sentences", "often"), CASES[:1])
def test_a_second_sample_breaks_a_promise_no_more_often_than_the_confidence_says(promise, sentences, often):
    assert_kept(promise, sentences, often, 120)


@pytest.mark.slow
@pytest.mark.parametrize(("promise", "sentences", "often"), CASES, ids=["precision", "few", "recall", "characters"])
def test_in_thousands_of_samples_a_promise_is_broken_no_more_often_than_said(promise, sentences, often):
    assert_kept(promise, sentences, often, 2000)


def test_what_only_looks_right_is_broken_by_every_other_sample():
    made, broken = made_and_broken(what_looks_right, Promise("precision", 0.9), 150, 100)

    assert made > 90
    assert broken > 0.35 * made


@pytest.mark.slow
def test_in_thousands_of_samples_a_promise_by_type_is_kept_for_each_type():
    promise, draws = Promise("precision", 0.8, by_type=True), 1000
    rng, made, broken = np.random.default_rng(5), [0, 0], [0, 0]
    for _ in range(draws):
        choice, other = choose(drawn(rng, 400), promise), drawn(rng, 400)
        for index, kind in enumerate("XY"):
            if kind in choice.bounds:
                made[index] += 1
                broken[index] += figure_of(other, choice.setting, promise, [index]) < promise.target

    assert min(made) > 0.1 * draws
    assert max(broken) <= draws * (0.1 + 3 * math.sqrt(0.09 / draws))


def test_the_bound_is_the_share_less_its_error_or_that_of_independent_entities():
    # 30 of 40 right, one in each sentence: squares of the residuals add up to 30 / 16 + 10 * 9 / 16.
    share = Share(np.repeat([1.0, 0.0], [30, 10]), np.ones(40), 40)
    error = math.sqrt(7.5 * 40 / 39) / 40
    low, high = 0.0, 0.75  # the chance that 30 or more of 40 are right, if each is right this often, shall be a tenth
    for _ in range(60):
        exact = (low + high) / 2
        tail = sum(math.comb(40, n) * exact**n * (1 - exact) ** (40 - n) for n in range(30, 41))
        low, high = (exact, high) if tail < 0.1 else (low, exact)

    assert share.error == pytest.approx(error)
    by_sentence, by_entity = 0.75 - math.sqrt(2) * 1.2815516 * error, 0.75 - math.sqrt(2) * (0.75 - low)
    assert lower_bound(share, 0.9) == pytest.approx(min(by_sentence, by_entity), abs=1e-6)
    assert lower_bound(share, 0.9, factor=1.0) > lower_bound(share, 0.9)

    whole = Share(np.ones(40), np.ones(40), 40)  # no error at all, and still no certainty
    assert lower_bound(whole, 0.9) == pytest.approx(1 - math.sqrt(2) * (1 - 0.1 ** (1 / 40)))
    assert lower_bound(Share(np.ones(19), np.ones(19), 19), 0.9) == 0.0


def test_sentences_that_are_right_or_wrong_as_a_whole_make_the_bound_lower():
    apart = Share(np.repeat([1.0, 0.0], [80, 20]), np.ones(100), 100)
    together = Share(np.repeat([5.0, 0.0], [16, 4]), np.full(20, 5.0), 100)

    assert apart.value == together.value
    assert lower_bound(together, 0.9) < lower_bound(apart, 0.9) - 0.05


def test_a_type_with_few_entities_gets_no_promise_and_no_threshold():
    rng = np.random.default_rng(2)
    evidence = drawn(rng, 400)
    kinds = np.where(np.arange(len(evidence.gold.kinds)) < 12, 2, evidence.gold.kinds)
    found = [one._replace(covered=np.pad(one.covered, ((0, 0), (0, 1)))) for one in evidence.found]
    evidence = Evidence(["X", "Y", "Z"], 400, evidence.gold._replace(kinds=kinds), found)

    choice = choose(evidence, Promise("precision", 0.85, by_type=True))

    assert choice.too_few == ["Z"]
    assert sorted([*choice.bounds, *choice.best]) == ["X", "Y"]
    assert choice.setting.thresholds[2] == 0
    assert all(bound >= 0.85 for bound in choice.bounds.values())


def test_what_cannot_be_promised_is_said_with_what_can():
    evidence = drawn(np.random.default_rng(3), 300)

    choice = choose(evidence, Promise("recall", 0.999))
    most = choice.best["all"]

    assert choice.setting is None
    assert 0.8 < most < 0.999
    assert choose(evidence, Promise("recall", most - 1e-9)).setting is not None


def test_to_mask_everything_is_no_way_to_keep_a_promise():
    evidence = drawn(np.random.default_rng(3), 300)
    units, kinds, lengths = evidence.gold
    covered = np.zeros((len(units), 2), int)
    covered[np.arange(len(units)), kinds] = lengths
    flood = Found(units, kinds, 10 * lengths, np.full(len(units), 0.5), np.zeros(len(units), bool), covered)
    half = flood._replace(characters=2 * lengths)

    def setting(*found):
        flooded = Evidence(evidence.types, 300, evidence.gold, [evidence.found[0], *found])
        return choose(flooded, Promise("recall", 0.97, in_characters=True)).setting

    assert setting(flood) is None
    assert setting(flood, half).biases == 2


def test_biases_to_try_are_legal_and_begin_with_none():
    biases = biases_to_try()

    assert biases[0] == {}
    assert len({tuple(sorted(one.items())) for one in biases}) == len(biases)
    for one in biases:
        check_operating_point("trial", {"biases": one}, [])


def test_a_setting_is_written_as_the_configuration_holds_it():
    evidence = Evidence(["X", "Y"], 1, Gold(*np.zeros((3, 0), int)), [])

    biases, setting = [{}, {"background_stay": 1.0}], Setting(1, np.array([0.5, 0.25]))
    assert operating_point(evidence, setting, biases, ["X", "Y"]) == {
        "biases": {"background_stay": 1.0},
        "thresholds": {"X": 0.5, "Y": 0.25},
    }
    assert operating_point(evidence, setting, biases, ["Y"])["thresholds"] == {"Y": 0.25}
    assert operating_point(evidence, Setting(0, np.zeros(2)), biases, ["X", "Y"]) == {}


# What a tagger finds


def labelled(pipeline, count=260, seed=4):
    """Invent sentences whose gold tags are what a tagger finds, but for half of what it is less sure of; and more."""
    rng = random.Random(seed)
    words = ["Ada", "Lovelace", "visited", "Paris", "in", "the", "rain", ",", "yesterday", "Oslo"]
    texts = [rng.choices(words, k=rng.randint(3, 9)) for _ in range(count)]
    rows = pipeline(texts, is_split_into_words=True)
    middle = sorted(one["score"] for row in rows for one in row)[sum(map(len, rows)) // 2]
    sentences = []
    for number, (text, row) in enumerate(zip(texts, rows, strict=True)):
        tags, start = [], 0
        right = [one for one in row if one["score"] > middle or rng.random() < 0.5]
        for word in text:
            own = next((one for one in right if one["start"] <= start < one["end"]), None)
            missed = "B-LOC" if rng.random() < 0.15 else "O"
            tags.append(missed if own is None else f"{'B' if own['start'] == start else 'I'}-{own['entity_group']}")
            start += len(word) + 1
        sentences.append(Sentence(text, tags, "made up", [number] * len(text)))
    return sentences


@pytest.fixture
def pipe(model, tokenizer):
    return BertBiLSTMCRFPipeline(model=model, tokenizer=tokenizer)


@pytest.mark.parametrize(("documents", "unit"), [(0, "word"), (30, "word"), (0, "token")])
def test_what_is_counted_is_what_the_pipeline_finds_at_the_operating_point(
    pipe, make_model, tokenizer, documents, unit
):
    sentences = labelled(pipe, 60)
    pipe = BertBiLSTMCRFPipeline(model=make_model(chain_unit=unit), tokenizer=tokenizer)
    if documents:
        sentences = [
            Sentence(one.words, one.tags, one.source, one.lines, str(number * documents // 60))
            for number, one in enumerate(sentences)
        ]
    readings = Readings(pipe, sentences)
    point = {"biases": {"background_to_start": 1.0, "background_stay": -0.5}, "thresholds": {"PER": 0.3}}

    found = readings.find(point)

    assert pipe.model.config.operating_points is None
    pipe.model.config.operating_points = {"mine": point}
    rows = pipe([one.words for one in sentences], is_split_into_words=True, operating_point="mine")
    right = hidden = letters = 0
    for sentence, row in zip(sentences, rows, strict=True):
        borders = [i for i, tag in enumerate([*sentence.tags, "O"]) if tag[0] != "I"]
        starts = np.cumsum([0, *(len(word) + 1 for word in sentence.words)])
        gold = {
            (starts[one], starts[two] - 1, sentence.tags[one][2:])
            for one, two in pairwise(borders)
            if sentence.tags[one] != "O"
        }
        right += sum((one["start"], one["end"], one["entity_group"]) in gold for one in row)
        masked = {place for one in row for place in range(one["start"], one["end"])}
        there = {place for start, end, _ in gold for place in range(start, end)}
        hidden, letters = hidden + len(masked & there), letters + len(there)
    evidence = Evidence(readings.types, readings.count, readings.gold, [found])
    assert readings.count == (documents or 60)
    assert evidence.share(found, "precision").parts.sum() == right
    assert evidence.share(found, "precision").entities == sum(map(len, rows))
    assert evidence.share(found, "recall", in_characters=True).value == hidden / letters
    assert 0 < hidden < letters


def test_a_part_of_the_evidence_holds_what_concerns_its_sentences():
    evidence = drawn(np.random.default_rng(0), 40)
    parts = [evidence.of(np.array(units)) for units in (list(range(7, 40)), [3, 1, 0, 2, 6, 5, 4])]

    for figure in ("precision", "recall"):
        whole, some = evidence.share(evidence.found[1], figure), [one.share(one.found[1], figure) for one in parts]
        assert sum(one.parts.sum() for one in some) == whole.parts.sum()
        assert some[1].parts.tolist() == whole.parts[[3, 1, 0, 2, 6, 5, 4]].tolist()


def test_an_entity_of_a_type_that_the_tagger_does_not_know_is_missed(pipe):
    readings = Readings(pipe, [Sentence(["Ada", "sang"], ["B-WORK", "O"], "made up", [1, 2])])
    found = readings.find({})

    evidence = Evidence(readings.types, readings.count, readings.gold, [found])

    assert readings.types == ["LOC", "PER", "WORK"]
    assert evidence.share(found, "recall").value == 0
    assert [line.split()[0] for line in cost_lines(evidence, found, found, {})][1:] == ["LOC", "PER", "WORK", "all"]


# The command


@pytest.fixture
def folder(pipe, tmp_path):
    pipe.model.config.operating_points = {"older": {"biases": {"background_stay": 0.5}}}
    pipe.model.save_pretrained(tmp_path / "tagger")
    pipe.tokenizer.save_pretrained(tmp_path / "tagger")
    for name, seed in (("dev", 4), ("test", 5)):
        rows = [
            "".join(f"{w}\t{t}\n" for w, t in zip(s.words, s.tags, strict=True)) for s in labelled(pipe, seed=seed)
        ]
        (tmp_path / f"{name}.conll").write_text("\n".join(rows))
    return tmp_path / "tagger"


@pytest.fixture
def run(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    few = [{}, {"background_to_start": -1.0}, {"background_stay": -9.0, "end_to_background": -9.0}]
    monkeypatch.setattr(promises, "biases_to_try", lambda: few)

    def run(*argv, code=0):
        result = CliRunner().invoke(app, [str(one) for one in argv])
        assert result.exit_code == code, result.output
        return result.stdout if code == 0 else result.stderr

    return run


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_an_operating_point_is_stored_and_used_and_all_else_stays(run, folder):
    before, config = contents(folder), json.loads((folder / "config.json").read_text())

    said = run("threshold", folder, "--data", "dev.conll", "--precision", "0.9", "--check", "test.conll")

    stored = json.loads((folder / "config.json").read_text())
    point = stored["operating_points"].pop("precision_0.9")
    assert stored == config
    assert {**contents(folder), "config.json": b""} == {**before, "config.json": b""}
    assert max(point["thresholds"].values()) > 0.1
    assert "precision in entities: 90 % or more on another such sample, with 90 % confidence" in said
    assert [line.split()[0] for line in said.splitlines()[2:5]] == ["LOC", "PER", "all"]
    assert "the promise of 90 % is " in said
    assert "\nstored in " in said
    text = "Ada visited Paris in the rain yesterday , Lovelace in Oslo"
    plain, sure = (
        json.loads(run("tag", folder, *words, text)) for words in ([], ["--operating_point", "precision_0.9"])
    )
    assert len(sure["entities"]) < len(plain["entities"])


def test_recall_in_characters_is_reached_by_biases_and_other_decoders_get_them(run, folder, tmp_path):
    words = ["--recall", "0.9", "--in", "characters", "--name", "redact", "--default"]

    said = run("threshold", folder, "--data", "dev.conll", *words, "--viterbi_calibration", "calibration.json")

    stored = json.loads((folder / "config.json").read_text())
    assert stored["operating_point"] == "redact"
    assert stored["operating_points"]["redact"]["biases"]["background_stay"] == -9.0
    assert stored["operating_points"]["older"] == {"biases": {"background_stay": 0.5}}
    written = json.loads((tmp_path / "calibration.json").read_text())["operating_points"]
    assert written["default"] == written["redact"]
    assert written["older"] == {"biases": {**ZEROS, "transition_bias_background_stay": 0.5}}
    assert "stored in " in said
    assert "and in force" in said


def test_sentences_of_a_type_that_the_tagger_does_not_know_leave_a_tagger_that_opens(run, folder, tmp_path):
    text = (tmp_path / "dev.conll").read_text()
    (tmp_path / "dev.conll").write_text(text + "\nOslo\tB-WORK\nsang\tO\n" * 30)

    run("threshold", folder, "--data", "dev.conll", "--precision", "0.9", "--default")

    assert set(open_tagger(str(folder)).model.config.point(None)["thresholds"]) == {"LOC", "PER"}


def test_a_promise_that_nothing_keeps_is_refused_and_nothing_is_stored(run, folder):
    before = contents(folder)

    said = run("threshold", folder, "--data", "dev.conll", "--recall", "0.999", code=1)

    assert "dev.conll: no setting keeps a recall of 99.9 % with 90 % confidence; the most is " in said
    assert len(said.splitlines()) == 1
    assert contents(folder) == before


def test_by_type_each_type_has_its_own_threshold_and_bound(run, folder):
    said = run("threshold", folder, "--data", "dev.conll", "--precision", "0.8", "--by_type").splitlines()

    point = json.loads((folder / "config.json").read_text())["operating_points"]["precision_0.8_by_type"]
    assert set(point["thresholds"]) <= {"LOC", "PER"}
    assert [line.split()[0] for line in said[2:5]] == ["LOC", "PER", "all"]
    promised = [float(line.split()[-1]) for line in said[2:4] if line.split()[-2] != "->"]
    assert promised
    assert min(promised) >= 80


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ([], 2, "give one of --precision and --recall"),
        (["--precision", "0.9", "--recall", "0.9"], 2, "give one of --precision and --recall"),
        (["--recall", "98"], 2, "--recall must be above 0 and below 1, got 98"),
        (["--recall", "0.9", "--by_type", "--in", "characters"], 2, "--by_type and --in characters exclude"),
        (["--recall", "0.9", "--check", "nowhere.conll"], 1, "nowhere.conll: no such file"),
    ],
)
def test_a_wrong_command_is_said_and_stores_nothing(run, folder, words, code, sentence):
    before = contents(folder)

    said = run("threshold", folder, "--data", "dev.conll", *words, code=code)

    assert sentence in " ".join(said.replace("│", "").split())
    assert contents(folder) == before


def test_too_few_entities_promise_nothing(run, folder, tmp_path):
    (tmp_path / "few.conll").write_text("Ada\tB-PER\nsang\tO\n\nrain\tO\n")

    said = run("threshold", folder, "--data", "few.conll", "--precision", "0.5", code=1)

    assert "few.conll: must hold more entities: a promise needs 20 in the three quarters of the sentences" in said
    assert said.endswith("got 1 in all of them\n")


def test_a_name_on_the_hub_is_refused(run):
    said = run("threshold", "someone/tagger", "--data", "dev.conll", "--recall", "0.9", code=1)

    assert "someone/tagger: must be a folder, since the operating point is stored in its config.json" in said


def test_a_stock_model_is_refused_since_its_configuration_has_no_operating_points(run, encoder_folder):
    before = contents(encoder_folder)

    said = run("threshold", encoder_folder, "--data", "dev.conll", "--recall", "0.9", code=1)

    assert "must be a finished tagger, got model_type 'bert': of a stock token classifier `bert-crf wrap" in said
    assert contents(encoder_folder) == before


def test_an_operating_point_that_the_model_has_not_is_refused_by_tag(run, folder):
    said = run("tag", folder, "--operating_point", "high", "Ada", code=1)

    assert "`operating_point` must be the name of one of `operating_points`, 'older', got 'high'" in said


# viterbi_calibration.json


def test_a_calibration_comes_back_as_it_was_written():
    biases = {name: number - 2.5 for number, name in enumerate(ZEROS)}
    file = {"operating_points": {"high": {"biases": biases}, "default": {"biases": ZEROS}}}
    points = operating_points_of(file)
    config = SimpleNamespace(operating_points=points, point=lambda name: points[name or "default"])

    assert points["high"]["biases"]["end_to_start"] == biases["transition_bias_end_to_start"]
    assert viterbi_calibration(config) == (file, [])


def test_what_a_calibration_has_no_place_for_is_said():
    point = {"biases": {"start_to_start": 0.5, "background_stay": -1.0}, "thresholds": {"X": 0.25}}
    config = SimpleNamespace(operating_points={"mine": point}, point=lambda name: {})

    written, notes = viterbi_calibration(config)

    assert written["operating_points"] == {
        "mine": {"biases": {**ZEROS, "transition_bias_background_stay": -1.0}},
        "default": {"biases": ZEROS},
    }
    assert notes == [
        "'mine': viterbi_calibration.json has no place for its thresholds {'X': 0.25} and for its bias "
        "start_to_start of +0.5"
    ]


@pytest.mark.parametrize(
    ("calibration", "message"),
    [
        ([], r"it must hold a dictionary `operating_points`, got \[\]"),
        ({"operating_points": {"default": 3}}, "'default' must hold a dictionary `biases`, got 3"),
        (
            {"operating_points": {"default": {"biases": dict(list(ZEROS.items())[1:])}}},
            "'transition_bias_background_stay' is missing",
        ),
        (
            {"operating_points": {"default": {"biases": {**ZEROS, "transition_bias_start": 1.0}}}},
            "'transition_bias_start' is none of them",
        ),
        (
            {"operating_points": {"default": {"biases": {**ZEROS, "transition_bias_end_to_start": math.inf}}}},
            "'default': the bias 'end_to_start' must be a finite number, got inf",
        ),
    ],
)
def test_a_wrong_calibration_is_refused(calibration, message):
    with pytest.raises(ValueError, match=message):
        operating_points_of(calibration)


def test_a_calibration_is_looked_for_on_the_hub_too(tmp_path, monkeypatch):
    asked = []

    def download(name, file, **hub):
        asked.append((name, file, hub))
        if name == "someone/without":
            raise EntryNotFoundError("404")
        return str(tmp_path / "downloaded")

    monkeypatch.setattr(viterbi, "hf_hub_download", download)
    (tmp_path / "downloaded").write_text(json.dumps({"operating_points": {"high": {"biases": ZEROS}}}))

    found = viterbi.read_operating_points("someone/with", revision="v1")

    assert list(found) == ["operating_points"]  # none is in force, since none is called "default"
    assert viterbi.read_operating_points("someone/without") == {}
    assert asked == [
        ("someone/with", "viterbi_calibration.json", {"revision": "v1"}),
        ("someone/without", "viterbi_calibration.json", {}),
    ]
