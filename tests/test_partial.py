"""Tags that are known in part only: from every door to the loss, and what of them is scored."""

import itertools
import json
import math
import pickle
import re
from types import SimpleNamespace

import oracle
import pytest
import torch
from conftest import LABELS
from typer.testing import CliRunner

import run_ner
from bert_crf_command.app import app
from modeling_bert_crf import BiLSTMCRFPipeline
from modeling_bert_crf.fitting.chains import tags_or_sets
from modeling_bert_crf.fitting.judging import judge
from modeling_bert_crf.fitting.likelihood import Chains, chain_of, nll_of, unfitted
from modeling_bert_crf.fitting.paths import Reader
from modeling_bert_crf.fitting.places import GoldPlaces
from modeling_bert_crf.readers.datasets import read_dataset
from modeling_bert_crf.readers.files import read_file
from modeling_bert_crf.readers.labelled import understand
from modeling_bert_crf.readers.partial import PartialTag, project
from modeling_bert_crf.readers.sentences import DataError, Sentence
from modeling_bert_crf.readers.units import Units
from modeling_bert_crf.reports.runs import read_judged
from modeling_bert_crf.schemes import constraints, tags_to_spans
from modeling_bert_crf.scores.metrics import score_tags
from modeling_bert_crf.training.arguments import parse_arguments
from modeling_bert_crf.training.calibration import entity_confidences
from modeling_bert_crf.training.dataset import StreamingTaggingDataset, TaggingCollator, TaggingDataset
from modeling_bert_crf.training.labels import choose_labels
from modeling_bert_crf.training.reading import read
from modeling_bert_crf.training.splits import read_splits


@pytest.fixture
def write(tmp_path):
    def make(name, text):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return make


def known_tags_of(path, **options):
    return [sentence.tags for sentence in understand(read_file(path, **options)).sentences]


def loss_of(model, tokenizer, sentences):
    """The model's loss of sentences, in nats for all of them, and its scores, through the program's own batches."""
    dataset = TaggingDataset(sentences, tokenizer, model.config.labels)
    batch = TaggingCollator(0)([dataset[row] for row in range(len(dataset))])
    output = model(**batch, num_items_in_batch=1)
    rows = [scores[mask.bool()] for scores, mask in zip(output.emissions, batch["word_mask"], strict=True)]
    return float(output.loss), rows


def expected_loss(model, emissions, sets):
    """By the definition: the paths that obey the rules, and those of them that agree with each word's set."""
    crf, labels = model.crf, model.config.labels
    rules = constraints(labels, "IOB2")
    scores = [crf.start_transitions, crf.end_transitions, crf.transitions]
    chain = oracle.Chain(emissions.tolist(), *(one.tolist() for one in scores), *rules)
    paths = {path: score for path, score in chain.paths().items() if score > -math.inf}
    agreeing = [s for path, s in paths.items() if all(labels[tag] in own for tag, own in zip(path, sets, strict=True))]
    return oracle.log_sum(paths.values()) - oracle.log_sum(agreeing)


ALL = set(LABELS)
SETS = [[{"B-PER"}, ALL, {"O", "B-PER"}, {"B-LOC"}], [ALL, {"I-PER"}, ALL - {"I-PER", "B-LOC"}]]
TEXT = "Ada\tB-PER\nLovelace\t_\nvisited\tB-PER|O\nParis\tB-LOC\n\nAda\t?\nLovelace\tI-PER\nin\t!I-PER|B-LOC\n"


@torch.no_grad()
def test_the_loss_of_a_file_is_that_of_all_taggings_that_agree_with_it(make_model, tokenizer, write):
    model = make_model().double()
    model.crf.double()

    loss, rows = loss_of(model, tokenizer, understand(read_file(write("a.conll", TEXT))).sentences)

    expected = sum(expected_loss(model, scores, sets) for scores, sets in zip(rows, SETS, strict=True))
    assert loss == pytest.approx(expected, abs=1e-9)


