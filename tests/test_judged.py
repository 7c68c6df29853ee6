"""Mistakes in their sentences: how probable what is right was held, how two taggers differ, what is shown of it."""

import json
import math
import random
from statistics import NormalDist

import pytest
import torch
from conftest import LABELS
from oracle import Chain
from typer.testing import CliRunner

from bert_crf_command.app import app
from modeling_bert_crf import BertBiLSTMCRFPipeline
from modeling_bert_crf.fitting.judging import judge
from modeling_bert_crf.readers.files import read_file
from modeling_bert_crf.readers.formats import read_documents
from modeling_bert_crf.readers.sentences import Sentence
from modeling_bert_crf.reports.errors import ReportError
from modeling_bert_crf.reports.mistakes import make_mistakes_page
from modeling_bert_crf.reports.page import make_report
from modeling_bert_crf.reports.runs import read_judged
from modeling_bert_crf.schemes import tags_to_spans
from modeling_bert_crf.scores.comparison import compare_taggers, found_by_one
from modeling_bert_crf.scores.intervals import paired_bootstrap
from modeling_bert_crf.scores.judged import Judged, choose, groups, mistakes_of
from modeling_bert_crf.scores.measures import measures
from modeling_bert_crf.scores.metrics import score_tags
from modeling_bert_crf.scores.overlaps import overlap_scores
from modeling_bert_crf.splitters import without_blanks
from modeling_bert_crf.training.dataset import TaggingDataset
from modeling_bert_crf.training.output_folder import OutputFolder
from modeling_bert_crf.training.reading import read


def sentence(words, tags, document="1", line=1):
    return Sentence(words.split(), tags.split(), "made.conll", list(range(line, line + len(tags.split()))), document)


# One document, and one of a single sentence; a type that no tagger here knows.
GOLD = [
    sentence("Ada Lovelace visited Paris", "B-PER I-PER O B-LOC"),
    sentence("the rain in Paris .", "B-WORK B-LOC O O O", line=6),
    sentence("Bo in rain", "B-LOC B-PER I-PER", "2", 12),
]


@pytest.fixture(scope="module")
def pipes(make_model, tokenizer):
    """Taggers whose chains run over words, and over sub-tokens."""
    return {
        unit: BertBiLSTMCRFPipeline(model=make_model(chain_unit=unit), tokenizer=tokenizer)
        for unit in ("word", "token")
    }


def chain_of(model, emissions):
    crf = model.crf
    scores = (crf.start_transitions, crf.end_transitions, crf.transitions)
    rules = (crf.allowed_starts, crf.allowed_ends, crf.allowed_transitions)
    return Chain(emissions.tolist(), *(one.tolist() for one in scores), *(one.tolist() for one in rules))


@pytest.mark.parametrize("unit", ["word", "token"])
def test_the_probability_of_a_missed_and_of_a_wrong_entity_is_the_share_of_the_taggings_that_hold_it(pipes, unit):
    pipe = pipes[unit]
    texts = pipe.preprocess([[one.words] for one in GOLD], True)  # each for itself; the model reads no context
    emissions = pipe.forward(texts)

    judged = judge(pipe, GOLD)

    assert [list(one.gold) for one in judged] == [tags_to_spans(one.tags, "IOB2") for one in GOLD]
    assert any({*one.gold} - {*one.predicted} for one in judged)
    assert any({*one.predicted} - {*one.gold} for one in judged)
    said = pipe([[one.words] for one in GOLD], is_split_into_words=True)
    for one, text, scores, entities in zip(judged, texts, emissions, said, strict=True):
        ends = [sum(len(word) + 1 for word in one.words[: index + 1]) - 1 for index in range(len(one.words))]
        found = {(each["start"], each["end"]) for each in entities}  # over sub-tokens also parts of words
        whole = {
            span for span in one.predicted if (ends[span[0]] - len(one.words[span[0]]), ends[span[1] - 1]) in found
        }
        shares = {span: [] for span in {*one.gold} - {*one.predicted} | whole}
        for path, log_probability in chain_of(pipe.model, scores).log_probabilities().items():
            places = [
                (*without_blanks(text.text, text.words[first][0], text.words[after - 1][1]), kind)
                for first, after, kind in tags_to_spans([LABELS[tag] for tag in path], "IOB2")
            ]
            for start, end, kind in shares:
                if (ends[start] - len(one.words[start]), ends[end - 1], kind) in places:
                    shares[start, end, kind].append(math.exp(log_probability))
        for span, parts in shares.items():
            assert one.probability(span) == pytest.approx(math.fsum(parts), abs=1e-5)
            assert (one.probability(span) > 0) == (span[2] != "WORK")


