"""Damaged folders: whatever is wrong with one, it tags as before or is refused in one sentence, at every door."""

import json
import shutil
import warnings

import damage
import pytest
import torch
from conftest import LABELS
from peft import LoraConfig, TaskType, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel,
    AutoModelForTokenClassification,
    BertConfig,
    BertForMaskedLM,
    BertModel,
    BertTokenizer,
    pipeline,
)
from typer.testing import CliRunner

from bert_crf_command.app import app
from modeling_bert_crf import BertBiLSTMCRFForTokenClassification, BertBiLSTMCRFPipeline
from modeling_bert_crf.opening.tagger import OpeningError, open_tagger
from modeling_bert_crf.readers.sentences import Sentence
from modeling_bert_crf.training.arguments import DataArguments, ModelArguments
from modeling_bert_crf.training.errors import UserError
from modeling_bert_crf.training.splits import Split
from modeling_bert_crf.training.starting_model import load_model

from_pretrained = BertBiLSTMCRFForTokenClassification.from_pretrained
from_encoder = BertBiLSTMCRFForTokenClassification.from_encoder
TEXTS = ["Ada visited Paris in the rain", "paris"]
DOORS = [BertBiLSTMCRFForTokenClassification, AutoModel, AutoModelForTokenClassification]


@pytest.fixture(scope="module")
def good(make_model, tokenizer, tmp_path_factory):
    """A folder that is whole."""
    folder = tmp_path_factory.mktemp("good")
    make_model(num_lstm_layers=2, word_shape_size=5).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def copy(good, tmp_path):
    """Copy the good folder's files, and damage the copy."""

    def make(one=None, source=good, name="tagger"):
        shutil.rmtree(tmp_path / name, ignore_errors=True)
        (tmp_path / name).mkdir()
        for file in damage.FILES:
            shutil.copy(source / file, tmp_path / name)
        if one is not None:
            one.apply(tmp_path / name)
        return tmp_path / name

    return make


def change(folder, file="config.json", **values):
    path = folder / file
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    return folder


def change_weights(folder, change):
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return folder


# Values that another tagger could have, and types of numbers that hold less.
OTHER_TAGS = {
    "config.json: tag_scheme = null",
    "config.json: temperature = 1.5",
    "config.json: temperature = 10**30",
    "tokenizer_config.json: do_lower_case = absent",
    "tokenizer_config.json: do_lower_case = true",
    *(
        f"model.safetensors: {tensor} as torch.{dtype}"
        for tensor in damage.TENSORS
        for dtype in ("int64", "bool", "float16", "float8_e4m3fn")
    ),
}

NAMES = {
    damage.CONFIG: [damage.CONFIG],
    damage.WEIGHTS: [damage.WEIGHTS, "its weights", "the weights"],
    damage.INDEX: [damage.WEIGHTS],
}
"""What a sentence may call a file; the others are the tokenizer's."""


def faults_of(one, folder, sentence, found, expected):
    """Say what is wrong with how the opening of a damaged folder ended: with a sentence, or with what was found."""
    if sentence is None:
        return [] if found == expected or one.name in OTHER_TAGS else ["it tags otherwise"]
    faults = []
    if not sentence.startswith(f"{folder}: ") or len(sentence) > 900 or not sentence.isprintable():
        faults.append("it must be one line that begins with the folder")
    if not any(name in sentence for name in NAMES.get(one.file, ["tokenizer"])):
        faults.append("it must name the file")
    if one.file == "config.json" and one.field in damage.NAMED and one.field.strip("_") not in sentence:
        faults.append("it must name the field")
    return [f"{fault}: {sentence}" for fault in faults]


def check(damages, copy, good):
    """Open and tag each damaged folder, and fail with all that went wrong."""
    expected, wrong = json.dumps(open_tagger(str(good), device=torch.device("cpu"))(TEXTS)), []
    for one in damages:
        folder, sentence, found = copy(one), None, None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the host's, of values that it changes
                found = json.dumps(open_tagger(str(folder), device=torch.device("cpu"))(TEXTS))
        except OpeningError as error:
            sentence = str(error)
        except Exception as error:
            wrong.append(f"{one.name}: it must end in a sentence, got {error!r}")
            continue
        wrong += [f"{one.name}: {fault}" for fault in faults_of(one, folder, sentence, found, expected)]
    if wrong:
        pytest.fail(f"{len(wrong)} faults of {len(damages)} damages:\n" + "\n".join(wrong), pytrace=False)