def everything_known(spelling):
    """Tags of the words Ada Lovelace met Bob, the second and third unknown, in a format."""
    return {
        "columns": ("a.conll", "Ada\tB-PER\nLovelace\t_\nmet\t?\nBob\tB-PER|O\n"),
        "minus a hundred": ("a.conll", "Ada\tB-PER\nLovelace\t-100\nmet\t-100\nBob\tO|B-PER\n"),
        "spelt otherwise": ("a.conll", "Ada\tPER_b\nLovelace\t_\nmet\t_\nBob\to|PER_b\n\nx\to\n"),
        "json": (
            "a.jsonl",
            json.dumps({"tokens": ["Ada", "Lovelace", "met", "Bob"], "tags": ["B-PER", None, -100, ["B-PER", "O"]]}),
        ),
        "json of ids": (
            "a.jsonl",
            json.dumps({"tokens": ["Ada", "Lovelace", "met", "Bob"], "ner_tags": [1, None, -100, [0, 1]]}),
        ),
        "conllu": (
            "a.conllu",
            "".join(
                f"{number}\t{word}" + "\t_" * 7 + f"\t{misc}\n"
                for number, (word, misc) in enumerate(
                    [("Ada", "name=B-PER|x=y"), ("Lovelace", "name=?"), ("met", "name=?"), ("Bob", "name=B-PER")], 1
                )
            ),
        ),
    }[spelling]


@pytest.mark.parametrize("spelling", ["columns", "minus a hundred", "spelt otherwise", "json", "json of ids"])
def test_what_is_unknown_is_read_from_every_file_of_words_and_tags(write, spelling):
    tags, *_ = known_tags_of(write(*everything_known(spelling)), labels=["O", "B-PER"] if "ids" in spelling else None)

    assert tags == ["B-PER", "_", "_", "B-PER|O"]
    assert tags[3].named == {"B-PER", "O"}


def test_in_conllu_an_item_may_be_unknown_and_a_word_without_items_is_outside(write):
    name, text = everything_known("conllu")

    assert known_tags_of(write(name, text)) == [["B-PER", "_", "_", "B-PER"]]


def test_free_labels_are_left_as_they_are_unless_their_parts_stand_alone(write):
    text = "a\tNOUN\nb\tVERB|NOUN\nc\tCase=Nom|Number=Sing\nd\tX|Y\ne\tVERB\nf\t!\n"

    assert known_tags_of(write("a.conll", text)) == [
        ["NOUN", PartialTag(["NOUN", "VERB"], False), "Case=Nom|Number=Sing", "X|Y", "VERB", "!"]
    ]


def test_a_data_set_and_parquet_hold_nulls_for_unknown_tags(tmp_path):
    import datasets

    rows = [{"tokens": ["Ada", "met", "Bob"], "ner_tags": [1, None, 0]}, {"tokens": ["x"], "ner_tags": [None]}]
    tags = datasets.List(datasets.ClassLabel(names=["O", "B-PER"]))
    dataset = datasets.Dataset.from_list(rows).cast_column("ner_tags", tags)
    dataset.to_parquet(tmp_path / "a.parquet")

    whole = [one.tags for one in read_dataset(dataset, "data")]

    assert whole == [["B-PER", "_", "O"], ["_"]]
    assert known_tags_of(tmp_path / "a.parquet", labels=["O", "B-PER"]) == whole


@pytest.mark.parametrize(
    ("name", "record"),
    [
        ("a.jsonl", {"text": "Ada Lovelace met Bob in Rome.", "entities": [[0, 3, "PER"], [24, 28, "LOC"]]}),
        ("b.json", ["Ada Lovelace met Bob in Rome.", {"entities": [[0, 3, "PER"], [24, 28, "LOC"]]}]),
    ],
)
def test_outside_of_reviewed_regions_only_the_entities_are_known(write, name, record):
    about = record[1] if isinstance(record, list) else record
    about["reviewed"] = [[13, 20]]

    tags = known_tags_of(write(name, json.dumps(record)))

    # Ada is known to end where it does; of Lovelace it is only known that it is no part of the same entity.
    assert tags == [["B-PER", "!I-PER", "O", "O", "_", "B-LOC", "!I-LOC"]]


