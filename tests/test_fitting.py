"""A chain fitted to labelled data, and biases on its paths."""

import copy
import itertools
import math
import random

import pytest
import torch
from transformers import AutoTokenizer, BertForTokenClassification, pipeline

from modeling_bert_crf import BertBiLSTMCRFForTokenClassification, BiLSTMCRFPipeline
from modeling_bert_crf.crf import LinearChainCRF
from modeling_bert_crf.fitting.chains import opens_inside, read_sentences
from modeling_bert_crf.fitting.choice import choose, difference_error, opening, store
from modeling_bert_crf.fitting.comparison import Row, StockPipeline, by_chain, by_stock_pipeline
from modeling_bert_crf.fitting.likelihood import ChainFit, Chains, chain_of, fit_chain, nll_of, scaled, unfitted
from modeling_bert_crf.fitting.paths import Counts, Reader, add
from modeling_bert_crf.fitting.places import places_of
from modeling_bert_crf.path_biases import MOVES, bias_scores, check_biases, check_operating_point, kind_of_move
from modeling_bert_crf.readers.sentences import Sentence
from modeling_bert_crf.schemes import constraints

LABELS = {
    "IOB2": ["O", "B-X", "I-X", "B-Y", "I-Y"],
    "BIOES": ["O", *(f"{prefix}-{kind}" for kind in "XY" for prefix in "BIES")],
    "IO": ["O", "I-X", "I-Y"],
    None: ["O", "X", "Y"],
}


def crf_of(scheme):
    labels = LABELS[scheme]
    crf = LinearChainCRF(len(labels))
    buffers = (crf.allowed_starts, crf.allowed_ends, crf.allowed_transitions)
    for buffer, rule in zip(buffers, constraints(labels, scheme), strict=True):
        buffer.copy_(torch.tensor(rule))
    return crf


def sampled(crf, count, temperature, seed=0):
    """Draw chains from a CRF whose emissions are then made too large or too small by a temperature."""
    generator = torch.Generator().manual_seed(seed)
    emissions, tags = [], []
    for index in range(count):
        scores = torch.randn(1, 1 + index % 7, crf.num_tags, dtype=torch.float64, generator=generator)
        mask = torch.ones(scores.shape[:2], dtype=torch.bool)
        emissions.append(scores[0] * temperature)
        tags.append(crf.sample(scores, mask, 1, generator)[0, 0])
    return Chains(emissions, tags)


@pytest.fixture(scope="module")
def true_crf():
    crf = crf_of("IOB2").double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in crf.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return crf


def test_a_fit_finds_the_temperature_and_is_as_likely_as_the_truth(true_crf):
    chains = sampled(true_crf, 700, temperature=2.5)

    fit = fit_chain(chains, crf_of("IOB2"), penalty=0.01)

    truth = unfitted(true_crf)._replace(temperature=2.5)
    assert fit.temperature == pytest.approx(2.5, rel=0.15)
    assert nll_of(chains, true_crf, fit) < nll_of(chains, true_crf, truth)  # on the very data that it was fitted to
    held = sampled(true_crf, 500, temperature=2.5, seed=5)
    assert nll_of(held, true_crf, fit) < nll_of(held, true_crf, truth) + 0.02


def test_the_fit_is_where_the_objective_has_no_slope(true_crf):
    chains, crf, penalty = sampled(true_crf, 60, temperature=1.0), crf_of("IOB2"), 0.7
    fit = fit_chain(chains, crf, penalty)

    def objective(fit):
        distance = sum(((one - other) ** 2).sum() for one, other in zip(fit[:3], unfitted(crf)[:3], strict=True))
        return nll_of(chains, crf, fit) * chains.known + penalty / 2 * float(distance + (1 / fit.temperature - 1) ** 2)

    best = objective(fit)
    generator = torch.Generator().manual_seed(3)
    for _ in range(20):
        step = [0.05 * torch.randn(one.shape, generator=generator, dtype=torch.float64) for one in fit[:3]]
        moved = fit._replace(
            start_transitions=fit.start_transitions + step[0],
            end_transitions=fit.end_transitions + step[1],
            transitions=fit.transitions + step[2],
        )
        assert objective(moved) > best
        assert objective(fit._replace(temperature=fit.temperature * (1 + 0.05 * float(step[0][0])))) >= best - 1e-6


