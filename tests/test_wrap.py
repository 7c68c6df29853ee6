"""`bert-crf wrap`: a stock token classifier in, a tagger out."""

import json
from importlib.util import find_spec

import pytest
import torch
from families import FAMILIES
from kinds import tokenizer_of
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from bert_crf_command.app import app
from modeling_bert_crf import BiLSTMCRFForTokenClassification, BiLSTMCRFPipeline
from modeling_bert_crf.opening.tagger import OpeningError, open_model, open_tagger

LABELS = ["O", "B-PER", "I-PER"]
SENTENCES = [["Ada", "Lovelace", "wrote"], ["the", "rain"], ["Charles", "visited", "Ada"], ["in", "Paris"]] * 12
STRATEGIES = ("simple", "first", "average", "max")
TAGS = [["B-PER", "I-PER", "O"], ["O", "O"], ["B-PER", "O", "B-PER"], ["O", "O"]] * 12


@pytest.fixture
def stock(tmp_path):
    tokenizer = tokenizer_of(FAMILIES["bert"].kind)
    config = FAMILIES["bert"].config(tokenizer)
    config.id2label = dict(enumerate(LABELS))
    config.label2id = {label: index for index, label in enumerate(LABELS)}
    torch.manual_seed(5)
    FAMILIES["bert"].host("ForTokenClassification")(config).save_pretrained(tmp_path / "stock")
    tokenizer.save_pretrained(tmp_path / "stock")
    return tmp_path / "stock"


@pytest.fixture
def dev(tmp_path):
    path = tmp_path / "dev.conll"
    pairs = zip(SENTENCES, TAGS, strict=True)
    path.write_text("\n".join("".join(f"{w}\t{t}\n" for w, t in zip(*pair, strict=True)) for pair in pairs))
    return path


def run(*words):
    return CliRunner().invoke(app, ["wrap", *map(str, words)])


def test_a_stock_classifier_becomes_a_tagger(stock, tmp_path):
    result = run(stock, tmp_path / "out")

    assert result.exit_code == 0, result.output
    assert f"{tmp_path / 'out'} is a tagger" in result.output
    tagger = open_tagger(str(tmp_path / "out"))
    assert tagger.model.config.scheme == "IOB2"
    assert tagger.model.config.operating_points is None


@pytest.mark.parametrize("unit", ["word", "token"])
def test_the_chain_runs_over_what_the_classifier_has_learnt(unit, stock, tmp_path):
    """Of a word in pieces it knows only the first one, or is nearly as sure of the wrong tag there."""
    tokenizer = tokenizer_of(FAMILIES["bert"].kind)
    first, *later = tokenizer.tokenize("Charlotte")
    assert later
    dev = tmp_path / "dev.conll"
    dev.write_text("Ada\tB-PER\nCharlotte\tI-PER\nin\tO\n\nin\tO\nthe\tO\n\nAda\tB-PER\n\n" * 12)
    weights = load_file(stock / "model.safetensors")
    for name in weights:  # an encoder that hands its sub-tokens on as they are
        if any(part in name for part in ("output.dense", "position_embeddings", "token_type_embeddings")):
            weights[name] = torch.zeros_like(weights[name])
    embeddings = torch.zeros_like(weights["bert.embeddings.word_embeddings.weight"])
    scores = {"Ada": [0.0, 1.0, 0.0], "in": [1.0, 0.0, 0.0], "the": [1.0, 0.0, 0.0]}
    scores[first] = [0.0, 0.0, 1.0] if unit == "word" else [1.0, 0.0, 0.8]
    scores |= dict.fromkeys(later, [1.0, 0.0, 0.0] if unit == "word" else [0.0, 0.0, 1.0])
    for piece, own in scores.items():
        embeddings[tokenizer.convert_tokens_to_ids(piece), :3] = torch.tensor(own)
    weights["bert.embeddings.word_embeddings.weight"] = embeddings
    weights["classifier.weight"], weights["classifier.bias"] = torch.eye(3, embeddings.shape[1]), torch.zeros(3)
    save_file(weights, stock / "model.safetensors", metadata={"format": "pt"})

    result = run(stock, tmp_path / "out", "--fit", dev)

    assert result.exit_code == 0, result.output
    better, other = ("words", "all sub-tokens") if unit == "word" else ("all sub-tokens", "words")
    said = f"the chain runs over {better}: without a fit F1 100.00 over {better}, F1 50.00 over {other}"
    assert said in result.output.splitlines()
    assert open_tagger(str(tmp_path / "out")).model.config.chain_unit == unit


def test_the_user_says_what_the_chain_runs_over(stock, dev, tmp_path):
    result = run(stock, tmp_path / "out", "--fit", dev, "--chain_unit", "token")

    assert result.exit_code == 0, result.output
    assert "the chain runs over all sub-tokens: without a fit F1" in result.output
    assert " over words" not in result.output
    assert json.loads((tmp_path / "out" / "config.json").read_text())["chain_unit"] == "token"