@pytest.mark.parametrize("region", [[3], [5, 40], ["a", 2], [4, 2]])
def test_a_region_outside_of_the_text_is_refused(write, region):
    path = write("a.jsonl", json.dumps({"text": "Ada met Bob.", "entities": [], "reviewed": [region]}))

    with pytest.raises(DataError, match=r"a.jsonl:1: 'reviewed' must hold regions \[start, end\] of the text"):
        list(read_file(path))


def test_a_mark_that_a_text_is_reviewed_is_no_region(write):
    path = write("a.jsonl", json.dumps({"text": "Ada met Bob.", "entities": [[0, 3, "PER"]], "reviewed": False}))

    assert known_tags_of(path) == [["B-PER", "O", "O", "O"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\tB-PER\nb\tO\nc\tI-PER\nd\t_\n", r"a.conll:3: the tags must obey IOB2, got 'I-PER' after 'O'"),
        ("a\tB-PER\nb\tB-LOC|O\nc\tI-PER\n", r"a.conll:3: the tags must obey IOB2, got 'I-PER' after 'B-LOC\|O'"),
        ("a\tI-PER|I-LOC\nb\t_\nc\tB-PER\n", r"a.conll:1: .* got 'I-LOC\|I-PER' after the sentence's start"),
        ("a\t_\nb\tS-PER\nc\tB-PER|I-PER\n", r"a.conll:3: .* obey BIOES, got 'B-PER\|I-PER' at the sentence's end"),
    ],
)
def test_tags_that_leave_no_legal_tagging_are_refused_by_line_and_rule(write, text, message):
    with pytest.raises(DataError, match=message):
        known_tags_of(write("a.conll", text))


@pytest.mark.parametrize("text", ["a\t_\nb\tI-PER\n", "a\tB-PER|O\nb\tI-PER\n", "a\tB-PER\nb\t_\nc\tE-PER\n"])
def test_a_tag_that_continues_something_may_stand_beside_an_unknown_one(write, text):
    (tags,) = known_tags_of(write("a.conll", text + "\nx\tB-PER\ny\t_\n"))[:1]

    assert tags[-1] == text[-6:-1]


def test_repair_opens_what_continues_nothing_and_leaves_open_what_is_open(write):
    text = "a\tO\nb\tI-PER\nc\t_\n\nd\tB-PER\n"

    sentences, _, repairs = understand(read_file(write("a.conll", text)), repair_tags=True)

    assert sentences[0].tags == ["O", "B-PER", "_"]
    assert repairs == {"I-PER -> B-PER": 1}


def taggings(cells, tags, scheme):
    """Every legal path that agrees with the cells, as entities."""
    starts, ends, moves = constraints(tags, scheme)
    for path in itertools.product(range(len(tags)), repeat=len(cells)):
        legal = starts[path[0]] and ends[path[-1]] and all(moves[i][j] for i, j in itertools.pairwise(path))
        names = [tags[tag] for tag in path]
        if legal and all(
            c.allows(t) if isinstance(c, PartialTag) else c == t for c, t in zip(cells, names, strict=True)
        ):
            yield frozenset(tags_to_spans(names, scheme))


@pytest.mark.parametrize(
    ("cells", "exact"),
    [
        (["B-X", "_", "O"], True),
        (["_", "I-X", "_", "_"], True),
        (["O|B-X", "_", "I-Y"], True),
        (["!B-X|I-X", "_", "O", "B-Y"], True),
        (["B-X", "!I-X", "_"], True),
    ],
)
@pytest.mark.parametrize("target", ["BIOES", "BILOU", "IOB2"])
def test_in_another_scheme_the_same_taggings_are_possible(cells, exact, target):
    def parse(cell):
        if cell == "_":
            return PartialTag()
        return PartialTag(cell.removeprefix("!").split("|"), cell[0] == "!") if {*"!|"} & {*cell} else cell

    kinds = ["X", "Y", "Z"]
    cells = [parse(cell) for cell in cells]
    prefixes = {"IOB2": "BI", "BIOES": "BIES", "BILOU": "BILU"}

    written = project(cells, "IOB2", target)

    before, after = (
        set(taggings(own, ["O", *(f"{p}-{k}" for k in kinds for p in prefixes[scheme])], scheme))
        for own, scheme in ((cells, "IOB2"), (written, target))
    )
    assert before == after