@pytest.mark.parametrize("penalty", [0.3, 30.0])
def test_at_the_fit_each_score_pulls_as_much_as_its_penalty_holds(true_crf, penalty):
    """The derivatives of likelihood and penalty add up to 0, also that of the emissions' factor."""
    chains, crf = sampled(true_crf, 40, temperature=2.0), crf_of("IOB2")
    fit = fit_chain(chains, crf, penalty)

    chain, factor = chain_of(fit, crf), torch.tensor(1 / fit.temperature, dtype=torch.float64, requires_grad=True)
    for emissions, tags in zip(chains.emissions, chains.tags, strict=True):
        chain(emissions[None] * factor, tags[None], torch.ones(1, len(tags), dtype=torch.bool)).sum().backward()

    for scores, now, before in zip(chain.parameters(), fit[:3], unfitted(crf)[:3], strict=True):
        assert (now - before).abs().max() > 0.01
        assert (scores.grad + penalty * (now - before)).abs().max() < 0.01
    assert abs(float(factor.grad) + penalty * (1 / fit.temperature - 1)) < 0.01


def test_where_the_search_begins_makes_no_difference(true_crf):
    chains, crf = sampled(true_crf, 40, temperature=2.0), crf_of("IOB2")
    elsewhere = unfitted(true_crf)._replace(temperature=3.0)

    fit, other = fit_chain(chains, crf, 5.0), fit_chain(chains, crf, 5.0, start=elsewhere)

    for one, same in zip(fit, other, strict=True):
        torch.testing.assert_close(torch.as_tensor(one), torch.as_tensor(same), rtol=0, atol=1e-2)


def test_a_fit_begins_at_the_scores_that_the_chain_uses(true_crf):
    crf = copy.deepcopy(true_crf)
    crf.temperature = 2.0
    for scores, own in zip(unfitted(crf)[:3], true_crf.parameters(), strict=True):
        torch.testing.assert_close(scores, own.detach().double() / 2)


def test_with_the_penalty_at_infinity_the_chain_is_as_it_was(true_crf):
    fit = fit_chain(sampled(true_crf, 20, 2.0), true_crf, math.inf)

    assert fit.temperature == 1.0
    for one, other in zip(fit[:3], unfitted(true_crf)[:3], strict=True):
        assert one.equal(other)


def test_a_temperature_of_all_scores_changes_no_path_and_every_probability(true_crf):
    chains = sampled(true_crf, 50, temperature=3.0)
    reader = Reader(LABELS["IOB2"], "IOB2", true_crf)
    fit = unfitted(true_crf)

    hot = scaled(fit, 2.5)

    paths = reader.paths(chains, fit, {})
    assert all(one.equal(other) for one, other in zip(reader.paths(chains, hot, {}), paths, strict=True))
    pairs = zip(reader.confidences(chains, hot, paths), reader.confidences(chains, fit, paths), strict=True)
    assert all(one != other and right == was for (one, right), (other, was) in pairs)
    # What it means: each path's score is divided.
    emissions, tags, mask = chains.emissions[6][None], paths[6][None], torch.ones(1, 7, dtype=torch.bool)
    score = chain_of(fit, true_crf).path_score(emissions, tags, mask)
    assert chain_of(hot, true_crf).path_score(emissions / 2.5, tags, mask).item() == pytest.approx(score.item() / 2.5)


@pytest.mark.parametrize(
    ("chains", "message"),
    [
        (Chains([torch.zeros(2, 5).double()], [torch.tensor([-100, -100])]), "must have a tag that is known"),
        (Chains([torch.zeros(2, 5).double()], [torch.tensor([0, 2])]), "must obey the rules of the CRF"),
    ],
    ids=["unknown", "illegal"],
)
def test_chains_that_cannot_be_fitted_are_refused(chains, message):
    with pytest.raises(ValueError, match=message):
        fit_chain(chains, crf_of("IOB2"), 1.0)


