"""One head on every family of encoders: the families of `OF_THE_SUITE` always, the others with

python -m pytest -m slow tests/test_encoders.py
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from families import FAMILIES, OF_THE_SUITE
from kinds import KINDS, tokenizer_of
from peft import LoraConfig, get_peft_model
from transformers import AutoModel, AutoTokenizer, CanineTokenizer

import modeling_bert_crf
import run_ner
from modeling_bert_crf import BiLSTMCRFForTokenClassification, BiLSTMCRFPipeline
from modeling_bert_crf.export.writing import export
from modeling_bert_crf.readers.files import read_conll
from modeling_bert_crf.readers.sentences import Sentence
from modeling_bert_crf.training.dataset import TaggingCollator, TaggingDataset
from modeling_bert_crf.training.example import write_example

LABELS = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
SENTENCES = ["Ada Lovelace visited Paris in the rain", "Charles wrote"]
PACKAGE = Path(modeling_bert_crf.__file__).parent

every_family = pytest.mark.parametrize(
    "family", [pytest.param(name, marks=() if name in OF_THE_SUITE else pytest.mark.slow) for name in FAMILIES]
)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Make an untrained checkpoint of a family: the encoder alone, or with the head that it was pretrained with."""
    made = {}

    def make(family, head="Model", kind=None):
        key = family, head, kind
        if key not in made:
            folder = tmp_path_factory.mktemp(f"{family}-{head}")
            torch.manual_seed(1)
            tokenizer = tokenizer_of(kind or FAMILIES[family].kind)
            FAMILIES[family].host(head)(FAMILIES[family].config(tokenizer)).save_pretrained(folder)
            tokenizer.save_pretrained(folder)
            made[key] = folder
        return made[key]

    return make


@pytest.fixture
def tagger(checkpoint):
    """Make a tagger of a family, its head's scores scattered as if it had been trained."""

    def make(family, **config):
        model = BiLSTMCRFForTokenClassification.from_encoder(str(checkpoint(family)), LABELS, **config)
        torch.manual_seed(2)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if not name.startswith(f"{model.base_model_prefix}."):
                    parameter.normal_(std=0.5)
        return model.eval()

    return make


def batch_of(family, sentences=SENTENCES, side="right"):
    return tokenizer_of(FAMILIES[family].kind)(sentences, return_tensors="pt", padding=True, padding_side=side)


@every_family
def test_the_head_chooses_the_family_and_takes_the_whole_encoder_over(family, checkpoint):
    for head in ("Model", FAMILIES[family].pretrained):
        folder = checkpoint(family, head)
        model = BiLSTMCRFForTokenClassification.from_encoder(str(folder), LABELS)
        host = FAMILIES[family].host(head).from_pretrained(folder)

        assert type(model) is FAMILIES[family].tagger
        ours, theirs = dict(model.base_model.named_parameters()), dict(host.base_model.named_parameters())
        assert ours.keys() == {name for name in theirs if "pooler" not in name}
        assert all(value.equal(theirs[name]) for name, value in ours.items())


@every_family
def test_a_family_refuses_another_by_name(family, checkpoint):
    other = "roberta" if family == "bert" else "bert"
    own = FAMILIES[family].host("Config").model_type

    with pytest.raises(ValueError, match=f"must be of the family '{own}', got model_type '{other}'"):
        FAMILIES[family].tagger.from_encoder(str(checkpoint(other)), LABELS)


@every_family
def test_a_sentence_is_tagged_alike_alone_in_a_batch_and_padded_on_either_side(family, tagger):
    model = tagger(family)
    with torch.no_grad():
        right, left = (model(**batch_of(family, side=side)) for side in ("right", "left"))
        alone = [model(**batch_of(family, [sentence])) for sentence in SENTENCES]

    for row, one in enumerate(alone):
        count = one.paths.shape[1]
        for output, own in ((right, slice(count)), (left, slice(-count, None))):
            torch.testing.assert_close(output.emissions[row, own], one.emissions[0], rtol=0, atol=1e-5)
            assert output.paths[row, own].equal(one.paths[0])