def test_known_ends_of_entities_stay_known_in_iob2():
    assert project(["S-X", PartialTag(), PartialTag()], "BIOES", "IOB2") == ["B-X", "!I-X", "_"]


def test_iob1_is_seen_through_unknown_tags(write):
    text = "a\tI-X\nb\t_\nc\tB-X\nd\tI-X\n\ne\t_\nf\tI-X\n\ng\tI-X\nh\tB-X\n"

    assert understand(read_file(write("a.conll", text))).scheme == "IOB1"


def test_sub_tokens_of_an_unknown_word_are_unknown_and_those_of_a_set_have_sets():
    units = Units([0, 0, None, 1, 1, None, 2], 3)

    spread = units.spread(["B-X", PartialTag(), PartialTag(["O", "B-Y"], False)], "IOB2")

    assert spread == ["B-X", "I-X", "_", "_", "_", "_", "B-Y|O"]


def test_a_partial_tag_survives_a_worker():
    tag = pickle.loads(pickle.dumps(PartialTag(["O", "B-X"], False)))

    assert (tag, tag.named, tag.excluded) == ("B-X|O", {"O", "B-X"}, False)


def test_what_gold_tags_leave_open_is_not_scored():
    unknown = PartialTag()
    gold = [["B-PER", "I-PER", "O", unknown, "B-LOC", unknown], ["O", PartialTag(["B-PER", "I-PER"]), "O"]]
    # Right, unknown, unknown since the place may go on; wrong since PER is excluded, unknown, wrong.
    found = [["B-PER", "I-PER", "O", "B-LOC", "B-LOC", "O"], ["O", "B-PER", "B-LOC"]]

    scores = score_tags(gold, found, "IOB2")

    assert scores["strict"]["precision"] == pytest.approx(1 / 3)
    assert scores["strict"]["recall"] == 1
    assert scores["accuracy"] == pytest.approx(5 / 6)


def test_free_labels_are_scored_where_they_are_known():
    scores = score_tags([["NOUN", PartialTag(), "VERB"]], [["NOUN", "VERB", "NOUN"]], None)

    assert scores["accuracy"] == 0.5


def convert(source, target):
    form = {".txt": "pubtator"}.get(target.suffix)
    return CliRunner().invoke(app, ["convert", str(source), str(target), *(["--format", form] if form else [])])


def test_words_become_regions_of_a_text_and_regions_become_words_again(tmp_path, write):
    words = write("a.conll", "Ada\tB-PER\nLovelace\tI-PER\nmet\t!I-PER\nsome\t_\none\tO\nin\tO\n\nRome\tB-LOC\n\n")

    status = convert(words, tmp_path / "a.jsonl")
    again = convert(tmp_path / "a.jsonl", tmp_path / "b.conll")

    row = json.loads((tmp_path / "a.jsonl").read_text().splitlines()[0])
    assert (status.exit_code, again.exit_code) == (0, 0)
    assert row["reviewed"] == [[0, 12], [22, 28]]
    assert (tmp_path / "b.conll").read_text() == words.read_text()


@pytest.mark.parametrize(
    ("text", "target", "message"),
    [
        ("Ada\tB-PER\nmet\t_\n", "b.jsonl", r"a.conll:1: .* an entity whose end is known, .* got 'B-PER'"),
        ("Ada\tB-PER|O\nmet\tO\n\nx\tB-PER\n", "b.jsonl", r"a.conll:1: .* all or nothing, .* got 'B-PER\|O'"),
        ("Ada\tB-PER\nmet\tO\nBob\t_\n", "b.txt", r"must be written in a format that says .*, got pubtator"),
    ],
)
def test_what_a_format_cannot_say_is_not_lost(tmp_path, write, text, target, message):
    result = convert(write("a.conll", text), tmp_path / target)

    assert result.exit_code == 1
    assert re.search(message, " ".join(result.output.split()))
    assert not (tmp_path / target).exists()


