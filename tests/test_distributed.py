"""Two processes, one result."""

import json
import os
import subprocess
import sys

import pytest
from conftest import LABELS

import run_ner
from modeling_bert_crf import BertBiLSTMCRFForTokenClassification
from modeling_bert_crf.training.data import read_conll
from modeling_bert_crf.training.dataset import TaggingCollator, TaggingDataset
from modeling_bert_crf.training.trainer import CRFTrainer, CRFTrainingArguments

# Seven sentences of unequal lengths, one of them cut into windows, one of a single word.
WORDS = ["Ada sang", "rain", "the rain in Paris , yesterday", "in " * 70, "Lovelace visited Paris .", "Ada", ", ."]

SCRIPT = """
import sys
sys.path[:0] = {paths!r}
from test_distributed import run
run({folder!r}, {batch_size})
"""


def run(folder, batch_size):
    """One step of training, then predictions of the first weights; rank 0 writes what came out."""
    from transformers import AutoTokenizer

    model = BertBiLSTMCRFForTokenClassification.from_pretrained(f"{folder}/model")
    dataset = TaggingDataset(
        read_conll(f"{folder}/data.conll"), AutoTokenizer.from_pretrained(f"{folder}/model"), LABELS
    )
    arguments = CRFTrainingArguments(
        f"{folder}/out",
        use_cpu=True,
        per_device_train_batch_size=batch_size,
        per_device_eval_batch_size=2,
        max_steps=1,
        logging_steps=1,
        save_strategy="no",
        disable_tqdm=True,
        seed=3,
    )
    trainer = CRFTrainer(
        model=model, args=arguments, train_dataset=dataset, eval_dataset=dataset, data_collator=TaggingCollator(0)
    )
    tags, scores = trainer.tag(dataset)
    trainer.train()
    if trainer.is_world_process_zero():
        first = trainer.state.log_history[0]
        said = {"tags": tags, "scores": scores, "loss": first["loss"], "grad_norm": first["grad_norm"]}
        with open(f"{folder}/said-{trainer.args.world_size}.json", "w") as file:
            json.dump(said, file)


def test_two_processes_predict_and_train_as_one_does(make_model, tokenizer, tmp_path):
    model = make_model(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, lstm_dropout=0.0)
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    blocks = ("".join(f"{word}\tO\n" for word in words.split()) for words in WORDS)
    (tmp_path / "data.conll").write_text("\n".join(blocks))
    script = tmp_path / "script.py"
    script.write_text(
        SCRIPT.format(
            paths=[os.path.dirname(__file__), os.path.dirname(run_ner.__file__)], folder=str(tmp_path), batch_size=4
        )
    )

    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone", str(script)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert result.returncode == 0, result.stderr[-3000:]
    run(str(tmp_path), batch_size=8)

    one, two = (json.loads((tmp_path / f"said-{count}.json").read_text()) for count in (1, 2))
    assert [len(tags) for tags in two["tags"]] == [len(words.split()) for words in WORDS]
    assert two["tags"] == one["tags"]
    assert two["scores"] == one["scores"]
    assert two["loss"] == pytest.approx(one["loss"], rel=1e-5)
    assert two["grad_norm"] == pytest.approx(one["grad_norm"], rel=1e-4)
