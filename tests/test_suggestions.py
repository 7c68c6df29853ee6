"""What to label next, and what is labelled wrong."""

import itertools
import json
import math
import random
import shutil
import tempfile
from types import SimpleNamespace
from unittest.mock import Mock

import oracle
import pytest
import torch
from conftest import LABELS as LABELS_OF_TAGGER
from test_known_spans import LABELS, crf_of, score_of
from typer.testing import CliRunner

from bert_crf_command.app import app
from bert_crf_command.inputs import Item
from bert_crf_command.suggest import _chains
from modeling_bert_crf import BertBiLSTMCRFForTokenClassification, BertBiLSTMCRFPipeline
from modeling_bert_crf.opening.tagger import OpeningError, open_tagger
from modeling_bert_crf.readers.conversion import first_violation
from modeling_bert_crf.readers.partial import UNKNOWN_TAG
from modeling_bert_crf.readers.sentences import Sentence
from modeling_bert_crf.schemes import tags_to_spans
from modeling_bert_crf.suggestions import folds
from modeling_bert_crf.suggestions.doubts import Doubt, Judgement, judge
from modeling_bert_crf.suggestions.folds import folds_of
from modeling_bert_crf.suggestions.reading import Chain
from modeling_bert_crf.suggestions.recipe import Recipe, recipe_of
from modeling_bert_crf.suggestions.uncertainty import entities_of, uncertainty
from modeling_bert_crf.suggestions.variety import varied
from modeling_bert_crf.training.trainer import CRFTrainer


def model_of(scheme, crf):
    return SimpleNamespace(config=SimpleNamespace(labels=LABELS[scheme], span_scheme=scheme), crf=crf)


def taggings(length, scheme, crf):
    """Every legal tagging of a chain with random scores, with its probability, by enumeration; and the scores."""
    emissions = torch.randn(length, len(LABELS[scheme]), dtype=torch.float64)
    scores = {}
    for path in itertools.product(range(len(LABELS[scheme])), repeat=length):
        tags = [LABELS[scheme][tag] for tag in path]
        if first_violation(tags, scheme) is None:
            scores[path] = score_of(path, emissions.tolist(), crf)
    total = oracle.log_sum(scores.values())
    return emissions, {path: math.exp(score - total) for path, score in scores.items()}


def doubts_by_enumeration(gold, probabilities, scheme, paths=5):
    """The definition at the top of doubts.py, by lists of taggings."""
    labels = LABELS[scheme]
    read = {path: set(tags_to_spans([labels[tag] for tag in path], scheme)) for path in probabilities}

    def probability(holds):
        return math.fsum(p for path, p in probabilities.items() if holds(path))

    def empty(span):
        return probability(lambda path: all(labels[path[word]] == "O" for word in range(span[0], span[1])))

    def meets(one, other):
        return bool({*range(*one[:2])} & {*range(*other[:2])})

    best = sorted(probabilities, key=probabilities.get, reverse=True)[:paths]
    found = {span: probability(lambda path, own=span: own in read[path]) for path in best for span in read[path]}
    expected, taken = [], []
    for span in gold:
        there = {one: p for one, p in found.items() if one not in gold and meets(one, span)} | {None: empty(span)}
        other = max(there, key=there.get)
        expected.append((span, probability(lambda path, own=span: own in read[path]), other, there[other]))
    for span in sorted(found, key=found.get, reverse=True):
        if not any(meets(span, one) for one in [*gold, *taken]):
            taken.append(span)
            expected.append((None, empty(span), span, found[span]))
    return sorted(expected, key=lambda one: one[1])