@every_family
def test_positions_are_those_of_the_host(family, tagger):
    """The encoder called by itself counts its own positions."""
    model, batch = tagger(family), batch_of(family, SENTENCES[:1])

    with torch.no_grad():
        ours = model(**batch, output_hidden_states=True).hidden_states[-1]
        theirs = model.base_model(**batch, output_hidden_states=True).hidden_states[-1]

    torch.testing.assert_close(ours, theirs)


@every_family
def test_the_longest_row_fits_and_the_pipeline_never_makes_a_longer_one(family, tagger):
    model, tokenizer = tagger(family), tokenizer_of(FAMILIES[family].kind)
    row = torch.full((1, model.max_length), tokenizer.convert_tokens_to_ids(tokenizer.tokenize("Ada")[0]))

    with torch.no_grad():
        model(row, attention_mask=torch.ones_like(row))
    positions = getattr(getattr(model.base_model, "embeddings", None), "position_embeddings", None)
    if positions is not None:
        longer = torch.cat([row, row[:, :1]], 1)
        with pytest.raises((IndexError, RuntimeError)):
            model.base_model(longer, attention_mask=torch.ones_like(longer))
    words = ["Ada", "Lovelace", "visited", "Paris"] * 30
    tags = BiLSTMCRFPipeline(model=model, tokenizer=tokenizer)(
        [words], is_split_into_words=True, aggregation_strategy="none", ignore_labels=[]
    )
    assert [one["word"] for one in tags[0]] == words


@every_family
def test_words_given_and_words_found_are_the_same_chain(family, tagger):
    model, tokenizer = tagger(family, word_shape_size=0), tokenizer_of(FAMILIES[family].kind)
    pipeline = BiLSTMCRFPipeline(model=model, tokenizer=tokenizer)
    options = {"aggregation_strategy": "none", "ignore_labels": []}

    given = pipeline([sentence.split() for sentence in SENTENCES], is_split_into_words=True, **options)
    found = pipeline(SENTENCES, **options)
    # Byte-level BPE writes a text's first word as one that goes on, unless there is a blank before it.
    before = " " if "byte-level" in FAMILIES[family].kind else ""
    with torch.no_grad():
        bare = model(**batch_of(family, [before + sentence for sentence in SENTENCES]))

    assert found == given
    tags = [[LABELS[tag] for tag in path if tag >= 0] for path in bare.paths.tolist()]
    assert tags == [[one["entity"] for one in row] for row in given]


OTHER_TOKENIZERS = [
    ("bert", "characters, slow"),
    ("bert", "characters"),
    ("modernbert", "characters, blanks as they are"),
    ("electra", "WordPiece, slow"),
    ("roberta", "BPE with open ends, slow"),
    ("deberta_v2", "characters, slow"),
]
"""As checkpoints have them: of characters for Japanese, slow ones for Japanese and Vietnamese."""


@pytest.mark.parametrize(("family", "kind"), OTHER_TOKENIZERS)
def test_a_tagger_of_characters_or_with_a_slow_tokenizer_learns_comes_back_and_tags(
    family, kind, checkpoint, tmp_path
):
    model = BiLSTMCRFForTokenClassification.from_encoder(str(checkpoint(family, kind=kind)), LABELS)
    tokenizer = AutoTokenizer.from_pretrained(checkpoint(family, kind=kind))
    tags = ["B-PER", "I-PER", "O", "B-LOC", "O", "O", "O"], ["B-PER", "O"]
    sentences = [
        Sentence(text.split(), names, "invented", [*range(1, 9)]) for text, names in zip(SENTENCES, tags, strict=True)
    ]
    batch = TaggingCollator(tokenizer.pad_token_id)([*TaggingDataset(sentences, tokenizer, LABELS)])
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    losses = []
    for _ in range(8):
        losses.append(model.train()(**batch).loss)
        losses[-1].backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)

    again = BiLSTMCRFForTokenClassification.from_pretrained(tmp_path)
    options = {"aggregation_strategy": "none", "ignore_labels": []}
    pipelines = [
        BiLSTMCRFPipeline(model=one, tokenizer=two, **options)
        for one, two in ((model, tokenizer), (again, AutoTokenizer.from_pretrained(tmp_path)))
    ]
    live, given = (one([text.split() for text in SENTENCES], is_split_into_words=True) for one in pipelines)

    assert losses[-1] < losses[0]
    assert tokenizer.is_fast != ("slow" in kind)
    assert given == live
    assert [[one["word"] for one in row] for row in given] == [text.split() for text in SENTENCES]
    assert pipelines[1](SENTENCES) == given
    (found,) = pipelines[1](["Ada, in (Paris)."])
    signs = [(one["word"], one["start"]) for one in found]
    assert signs == SIGNS_APART if "slow" in kind else signs == [("Ada,", 0), ("in", 5), ("(Paris).", 8)]