def test_a_gold_entity_is_written_as_a_classifier_of_iob1_writes_it(make_model, tokenizer):
    """There it begins with `I-`. Every word's tag is drawn by itself here, so that the probability is a product."""
    model = make_model(tag_scheme=None)
    with torch.no_grad():
        model.classifier.weight.zero_()
        model.classifier.bias.copy_(torch.tensor([1.0, -9, -9, -9, 2.0]))  # O, and I-PER
        for parameter in model.crf.parameters():
            parameter.zero_()
    pipe = BertBiLSTMCRFPipeline(model=model, tokenizer=tokenizer)

    (one,) = judge(pipe, [sentence("Ada Lovelace sang", "B-PER O O")])

    assert list(one.predicted) == [(0, 3, "PER")]
    inside = math.exp(2) / (math.exp(2) + math.exp(1))
    assert one.probability((0, 1, "PER")) == pytest.approx(inside * (1 - inside), abs=1e-3)


@pytest.mark.parametrize("unit", ["word", "token"])
def test_training_finds_the_same_probabilities_as_the_pipeline(pipes, unit):
    model = pipes[unit].model
    dataset = TaggingDataset(GOLD, pipes[unit].tokenizer, LABELS, chain_unit=unit)

    found = read(model, dataset).probabilities(model)

    for mine, one in zip(found, judge(pipes[unit], GOLD), strict=True):
        for span in {*one.gold, *one.predicted}:
            assert mine.get(span, 0.0) == pytest.approx(one.probability(span), abs=1e-5)


def test_an_entity_of_a_sentence_in_several_windows_stands_at_its_own_words(pipes):
    model = pipes["word"].model
    tags = ["O"] * 9 + ["B-PER", "I-PER"]
    long = Sentence(["rain"] * 11, tags, "made.conll", list(range(11)))
    dataset = TaggingDataset([GOLD[0], long], pipes["word"].tokenizer, LABELS, max_length=8)
    assert dataset.cut_sentences == 1

    found = read(model, dataset).probabilities(model)[1]

    assert (9, 11, "PER") in found
    assert all(0 <= start < end <= 11 for start, end, _ in found)


SURE = Judged(
    ["Ada", "saw", "New", "York", "in", "May"],
    [(0, 1, "PER"), (2, 4, "LOC")],
    [(2, 3, "LOC"), (5, 6, "PER")],
    {(0, 1, "PER"): 0.3, (2, 4, "LOC"): 0.25, (2, 3, "LOC"): 0.5, (5, 6, "PER"): 0.9},
    {(0, 1, "PER"), (2, 3, "LOC"), (5, 6, "PER")},
    "a:1",
)
MILD = Judged(["Ada"], [(0, 1, "PER")], [(0, 1, "LOC")], {(0, 1, "PER"): 0.2, (0, 1, "LOC"): 0.6}, set(), "a:9")
RIGHT = Judged(["Ada"], [(0, 1, "PER")], [(0, 1, "PER")], {(0, 1, "PER"): 0.4}, set(), "a:11")
UNKNOWN = Judged(["Bo"], [(0, 1, "PER")], [], None, None, "a:13")


def kinds_of(chosen):
    return [(judged.place, [one.kind for one in mistakes]) for judged, mistakes in chosen]


def test_the_worst_mistake_is_that_in_which_what_is_right_was_held_for_least_probable():
    assert [one.truth for one in mistakes_of(SURE)] == [0.3, 0.25, pytest.approx(0.1)]
    assert kinds_of(choose([UNKNOWN, MILD, RIGHT, SURE])) == [
        ("a:1", ["missed", "boundary", "spurious"]),
        ("a:9", ["type"]),
        ("a:13", ["missed"]),
    ]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"kinds": ["missed", "type"]}, [("a:1", ["missed"]), ("a:9", ["type"]), ("a:13", ["missed"])]),
        ({"types": ["LOC"]}, [("a:1", ["boundary"]), ("a:9", ["type"])]),
        ({"seen": True}, [("a:1", ["missed", "spurious"])]),
        ({"seen": False}, [("a:1", ["boundary"]), ("a:9", ["type"])]),
        ({"kinds": ["missed"], "types": ["LOC"]}, []),
    ],
)
def test_mistakes_are_chosen_by_kind_type_and_training(wanted, expected):
    assert sorted(kinds_of(choose([UNKNOWN, MILD, SURE], **wanted))) == sorted(expected)


