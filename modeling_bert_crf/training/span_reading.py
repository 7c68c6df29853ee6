"""How a run reads texts with spans: with which words, and by which rules."""

import itertools
from collections.abc import Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from transformers.utils import logging

from .. import is_tagger
from ..opening.tagger import OpeningError, read_config
from ..readers.account import Account
from ..readers.datasets import documents_of_dataset
from ..readers.documents import Document
from ..readers.formats import OF_SENTENCES, find_format, format_of_record, read_documents
from ..readers.marks import Ask
from ..readers.spans import SpanRules
from ..splitters import split_texts
from .arguments import FILES, DataArguments, ModelArguments
from .errors import UserError
from .opened_tokenizer import open_tokenizer_of
from .splitter_choice import choose_text_splitter

__all__ = ["SpanReading"]

logger = logging.get_logger(__name__)

MOST = 2000
"""By so many documents a splitter is chosen, at most."""


class SpanReading:
    """The rules by which texts with spans become sentences, for all splits of a run.

    A finished tagger splits texts as it has learnt. For a new one the splitter is chosen that keeps most ends of
    annotations, in the training data or else in the first split that holds texts.

    Args:
        data: what is read.
        model: the model that the run starts from.
        names: of the splits.
        dataset: the data set that is read in place of files.
    """

    def __init__(self, data: DataArguments, model: ModelArguments, names: list[str], dataset: Any = None):
        self.data, self.model, self.names, self.dataset = data, model, names, dataset

    def ask(self, account: Account | None = None) -> Ask:
        """Return how a file is to be read, with an account of what becomes of its spans."""
        data = self.data
        return Ask(data.text_column_name, data.label_column_name, data.annotator, account or Account())

    @cached_property
    def splitter(self) -> str | None:
        """The splitter of the run's texts; None if no split holds texts."""
        return None if self._sample is None else self._chosen[0]

    @cached_property
    def rules(self) -> SpanRules | None:
        """How spans become words and tags; None if no split holds texts."""
        if self._sample is None:
            return None
        splitter, text_unit, tokenizer = self._chosen
        split = partial(split_texts, tokenizer, splitter=splitter)
        return SpanRules(split, text_unit == "sentence", self.data.on_misaligned, self.data.on_overlap)

    @cached_property
    def _sample(self) -> list[Document] | None:
        """Documents to choose the splitter by: of the first split that holds texts; None if none does."""
        for name in self.names:
            documents = self._documents(name)
            if documents is not None:
                return list(itertools.islice((one for one in documents if one.annotations), MOST))
        return None

    def _documents(self, name: str) -> Iterator[Document] | None:
        ask = self.ask()
        if self.dataset is not None:
            first = next(iter(self.dataset[name]), {})
            found = self.data.data_format or format_of_record(first, ask)
            if found is None or found in OF_SENTENCES:
                return None
            return documents_of_dataset(self.dataset[name], self.data.dataset_name or "", found, ask)
        files = getattr(self.data, FILES[name])
        formats = {path: find_format(Path(path), self.data.data_format, ask) for path in files}
        texts = [path for path, found in formats.items() if found not in OF_SENTENCES]
        if not texts:
            return None
        return itertools.chain.from_iterable(read_documents(path, formats[path], ask) for path in texts)

    @cached_property
    def _chosen(self) -> tuple[str, str, Any]:
        """The splitter, what one example is, and the tokenizer."""
        try:
            stored = read_config(self.model.starts_from, self.model.revision, **self.model.hub)
        except OpeningError as error:
            raise UserError(f"--model_name_or_path: {error}") from error.__cause__
        tokenizer = open_tokenizer_of(self.model)
        if is_tagger(stored.get("model_type")):
            return stored.get("word_splitter", "tokenizer"), stored.get("text_unit", "sentence"), tokenizer
        splitter, share = choose_text_splitter(self._sample or [], tokenizer)
        logger.warning(
            f"texts are split into words by {splitter!r}: {100 * share:.4g} % of the ends of annotations are ends of "
            "its words"
        )
        return splitter, self.model.text_unit, tokenizer