def bias_of_path(tags, scheme, biases):
    """Add the biases of a path up by the definition of the moves, one by one."""
    total = biases["start_to_start"] * (tags[0] != "O")
    for before, tag in itertools.pairwise(tags):
        kind, other = before[2:] or before, tag[2:] or tag
        goes_on = before != "O" and kind == other and tag[0] not in "BS"
        goes_on = goes_on and not (scheme == "BIOES" and before[0] in "ES")
        if before == "O":
            total += biases["background_stay" if tag == "O" else "background_to_start"]
        elif tag == "O":
            total += biases["end_to_background"]
        elif goes_on:
            total += biases["inside_to_end" if scheme == "BIOES" and tag[0] == "E" else "inside_to_continue"]
        else:
            total += biases["end_to_start"]
    return total


@pytest.mark.parametrize("scheme", LABELS, ids=str)
def test_paths_with_biases_are_those_of_an_independent_search(scheme):
    labels, crf = LABELS[scheme], crf_of(scheme)
    rng, generator = random.Random(4), torch.Generator().manual_seed(4)
    starts, ends, moves = constraints(labels, scheme)
    for _ in range(60):
        length = rng.randint(1, 4)
        emissions = torch.randn(length, len(labels), dtype=torch.float64, generator=generator)
        biases = {name: rng.uniform(-2, 2) for name in MOVES}
        best, best_score = None, -math.inf
        for path in itertools.product(range(len(labels)), repeat=length):
            legal = starts[path[0]] and ends[path[-1]] and all(moves[a][b] for a, b in itertools.pairwise(path))
            score = sum(emissions[t, tag].item() for t, tag in enumerate(path))
            score += bias_of_path([labels[tag] for tag in path], scheme, biases)
            if legal and score > best_score:
                best, best_score = path, score

        extra = tuple(map(torch.tensor, bias_scores(labels, scheme, biases)))
        found = crf.decode(emissions[None], torch.ones(1, length, dtype=torch.bool), extra)

        assert tuple(found[0][0].tolist()) == best
        assert float(found[1]) == pytest.approx(best_score, abs=1e-5)


@pytest.mark.parametrize("scheme", ["IO", "IOB2", "BIOES"])
def test_ten_thousand_chains_with_biases_get_the_paths_of_a_loop(scheme):
    labels, crf = LABELS[scheme], crf_of(scheme)
    tags = range(len(labels))
    rng, generator = random.Random(7), torch.Generator().manual_seed(7)
    starts, ends, moves = constraints(labels, scheme)
    for _ in range(20):
        biases = {name: rng.uniform(-2, 2) for name in MOVES}
        first = [bias_of_path([label], scheme, biases) for label in labels]
        added = [
            [bias_of_path([one, two], scheme, biases) - first[i] for two in labels] for i, one in enumerate(labels)
        ]
        lengths = torch.randint(1, 8, (500,), generator=generator)
        mask = torch.arange(7) < lengths[:, None]
        emissions = torch.randn(500, 7, len(labels), dtype=torch.float64, generator=generator)
        extra = tuple(map(torch.tensor, bias_scores(labels, scheme, biases)))

        paths, scores = crf.decode(emissions, mask, extra)

        for row, length, path, score in zip(
            emissions.tolist(), lengths.tolist(), paths.tolist(), scores.tolist(), strict=True
        ):
            best = {tag: (row[0][tag] + first[tag], [tag]) for tag in tags if starts[tag]}
            for own in row[1:length]:
                best = {
                    tag: max((s + added[p[-1]][tag] + own[tag], [*p, tag]) for s, p in befores)
                    for tag in tags
                    if (befores := [one for before, one in best.items() if moves[before][tag]])
                }
            expected, found = max(one for tag, one in best.items() if ends[tag])
            assert path[:length] == found
            assert score == pytest.approx(expected, abs=1e-5)  # biases are kept in float32


