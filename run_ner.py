"""Train, evaluate and use an encoder -> BiLSTM -> CRF tagger: `bert-crf train`, in a checkout.

    python run_ner.py                    the demo in runs/demo: an invented corpus, a small BERT from scratch, offline
    python run_ner.py --help             every option
    python run_ner.py config.yaml        the options in a YAML or JSON file
    python run_ner.py --model_name_or_path google-bert/bert-base-cased --train_file train.conll \\
        --validation_file dev.conll --test_file test.conll --do_train --do_eval --do_predict --output_dir runs/mine

What it does stands in `bert_crf_command/program.py`.
"""

import sys

from bert_crf_command.frame import show_traceback
from bert_crf_command.train import RUN_NER, train_with

__all__ = ["main"]


def main(argv: list[str]) -> None:
    """Run what the command line asks for, or the demo."""
    train_with(argv or ["demo"], RUN_NER)


if __name__ == "__main__":
    sys.excepthook = show_traceback
    main(sys.argv[1:])