def test_a_sample_of_all_damages_ends_in_a_sentence_or_does_no_harm(copy, good):
    damages = damage.all_damages(good)
    assert len(damages) > 2000
    check(damages[::29], copy, good)


@pytest.mark.slow
def test_every_damage_ends_in_a_sentence_or_does_no_harm(copy, good):
    """A minute: python -m pytest -m slow tests/test_damaged_folders.py"""
    check(damage.all_damages(good), copy, good)


def test_the_program_refuses_a_damaged_encoder_in_a_sentence(encoder_folder, copy):
    """Asked of the function that opens an encoder; the whole program would take longer to come to it."""
    sentences = [Sentence(["Ada", "sang"], ["B-PER", "O"], "train.conll", [1, 2])]
    splits = {"train": Split("train", "IOB2", None, sentences, lambda: iter(sentences))}
    refused = {}
    for one in damage.all_damages(encoder_folder)[::19]:
        folder = copy(one, source=encoder_folder)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                load_model(ModelArguments(model_name_or_path=str(folder)), DataArguments(), splits, {})
        except UserError as error:
            refused[one.name] = str(error)
    assert len(refused) > 40
    for name, sentence in refused.items():
        assert str(folder) in sentence, name
        assert len(sentence) < 900, name
        assert sentence.isprintable(), name


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["hidden_size = a text"], "`hidden_size` must be an integer from 1 to 65536, got 'x'"),
        (["dtype = nested"], "`dtype` must be 'float32', 'float16'"),
    ],
)
def test_the_program_refuses_a_damaged_tagger(command, error_of, copy, good, names, message):
    folder = copy(next(one for one in damage.all_damages(good) if one.name == f"config.json: {names[0]}"))
    options = {"do_train": None, "do_eval": None, "train_file": None, "validation_file": None}
    error = error_of(command(model_name_or_path=str(folder), **options))
    start = f"run_ner.py: error: --model_name_or_path: {folder}: its config.json cannot be used: "
    assert error.startswith(start + message)
    assert error.isprintable()


def test_the_hosts_own_doors_name_the_field(copy, good):
    folder = change(copy(), num_lstm_layers="two")
    message = "`num_lstm_layers` must be an integer from 0 to 100, got 'two'"
    for door in DOORS:
        with pytest.raises(ValueError, match=message):
            door.from_pretrained(folder)
    with pytest.raises(ValueError, match=message):
        pipeline("ner", model=str(folder), trust_remote_code=True)


def lower(field, value):
    return lambda folder: change(folder, **{field: value})


def lose(tensor):
    return lambda folder: change_weights(folder, lambda tensors: tensors.pop(tensor))


def lose_the_head(folder):
    names = [name for name in load_file(folder / "model.safetensors") if not name.startswith("bert.")]
    return change_weights(folder, lambda tensors: [tensors.pop(name) for name in names])


UNLIKE = [
    (lower("num_hidden_layers", 1), "16 left over, 'bert.encoder.layer.1.[^']*' first; its `num_hidden_layers` is 1"),
    (lower("num_lstm_layers", 1), "8 left over, 'lstm.left_to_right.1.[^']*' first; its `num_lstm_layers` is 1"),
    (lower("num_hidden_layers", 4), "32 missing, 'bert.encoder.layer.2.[^']*' first; its `num_hidden_layers` is 4"),
    (lower("num_lstm_layers", 3), "8 missing, 'lstm.left_to_right.2.[^']*' first; its `num_lstm_layers` is 3"),
    (lose("crf.transitions"), "1 missing, 'crf.transitions'$"),
    (lose("token_roles"), "1 missing, 'token_roles'$"),
    (lose_the_head, "23 missing, 'classifier.bias' first$"),
    (
        lambda folder: change_weights(folder, lambda tensors: tensors.update({"aux\x1b[31m.weight": torch.zeros(2)})),
        r"1 left over, 'aux\\x1b\[31m.weight'$",
    ),
]