def test_what_does_not_gain_on_other_folds_is_not_stored():
    free = crf_of("IOB2")
    chosen = choose(sampled(free, 200, temperature=1.0), free, LABELS["IOB2"], "IOB2")

    assert chosen.chosen.penalty == math.inf
    assert not any(scores.any() for scores in chosen.fit[:3])
    assert chosen.fit.temperature == pytest.approx(1.0, rel=0.25)  # the truth; only the temperature is fitted


def test_what_gains_on_other_folds_is_stored(true_crf):
    free = crf_of("IOB2")
    chosen = choose(sampled(true_crf, 900, temperature=2.0), free, LABELS["IOB2"], "IOB2")

    as_it_is = chosen.candidates[0]
    assert as_it_is.name == "as it is"
    assert chosen.chosen.penalty < math.inf
    assert chosen.chosen.f1 > as_it_is.f1 + 0.05
    test = sampled(true_crf, 300, temperature=2.0, seed=9)
    reader = Reader(LABELS["IOB2"], "IOB2", free)

    def f1(fit, biases):
        return add(reader.count(reader.paths(test, fit, biases), reader.gold(test))).f1

    assert f1(chosen.fit, chosen.biases) > f1(unfitted(free), {}) + 0.05


def test_of_equally_good_candidates_the_most_cautious_is_kept(true_crf):
    """With one penalty three times there is nothing to choose between."""
    free = crf_of("IOB2")
    chosen = choose(sampled(true_crf, 60, 1.0), free, LABELS["IOB2"], "IOB2", penalties=(5.0, 5.0, 5.0))

    assert chosen.chosen in chosen.candidates[:2]  # without a bias or with one


def test_the_error_of_a_difference_of_f1s_is_that_of_resampled_sentences():
    rng = random.Random(0)
    counts, others = [], []
    for _ in range(400):
        gold = rng.randint(0, 3)
        for some in (counts, others):
            correct = rng.randint(0, gold)
            some.append(Counts(correct, correct + rng.randint(0, 2), gold))

    differences = []
    for _ in range(1500):
        drawn = [rng.randrange(400) for _ in range(400)]
        differences.append(add([counts[i] for i in drawn]).f1 - add([others[i] for i in drawn]).f1)
    mean = sum(differences) / 1500
    resampled = math.sqrt(sum((one - mean) ** 2 for one in differences) / 1499)

    assert difference_error(counts, others) == pytest.approx(resampled, rel=0.1)
    assert difference_error(counts, counts) == 0


def test_a_bias_on_opening_finds_more_entities():
    crf, labels = crf_of("IOB2"), LABELS["IOB2"]
    chains = sampled(crf.double(), 80, temperature=1.0)
    reader = Reader(labels, "IOB2", crf)

    predicted = [
        add(reader.count(reader.paths(chains, unfitted(crf), opening(bias)), reader.gold(chains))).predicted
        for bias in (-2.0, 0.0, 2.0)
    ]

    assert predicted[0] < predicted[1] < predicted[2]


def test_counts_are_precision_recall_and_f1():
    counts = Counts(correct=3, predicted=4, gold=6)

    assert (counts.precision, counts.recall, counts.f1) == (0.75, 0.5, 0.6)


def test_chain_of_a_fit_keeps_the_rules():
    crf = crf_of("BIOES")

    assert chain_of(unfitted(crf), crf).allowed_transitions.equal(crf.allowed_transitions)


def test_moves_have_the_kinds_that_the_privacy_filter_names():
    assert kind_of_move("O", "S-X", "BIOES") == "background_to_start"
    assert kind_of_move("B-X", "I-X", "BIOES") == "inside_to_continue"
    assert kind_of_move("I-X", "E-X", "BIOES") == "inside_to_end"
    assert kind_of_move("E-X", "B-X", "BIOES") == "end_to_start"
    assert kind_of_move("S-X", "O", "BIOES") == "end_to_background"
    assert kind_of_move(None, "O", "BIOES") is None


