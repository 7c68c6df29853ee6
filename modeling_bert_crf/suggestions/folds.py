"""Taggers that have not seen the sentences that they read: each is trained on all folds but one, and reads that one.

What a tagger was trained on it believes, mistakes too; so it can only judge labels that it has not seen. Documents
stay whole, and copies of a sentence together: else a mistake that stands twice would confirm itself.
"""

import random
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from transformers import set_seed

from .. import BiLSTMCRFPipeline
from ..opening.tagger import quiet
from ..readers.sentences import Sentence
from ..training.dataset import TaggingCollator
from ..training.log_lines import LogLines
from ..training.machine_faults import faults_in_words
from ..training.settings import settings_of_model
from ..training.split_datasets import make_datasets
from ..training.splits import Split
from ..training.starting_model import load_model
from ..training.trainer import CRFTrainer
from .recipe import Recipe

__all__ = ["folds_of", "out_of_fold", "train_tagger"]

SEED = 42
"""Of the order in which documents, or sentences, are dealt out."""


def folds_of(sentences: Sequence[Sentence], count: int, seed: int = SEED) -> list[list[int]]:
    """Deal sentences out into folds of about the same size.

    A document goes into one fold as a whole, where a file has several; so does a sentence with its copies, which
    differ in capitals at most.

    Returns:
        Of each fold the numbers of its sentences, in order; together each number once.

    Raises:
        ValueError: if there are fewer documents, or different sentences, than folds.
    """
    documents: dict[str, set[str]] = defaultdict(set)
    for one in sentences:
        documents[one.source].add(one.document)
    groups: dict[Any, list[int]] = defaultdict(list)
    for number, one in enumerate(sentences):
        whole = len(documents[one.source]) > 1 and one.document
        groups[(one.source, one.document) if whole else "".join(one.words).casefold()].append(number)
    if len(groups) < count:
        raise ValueError(
            f"there must be a document, or a sentence of its own, for each of {count} folds, got {len(groups)}"
        )
    dealt = list(groups.values())
    random.Random(seed).shuffle(dealt)
    folds: list[list[int]] = [[] for _ in range(count)]
    for group in dealt:
        min(folds, key=len).extend(group)
    return [sorted(fold) for fold in folds]


def out_of_fold(
    sentences: Sequence[Sentence],
    scheme: str | None,
    labels: list[str] | None,
    recipe: Recipe,
    folds: Sequence[list[int]],
    say: Callable[[str], Any] = lambda _: None,
) -> Iterator[tuple[list[int], BiLSTMCRFPipeline]]:
    """Train a tagger for each fold, on the sentences of all others.

    Args:
        sentences: their tags obey the scheme.
        scheme: of the tags.
        labels: of the taggers; None takes those of all sentences.
        recipe: how they are trained.
        folds: the numbers of the sentences of each, as `folds_of` deals them out.
        say: is told of each tagger before it is trained.

    Returns:
        The numbers of the sentences of each fold, and the tagger that has not seen them, one after the other.
    """
    for number, fold in enumerate(folds, start=1):
        held_out = set(fold)
        seen = [one for index, one in enumerate(sentences) if index not in held_out]
        say(
            f"fold {number} of {len(folds)}: a tagger on {recipe.encoder} is trained on {len(seen):,} sentences, "
            f"and reads {len(fold):,}"
        )
        yield fold, train_tagger(seen, scheme, labels, recipe)


def train_tagger(
    sentences: Sequence[Sentence], scheme: str | None, labels: list[str] | None, recipe: Recipe
) -> BiLSTMCRFPipeline:
    """Train a tagger in memory, as `bert-crf train` does; nothing stays on the disk.

    Raises:
        DataError, TrainingError, UserError: if it cannot be trained, in one sentence.
    """
    with tempfile.TemporaryDirectory(prefix="bert-crf-suggest-") as folder, faults_in_words(folder, False), quiet():
        arguments, options = recipe.arguments(Path(folder))
        model_arguments, data, training = arguments
        set_seed(training.seed)
        splits = {"train": Split("train", scheme, labels, list(sentences), lambda: iter(sentences))}
        model, tokenizer = load_model(model_arguments, data, splits, options)
        settings_of_model(training, options, model, tokenizer, data.max_seq_length)
        trainer = CRFTrainer(
            model=model,
            args=training,
            train_dataset=make_datasets(splits, tokenizer, model, data)["train"],
            data_collator=TaggingCollator(tokenizer.pad_token_id),
            processing_class=tokenizer,
        )
        trainer.remove_callback(LogLines)  # they go to standard output, where results appear
        trainer.train()
        return BiLSTMCRFPipeline(model=model, tokenizer=tokenizer, device=training.device)