def test_the_ways_to_decode_are_compared_and_the_fit_is_stored(stock, dev, tmp_path):
    biased(stock, 0.0, 0.0, -9.0)  # its entities begin with B-
    result = run(stock, tmp_path / "out", "--fit", dev)

    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "3 labels, in IOB2"
    ways = ["argmax, strict", "argmax, as conlleval reads it", *(f"stock pipeline, {one}" for one in STRATEGIES)]
    assert [line[:34].strip() for line in lines[3:11]] == [*ways, "chain, not fitted", "chain, fitted on other folds"]
    assert any(line.startswith("as it is ") for line in lines)
    assert any(line.startswith("stored: ") for line in lines)
    stored = open_tagger(str(tmp_path / "out")).model
    taken_over = BiLSTMCRFForTokenClassification.from_tagger(str(stock))
    assert not stored.classifier.weight.equal(taken_over.classifier.weight)  # at least the temperature is fitted


def test_a_folder_that_is_not_empty_is_left_alone(stock, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()

    result = run(stock, tmp_path / "out")

    assert result.exit_code == 1
    assert "must not exist, or be an empty folder" in result.output
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]


def test_what_is_no_classifier_is_refused_in_one_sentence(tmp_path):
    result = run(tmp_path / "nothing", tmp_path / "out")

    assert result.exit_code == 1
    assert len(result.output.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


TEXT = "Ada Lovelace visited Paris in the rain"


def test_a_stock_folder_is_tagged_as_what_wrap_makes_of_it_and_one_line_says_so(stock, tmp_path):
    biased(stock, -9.0, 0.0, 0.0)  # it finds something, whatever its tokenizer's pieces are
    run(stock, tmp_path / "out")
    tagged = CliRunner().invoke(app, ["tag", str(stock), TEXT])
    wrapped = CliRunner().invoke(app, ["tag", str(tmp_path / "out"), TEXT])

    assert tagged.exit_code == 0, tagged.output
    assert json.loads(tagged.stdout)["entities"]
    assert tagged.stdout == wrapped.stdout
    assert wrapped.stderr == ""


def test_one_line_of_the_log_says_that_a_stock_classifier_is_one(stock, caplog):
    open_tagger(str(stock))

    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert caplog.messages[0].startswith(f"{stock}: a stock token classifier, read with a chain that is not fitted")
    assert f"`bert-crf wrap {stock} FOLDER` stores it" in caplog.messages[0]


def test_every_door_to_a_tagger_takes_a_stock_classifier(stock, tmp_path, monkeypatch):
    """The same words in, the same entities out: through the command's `export`, and through the demo's page."""
    expected = BiLSTMCRFPipeline(
        model=BiLSTMCRFForTokenClassification.from_tagger(str(stock)), tokenizer=tokenizer_of(FAMILIES["bert"].kind)
    )(TEXT)
    (tmp_path / "texts.txt").write_text(f"{TEXT}\n")
    if find_spec("onnx"):
        result = CliRunner().invoke(
            app, ["export", str(stock), str(tmp_path / "out"), "--sentences", str(tmp_path / "texts.txt")]
        )
        assert result.exit_code == 0, result.output
        assert (tmp_path / "out" / "parity.json").is_file()
    if find_spec("gradio"):
        shown = []
        monkeypatch.setattr("modeling_bert_crf.demo.app.build_demo", lambda tagger, examples: shown.append(tagger))
        monkeypatch.setattr("modeling_bert_crf.demo.app.serve", lambda page, port: None)
        assert CliRunner().invoke(app, ["demo", str(stock)]).exit_code == 0
        assert shown[0](TEXT) == expected
    assert open_tagger(str(stock))(TEXT) == expected


def test_a_run_needs_a_finished_tagger(stock):
    with pytest.raises(OpeningError, match=r"`model_type` in its config\.json must be that of a tagger, such as"):
        open_model(str(stock))


def change(**values):
    def damage(folder):
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return damage


def drop(field):
    def damage(folder):
        path = folder / "config.json"
        path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != field}))

    return damage


def with_weights(turn):
    def damage(folder):
        tensors = load_file(folder / "model.safetensors")
        turn(tensors)
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})

    return damage


