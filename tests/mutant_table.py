"""The mutants of `mutants.py`: a file of the package, what stands there, what to put there, and who should notice."""

from typing import NamedTuple


class Mutant(NamedTuple):
    """One change of the package that would be a fault.

    Attributes:
        file: in `modeling_bert_crf`.
        old: stands exactly once in the file.
        new: stands there in the mutant.
        tests: what pytest is to run, counted from `tests/`.
        equivalent: why nobody can tell the mutant from the original, if so.
    """

    file: str
    old: str
    new: str
    tests: str
    equivalent: str = ""

    def __str__(self) -> str:
        return f"{self.file}: {self.old!r} -> {self.new!r}"


def of(file: str, *mutants: tuple[str, ...]) -> list[Mutant]:
    return [Mutant(file, *one) for one in mutants]


MUTANTS = [
    *of(
        "modeling_crf.py",
        (
            "count = (tags != UNKNOWN).sum() if num_items",
            "count = grid.mask.sum() if num_items",
            "test_modeling.py -k mean_loss",
        ),
        ("        if unset:\n", "        if unset and not unset:\n", "test_modeling.py -k said_once"),
        (
            '_keep_in_fp32_modules_strict: ClassVar[list[str]] = ["crf"]',
            "_keep_in_fp32_modules_strict: ClassVar[list[str]] = []",
            "test_stock_tools.py -k loading_in_half",
        ),
        (
            "words = self.dropout(words if self.head is None else self.head(words))",
            "words = words if self.head is None else self.head(words)",
            "test_modeling.py -k dropout_before",
        ),
        (
            ".clamp_min(0) + self._first_position",
            ".clamp_min(0) + self._first_position + 1",
            "test_modeling.py -k hosts_bert",
        ),
    ),
    *of(
        "word_lstm.py",
        (
            "flip(_run_lstm(back, flip(hidden)))",
            "_run_lstm(back, flip(hidden))",
            "test_word_lstm.py",
        ),
    ),
    *of(
        "words.py",
        (
            "borders[after] - borders[sentence.stop] <= context_size",
            "borders[after] - borders[sentence.start] <= context_size",
            "test_words.py -k neighbouring",
        ),
        (
            "    if is_added:\n        return BEGINS\n",
            "    if is_added and mark:\n        return BEGINS\n",
            "test_words.py -k neighbouring",
        ),
    ),
    *of(
        "pipeline_crf.py",
        (
            "limit = min(self.tokenizer.model_max_length, self.model.max_length)",
            "limit = self.model.max_length",
            "test_pipeline.py -k no_row",
        ),
    ),
    *of(
        "crf_tiers.py",
        (
            "steps = LIMITS[dtype] / (2 * loss)",
            "steps = LIMITS[dtype] / loss",
            "test_crf_engine.py -k guard",
        ),
    ),
]
