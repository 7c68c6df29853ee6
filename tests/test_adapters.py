"""LoRA through peft: adapters in the encoder, the whole head and the CRF beside them."""

import json
import subprocess
import sys

import pytest
import torch
from conftest import LABELS
from peft import LoraConfig, TaskType, get_peft_model
from test_trainer import make_sentences

from modeling_bert_crf.training.dataset import TaggingCollator, TaggingDataset
from modeling_bert_crf.training.recipe import CRFTrainingArguments
from modeling_bert_crf.training.trainer import CRFTrainer

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