DAMAGES = [
    (
        with_weights(lambda tensors: tensors["classifier.bias"].fill_(float("nan"))),
        "its weights must be finite numbers, got nan in 'classifier.bias'",
    ),
    (lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin"), "is a pickle, which can run"),
    (change(id2label={str(i): f"LABEL_{i}" for i in range(3)}), "must name the tags, got LABEL_0, LABEL_1, LABEL_2"),
    (change(architectures=["BertModel"]), "must be a stock token classifier, .* got 'BertModel'; of an encoder"),
    (change(architectures=["BertForSequenceClassification"]), "got 'BertForSequenceClassification'"),
    (change(model_type="gpt2"), "or of a stock token classifier, one of albert, .*, got 'gpt2'"),
    (change(model_type=["bert"]), r"`model_type` in its config.json must be .*, got \['bert'\]"),
    (drop("num_attention_heads"), "it must have `num_attention_heads`, and has not"),
    (lambda folder: (folder / "tokenizer.json").unlink(), "the tokenizer must have words, got special tokens alone"),
    (
        with_weights(lambda tensors: tensors.update({"crf.transitions": torch.zeros(3, 3)})),
        "got 1 left over, 'crf.transitions'$",
    ),
    (
        with_weights(lambda tensors: tensors.pop("classifier.bias")),
        "got 1 missing, 'classifier.bias'; of an encoder without a classifier",
    ),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGES, ids=[message for _, message in DAMAGES])
def test_a_stock_classifier_is_checked_as_our_taggers_are(stock, tmp_path, damage, message):
    damage(stock)

    with pytest.raises(OpeningError, match=message) as caught:
        open_tagger(str(stock))
    assert len(str(caught.value).splitlines()) == 1
    for verb in (["tag", stock, TEXT], ["wrap", stock, tmp_path / "out"]):
        result = CliRunner().invoke(app, list(map(str, verb)))
        assert result.exit_code == 1
        assert result.stderr == f"bert-crf {verb[0]}: error: {caught.value}\n"
    assert not (tmp_path / "out").exists()


def test_a_tagger_of_ours_under_a_stock_name_is_refused(stock, tmp_path):
    """Its classifier reads something else than the encoder."""
    torch.manual_seed(2)
    tokenizer = tokenizer_of(FAMILIES["bert"].kind)
    ours = BiLSTMCRFForTokenClassification.from_encoder(str(stock), LABELS, tokenizer, word_shape_size=0)
    ours.save_pretrained(tmp_path / "ours")
    tokenizer.save_pretrained(tmp_path / "ours")
    change(model_type="bert")(tmp_path / "ours")

    with pytest.raises(OpeningError, match="left over"):
        open_tagger(str(tmp_path / "ours"))


def test_what_is_wrapped_already_is_not_wrapped_again(stock, tmp_path):
    run(stock, tmp_path / "out")

    result = run(tmp_path / "out", tmp_path / "twice")

    assert result.exit_code == 1
    assert "must be a stock token classifier, got a tagger of ours: from_pretrained loads it" in result.stderr


def biased(stock, *bias):
    with_weights(lambda tensors: tensors["classifier.bias"].copy_(torch.tensor(bias)))(stock)


def test_a_fit_finds_out_that_a_classifier_has_learnt_iob1(stock, dev, tmp_path):
    biased(stock, 0.0, -9.0, 0.5)
    result = run(stock, tmp_path / "out", "--fit", dev)

    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "3 labels, in IOB1: an entity may also begin with I-, and every tag may follow every other"
    assert "most entities of the classifier begin with I-, so that its tags are read as IOB1" in lines
    assert "argmax, strict" not in result.stdout  # nothing is illegal
    assert open_tagger(str(tmp_path / "out")).model.config.tag_scheme is None


def test_the_scheme_that_the_user_names_holds(stock, dev, tmp_path):
    biased(stock, 0.0, -9.0, 0.5)
    for scheme, stored in (("IOB2", "IOB2"), ("IOB1", None)):
        result = run(stock, tmp_path / scheme, "--tag_scheme", scheme, *(["--fit", dev] if stored else []))
        assert result.exit_code == 0, result.output
        assert "begin with I-, so" not in result.stdout
        assert open_tagger(str(tmp_path / scheme)).model.config.tag_scheme == stored

    result = run(stock, tmp_path / "out", "--tag_scheme", "IO")
    assert result.exit_code == 1
    assert "`tag_scheme` 'IO' has no tag 'B-PER'" in result.stderr


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["O", "B-LOC", "I-PER"], "IOB1: an entity may also begin with I-, and every tag may follow every other"),
        (["O", "I-LOC", "I-PER"], "IO: neighbouring words of one type are one entity, and every tag may follow"),
        (["O", "place", "person"], "no scheme: neighbouring words with the same label are one entity, and every"),
    ],
)
def test_labels_that_forbid_nothing_are_said_to(stock, tmp_path, caplog, labels, said):
    change(id2label=dict(enumerate(labels)), label2id={label: index for index, label in enumerate(labels)})(stock)
    result = run(stock, tmp_path / "out")

    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"3 labels, in {said}")
    assert f"{stock}: its labels are read in {said}" in caplog.text
    model = open_tagger(str(tmp_path / "out")).model
    assert model.crf.allowed_starts.all()
    assert model.crf.allowed_transitions.all()


def test_entities_of_an_iob1_label_set_may_begin_with_either_tag(stock, tmp_path):
    labels = ["O", "B-LOC", "I-PER"]
    change(id2label=dict(enumerate(labels)), label2id={label: index for index, label in enumerate(labels)})(stock)
    config = open_tagger(str(stock)).model.config

    assert (config.scheme, config.span_scheme) == (None, "IOB2")
