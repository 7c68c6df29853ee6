"""Train a tagger with LoRA: adapters in the encoder, the whole head beside them.

    python examples/lora.py ENCODER TRAIN OUTPUT

ENCODER is a checkpoint, TRAIN a file that `bert-crf train` reads. OUTPUT gets the tagger with the adapters merged into
the encoder: it is one like any other, and needs peft no more.
"""

import sys

from peft import LoraConfig, get_peft_model
from transformers import AutoTokenizer

from modeling_bert_crf import BiLSTMCRFForTokenClassification
from modeling_bert_crf.readers.labelled import read_labelled
from modeling_bert_crf.readers.tags import find_labels
from modeling_bert_crf.training.dataset import TaggingDataset
from modeling_bert_crf.training.trainer import CRFTrainer
from modeling_bert_crf.training.training_arguments import CRFTrainingArguments


def main(encoder: str, train: str, output: str) -> None:
    """Train, merge and save."""
    sentences = read_labelled(train)
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    model = BiLSTMCRFForTokenClassification.from_encoder(encoder, find_labels(sentences, "IOB2"), tokenizer)
    head = [name for name in ("lstm", "classifier", "crf", "word_shapes") if getattr(model, name) is not None]
    adapted = get_peft_model(model, LoraConfig(r=8, target_modules=["query", "value"], modules_to_save=head))
    adapted.print_trainable_parameters()
    arguments = CRFTrainingArguments(output, num_train_epochs=3, learning_rate=1e-3, frozen_steps=0)
    data = TaggingDataset(sentences, tokenizer, model.config.labels)
    CRFTrainer(adapted, arguments, train_dataset=data, processing_class=tokenizer).train()
    adapted.merge_and_unload().save_pretrained(output)
    tokenizer.save_pretrained(output)


if __name__ == "__main__":
    main(*sys.argv[1:])