@pytest.mark.parametrize(("damaging", "message"), UNLIKE, ids=[message for _, message in UNLIKE])
@pytest.mark.parametrize("door", DOORS)
def test_a_tagger_has_all_its_weights_and_no_others(copy, door, damaging, message):
    """The host would make up what is missing and drop what is left over, for no more than a line in the log."""
    folder = damaging(copy())
    with pytest.raises(
        ValueError, match="the weights in .* must be those that the configuration describes, got " + message
    ):
        door.from_pretrained(folder)
    with pytest.raises(OpeningError, match=message):
        open_tagger(str(folder))


def test_who_asks_which_weights_are_missing_is_told_instead(copy):
    folder = lose("crf.transitions")(change(copy(), num_lstm_layers=1))
    _, info = from_pretrained(folder, output_loading_info=True)
    assert info["missing_keys"] == {"crf.transitions"}
    assert {name.split(".")[2] for name in info["unexpected_keys"]} == {"1"}
    with pytest.raises(ValueError, match=r"1 missing, 'crf.transitions' and 8 left over, 'lstm"):
        from_pretrained(folder)  # what the call before asked for is over


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"hidden_size": 33}, r"'bert.embeddings.LayerNorm.bias' \(33,\), got \(36,\); .*; its `hidden_size` is 33"),
        ({"vocab_size": 400}, r"\(400, 36\), got .*; its `vocab_size` is 400"),
        ({"max_position_embeddings": 9}, "; its `max_position_embeddings` is 9"),
        ({"lstm_hidden_size": 4}, r"'classifier.weight' \(5, 8\), got \(5, 36\); .*; its `lstm_hidden_size` is 4"),
        (
            {"id2label": {"0": "O", "1": "B-X"}, "label2id": None},
            r"'classifier.bias' \(2,\), .*; its `num_labels` is 2",
        ),
    ],
)
def test_weights_of_other_shapes_are_named_with_the_field(copy, values, message):
    with pytest.raises(RuntimeError, match="must have the shapes that the configuration describes, .*" + message):
        from_pretrained(change(copy(), **values))


def test_a_new_head_for_other_labels_still_starts_anew(copy):
    folder = change(copy(), id2label={"0": "O", "1": "B-X"}, label2id=None)
    model = from_pretrained(folder, ignore_mismatched_sizes=True)
    assert (model.crf.num_tags, model.config.labels) == (2, ["O", "B-X"])


def test_harmless_extra_weights_load(copy, good):
    """What older versions of the host, and other heads, have left in checkpoints."""
    extra = {
        "bert.pooler.dense.weight": torch.zeros(36, 36),
        "bert.embeddings.position_ids": torch.arange(48)[None],
        "cls.predictions.bias": torch.zeros(9),
    }
    folder = change_weights(copy(), lambda tensors: tensors.update(extra))
    assert open_tagger(str(folder))(TEXTS) == open_tagger(str(good))(TEXTS)


def test_a_tagger_in_several_files_loads_and_a_missing_file_is_named(good, tokenizer, tmp_path):
    from_pretrained(good).save_pretrained(tmp_path / "parts", max_shard_size="60KB")
    tokenizer.save_pretrained(tmp_path / "parts")
    parts = sorted((tmp_path / "parts").glob("model-*.safetensors"))
    assert len(parts) > 2
    assert open_tagger(str(tmp_path / "parts"))(TEXTS) == open_tagger(str(good))(TEXTS)
    parts[1].unlink()
    with pytest.raises(OpeningError, match=parts[1].name):
        open_tagger(str(tmp_path / "parts"))