@pytest.mark.parametrize(
    ("biases", "message"),
    [
        ({"stay": 1.0}, "a bias must be one of background_stay, .*, got 'stay'"),
        ({"background_stay": math.nan}, "the bias 'background_stay' must be a finite number, got nan"),
        ([], r"biases must be a dictionary, got \[\]"),
    ],
)
def test_wrong_biases_are_refused(biases, message):
    with pytest.raises(ValueError, match=message):
        check_biases(biases)


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ({"bias": {}}, "must name a dictionary of `biases` and `thresholds`"),
        ({"thresholds": {"Z": 0.5}}, "a threshold must be of one of the types X, Y, got 'Z'"),
        ({"thresholds": {"X": 1.5}}, "the threshold of 'X' must be from 0 to 1, got 1.5"),
        ({"biases": {"stay": 1}}, "`operating_points`: 'high': a bias must be one of"),
    ],
)
def test_wrong_operating_points_are_refused(point, message):
    with pytest.raises(ValueError, match=message):
        check_operating_point("high", point, ["X", "Y"])


def test_places_are_characters_of_the_words_joined_by_blanks():
    assert places_of(["Ada", "met", "Bo", "Li"], [(0, 1, "PER"), (2, 4, "PER")]) == {(0, 3, "PER"), (8, 13, "PER")}


TAGS = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
DATA = [
    ("Ada Lovelace visited Paris in the rain", "B-PER I-PER O B-LOC O O O"),
    ("yesterday", "O"),
    ("Charles wrote to Ada , Ada in Paris", "B-PER O O B-PER O B-PER O B-LOC"),
    ("the rain in the rain in the rain in Lovelace", "O O O O O O O O O B-PER"),
] * 5
GOLD = [
    {(0, 12, "PER"), (21, 26, "LOC")},
    set(),
    {(0, 7, "PER"), (17, 20, "PER"), (23, 26, "PER"), (30, 35, "LOC")},
    {(36, 44, "PER")},
]


def sentences_of(data):
    return [
        Sentence(words.split(), tags.split(), "data.conll", list(range(len(words.split())))) for words, tags in data
    ]


@pytest.fixture
def stock_folder(encoder_folder, tmp_path):
    """A stock classifier that knows nothing, with sub-tokens that disagree."""

    def make(bias=None):
        names = {"id2label": dict(enumerate(TAGS)), "label2id": {tag: index for index, tag in enumerate(TAGS)}}
        torch.manual_seed(8)
        model = BertForTokenClassification.from_pretrained(encoder_folder, **names)
        with torch.no_grad():
            model.classifier.weight.normal_(std=0.4)
            model.classifier.bias.copy_(torch.randn(5) if bias is None else torch.tensor(bias))
        model.save_pretrained(tmp_path / "stock")
        AutoTokenizer.from_pretrained(encoder_folder).save_pretrained(tmp_path / "stock")
        return str(tmp_path / "stock")

    return make


@pytest.fixture
def wrapped(stock_folder):
    def make(**config):
        folder = stock_folder(config.pop("bias", None))
        model = BertBiLSTMCRFForTokenClassification.from_tagger(folder, **config)
        return BiLSTMCRFPipeline(model=model, tokenizer=AutoTokenizer.from_pretrained(folder))

    return make


def test_rows_of_the_stock_pipeline_are_what_it_finds_when_it_is_called(stock_folder):
    folder, sentences = stock_folder(), sentences_of(DATA)
    rows = by_stock_pipeline(pipeline("ner", model=folder, pipeline_class=StockPipeline), sentences, "IOB2")

    host = pipeline("ner", model=folder)
    assert [row.name for row in rows] == [f"stock pipeline, {one}" for one in ("simple", "first", "average", "max")]
    for row in rows:
        strategy, scores, correct = row.name.split(", ")[1], [], 0
        for index, (text, _) in enumerate(DATA):
            for one in host(text, aggregation_strategy=strategy):
                correct += (one["start"], one["end"], one["entity_group"]) in GOLD[index % 4]
                scores.append(float(one["score"]))
        assert row.counts == Counts(correct, len(scores), 35)
        assert [score for score, _ in row.confidences] == pytest.approx(scores, abs=1e-5)
        assert sum(right for _, right in row.confidences) == correct
    assert len({row.counts for row in rows}) > 1