@pytest.mark.parametrize("scheme", ["IO", "IOB2", "BIOES"])
def test_the_doubts_of_a_sentence_are_those_that_enumeration_finds(scheme):
    labels, rng = LABELS[scheme], random.Random(3)
    crf = crf_of(scheme)
    chains, expected = [], []
    for length in [1, 2, 3, 4, 5] * 4:
        emissions, probabilities = taggings(length, scheme, crf)
        gold = rng.choice(list(probabilities))
        tags = [labels[tag] for tag in gold]
        sentence = Sentence(["w"] * length, tags, "file", list(range(length)))
        chains.append(Chain(sentence, list(range(length)), tags, emissions, torch.tensor(gold)))
        best = tags_to_spans([labels[tag] for tag in max(probabilities, key=probabilities.get)], scheme)
        gap = math.log(max(probabilities.values()) / probabilities[gold])
        expected.append((doubts_by_enumeration(tags_to_spans(tags, scheme), probabilities, scheme), best, gap))

    found = judge(model_of(scheme, crf), chains)

    assert sum(len(one.doubts) for one in found) > 20
    for judgement, (other, best, gap) in zip(found, expected, strict=True):
        own = judgement.doubts
        assert [(one.gold, one.other) for one in own] == [(gold, rival) for gold, _, rival, _ in other]
        assert sorted(judgement.found) == sorted(best)
        figures = [figure for one in own for figure in (one.probability, one.other_probability)]
        assert figures == pytest.approx([p for _, one, _, two in other for p in (one, two)], abs=1e-9)
        assert judgement.improbability == pytest.approx(gap, abs=1e-9)


def test_an_entity_of_a_type_that_the_tagger_does_not_know_is_impossible():
    crf = crf_of("IOB2")
    tags = ["B-X", "B-NEW", "I-NEW"]
    sentence = Sentence(["a", "b", "c"], tags, "file", [1, 2, 3])
    chain = Chain(sentence, [0, 1, 2], tags, torch.zeros(3, 5).double(), torch.tensor([1, -100, -100]))

    found = judge(model_of("IOB2", crf), [chain])[0].doubts

    assert (found[0].gold, found[0].probability) == ((1, 3, "NEW"), 0.0)
    assert {one.gold for one in found} >= {(0, 1, "X")}


def test_where_nobody_knows_a_tag_nothing_is_doubted():
    crf = crf_of("IOB2")
    known, unknown = ["O", "B-X", "O"], [UNKNOWN_TAG, "B-X", "O"]
    emissions = torch.zeros(3, 5).double()
    emissions[0, 1] = emissions[2, 1] = 20  # the tagger is sure of three entities, each of one word
    emissions[1, 1] = 20
    found = []
    for tags in (known, unknown):
        sentence = Sentence(["a", "b", "c"], tags, "file", [1, 2, 3])
        chain = Chain(sentence, [0, 1, 2], tags, emissions, torch.tensor([0 if tags is known else -100, 1, 0]))
        found.append({(one.gold, one.other) for one in judge(model_of("IOB2", crf), [chain])[0].doubts})
    assert (None, (0, 1, "X")) in found[0]
    assert found[1] == found[0] - {(None, (0, 1, "X"))}


def test_a_doubt_over_sub_tokens_is_told_in_words():
    crf = crf_of(None)
    sentence = Sentence(["Oslo", "is"], ["X", "O"], "file", [1, 2])
    emissions = torch.tensor([[0.0, 9, 0], [0, 9, 0], [9, 0, 0], [9, 0, 0]]).double()
    chain = Chain(sentence, [0, 0, None, 1], ["X", "X", "O", "O"], emissions, torch.tensor([1, 1, 0, 0]))
    with torch.no_grad():
        for parameter in crf.parameters():
            parameter.zero_()

    judgement = judge(model_of(None, crf), [chain])[0]

    assert (0, 1, "X") in [one.gold for one in judgement.doubts]
    assert [*judgement.found] == [(0, 1, "X")]


def test_doubts_are_written_for_people_and_for_programs():
    words = ["in", "New", "York"]
    longer = Doubt((2, 3, "LOC"), 0.125, (1, 3, "LOC"), 0.75)
    missing = Doubt(None, 0.004, (1, 3, "LOC"), 0.5)

    assert longer.described(words) == "'York' is labelled LOC (0.12), rather 'New York' LOC (0.75)"
    assert missing.described(words) == "'New York' is not labelled (<0.01), rather LOC (0.50)"
    assert missing.as_row(words) == {
        "says": "'New York' is not labelled (<0.01), rather LOC (0.50)",
        "labelled": None,
        "probability": 0.004,
        "rather": {"entity_group": "LOC", "start": 3, "end": 11},
        "rather_probability": 0.5,
    }
    agreed = Doubt((1, 2, "LOC"), 0.75, None, 0.25)
    assert Judgement([agreed, agreed, longer], {}, 0.0).gravest == [agreed, longer]


