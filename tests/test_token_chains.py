"""A chain that runs over sub-tokens: in the pipeline, in data, and over texts that are longer than any row."""

import itertools

import pytest
import torch
from families import FAMILIES
from kinds import tokenizer_of
from test_kinds import FAST

from bert_crf_command.inputs import Item
from bert_crf_command.outputs import write_conll
from modeling_bert_crf import BiLSTMCRFPipeline
from modeling_bert_crf.crf import UNKNOWN
from modeling_bert_crf.export.runtime import OnnxTagger
from modeling_bert_crf.export.writing import export
from modeling_bert_crf.readers.sentences import Sentence
from modeling_bert_crf.readers.units import Units
from modeling_bert_crf.schemes import is_allowed
from modeling_bert_crf.text_layout import split_inputs
from modeling_bert_crf.training.dataset import TaggingCollator, TaggingDataset
from modeling_bert_crf.words import encode_documents

LABELS = ["O", "B-LOC", "I-LOC", "E-LOC", "S-LOC", "B-PER", "I-PER", "E-PER", "S-PER"]
BORDERS = ("start_transitions", "end_transitions")
TEXTS = [
    "Ada Lovelace  visited\nParis, in the rain. ",
    " \U0001f44d\U0001f3fd Zoe\u0308 wrote\t\tto Luigi\u2026 \U0001f1e9\U0001f1f0\n\n",
    "",
    "Turin",
]
every_fast_kind = pytest.mark.parametrize("kind", [kind for kind in FAST if "an end alone" not in kind])
"""Without T5's, which no family reads: its rows have an end alone."""


@pytest.fixture(scope="module")
def tagger():
    """Make an untrained tagger whose chain runs over the sub-tokens of whole texts."""

    def make(family="bert", kind=None, sizes=None, **config):
        tokenizer = tokenizer_of(kind or FAMILIES[family].kind)
        encoder = FAMILIES[family].config(tokenizer).to_dict() | (sizes or {})
        cls = FAMILIES[family].tagger
        fields = {"num_lstm_layers": 0, "chain_unit": "token", "text_unit": "text"} | config
        names = {"id2label": dict(enumerate(LABELS)), "label2id": {name: i for i, name in enumerate(LABELS)}}
        for name in ("model_type", "architectures", "transformers_version", "id2label", "label2id"):
            encoder.pop(name, None)
        torch.manual_seed(5)
        model = cls(cls.config_class(**encoder | fields | names)).eval()
        with torch.no_grad():
            for parameter in (*model.classifier.parameters(), *model.crf.parameters()):
                parameter.normal_(std=0.7)
        model.set_tokenizer(tokenizer)
        return model, tokenizer

    return make


def best_path(crf, emissions):
    """The best legal path, by a loop over labels."""
    starts, ends, moves = (getattr(crf, name).double().tolist() for name in (*BORDERS, "transitions"))
    rows = emissions.double().tolist()
    legal = is_allowed
    best = {
        tag: (starts[tag] + rows[0][tag], [tag]) for tag, label in enumerate(LABELS) if legal(None, label, "BIOES")
    }
    for row in rows[1:]:
        best = {
            tag: max((score + moves[path[-1]][tag] + row[tag], [*path, tag]) for score, path in befores)
            for tag, label in enumerate(LABELS)
            if (befores := [one for before, one in best.items() if is_allowed(LABELS[before], label, "BIOES")])
        }
    return max((s + ends[tag], path) for tag, (s, path) in best.items() if is_allowed(LABELS[tag], None, "BIOES"))[1]


def offsets_of(tokenizer, text):
    return tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]


@every_fast_kind
def test_entities_are_those_of_the_best_path_over_all_sub_tokens(kind, tagger):
    model, tokenizer = tagger(kind=kind)
    found = BiLSTMCRFPipeline(model=model, tokenizer=tokenizer)(TEXTS)

    for text, entities in zip(TEXTS, found, strict=True):
        offsets = offsets_of(tokenizer, text)
        if not offsets:
            assert entities == []
            continue
        batch = tokenizer(text, return_tensors="pt")
        with torch.no_grad():
            output = model(**batch)
        places = (output.paths[0] >= 0).nonzero().squeeze(1)
        path = best_path(model.crf, output.emissions[0, places])
        expected = []
        for index, ((start, end), tag) in enumerate(zip(offsets, path, strict=True)):
            prefix, _, name = LABELS[tag].partition("-")
            if prefix in ("B", "S"):
                expected.append([start, end, name])
            elif prefix in ("I", "E"):
                expected[-1][1] = end
            assert index < len(places)
        texts = [text[start:end].strip() or text[start:end] for start, end, _ in expected]
        assert [(one["word"], one["entity_group"]) for one in entities] == [
            (written, name) for written, (_, _, name) in zip(texts, expected, strict=True)
        ]
        assert all(text[one["start"] : one["end"]] == one["word"] for one in entities)
        assert all(start <= one["start"] for one, (start, _, _) in zip(entities, expected, strict=True))