def test_the_commonest_mistakes_come_first_and_in_each_the_worst():
    other = UNKNOWN._replace(words=["Ada"], place="a:15")

    first, *others = groups(choose([UNKNOWN, MILD, other, SURE]))

    assert (first.kind, first.gold, first.predicted) == ("missed", "PER", None)
    assert [judged.place for judged, _ in first.examples] == ["a:1", "a:13", "a:15"]
    assert first.often == [("Ada", 2)]
    assert {len(group.examples) for group in others} == {1}


def test_entities_in_part_are_counted_in_four_ways():
    gold = [[(0, 2, "PER"), (3, 4, "LOC")], [(1, 3, "LOC")], []]
    found = [[(0, 1, "PER"), (3, 4, "PER")], [(1, 3, "LOC")], [(0, 1, "PER")]]

    scores = overlap_scores(gold, found)

    # Of four found and three there: one wholly right, one of the right words, one with a word in common and its type.
    assert [scores[name]["precision"] for name in ("strict", "exact", "partial", "type")] == [
        1 / 4,
        2 / 4,
        2.5 / 4,
        2 / 4,
    ]
    assert [scores[name]["recall"] for name in ("strict", "exact", "partial", "type")] == [
        1 / 3,
        2 / 3,
        2.5 / 3,
        2 / 3,
    ]
    assert overlap_scores([[]], [[]])["strict"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0}


def test_nervaluate_and_seqeval_are_one_where_only_what_is_exact_counts():
    rng = random.Random(5)
    tags = ["O", "B-X", "I-X", "B-Y", "I-Y"]
    gold, mine = ([rng.choices(tags, k=3 + index % 5) for index in range(80)] for _ in range(2))
    mine = [one if rng.random() < 0.3 else other for one, other in zip(gold, mine, strict=True)]

    strict = score_tags(gold, mine, "IOB2")["strict"]
    measured = measures(gold, gold, mine, "IOB2")

    assert {name: strict[name] for name in ("precision", "recall", "f1")} == pytest.approx(
        measured["overlap"]["strict"]
    )


def test_a_paired_interval_and_its_p_value_are_those_of_the_normal_distribution():
    rng = random.Random(2)
    pairs = [(int(rng.random() < 0.72), int(rng.random() < 0.66)) for _ in range(900)]
    differences = [one - other for one, other in pairs]
    mean = sum(differences) / 900
    error = math.sqrt(sum((one - mean) ** 2 for one in differences)) / 900

    found = paired_bootstrap([(one, 1, 1) for one, _ in pairs], [(other, 1, 1) for _, other in pairs])

    assert found["difference"] == pytest.approx(mean)
    assert found["low"] == pytest.approx(mean - 1.96 * error, abs=0.1 * error)
    assert found["high"] == pytest.approx(mean + 1.96 * error, abs=0.1 * error)
    assert found["p_value"] == pytest.approx(1 - NormalDist().cdf(mean / error), abs=0.005)
    turned = paired_bootstrap([(other, 1, 1) for _, other in pairs], [(one, 1, 1) for one, _ in pairs])
    assert turned["p_value"] == found["p_value"]
    assert turned["difference"] == -found["difference"]


def test_a_system_is_no_better_than_itself():
    counts = [(1, 2, 3), (0, 1, 1)] * 9
    found = paired_bootstrap(counts, counts)
    assert (found["difference"], found["low"], found["high"], found["p_value"]) == (0.0, 0.0, 0.0, 1.0)