SIGNS_APART = [("Ada", 0), (",", 3), ("in", 5), ("(", 8), ("Paris", 9), (")", 14), (".", 15)]


def test_a_tokenizer_without_a_sign_for_the_beginning_is_refused(checkpoint):
    """Bytes, as ByT5 has them: no encoder that we know was trained with them."""
    with pytest.raises(ValueError, match=r"^the tokenizer must have a cls_token, got None$"):
        BiLSTMCRFForTokenClassification.from_encoder(str(checkpoint("bert", kind="bytes, slow")), LABELS)


@pytest.mark.slow
def test_a_tokenizer_of_all_code_points_is_refused(tagger):
    """Canine's; making one takes seconds."""
    with pytest.raises(ValueError, match=r"^the tokenizer's token .* has id \d+, the model knows 180 ids$"):
        tagger("bert").set_tokenizer(CanineTokenizer())


@every_family
def test_a_tagger_is_saved_with_the_code_of_its_family_alone_and_comes_back(family, tagger, tmp_path):
    model = tagger(family)
    model.save_pretrained(tmp_path)
    again = BiLSTMCRFForTokenClassification.from_pretrained(tmp_path).eval()
    auto = AutoModel.from_pretrained(tmp_path).eval()

    assert type(again) is type(auto) is type(model)
    with torch.no_grad():
        outputs = [one(**batch_of(family)) for one in (model, again, auto)]
    assert all(one.logits.equal(outputs[0].logits) and one.paths.equal(outputs[0].paths) for one in outputs)
    assert {path.name for path in tmp_path.glob("*.py")} == closure(f"modeling_{family}_crf.py")
    others = {name for name in FAMILIES if name != family}
    assert not {path.name for path in tmp_path.glob("*.py")} & {f"modeling_{name}_crf.py" for name in others}


def siblings(file):
    """What a shipped file imports by itself, as the host's scanner finds it."""
    return {f"{name}.py" for name in re.findall(r"^\s*from\s+\.(\w+)\s+import", file.read_text(), flags=re.M)}


def closure(name):
    """A file, and what it imports, directly or not."""
    found, fresh = set(), {name}
    while fresh:
        found |= fresh
        fresh = {other for one in fresh for other in siblings(PACKAGE / one)} - found
    return found


def test_what_travels_is_the_closures_and_nothing_else():
    shipped = {path.name for path in PACKAGE.glob("*.py")} - {"__init__.py"}

    assert set().union(*(closure(f"modeling_{family}_crf.py") for family in FAMILIES)) == shipped
    assert not any("bert_crf" in name for name in closure("modeling_roberta_crf.py"))


@pytest.mark.parametrize(
    "name", ["configuration_bert_crf.py", *(f"modeling_{family}_crf.py" for family in FAMILIES), "pipeline_crf.py"]
)
def test_a_file_that_a_configuration_names_imports_every_sibling_that_it_needs_directly(name):
    """Hosts before 5.10 copy what a file imports itself, and no more."""
    assert siblings(PACKAGE / name) == closure(name) - {name}


def test_the_table_of_families_is_that_of_the_files():
    assert {name.replace("-", "_") for name in modeling_bert_crf.FAMILIES} == FAMILIES.keys()
    assert {path.name for path in PACKAGE.glob("modeling_*_crf.py")} == {f"modeling_{one}_crf.py" for one in FAMILIES}


def test_importing_the_package_imports_no_family():
    program = (
        "import sys, modeling_bert_crf; from transformers import AutoConfig; "
        "print(*(name for name in sys.modules if name.startswith('transformers.models.') and 'bert' in name))"
    )

    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert result.stdout.strip() == ""