def test_weights_that_the_caller_passes_are_his_affair(good):
    config = from_pretrained(good).config
    state_dict = {name: values for name, values in load_file(good / "model.safetensors").items() if "crf" not in name}
    assert BertBiLSTMCRFForTokenClassification.from_pretrained(None, config=config, state_dict=state_dict) is not None


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft asks for it
def test_an_adapter_must_fit_too(good, copy, tmp_path):
    lora = LoraConfig(task_type=TaskType.TOKEN_CLS, target_modules=["query"], modules_to_save=["classifier", "crf"])
    get_peft_model(from_pretrained(good), lora).save_pretrained(tmp_path / "adapter")
    from_pretrained(good).load_adapter(str(tmp_path / "adapter"))

    smaller = from_encoder(str(good_encoder(good, tmp_path)), LABELS, num_lstm_layers=2, word_shape_size=5)
    with pytest.raises(ValueError, match=r"2 left over, 'bert.encoder.layer.1.attention.self.query.lora_A"):
        smaller.load_adapter(str(tmp_path / "adapter"))


def good_encoder(good, tmp_path):
    """An encoder of one layer, with the good folder's tokenizer."""
    config = BertConfig(
        **{
            name: getattr(from_pretrained(good).config, name)
            for name in ("vocab_size", "hidden_size", "num_attention_heads", "intermediate_size")
        },
        max_position_embeddings=48,
        num_hidden_layers=1,
    )
    BertModel(config).save_pretrained(tmp_path / "encoder")
    for file in (damage.TOKENIZER, damage.TOKENIZER_CONFIG):
        shutil.copy(good / file, tmp_path / "encoder")
    return tmp_path / "encoder"


@pytest.mark.parametrize("kind", [BertModel, BertForMaskedLM])
def test_an_encoder_has_all_its_layers_and_no_others(encoder_folder, copy, kind):
    folder = copy(source=encoder_folder)
    kind.from_pretrained(encoder_folder).save_pretrained(folder)
    from_encoder(str(folder), LABELS)  # other heads, and the pooler, are dropped
    change(folder, num_hidden_layers=1)
    with pytest.raises(ValueError, match=r"16 left over, '(bert\.)?encoder.layer.1.* its `num_hidden_layers` is 1"):
        from_encoder(str(folder), LABELS)
    assert from_encoder(str(folder), LABELS, num_hidden_layers=1).config.num_hidden_layers == 1  # who asks for it


@pytest.mark.parametrize("field", ["is_decoder", "add_cross_attention", "is_encoder_decoder"])
def test_a_decoder_is_no_encoder_and_no_tagger(encoder_folder, copy, field):
    message = f"`{field}` must be False, since a tagger reads what stands on both sides of a word, got True"
    with pytest.raises(ValueError, match=message):
        from_pretrained(change(copy(), **{field: True}))
    with pytest.raises(ValueError, match=message):
        from_encoder(str(change(copy(source=encoder_folder), **{field: True})), LABELS)


@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
def test_weights_that_are_no_numbers_are_named(copy, command, error_of, number):
    def spoil(tensors):
        tensors["lstm.right_to_left.0.bias_hh_l0"][3] = float(number)

    folder = change_weights(copy(), spoil)
    message = f"its weights must be finite numbers, got {number} in 'lstm.right_to_left.0.bias_hh_l0'"
    with pytest.raises(OpeningError, match=message):
        open_tagger(str(folder))
    options = {"do_train": None, "do_eval": None, "train_file": None, "validation_file": None}
    assert message in error_of(command(model_name_or_path=str(folder), **options))


def test_large_weights_are_numbers(copy):
    """In the precision of the weights their sum is infinite."""
    folder = change_weights(copy(), lambda tensors: tensors["bert.embeddings.LayerNorm.weight"].fill_(3e38))
    assert open_tagger(str(folder)).model.bert.embeddings.LayerNorm.weight.sum() == float("inf")


def test_a_folder_without_its_tokenizer_is_refused_at_every_door(good, copy, tmp_path, encoder_folder):
    """The host makes a tokenizer of nothing but special tokens, for which every word is unknown."""
    folder, message = (
        copy(),
        "the tokenizer must have words, got special tokens alone, as where tokenizer.json is missing",
    )
    (folder / damage.TOKENIZER).unlink()
    (tmp_path / "notes.txt").write_text("Ada\n")
    for argv in (
        ["tag", folder, "Ada"],
        ["export", folder, tmp_path / "out", "--sentences", tmp_path / "notes.txt"],
        ["demo", folder],
    ):
        result = CliRunner().invoke(app, list(map(str, argv)))
        assert result.exit_code == 1
        assert result.stderr == f"bert-crf {argv[0]}: error: {folder}: {message}\n"
    with pytest.raises(OpeningError, match=message):
        open_tagger(str(folder))
    for file in good.glob("*.py"):
        shutil.copy(file, folder)
    with pytest.raises(ValueError, match=message):
        pipeline("ner", model=str(folder), trust_remote_code=True)
    encoder = copy(source=encoder_folder, name="encoder")
    (encoder / damage.TOKENIZER).unlink()
    with pytest.raises(ValueError, match=message):
        from_encoder(str(encoder), LABELS)