def test_the_uncertainty_of_a_text_is_that_of_all_taggings_of_its_chains():
    crf = crf_of("IOB2")
    chains = [taggings(length, "IOB2", crf)[1] for length in (2, 3)]
    together = sorted((one * other for one in chains[0].values() for other in chains[1].values()), reverse=True)
    rankings = []
    for probabilities in chains:
        best = sorted(probabilities.values(), reverse=True)[:2]
        entropy = -math.fsum(p * math.log(p) for p in probabilities.values())
        rankings.append({"entropy": entropy, "paths": [{"probability": p, "entities": []} for p in best]})

    assert uncertainty(rankings, "entropy") == pytest.approx(-math.fsum(p * math.log(p) for p in together))
    assert uncertainty(rankings, "probability") == pytest.approx(1 - together[0])
    assert uncertainty(rankings, "margin") == pytest.approx(1 - together[0] + together[1])


def test_a_text_without_words_is_certain_and_one_without_a_likely_tagging_is_not():
    alone = [{"entropy": 0.0, "paths": [{"probability": 1.0, "entities": ["found"]}]}]
    lost = [{"entropy": 900.0, "paths": []}, *alone]

    for by in ("entropy", "probability", "margin"):
        assert uncertainty([], by) == uncertainty(alone, by) == 0
    assert [uncertainty(lost, by) for by in ("entropy", "probability", "margin")] == [900, 1, 1]
    assert entities_of(lost) == ["found"]


def test_near_copies_stand_behind_what_is_new():
    texts = [
        ["the", "rain", "in", "Oslo", "today"],
        ["page", "12", "of", "the", "report"],
        ["The", "Rain", "in", "Oslo"],  # 4 of 5 words are those of the first
        ["Page", "9", "of", "the", "report"],
        ["the", "snow", "on", "the", "mountain"],  # 1 of 9
        [],
    ]

    assert varied(texts, [2, 1, 0, 3, 4, 5]) == [2, 1, 4, 5, 0, 3]
    assert varied(texts, [0, 5, 2]) == [0, 5, 2]


def test_near_copies_are_those_that_a_comparison_of_all_pairs_finds():
    rng = random.Random(5)
    texts = [rng.choices("abcdefghijklmnopqrst", weights=range(20, 0, -1), k=rng.randint(1, 8)) for _ in range(200)]
    order = rng.sample(range(200), 200)
    first, copies = [], []
    for number in order:
        own = {*texts[number]}
        near = any(len(own & {*texts[other]}) >= 0.5 * len(own | {*texts[other]}) for other in first)
        (copies if near else first).append(number)

    assert 20 < len(first) < 180
    assert varied(texts, order) == first + copies


def test_documents_and_copies_stay_in_one_fold():
    def sentence(text, document="0", source="a"):
        words = text.split()
        return Sentence(words, ["O"] * len(words), source, [1] * len(words), document)

    by_document = [sentence(f"{word} {number}", str(number), "b") for number in range(6) for word in ("x", "y")]
    by_document += [sentence("and one", "", "b"), sentence("of none", "", "b")]
    alone = [sentence("It rained ."), sentence("it RAINED ."), *(sentence(f"Line {number}") for number in range(7))]

    dealt = folds_of(by_document + alone, 3)

    assert sorted(itertools.chain.from_iterable(dealt)) == list(range(23))
    assert {len(fold) for fold in dealt} <= {7, 8}
    fold_of = {number: index for index, fold in enumerate(dealt) for number in fold}
    assert all(fold_of[number] == fold_of[number + 1] for number in (0, 2, 4, 6, 8, 10, 14))
    # The two of no document need not stay together.
    assert any(sum({12, 13} <= {*fold} for fold in folds_of(by_document, 3, seed)) == 0 for seed in range(5))
    assert dealt == folds_of(by_document + alone, 3)
    with pytest.raises(ValueError, match=r"must be a document, or a sentence of its own, for each of 9 folds, got 8"):
        folds_of(alone, 9)