@every_family
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_attention_of_both_kinds_gives_the_same(family, attention, tagger, checkpoint):
    if attention == "sdpa" and not FAMILIES[family].host("Model")._supports_sdpa:
        pytest.skip("the host's encoder has no such attention")
    model = tagger(family)
    with torch.no_grad():
        expected = model(**batch_of(family)).emissions
        model.set_attn_implementation(attention)
        torch.testing.assert_close(model(**batch_of(family)).emissions, expected, rtol=0, atol=1e-5)


@every_family
def test_half_precision_leaves_the_crf_in_float32(family, tagger, tmp_path):
    tagger(family).save_pretrained(tmp_path)
    model = BiLSTMCRFForTokenClassification.from_pretrained(tmp_path, dtype=torch.bfloat16).eval()

    with torch.no_grad():
        output = model(**batch_of(family))

    assert model.classifier.weight.dtype == torch.bfloat16
    assert {parameter.dtype for parameter in model.crf.parameters()} == {torch.float32}
    assert output.logits.dtype == torch.float32
    assert (output.paths >= 0).sum() == 9


@every_family
def test_new_tokens_begin_words(family, tagger):
    model = tagger(family)
    before = model.token_roles.shape[0]
    model.resize_token_embeddings(before + 3)
    tokenizer = tokenizer_of(FAMILIES[family].kind)
    end = tokenizer.pad_token_id if tokenizer.sep_token_id is None else tokenizer.sep_token_id
    ids = tokenizer("Ada", add_special_tokens=False)["input_ids"]
    row = torch.tensor([[*ids, before, before + 2, end]])

    paths = model(row, attention_mask=torch.ones_like(row)).paths[0]

    assert (paths[-3:-1] >= 0).all()
    assert paths[-1] == -100


@every_family
def test_recomputed_activations_give_the_same_gradients(family, tagger):
    if not FAMILIES[family].host("Model").supports_gradient_checkpointing:
        pytest.skip("the host's encoder cannot")
    model = tagger(family)
    batch = batch_of(family)
    labels = model(**batch).paths

    def gradients():
        model.zero_grad()
        torch.manual_seed(0)
        model.train()(**batch, labels=labels).loss.backward()
        return {name: value.grad.clone() for name, value in model.named_parameters()}

    plain = gradients()
    model.activation_checkpointing_enable()
    for name, gradient in gradients().items():
        torch.testing.assert_close(gradient, plain[name], msg=name)


SCRIPT = """
import importlib.util, json, sys
sys.path = [path for path in sys.path if path not in ("", {checkout!r})]
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in repr(finder)]
assert importlib.util.find_spec("modeling_bert_crf") is None
from transformers import AutoConfig, AutoModel, AutoModelForTokenClassification, AutoTokenizer, pipeline
said = []
for folder in sys.argv[1:]:
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
    batch = tokenizer({sentences!r}, return_tensors="pt", padding=True)
    AutoConfig.from_pretrained(folder, trust_remote_code=True)
    outputs = []
    for auto in (AutoModel, AutoModelForTokenClassification):
        model = auto.from_pretrained(folder, trust_remote_code=True).eval()
        outputs.append(model(**batch).paths.tolist())
    model.save_pretrained(folder + "-again")
    tokenizer.save_pretrained(folder + "-again")
    found = pipeline("ner", model=folder + "-again", trust_remote_code=True)({sentences!r})
    hosts = sorted(name for name in sys.modules if name.startswith("transformers.models.") and ".modeling_" in name)
    said.append([type(model).__name__, outputs, found, hosts])
print(json.dumps(said))
"""