@every_fast_kind
def test_the_model_by_itself_finds_the_sub_tokens_of_the_pipeline(kind, tagger):
    model, tokenizer = tagger(kind=kind)
    pipeline = BiLSTMCRFPipeline(model=model, tokenizer=tokenizer)

    (emissions,) = pipeline.forward(pipeline.preprocess(TEXTS[:1]))
    with torch.no_grad():
        output = model(**tokenizer(TEXTS[:1], return_tensors="pt"))

    places = (output.paths[0] >= 0).nonzero().squeeze(1)
    torch.testing.assert_close(emissions, output.emissions[0, places], rtol=0, atol=1e-5)


def test_a_sentence_of_a_text_is_a_chain_where_sentences_were_learnt(tagger):
    model, tokenizer = tagger(text_unit="sentence")
    pipeline = BiLSTMCRFPipeline(model=model, tokenizer=tokenizer)
    sentences = ["Ada wrote to Charles.", "Paris is in the rain."]

    (together,) = pipeline.preprocess(["  ".join(sentences)])
    apart = pipeline.preprocess(sentences)

    assert together.chains == [text.chains[0] for text in apart]
    starts = [0, len(sentences[0]) + 2]
    assert together.words == [
        (start + left, start + right) for start, text in zip(starts, apart, strict=True) for left, right in text.words
    ]


def sentence(words, tags):
    return Sentence(words, tags, "invented", list(range(1, len(words) + 1)))


SENTENCE = sentence(
    ["Ada", "Lovelace", ",", "(NATO)", "\u200b", "Z\u00fcrich", "iPhone", "in", "1842"],
    ["B-PER", "E-PER", "O", "S-LOC", "O", "B-LOC", "I-LOC", "E-LOC", "S-PER"],
)


@every_fast_kind
@pytest.mark.parametrize("length", [None, 12])
def test_tags_of_words_become_labels_of_their_sub_tokens_and_back(kind, length):
    tokenizer = tokenizer_of(kind)
    sentences = [SENTENCE, sentence(["Paris"], ["S-LOC"]), sentence([], []), sentence(["in", "the"], ["O", "O"])]

    dataset = TaggingDataset(sentences, tokenizer, LABELS, length, chain_unit="token")

    batch = TaggingCollator(0)([dataset[index] for index in range(len(dataset))])
    labels = batch["labels"]
    assert ((labels != UNKNOWN) <= batch["word_mask"].bool()).all()
    whole = TaggingDataset(sentences, tokenizer, LABELS, chain_unit="token")
    units = [sum(row["word_mask"]) for row in whole.rows]
    assert units == [len(offsets_of(tokenizer, " ".join(one.words))) for one in sentences]
    if length is None:
        assert dataset.tags_of(labels) == [one.tags for one in sentences]
    else:
        assert len(dataset) > len(sentences)
        gold = TaggingCollator(0)(whole.rows)["labels"]
        tags = [[tag for tag in row if tag != UNKNOWN] for row in gold.tolist()]
        assert sum(row["word_mask"].count(1) for row in dataset.rows) == sum(map(len, tags))


def test_an_entity_has_every_word_that_it_has_a_part_of():
    units = Units([0, 0, None, 1, 2, 2, 4], 5)  # the word 3 is deleted

    gather = [units.gather(tags.split(), "IOB2") for tags in ("O B-X I-X I-X O O O", "O O O O O B-X B-Y")]

    assert gather == [["B-X", "I-X", "O", "O", "O"], ["O", "O", "B-X", "O", "B-Y"]]
    assert units.gather(["B-X", "B-Y", "O", "O", "O", "O", "O"], "IOB2") == [
        "B-X",
        "O",
        "O",
        "O",
        "O",
    ]  # the first in a word
    assert units.gather(["O", "O", "B-X", "O", "O", "O", "O"], "IOB2") == ["O"] * 5  # nothing but a blank
    assert units.spread(["B-X", "I-X", "O", "B-Y", "B-Y"], "IOB2") == ["B-X", "I-X", "I-X", "I-X", "O", "O", "B-Y"]
    assert units.spread(["NOUN", "NOUN", "X", "Y", "O"], None) == ["NOUN", "NOUN", "NOUN", "NOUN", "X", "X", "O"]


def test_a_batch_of_data_trains_all_sub_tokens(tagger):
    model, tokenizer = tagger()
    dataset = TaggingDataset([SENTENCE], tokenizer, LABELS, chain_unit="token")
    batch = TaggingCollator(tokenizer.pad_token_id)(dataset.rows)

    model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    output = model(**batch)

    places = batch["word_mask"][0].bool()
    emissions = output.emissions[0, places].double()[None]
    mask = torch.ones(emissions.shape[:2], dtype=torch.bool)
    nll, _ = model.crf.double().nll_and_log_marginals(emissions, batch["labels"][0, places][None], mask)
    assert int(places.sum()) > len(SENTENCE.words)
    torch.testing.assert_close(output.loss.double(), nll.sum() / places.sum(), rtol=1e-5, atol=0)