def test_a_tagger_reads_what_it_was_not_trained_on(monkeypatch):
    sentences = [Sentence([f"w{number}"], ["O"], "a", [number]) for number in range(7)]
    monkeypatch.setattr(folds, "train_tagger", lambda seen, *_: {one.lines[0] for one in seen})
    said = []

    found = list(
        folds.out_of_fold(sentences, None, None, Recipe("mine", {}, ""), [[1, 4], [0, 2, 3, 5, 6]], said.append)
    )

    assert found == [([1, 4], {0, 2, 3, 5, 6}), ([0, 2, 3, 5, 6], {1, 4})]
    assert said[0] == "fold 1 of 2: a tagger on mine is trained on 5 sentences, and reads 2"


@pytest.fixture(scope="module")
def tagger_folder(encoder_folder, tokenizer, tmp_path_factory):
    """A finished tagger whose head is scattered, with the facts of the run that made it."""
    folder = tmp_path_factory.mktemp("suggest") / "tagger"
    model = BertBiLSTMCRFForTokenClassification.from_encoder(str(encoder_folder), LABELS_OF_TAGGER, lstm_hidden_size=7)
    torch.manual_seed(2)
    with torch.no_grad():
        model.classifier.weight.normal_(std=2)
        for parameter in model.crf.parameters():
            parameter.normal_()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    settings = {"lstm_hidden_size": 7, "num_train_epochs": 2.0, "learning_rate": 0.003, "world_size": 2}
    settings |= {"gradient_accumulation_steps": 3, "max_steps": -1, "max_seq_length": None, "repair_tags": False}
    settings |= {"push_to_hub": True, "hub_model_id": "somebody/elses"}  # no setting that a run leaves there
    facts = {"base_model": "encoder", "hub": {"base_model": None}, "settings": settings}
    (folder / "metrics.json").write_text(json.dumps(facts))
    return folder


@pytest.fixture
def suggest(tagger_folder):
    """Run the command; return its standard output, or what it says if it must fail."""

    def run(*argv, code=0, stdin=""):
        result = CliRunner().invoke(app, ["suggest", str(tagger_folder), *map(str, argv)], input=stdin)
        assert result.exit_code == code, result.output
        return result.stdout if code == 0 else " ".join(result.output.split())

    return run


def rows(text):
    return [json.loads(line) for line in text.splitlines()]


def test_texts_come_most_uncertain_first_with_near_copies_behind(suggest, tagger_folder, tmp_path):
    texts = ["Ada visited Paris.", "the rain in Paris, yesterday", "The rain in Paris yesterday.", "b c"]
    file = tmp_path / "texts.txt"
    file.write_text("\n".join(texts))
    tagger = open_tagger(str(tagger_folder))
    chains = dict(zip(texts, tagger(texts, num_paths=2), strict=True))

    for by in ("entropy", "probability", "margin"):
        found = rows(suggest(file, "--by", by))
        expected = [texts[i] for i in varied([text.split() for text in texts], range(4))]
        assert {row["text"] for row in found} == {*texts}
        scores = [row["uncertainty"] for row in found]
        assert scores == pytest.approx([uncertainty(chains[row["text"]], by) for row in found], abs=1e-6)
        # The second and the third share four of five words; the less certain one of them comes last.
        assert found[-1]["text"] in expected[1:3]
        assert scores[:3] == sorted(scores[:3], reverse=True)
    entities = tagger(found[0]["text"])  # alone, so that scores may differ in the last digit
    assert found[0]["entities"] == [{**one, "score": pytest.approx(one["score"], abs=1e-6)} for one in entities]
    assert found[0].keys() == {"file", "line", "uncertainty", "text", "entities"}
    assert rows(suggest(file, "--by", "margin", "--most", 2)) == found[:2]


def test_suggested_texts_go_back_into_the_tool(suggest, tmp_path):
    file = tmp_path / "texts.conll"
    file.write_text("-DOCSTART- O\n\nAda O\nvisited O\n\nParis O\n\nin O\nthe O\nrain O\n")
    tasks = tmp_path / "tasks.json"

    suggest(file, "--format", "label-studio", "-o", tasks)
    found = json.loads(tasks.read_text())
    assert sorted(task["data"]["text"] for task in found) == ["Ada visited", "Paris", "in the rain"]
    scores = [task["data"]["uncertainty"] for task in found]
    assert scores == sorted(scores, reverse=True)
    assert all("predictions" in task for task in found)
    shown = suggest(file, "--format", "terminal", "--most", 1)
    assert shown.startswith(f"{file}:")
    assert f", entropy {scores[0]:.2f}  " in shown


