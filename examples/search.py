"""Search for hyper-parameters with Optuna: the rates of encoder and head, and the number of epochs.

    python examples/search.py ENCODER TRAIN DEV OUTPUT [TRIALS]

The best F1 on DEV wins. Every trial starts from the same encoder; OUTPUT keeps what the trials leave.
"""

import sys
from typing import Any

from transformers import AutoTokenizer

from modeling_bert_crf import BiLSTMCRFForTokenClassification
from modeling_bert_crf.readers.labelled import read_labelled
from modeling_bert_crf.readers.tags import find_labels
from modeling_bert_crf.training.dataset import TaggingDataset
from modeling_bert_crf.training.trainer import CRFTrainer
from modeling_bert_crf.training.training_arguments import CRFTrainingArguments


def space(trial: Any) -> dict[str, Any]:
    """Return what is tried, and between which bounds."""
    return {
        "learning_rate": trial.suggest_float("learning_rate", 2e-5, 2e-4, log=True),
        "head_learning_rate": trial.suggest_float("head_learning_rate", 3e-4, 3e-3, log=True),
        "num_train_epochs": trial.suggest_int("num_train_epochs", 2, 6),
    }


def main(encoder: str, train: str, dev: str, output: str, trials: str = "10") -> None:
    """Search, and print what is best."""
    sentences = read_labelled(train)
    labels, tokenizer = find_labels(sentences, "IOB2"), AutoTokenizer.from_pretrained(encoder)
    trainer = CRFTrainer(
        args=CRFTrainingArguments(output, eval_strategy="epoch", save_strategy="no", load_best_model_at_end=False),
        train_dataset=TaggingDataset(sentences, tokenizer, labels),
        eval_dataset=TaggingDataset(dev, tokenizer, labels),
        processing_class=tokenizer,
        model_init=lambda _: BiLSTMCRFForTokenClassification.from_encoder(encoder, labels, tokenizer),
    )
    best = trainer.hyperparameter_search(
        space,
        compute_objective=lambda scores: scores["eval_f1"],
        n_trials=int(trials),
        direction="maximize",
        backend="optuna",
    )
    print(f"F1 {100 * best.objective:.1f} with {best.hyperparameters}")


if __name__ == "__main__":
    main(*sys.argv[1:])