@pytest.fixture
def two_corpora(tmp_path, command):
    """A run's options: one file is annotated for persons only, and another one, in part, for places and persons."""
    first = tmp_path / "people.conll"
    first.write_text("Ada\tB-PER\nvisited\tO\nParis\tO\n\n" * 3)
    (tmp_path / "train.conll").write_text("Paris\tB-LOC\nin\t_\nthe\tO\nrain\tB-LOC|O\n\n" * 3)
    (tmp_path / "test.conll").write_text("Ada\tB-PER\nvisited\tO\n\nAda\t_\nvisited\tO\n\n")
    files = [str(first), str(tmp_path / "train.conll")]
    return command(train_file=files, annotated_types=[files[0], "PER"], validation_file=None, do_eval=None)


def test_corpora_with_different_types_train_one_model_of_all_of_them(two_corpora):
    _, data, training = parse_arguments(two_corpora)

    train, test = read_splits(data, training).values()

    assert choose_labels(train, data) == ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    assert train.sentences[0].tags == ["B-PER", "!B-PER|I-PER", "!B-PER|I-PER"]
    assert train.sentences[3].tags == ["B-LOC", "_", "O", "B-LOC|O"]
    assert [one.tags for one in test.sentences] == [["B-PER", "O"], ["_", "O"]]


def test_a_run_on_partial_labels_says_how_many_words_it_does_not_know(two_corpora, tmp_path, capsys):
    run_ner.main(two_corpora)

    said, metrics = capsys.readouterr().out, json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert "train: 3 words have an unknown tag" in said
    assert "train: 9 words may have one of several tags, as by '!B-PER|I-PER'" in said
    assert metrics["data"]["test"] == {"sentences": 2, "words": 4, "entities": 1, "partly_known": 1}
    assert metrics["data"]["train"]["partly_known"] == 12
    assert metrics["scores"]["test"]["errors"]["gold"] == 1
    assert "(1 not fully known)" in (tmp_path / "out" / "README.md").read_text()
    assert [one.gold for one in read_judged(tmp_path / "out", metrics)] == [[(0, 1, "PER")], []]


def test_a_judge_leaves_out_what_nobody_knows(model, tokenizer):
    def predicted(tags):
        sentence = Sentence(["Ada", "visited", "Paris", "in"], tags, "x", [1] * 4)
        (judged,) = judge(BiLSTMCRFPipeline(model=model, tokenizer=tokenizer), [sentence])
        return judged.predicted

    assert predicted(["O"] * 4)
    assert predicted([PartialTag()] * 4) == []


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (["PER"], "must be pairs of a file and its types, got PER"),
        (["other.conll", "PER"], "must name each of .*train.conll.* once at most, and types .* got other.conll"),
        (["FILE", "PER", "FILE", "LOC"], "train.conll twice"),
        (["FILE", ","], "train.conll with ','"),
        (
            ["FILE", "LOC"],
            r"train.conll:1: the tag must be of one of the types LOC, which are annotated there, got 'B-P",
        ),
    ],
)
def test_annotated_types_that_do_not_fit_are_refused(files, command, error_of, said, message):
    words = [str(files / "train.conll") if word == "FILE" else word for word in said]

    assert re.search(message, error_of(command(annotated_types=words)))


@torch.no_grad()
def test_no_entity_that_nobody_knows_counts_in_the_calibration(model, tokenizer):
    def confidences(*tags):
        sentences = [Sentence(["Ada", "visited", "Paris", "in"], list(own), "x", [1] * 4) for own in tags]
        dataset = TaggingDataset(sentences, tokenizer, LABELS)
        return entity_confidences(model, read(model, dataset), 1.0)[0]

    outside, unknown, others = ["O"] * 4, [PartialTag()] * 4, [PartialTag(["B-LOC", "I-LOC", "B-PER", "I-PER"])] * 4

    found = confidences(outside)
    assert found
    assert confidences(unknown) == []
    assert confidences(others) == found  # no entity is there, even if it may be one of another type