def test_sentences_with_context_are_ranked_with_what_they_say_among_their_neighbours(make_model, tokenizer):
    model = make_model(context_size=20)
    tagger = BertBiLSTMCRFPipeline(model=model, tokenizer=tokenizer)
    documents = [[["Ada", "visited"], ["Paris", ",", "in"]], [["the", "rain"]]]
    items = [Item(words, document=(0, number)) for number, one in enumerate(documents) for words in one]

    found = list(_chains(tagger, items))

    for one, document in zip((found[:2], found[2:]), documents, strict=True):
        expected = tagger([document], is_split_into_words=True, num_paths=2)[0]
        assert [chain["entropy"] for (chain,) in one] == [chain["entropy"] for chain in expected]
    assert found[1] != next(_chains(tagger, items[1:2]))
    text = "Paris , in"
    entities = entities_of(found[1])
    assert entities
    assert all(text[entity["start"] : entity["end"]] == entity["word"] for entity in entities)


LABELLED = "Ada\tB-PER\nLovelace\tI-PER\nvisited\tO\nParis\tB-LOC\n\nin\tO\nthe\tO\nrain\tO\n\nParis\tB-PER\n"


@pytest.fixture
def labelled(tmp_path):
    path = tmp_path / "train.conll"
    path.write_text(LABELLED)
    return path


def test_labelled_sentences_come_most_improbable_first(suggest, labelled, tagger_folder):
    found = rows(suggest(labelled, "--labelled"))

    assert {(row["line"], row["text"]) for row in found} == {
        (1, "Ada Lovelace visited Paris"),
        (6, "in the rain"),
        (10, "Paris"),
    }
    scores = [row["improbability"] for row in found]
    assert scores == sorted(scores, reverse=True)
    alone = next(row for row in found if row["text"] == "Paris")
    assert [(one["entity_group"], one["start"], one["end"]) for one in alone["entities"]] == [("PER", 0, 5)]
    tagger = open_tagger(str(tagger_folder))
    paths = tagger([["Paris"]], is_split_into_words=True, num_paths=9)[0][0]["paths"]
    of = {one["entities"][0]["entity_group"]: one["probability"] for one in paths if one["entities"]}
    of["none"] = next(one["probability"] for one in paths if not one["entities"])
    rather = max(("LOC", "none"), key=of.get)
    assert alone["doubts"] == [
        {
            "says": alone["doubts"][0]["says"],
            "labelled": {"entity_group": "PER", "start": 0, "end": 5},
            "probability": pytest.approx(of["PER"], abs=1e-5),
            "rather": None if rather == "none" else {"entity_group": rather, "start": 0, "end": 5},
            "rather_probability": pytest.approx(of[rather], abs=1e-5),
        }
    ]
    assert [(one["word"], one["entity_group"]) for one in alone["predicted"]] in ([], [("Paris", max(of, key=of.get))])
    assert alone["improbability"] == pytest.approx(math.log(max(of.values()) / of["PER"]), abs=1e-4)
    assert len(rows(suggest(labelled, "--labelled", "--most", 1))) == 1


def test_labelled_sentences_are_shown_with_file_line_and_words(suggest, labelled, tmp_path):
    shown = suggest(labelled, "--labelled", "--format", "terminal").splitlines()

    assert f"{labelled}:10  Paris" in shown
    assert any(line.startswith("    'Paris' is labelled PER (0.") for line in shown)
    tasks = tmp_path / "tasks.json"
    suggest(labelled, "--labelled", "--format", "label-studio", "-o", tasks)
    task = next(one for one in json.loads(tasks.read_text()) if one["data"]["text"] == "Paris")
    assert [one["value"]["labels"] for one in task["annotations"][0]["result"]] == [["PER"]]
    assert task["predictions"][0]["model_version"] == "bert-crf suggest"
    assert (task["data"]["file"], task["data"]["line"]) == (str(labelled), 10)
    again = tmp_path / "again.conll"
    suggest(labelled, "--labelled", "-o", again)
    assert sorted(again.read_text().strip().split("\n\n")) == sorted(LABELLED.strip().split("\n\n"))