def test_what_one_of_two_taggers_finds_and_the_other_does_not():
    found = compare_taggers([SURE, MILD], [SURE._replace(predicted=[(0, 1, "PER")]), RIGHT])

    assert found["f1"] == [0.0, pytest.approx(2 * 2 / (2 + 3))]
    assert found["types"][""] == {
        "both": 0,
        "first": 0,
        "second": 2,
        "neither": 1,
        "first_wrong": 3,
        "second_wrong": 0,
    }
    assert found["types"]["LOC"] | {"neither": 1, "first_wrong": 2} == found["types"]["LOC"]
    alone = list(found_by_one([SURE], [SURE._replace(predicted=[(0, 1, "PER")])]))
    assert [(one.span, one.finder, one.right) for one in alone] == [
        ((0, 1, "PER"), 1, True),
        ((2, 3, "LOC"), 0, False),
        ((5, 6, "PER"), 0, False),
    ]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ([MILD, MILD], "both must be of the same sentences, got 1 and 2"),
        ([UNKNOWN], r"both must have the same words, got \['Ada'\] at a:9 and \['Bo'\] at a:13"),
        ([MILD._replace(gold=[])], r"both must have the same gold entities, got \[\(0, 1, 'PER'\)\] at a:9 and \[\]"),
    ],
)
def test_taggers_on_different_sentences_are_not_compared(other, message):
    with pytest.raises(ValueError, match=message):
        compare_taggers([MILD], other)


METRICS = {"labels": ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"], "scheme": "IOB2", "scores": {}, "model_name": "mine"}


@pytest.fixture
def run_folder(tmp_path):
    """The folder of a run that has judged SURE and MILD."""

    def make(name="run", judged=(SURE, MILD), metrics=METRICS):
        folder = OutputFolder(tmp_path / name)
        folder.write_json("metrics.json", metrics)
        sides = [[tags_of(one, side) for one in judged] for side in ("gold", "predicted")]
        rows = [
            Sentence(list(one.words), tags, "secret/place.conll", list(range(len(tags))))
            for one, tags in zip(judged, sides[0], strict=True)
        ]
        folder.write_predictions("predictions.conll", rows, sides[1])
        folder.write_entities("entities.jsonl", judged)
        return tmp_path / name

    return make


def tags_of(judged, side):
    tags = ["O"] * len(judged.words)
    for start, end, kind in getattr(judged, side):
        tags[start:end] = [f"B-{kind}", *[f"I-{kind}"] * (end - start - 1)]
    return tags


def test_a_run_leaves_what_was_found_and_beside_it_no_text(run_folder):
    folder = run_folder()

    found = read_judged(folder, METRICS)

    assert found == [
        SURE._replace(place="predictions.conll:1"),
        MILD._replace(place="predictions.conll:8"),
    ]
    said = (folder / "entities.jsonl").read_text()
    assert not [word for word in (*SURE.words, "place") if word in said]


def test_a_run_of_an_older_version_has_no_probabilities(run_folder):
    folder = run_folder()
    (folder / "entities.jsonl").unlink()

    assert [one.probability(one.gold[0]) for one in read_judged(folder, METRICS)] == [None, None]
    (folder / "predictions.conll").unlink()
    assert read_judged(folder, METRICS) is None


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            '{"sentence": 5, "start": 0, "end": 1, "type": "PER"}',
            "entities.jsonl:7: must name an entity of predictions",
        ),
        ('{"sentence": 1, "start": 0, "end": 1, "type": "X"}', "entities.jsonl:7: must name an entity of predictions"),
        (
            None,
            r"must name all entities of predictions.conll, got none for \(0, 1, 'PER'\) at predictions.conll:1",
        ),
    ],
)
def test_entities_of_another_run_are_refused(run_folder, row, message):
    folder = run_folder()
    lines = (folder / "entities.jsonl").read_text().splitlines()
    lines = [*lines, row] if row else lines[1:]
    (folder / "entities.jsonl").write_text("\n".join(lines) + "\n")

    with pytest.raises(ReportError, match=message):
        read_judged(folder, METRICS)