def test_streamed_sentences_are_read_with_what_is_unknown_of_them(tmp_path, command):
    import datasets

    rows = [{"tokens": ["Ada", "met", "Bob"], "ner_tags": ["B-PER", "_", "B-PER|O"]}]
    datasets.DatasetDict(train=datasets.Dataset.from_list(rows)).save_to_disk(tmp_path / "data")
    (tmp_path / "a.conll").write_text("Ada\tB-PER\nmet\t_\nBob\tB-PER|O\n")
    streamed = {"streaming": True, "max_steps": 1, "label_list": ["O", "B-PER"], "do_eval": None, "do_predict": None}
    sources = [{"train_file": str(tmp_path / "a.conll")}, {"train_file": None, "dataset_name": str(tmp_path / "data")}]

    for source in sources:
        _, data, training = parse_arguments(command(validation_file=None, test_file=None, **streamed, **source))
        (sentence,) = read_splits(data, training)["train"].read()
        assert sentence.tags == ["B-PER", "_", "B-PER|O"]
        assert sentence.tags[2].named == {"B-PER", "O"}


def test_promises_do_not_count_what_nobody_knows():
    sentences = [
        Sentence(["Ada", "met"], ["B-PER", "O"], "x", [1, 2]),
        Sentence(["Bob", "saw", "it"], [PartialTag(), "O", PartialTag(["B-PER", "I-PER"])], "x", [3, 4, 5]),
    ]

    gold = GoldPlaces(sentences, "IOB2")

    assert gold.there == {(0, 3, "PER")}
    open_places = [(8, 11, "PER"), (9, 11, "PER"), (16, 18, "LOC"), (8, 15, "PER")]
    assert [gold.is_open(place) for place in open_places] == [True, True, True, False]
    assert not any(map(gold.is_open, [(0, 3, "PER"), (0, 3, "LOC"), (1, 3, "PER"), (12, 15, "PER"), (16, 18, "PER")]))


def test_a_fit_counts_and_learns_only_what_is_known(make_model):
    crf, labels = make_model().crf, LABELS
    cells = [
        ["B-PER", "I-PER", PartialTag(["I-PER"]), "O"],
        ["B-LOC", PartialTag(["O"], False), PartialTag(["O", "B-LOC"], False)],
    ]
    emissions = [torch.randn(len(own), len(labels), dtype=torch.float64) for own in cells]
    chains = Chains(emissions, [tags_or_sets(own, labels) for own in cells], cells)
    reader = Reader(labels, "IOB2", crf)
    paths = [torch.tensor([3, 4, 1, 0]), torch.tensor([1, 0, 1])]

    counts = reader.count(paths, reader.gold(chains))

    assert chains.known == 7
    assert [tuple(one) for one in counts] == [(1, 1, 1), (1, 1, 1)]
    sets = [[{"B-PER"}, {"I-PER"}, ALL - {"I-PER"}, {"O"}], [{"B-LOC"}, {"O"}, {"O", "B-LOC"}]]
    double = SimpleNamespace(crf=chain_of(unfitted(crf), crf), config=SimpleNamespace(labels=labels))
    expected = sum(expected_loss(double, scores, own) for scores, own in zip(emissions, sets, strict=True))
    assert nll_of(chains, crf, unfitted(crf)) * 7 == pytest.approx(expected, abs=1e-9)


def test_data_sets_of_one_s_own_know_what_is_known_in_part(tokenizer):
    sentences = [Sentence(["Ada", "visited", "Paris"], ["?", "!I-PER", "B-LOC|O"], "x", [1, 2, 3])]

    dataset = TaggingDataset(sentences, tokenizer, LABELS)
    streamed = next(iter(StreamingTaggingDataset(lambda: sentences, tokenizer, LABELS)))

    for row in (dataset[0], streamed):
        scored = [place for place, is_word in enumerate(row["word_mask"]) if is_word]
        assert [row["labels"][place] for place in scored] == [-100, -101, -101]
        assert row["tag_sets"][scored].int().tolist() == [[0] * 5, [1, 1, 1, 1, 0], [1, 1, 0, 0, 0]]