def strangers(folders, cache):
    """Load and save folders in a process without this package; return what it says of each."""
    import os

    script = SCRIPT.format(checkout=str(PACKAGE.parent), sentences=SENTENCES)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"HF_HOME": str(cache), "HF_HUB_OFFLINE": "1"}
    result = subprocess.run(
        [sys.executable, "-c", script, *map(str, folders)],
        cwd=cache.parent,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    "families",
    [
        pytest.param(["modernbert", "xlm_roberta"], id="of the suite"),
        pytest.param([name for name in FAMILIES if name not in OF_THE_SUITE], id="others", marks=pytest.mark.slow),
    ],
)
@pytest.mark.process
def test_a_bare_process_loads_every_way_and_saves_again(families, tagger, tmp_path):
    expected, cases = [], [(family, unit) for family in families for unit in ("word", "token")]
    for family, unit in cases:
        model, tokenizer = tagger(family, chain_unit=unit), tokenizer_of(FAMILIES[family].kind)
        model.save_pretrained(tmp_path / f"{family}-{unit}")
        tokenizer.save_pretrained(tmp_path / f"{family}-{unit}")
        with torch.no_grad():
            paths = model(**batch_of(family)).paths.tolist()
        found = BiLSTMCRFPipeline(model=model, tokenizer=tokenizer)(SENTENCES)
        expected.append([type(model).__name__, [paths, paths], found])

    said = strangers([tmp_path / f"{family}-{unit}" for family, unit in cases], tmp_path / "cache")

    for (family, unit), (*one, _), wanted in zip(cases, said, expected, strict=True):
        assert one == wanted, (family, unit)
        for name in closure(f"modeling_{family}_crf.py"):
            again = tmp_path / f"{family}-{unit}-again"
            assert (again / name).read_bytes() == (PACKAGE / name).read_bytes()
    assert {name.split(".")[2] for name in said[0][3]} <= {families[0], "auto"}


@pytest.mark.parametrize(
    "family",
    [pytest.param(name, marks=() if name == "xlm_roberta" else pytest.mark.slow) for name in FAMILIES],
)
def test_an_export_finds_every_path(family, tagger, tmp_path):
    tokenizer = tokenizer_of(FAMILIES[family].kind)
    texts = [*SENTENCES, "Zoë Ångström won't stop; \u4e2d \ufe0f in 1842.", " ".join(["Ada", "Lovelace"] * 30)]

    parity = export(tagger(family), tokenizer, tmp_path / "texts", texts)
    words = export(tagger(family), tokenizer, tmp_path / "words", [text.split(" ") for text in texts])
    tokens = export(tagger(family, chain_unit="token"), tokenizer, tmp_path / "tokens", texts)

    for found in (parity, words, tokens):
        assert found["float32"]["equal_paths"] == found["sentences"]
        assert found["float32"]["largest_emission_difference"] < 1e-4


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft asks for it
@every_family
def test_lora_trains_beside_a_frozen_encoder(family, tagger):
    model = tagger(family, word_shape_size=0)
    lora = LoraConfig(target_modules="all-linear", modules_to_save=["lstm", "classifier", "crf"])
    adapted = get_peft_model(model, lora)
    batch = batch_of(family)

    adapted.train()(**batch, labels=adapted.eval()(**batch).paths).loss.backward()

    trained = {name for name, value in adapted.named_parameters() if value.grad is not None and value.grad.any()}
    assert any("lora" in name for name in trained)
    assert {"lstm", "classifier", "crf"} <= {part for name in trained for part in name.split(".")}
    assert all("lora" in name or "modules_to_save" in name for name in trained)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_the_demo_corpus_is_learnt_from_nothing(family, tmp_path):
    """Half a minute each: an encoder that has read nothing, and a tokenizer of its kind."""
    (tmp_path / "demo").mkdir()
    files = write_example(tmp_path / "demo")
    texts = [" ".join(one.words) for one in read_conll(files["train"])]
    tokenizer = KINDS[FAMILIES[family].kind](texts)
    config = FAMILIES[family].config(tokenizer)
    for name in ("max_position_embeddings", "initializer_range"):
        setattr(config, name, {"max_position_embeddings": 160, "initializer_range": 0.05}[name])
    FAMILIES[family].host("Model")(config).save_pretrained(tmp_path / "encoder")
    tokenizer.model_max_length = 128
    tokenizer.save_pretrained(tmp_path / "encoder")
    options = {
        "model_name_or_path": tmp_path / "encoder",
        "output_dir": tmp_path / "out",
        "train_file": files["train"],
    }
    options |= {"validation_file": files["validation"], "test_file": files["test"], "num_train_epochs": 40}
    options |= {"learning_rate": 1e-3, "head_learning_rate": 3e-3, "frozen_steps": 0, "seed": 1, "disable_tqdm": True}
    command = [word for name, value in options.items() for word in (f"--{name}", str(value))]

    run_ner.main([*command, "--do_train", "--do_eval", "--do_predict", "--use_cpu"])

    scores = json.loads((tmp_path / "out" / "metrics.json").read_text())["scores"]
    assert scores["test"]["strict"]["f1"] > 0.9