class Tokenizer:
    """A tokenizer that is like another one but for the values that are given."""

    def __init__(self, tokenizer, **values):
        self.tokenizer, self.values = tokenizer, values

    def __getattr__(self, name):
        return self.values[name] if name in self.values else getattr(self.tokenizer, name)

    def __len__(self):
        return len(self.tokenizer)

    def __call__(self, *args, **kwargs):
        return self.tokenizer(*args, **kwargs)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"cls_token": None, "cls_token_id": None}, "the tokenizer must have a cls_token, got None"),
        ({"sep_token": None, "sep_token_id": None}, "the tokenizer must have a sep_token, got None"),
        ({"unk_token": None, "unk_token_id": None}, "the tokenizer must have a unk_token, got None"),
        (
            {"cls_token": "Ada", "cls_token_id": 200},
            "the tokenizer's cls_token must be the one that the tagger learnt with",
        ),
        ({"model_max_length": 2}, "the tokenizer's model_max_length must be an integer of at least 3, got 2"),
        ({"model_max_length": "x"}, "the tokenizer's model_max_length must be an integer of at least 3, got 'x'"),
        ({"model_max_length": 40.5}, "the tokenizer's model_max_length must be an integer of at least 3, got 40.5"),
    ],
)
def test_a_tokenizer_that_cannot_feed_the_model_is_refused(good, tokenizer, values, message):
    model = from_pretrained(good)
    with pytest.raises(ValueError, match=message):
        BertBiLSTMCRFPipeline(model=model, tokenizer=Tokenizer(tokenizer, **values))


def test_another_models_tokenizer_is_refused(good, tokenizer):
    model, vocabulary = from_pretrained(good), tokenizer.get_vocab()
    larger = BertTokenizer(vocab=vocabulary | {"new": len(vocabulary)}, do_lower_case=False)
    with pytest.raises(
        ValueError, match=f"token 'new' has id {len(vocabulary)}, the model knows {len(vocabulary)} ids"
    ):
        BertBiLSTMCRFPipeline(model=model, tokenizer=larger)
    swapped = vocabulary | {"Ada": vocabulary["##a"], "##a": vocabulary["Ada"]}
    with pytest.raises(ValueError, match=f"another vocabulary: its token '(Ada|##a)' has the id {vocabulary['##a']}"):
        BertBiLSTMCRFPipeline(model=model, tokenizer=BertTokenizer(vocab=swapped, do_lower_case=False))
    with pytest.raises(ValueError, match="tokenizer must be the model's tokenizer, got None"):
        BertBiLSTMCRFPipeline(model=model)


def test_special_tokens_that_were_added_later_are_no_other_vocabulary(good, tokenizer):
    model, richer = from_pretrained(good), BertTokenizer(vocab=tokenizer.get_vocab(), do_lower_case=False)
    richer.add_tokens(["[E1]"], special_tokens=True)
    model.resize_token_embeddings(len(richer))
    BertBiLSTMCRFPipeline(model=model, tokenizer=richer)


@pytest.mark.parametrize("verbose", [False, True])
def test_the_original_error_is_shown_to_who_asks_for_it(copy, verbose):
    folder = copy(next(one for one in damage.whole_files(copy()) if one.name == "config.json: deep"))
    result = CliRunner().invoke(app, ["tag", str(folder), "Ada", *["--verbose"] * verbose])
    assert result.exit_code == 1
    *before, last = result.stderr.splitlines()
    assert last.startswith(f"bert-crf tag: error: {folder}: its config.json cannot be read: RecursionError: maximum ")
    assert ("Traceback (most recent call last):" in before) == verbose
    assert bool(before) == verbose