def test_the_row_of_a_chain_is_what_our_pipeline_finds_in_words(wrapped):
    tagger, sentences = wrapped(), sentences_of(DATA)
    reading = read_sentences(tagger, sentences, "IOB2")
    reader = Reader(TAGS, "IOB2", tagger.model.crf)

    row = by_chain("chain", reading.chains, reader, unfitted(tagger.model.crf), {})

    found = tagger([sentence.words for sentence in sentences], is_split_into_words=True)
    assert row.counts.predicted == sum(map(len, found)) > 0
    scores = sorted(one["score"] for text in found for one in text)
    assert sorted(score for score, _ in row.confidences) == pytest.approx(scores, abs=1e-5)


def test_what_is_kept_of_a_fit_is_what_a_model_then_does(wrapped):
    tagger, sentences = wrapped(), sentences_of(DATA)
    reading = read_sentences(tagger, sentences, "IOB2")
    torch.manual_seed(7)
    fit = ChainFit(torch.randn(5).double(), torch.randn(5).double(), torch.randn(5, 5).double(), 1.7)
    choice = choose(reading.chains, tagger.model.crf, TAGS, "IOB2", penalties=(math.inf,))
    choice = choice._replace(fit=fit, biases=opening(1.25))
    reader = Reader(TAGS, "IOB2", tagger.model.crf)
    expected = by_chain("chain", reading.chains, reader, choice.fit, choice.biases)

    store(tagger.model, choice)

    found = tagger([sentence.words for sentence in sentences], is_split_into_words=True)
    scores = sorted(one["score"] for text in found for one in text)
    assert scores == pytest.approx(sorted(score for score, _ in expected.confidences), abs=1e-5)
    assert tagger.model.config.operating_point == "f1"


IOB1 = [0.0, -9.0, 1.0, -9.0, 1.0]
"""Biases of a classifier that hardly ever says B-."""


def test_a_classifier_of_iob1_gets_gold_tags_as_it_writes_them(wrapped):
    touching = [*DATA, ("Ada Lovelace Ada", "B-PER I-PER B-PER")]
    reading = read_sentences(wrapped(bias=IOB1, tag_scheme=None), sentences_of(touching), "IOB2")

    assert opens_inside(reading.tags)
    assert reading.sentences[0].tags == ["B-PER", "I-PER", "O", "B-LOC", "O", "O", "O"]
    assert reading.chains.tags[0].tolist() == [4, 4, 0, 2, 0, 0, 0]
    assert reading.chains.tags[-1].tolist() == [4, 4, 3]
    plain = read_sentences(wrapped(bias=[0.0, 1.0, -9.0, 1.0, -9.0]), sentences_of(touching), "IOB2")
    assert plain.chains.tags[-1].tolist() == [3, 4, 3]


def test_a_row_is_a_line_of_the_table():
    row = Row("some way", Counts(3, 4, 6), 2, [(1.0, True), (0.5, True), (0.5, False)])

    assert row.line().split() == ["some", "way", "75.00", "50.00", "60.00", "2", "0.000"]


def test_gold_tags_of_a_chain_over_sub_tokens_have_one_for_each(wrapped):
    tagger = wrapped(chain_unit="token", bias=[0.0, 1.0, -9.0, 1.0, -9.0])
    sentences = sentences_of(DATA)
    reading = read_sentences(tagger, sentences, "IOB2")

    for sentence, gold, tags, scores in zip(
        sentences, reading.gold, reading.chains.tags, reading.chains.emissions, strict=True
    ):
        pieces = [tagger.tokenizer.tokenize(word) for word in sentence.words]
        expected = [
            f"I{tag[1:]}" if index and tag != "O" else tag
            for word, tag in zip(pieces, sentence.tags, strict=True)
            for index in range(len(word))
        ]
        assert gold == expected == [TAGS[tag] for tag in tags]
        assert len(scores) == len(tags)
    assert any(len(gold) > len(one.words) for gold, one in zip(reading.gold, sentences, strict=True))