def test_a_slow_tokenizer_is_refused_with_the_cure():
    tokenizer = tokenizer_of("WordPiece, slow")

    with pytest.raises(ValueError, match=r"needs a fast tokenizer, .* got BertJapaneseTokenizer: set config\.chain_"):
        next(split_inputs(tokenizer, ["Ada"], None, "blanks", "text", "token"))


def test_columns_get_the_words_that_an_entity_has_a_part_of(tagger, tmp_path):
    model, tokenizer = tagger()
    item = Item(["Ada", "Lovelace", "won"], "file:1")
    entities = [
        {"entity_group": "PER", "start": 1, "end": 6, "score": 0.5},  # from within a word to within the next
        {"entity_group": "LOC", "start": 8, "end": 16, "score": 0.5},  # begins in a word that is taken
    ]
    with (tmp_path / "out").open("w+") as file:
        write_conll([(item, entities)], BiLSTMCRFPipeline(model=model, tokenizer=tokenizer), file)
        file.seek(0)
        assert file.read().split() == ["Ada", "B-PER", "Lovelace", "E-PER", "won", "S-LOC"]


BANDED = {
    "openai_privacy_filter": {"sliding_window": 3, "num_hidden_layers": 2},
    "modernbert": {"layer_types": ["sliding_attention"] * 2, "local_attention": 6},
}


@pytest.mark.parametrize("family", BANDED)
def test_the_reach_is_exact(family, tagger):
    model, _ = tagger(family, sizes=BANDED[family] | {"max_position_embeddings": 64})
    model = model.double()
    assert model.reach == 6
    assert tagger()[0].reach is None

    one = torch.arange(5, 55)[None]
    for distance, changes in ((model.reach, True), (model.reach + 1, False)):
        other = one.clone()
        other[0, 25 + distance] = 4
        with torch.no_grad():
            first, second = (model(row, word_mask=torch.ones_like(row)).emissions[0, 25] for row in (one, other))
        assert torch.equal(first, second) != changes


@pytest.mark.parametrize("unit", ["token", "word"])
@pytest.mark.parametrize("family", BANDED)
def test_windows_of_an_encoder_of_limited_reach_are_as_good_as_the_whole_text(family, unit, tagger):
    sizes = BANDED[family] | {"max_position_embeddings": 2048, "initializer_range": 0.02}
    model, tokenizer = tagger(family, sizes=sizes, chain_unit=unit)
    words = [f"{first}{second}" for first, second in itertools.product(("Ada ", "Zu", "rain"), ("in, ", "Paris"))]
    text = " ".join(words * 40)
    pipeline = BiLSTMCRFPipeline(model=model, tokenizer=tokenizer)
    tokenizer = pipeline.tokenizer
    limit, tokenizer.model_max_length = tokenizer.model_max_length, 2048
    try:
        (in_rows,) = pipeline.preprocess([text])
        (whole,) = pipeline.preprocess([text], stride=0)
        emissions, expected = (pipeline.forward([one])[0] for one in (in_rows, whole))
        tokenizer.model_max_length = 512
        (too_short,) = pipeline.preprocess([text], stride=0)
        other = pipeline.forward([too_short])[0]
    finally:
        tokenizer.model_max_length = limit

    assert len(whole.chains[0]) == 1
    assert len(in_rows.chains[0]) > 1
    torch.testing.assert_close(emissions, expected, rtol=0, atol=1e-5)
    assert (other - expected).abs().max() > 1e-4


def test_rows_share_the_reach_of_long_words_too():
    tokenizer = tokenizer_of("byte-level BPE")
    words = ["Ada", "x" * 30, "in", "Paris"] * 60

    (windows,) = next(encode_documents(tokenizer, [[words]], 600, reach=20))

    assert len(windows) > 1
    for before, after in itertools.pairwise(windows):
        assert before.words.stop == after.words.start
    for window in windows:
        marked = [index for index, scored in enumerate(window.word_mask) if scored]
        if window.words.start > 0:
            assert marked[0] - 1 >= 20
        if window.words.stop < len(words):
            assert len(window.input_ids) - 2 - marked[-1] >= 20


@pytest.mark.parametrize("family", ["bert", "openai_privacy_filter"])
def test_an_export_reads_sub_tokens_as_the_pipeline_does(family, tagger, tmp_path):
    model, tokenizer = tagger(family, sizes={"max_position_embeddings": 600})
    export(model, tokenizer, tmp_path / "export", TEXTS)
    texts = [*TEXTS, "Ada wrote to Luigi in Turin. " * 120]

    found = OnnxTagger(tmp_path / "export")(texts)

    expected = BiLSTMCRFPipeline(model=model, tokenizer=tokenizer)(texts)
    assert sum(map(len, expected)) > 20
    for one, other in zip(itertools.chain(*found), itertools.chain(*expected), strict=True):
        assert one.pop("score") == pytest.approx(other.pop("score"), abs=2e-5)
        assert one == other
