"""LoRA through peft: adapters in the encoder, the whole head and the CRF beside them."""

import json
import logging
import subprocess
import sys

import pytest
import torch
from conftest import LABELS
from peft import LoraConfig, TaskType, get_peft_model
from test_trainer import make_sentences

from modeling_bert_crf import BertBiLSTMCRFForTokenClassification
from modeling_bert_crf.training.dataset import TaggingCollator, TaggingDataset
from modeling_bert_crf.training.trainer import CRFTrainer
from modeling_bert_crf.training.training_arguments import CRFTrainingArguments

TEXT = "Ada Lovelace visited Paris ."

SCRIPT = """
import json, sys
from peft import PeftModel
from transformers import AutoModelForTokenClassification, AutoTokenizer
import modeling_bert_crf
folder, text = sys.argv[1:]
batch = AutoTokenizer.from_pretrained(folder + "/base")(text, return_tensors="pt")
base = AutoModelForTokenClassification.from_pretrained(folder + "/base")
adapted = PeftModel.from_pretrained(base, folder + "/adapter").eval()
merged = AutoModelForTokenClassification.from_pretrained(folder + "/merged")
outputs = [model(**batch) for model in (adapted, merged)]
print(json.dumps([[output.logits.tolist(), output.paths.tolist()] for output in outputs]))
"""


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft asks for it
@pytest.mark.process
def test_an_adapter_and_its_merged_model_load_elsewhere(make_model, tokenizer, tmp_path):
    model = make_model(word_shape_size=3)
    model.save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    whole = ["lstm", "classifier", "crf", "word_shapes"]
    lora = LoraConfig(task_type=TaskType.TOKEN_CLS, target_modules=["query", "value"], modules_to_save=list(whole))
    adapted = get_peft_model(model, lora)
    frozen = {name: value.clone() for name, value in adapted.named_parameters() if not value.requires_grad}
    dataset = TaggingDataset(make_sentences(), tokenizer, LABELS)
    trainer = CRFTrainer(
        model=adapted,
        args=CRFTrainingArguments(
            str(tmp_path / "out"),
            use_cpu=True,
            num_train_epochs=80,
            learning_rate=1e-2,
            head_learning_rate=1e-2,
            save_strategy="no",
            logging_steps=40,
            disable_tqdm=True,
        ),
        train_dataset=dataset,
        eval_dataset=dataset,
        data_collator=TaggingCollator(tokenizer.pad_token_id),
    )
    trainer.train()

    assert trainer.evaluate()["eval_f1"] == 1.0
    assert [entry["crf_drift"] > 0 for entry in trainer.state.log_history if "loss" in entry] == [True, True]
    assert all(value.equal(frozen[name]) for name, value in adapted.named_parameters() if name in frozen)
    trained = {name for name, value in adapted.named_parameters() if value.requires_grad}
    assert {name.split(".")[2] for name in trained} == {"bert", *whole}
    adapted.save_pretrained(tmp_path / "adapter")
    with torch.no_grad():
        output = adapted.eval()(**tokenizer(TEXT, return_tensors="pt"))
    adapted.merge_and_unload().save_pretrained(tmp_path / "merged")

    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, str(tmp_path), TEXT], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr[-2000:]
    for logits, paths in json.loads(result.stdout):
        assert paths == output.paths.tolist()
        torch.testing.assert_close(torch.tensor(logits), output.logits, rtol=0, atol=1e-4)


@pytest.fixture
def said(monkeypatch, caplog, tokenizer, tmp_path):
    """Train for two steps, the first of rate 0; return what is said of parts that are not trained."""
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)

    def train(model):
        dataset = TaggingDataset(make_sentences(), tokenizer, LABELS)
        options = {"use_cpu": True, "max_steps": 2, "save_strategy": "no", "disable_tqdm": True}
        arguments = CRFTrainingArguments(str(tmp_path / "out"), **options)
        collator = TaggingCollator(tokenizer.pad_token_id)
        caplog.clear()
        CRFTrainer(model=model, args=arguments, train_dataset=dataset, data_collator=collator).train()
        return [record.getMessage() for record in caplog.records if "gradient" in record.getMessage()]

    return train


PEFT = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")


def adapt(model, *modules):
    lora = LoraConfig(task_type=TaskType.TOKEN_CLS, target_modules=["query"], modules_to_save=list(modules) or None)
    return get_peft_model(model, lora)


@PEFT
@pytest.mark.parametrize(
    ("layers", "shapes", "modules", "frozen", "all_of_them"),
    [
        (1, 4, (), "word_shapes, lstm, crf", ["word_shapes", "lstm", "classifier", "crf"]),
        (2, 0, (), "lstm, crf", ["lstm", "classifier", "crf"]),
        (0, 4, (), "word_shapes, crf", ["word_shapes", "classifier", "crf"]),
        (1, 0, ("lstm", "crf"), None, None),  # peft adds the classifier by itself
    ],
)
def test_training_says_which_new_parts_an_adapter_leaves_as_they_are(
    encoder_folder, said, layers, shapes, modules, frozen, all_of_them
):
    model = BertBiLSTMCRFForTokenClassification.from_encoder(
        str(encoder_folder), LABELS, num_lstm_layers=layers, word_shape_size=shapes
    )

    messages = said(adapt(model, *modules))

    assert messages == [
        f"{frozen}: new, but will not be trained, since no parameter there requires a gradient. An adapter of peft "
        f"trains them with modules_to_save={all_of_them}."
    ] * (frozen is not None)


@PEFT
def test_the_frozen_head_of_a_finished_tagger_is_no_fault(encoder_folder, said, tmp_path):
    model = BertBiLSTMCRFForTokenClassification.from_encoder(str(encoder_folder), LABELS, word_shape_size=4)
    assert said(model) == []
    model.save_pretrained(tmp_path / "tagger")

    tagger = BertBiLSTMCRFForTokenClassification.from_pretrained(tmp_path / "tagger")

    assert said(adapt(tagger)) == []


def test_a_new_head_that_was_saved_untrained_and_frozen_by_hand_is_noticed_too(encoder_folder, said, tmp_path):
    model = BertBiLSTMCRFForTokenClassification.from_encoder(str(encoder_folder), LABELS)
    model.save_pretrained(tmp_path / "new")
    model = BertBiLSTMCRFForTokenClassification.from_pretrained(tmp_path / "new")
    model.lstm.left_to_right.requires_grad_(False)  # a part of it is trained
    model.crf.requires_grad_(False)

    (message,) = said(model)

    assert message.startswith("crf: new, but will not be trained")


@PEFT
def test_an_adapted_crf_follows_the_configuration(make_model, tokenizer):
    """peft keeps a copy of it."""
    model = make_model()
    adapted = adapt(model, "lstm", "crf").eval()
    batch = tokenizer(TEXT, return_tensors="pt")
    expected = make_model()

    for one in (model, expected):
        one.config.temperature = 4.0
        one.config.tag_scheme = None

    output, wanted = adapted(**batch), expected(**batch)
    torch.testing.assert_close(output.logits, wanted.logits)
    assert output.paths.equal(wanted.paths)