def test_the_report_shows_the_commonest_mistakes_first(run_folder):
    missed = UNKNOWN._replace(probabilities={(0, 1, "PER"): 0.2}, seen=set())
    folder = run_folder(judged=(SURE, MILD, missed))

    page = make_report(METRICS, read_judged(folder, METRICS))

    told = page.split("</style>")[1]
    assert told.index("PER missed</td>") < told.index("LOC with other borders</td>")
    assert told.index("<summary>PER missed") < told.index("<summary>LOC with other borders")
    assert "4 mistakes" not in told
    assert "5 mistakes in 3 of 3 sentences" in told
    assert "missed: &#34;Bo&#34; is PER (0.20); not seen in training" in told
    assert "secret" not in told
    assert "mistakes in sentences (of runs with --do_predict)" in make_report(METRICS)


def test_the_page_of_mistakes_is_switched_without_scripts_and_holds_markup_as_text(browser, tmp_path):
    hostile = "<img src=x onerror=alert(1)>"
    odd = MILD._replace(words=[hostile], seen=None, place=hostile)
    wide = SURE._replace(words=[*SURE.words[:-1], "x" * 300])
    chosen = choose([odd, wide])
    (tmp_path / "page.html").write_text(make_mistakes_page(chosen, 3, "Mistakes", hostile), encoding="utf-8")
    page = browser.new_page(viewport={"width": 390, "height": 600})
    done = []
    page.on("console", lambda message: done.append(message.text))
    page.goto((tmp_path / "page.html").as_uri())

    texts = page.locator("main p").evaluate_all("all => all.map(one => one.textContent)")
    assert texts == [" ".join(wide.words), hostile]
    assert page.locator("img, script").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    shown = page.locator("main li:visible")
    assert shown.count() == 4
    page.get_by_label("missed").uncheck()
    assert [text.split(":")[0] for text in shown.all_inner_texts()] == ["boundary", "spurious", "type"]
    page.get_by_label("PER").uncheck()  # a mistake with two types goes on being of the other one
    assert [text.split(":")[0] for text in shown.all_inner_texts()] == ["boundary", "type"]
    page.get_by_label("unknown").uncheck()
    assert page.locator("main article:visible").count() == 1
    assert done == []
    page.close()


def run(*words):
    return CliRunner().invoke(app, list(map(str, words)))


def test_a_run_shows_its_mistakes_in_json_lines(run_folder):
    result = run("errors", run_folder(), "--type", "LOC", "--in_training", "unseen")

    assert result.exit_code == 0, result.output
    rows = list(map(json.loads, result.stdout.splitlines()))
    assert [row["place"] for row in rows] == ["predictions.conll:8", "predictions.conll:1"]
    assert rows[1]["mistakes"] == [
        'boundary: "New York" is LOC (0.25), "New" found as LOC (0.50); not seen in training'
    ]
    assert [(one["word"], one["score"]) for one in rows[1]["predicted"]] == [("New", 0.5), ("May", 0.9)]
    assert [one["word"] for one in rows[1]["entities"]] == ["Ada", "New York"]
    assert "2 mistakes in 2 of 2 sentences" in result.stderr


def test_tasks_to_correct_hold_gold_and_found_entities_and_are_read_again(run_folder, tmp_path):
    result = run("errors", run_folder(), "--output", tmp_path / "tasks.json", "--limit", 1)

    assert result.exit_code == 0, result.output
    assert "; the worst 1 are shown" in result.stdout
    (task,) = json.loads((tmp_path / "tasks.json").read_text())
    (annotation,), (prediction,) = task["annotations"], task["predictions"]
    assert [one["value"]["text"] for one in annotation["result"]] == ["Ada", "New York"]
    assert [(one["value"]["text"], one["score"]) for one in prediction["result"]] == [("New", 0.5), ("May", 0.9)]
    assert prediction["score"] == pytest.approx(0.7)
    ids = [one["id"] for answer in (annotation, prediction) for one in answer["result"]]
    assert len(set(ids)) == 4
    (document,) = read_documents(tmp_path / "tasks.json")
    assert [(document.text[one.start : one.end], one.kind) for one in document.annotations] == [
        ("Ada", "PER"),
        ("New York", "LOC"),
    ]
    kinds = (tmp_path / "tasks.json.xml").read_text()
    assert kinds.count("<Label value=") == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["errors", "nowhere"], "nowhere is no folder: name the --output_dir of a run; or name GOLD as well"),
        (["errors", "RUN", "--train", "x.conll"], "--train and --operating_point need GOLD"),
        (["errors", "RUN", "--output", "x.txt"], "must end in .html, .jsonl, .json, or --format must say"),
        (["errors", "EMPTY"], "holds no predictions.conll, which a run with --do_predict leaves: name GOLD as well"),
        (
            ["errors", "OLD", "--in_training", "seen"],
            "nobody knows what stands in the training data: name GOLD and --tr",
        ),
        (["compare", "RUN", "OTHER"], "both must be of the same sentences, got 2 and 1"),
        (["evaluate", "RUN", "nowhere.conll"], "nowhere.conll: no such file"),
    ],
)
def test_a_mistake_of_the_user_ends_in_one_sentence(run_folder, words, message):
    folders = {"RUN": run_folder(), "OTHER": run_folder("other", [SURE]), "EMPTY": run_folder("empty")}
    folders["OLD"] = run_folder("old", [UNKNOWN])
    (folders["EMPTY"] / "predictions.conll").unlink()

    result = run(*(folders.get(word, word) for word in words))

    assert result.exit_code in (1, 2)
    assert message in " ".join(result.stderr.replace("│", " ").split())