def test_the_settings_of_a_run_are_known(tagger_folder, encoder_folder, tmp_path):
    recipe = recipe_of(str(tagger_folder), encoder=str(encoder_folder))
    (_, _, training), options = recipe.arguments(tmp_path)

    assert recipe.source == "the settings of its run (metrics.json)"
    assert (training.num_train_epochs, training.learning_rate, training.gradient_accumulation_steps) == (2, 0.003, 6)
    assert {"num_train_epochs", "lstm_hidden_size", "learning_rate"} <= options.keys()
    assert (training.save_strategy, training.report_to) == ("no", [])
    assert {"max_steps", "max_seq_length", "world_size", "push_to_hub", "hub_model_id"}.isdisjoint(options)
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_began_on_the_hub_names_its_encoder(tagger_folder, tmp_path):
    facts = json.loads((tagger_folder / "metrics.json").read_text())
    folder = tmp_path / "copy"
    shutil.copytree(tagger_folder, folder)
    (folder / "metrics.json").write_text(json.dumps(facts | {"hub": {"base_model": "google-bert/bert-base-cased"}}))

    assert recipe_of(str(folder)).encoder == "google-bert/bert-base-cased"
    (folder / "metrics.json").write_text("[]")
    with pytest.raises(OpeningError, match=r"copy: its metrics.json cannot be read: it must hold a dictionary"):
        recipe_of(str(folder))
    (folder / "metrics.json").unlink()
    with pytest.raises(OpeningError, match=r"copy: it has no metrics.json of its run: name the encoder .* --encoder"):
        recipe_of(str(folder))
    assert recipe_of(str(folder), encoder="mine").source == "the program's settings"


def test_sentences_are_judged_by_taggers_that_have_not_seen_them(
    suggest, labelled, encoder_folder, tmp_path, monkeypatch
):
    seen, places = [], tmp_path / "temporary"
    places.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(places))
    train = CRFTrainer.train

    def watched(self, *args, **kwargs):
        seen.append({tuple(one.words) for one in self.train_dataset.sentences})
        assert list(places.iterdir()) != []
        assert (self.args.num_train_epochs, self.model.config.lstm_hidden_size) == (2, 7)
        return train(self, *args, **kwargs)

    monkeypatch.setattr(CRFTrainer, "train", watched)
    found = rows(suggest(labelled, "--labelled", "--folds", 2, "--encoder", encoder_folder))

    every = {("Ada", "Lovelace", "visited", "Paris"), ("in", "the", "rain"), ("Paris",)}
    assert {tuple(row["text"].split()) for row in found} == every
    assert sorted(map(len, seen)) == [1, 2]
    assert set.union(*seen) == every
    assert list(places.iterdir()) == []

    for error, code in ((MemoryError(), 1), (KeyboardInterrupt(), 130)):
        monkeypatch.setattr(CRFTrainer, "train", Mock(side_effect=error))
        said = suggest(labelled, "--labelled", "--folds", 2, "--encoder", encoder_folder, code=code)
        assert "the same command does it from the beginning" in said
        assert "Traceback" not in said
    assert list(places.iterdir()) == []


def test_what_cannot_be_suggested_is_said_in_one_sentence(suggest, labelled, tmp_path):
    assert "--folds is for --labelled sentences" in suggest(labelled, "--folds", 2, code=2)
    assert "--encoder is for --folds" in suggest(labelled, "--labelled", "--encoder", "x", code=2)
    assert "described by --data_format, not" in suggest(labelled, "--labelled", "--input_format", "conll", code=2)
    assert "cannot be written as html" in suggest(labelled, "--labelled", "--format", "html", code=2)
    assert "its run began with a folder that was called 'encoder': name the encoder" in suggest(
        labelled, "--labelled", "--folds", 2, code=1
    )
    said = suggest(labelled, "--labelled", "--folds", 4, "--encoder", "x", code=1)
    assert "--folds 4: there must be a document, or a sentence of its own, for each of 4 folds, got 3" in said
    assert "missing.conll: cannot be read" in suggest(tmp_path / "missing.conll", "--labelled", code=1)