def test_two_runs_are_compared_by_what_they_have_left(run_folder):
    first, second = run_folder(), run_folder("other", [SURE._replace(predicted=[(0, 1, "PER")]), RIGHT])

    result = run("compare", first, second)

    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].split() == f"{first} strict F1 0.00, 95 % interval 0.00 to 0.00".split()
    assert "-80.00, 95 % interval" in lines[2]
    assert "found by A alone, and wrong:" in lines
    assert "  Ada (PER), predictions.conll:1" in lines[lines.index("found by B alone, and right:") :]
    written = json.loads(run("compare", first, second, "--json").stdout)
    assert written["types"][""]["second"] == 2
    assert (
        written["found_by_one"][0] | {"words": "Ada", "probability": 0.3, "right": True} == written["found_by_one"][0]
    )


@pytest.fixture(scope="module")
def tagger_folder(pipes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("judged")
    pipes["word"].save_pretrained(folder / "tagger")
    lines = (f"{word}\t{tag}\n" for one in GOLD for word, tag in [*zip(one.words, one.tags, strict=True), ("", "")])
    (folder / "gold.conll").write_text("".join(lines).replace("\t\n", "\n"))
    (folder / "train.conll").write_text("Ada\tB-PER\nLovelace\tI-PER\n\n")
    return folder


def test_a_tagger_is_scored_on_a_file(tagger_folder, pipes, tmp_path):
    model, gold, train = (tagger_folder / name for name in ("tagger", "gold.conll", "train.conll"))
    result = run("evaluate", model, gold, "--train", train, "--json", "--output", tmp_path / "figures.json")

    assert result.exit_code == 0, result.output
    assert "the model has no tag for type 'WORK': its 1 entities are missed" in result.stderr
    scores = json.loads(result.stdout)
    assert scores == json.loads((tmp_path / "figures.json").read_text())
    judged = judge(pipes["word"], list(read_file(gold)))
    found = [(one.probability(span), span in one.gold) for one in judged for span in one.predicted]
    right = sum(correct for _, correct in found)
    assert scores["strict"]["f1"] == pytest.approx(2 * right / (len(found) + 6))
    assert scores["errors"]["gold"] == 6
    assert scores["forms"]["seen"]["gold"] == 1
    assert sum(one["count"] for one in scores["calibration"]["bins"]) == len(found)
    table = run("evaluate", model, gold).stdout
    assert "gold.conll       precision  recall      F1  entities" in table
    assert "95 % interval of the strict F1:" in table
    assert "right is the same words, a part counts half" in table


def test_a_tagger_shows_its_mistakes_on_a_file(tagger_folder, pipes):
    model, gold, train = (tagger_folder / name for name in ("tagger", "gold.conll", "train.conll"))
    result = run("errors", model, gold, "--train", train, "--format", "terminal")

    assert result.exit_code == 0, result.output
    judged = judge(pipes["word"], list(read_file(gold)))
    wrong = [one for one in judged if mistakes_of(one)]
    assert result.stdout.count(f"{gold}:") == len(wrong)
    assert all(" ".join(one.words) in result.stdout for one in wrong)
    assert '"the" is WORK (<0.01)' in result.stdout
    assert f"mistakes in {len(wrong)} of 3 sentences" in result.stdout
