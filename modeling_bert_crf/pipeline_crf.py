"""Text or words in, entities out: the pipeline that decodes with the CRF. Ships with every checkpoint."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import accumulate, count, islice
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedTokenizerBase, TokenClassificationPipeline
from transformers.pipelines.token_classification import AggregationStrategy
from transformers.utils import logging

# All siblings that this file needs, directly or not: older versions of Transformers copy no others with it.
from .batching import chunks, run_by_length
from .configuration_crf import BiLSTMCRFFields  # noqa: F401
from .crf import LinearChainCRF  # noqa: F401
from .crf_autograd import Sums  # noqa: F401
from .crf_checks import check_shapes  # noqa: F401
from .crf_decoding import viterbi  # noqa: F401
from .crf_engine import sweep  # noqa: F401
from .crf_kernels import Swept  # noqa: F401
from .crf_tiers import Tier  # noqa: F401
from .dataset_columns import is_data_set, tag_data_set
from .entities import most_probable_paths, read_entities, read_words
from .known_spans import Rules, allowed_tags
from .modeling_crf import BiLSTMCRFForTokenClassification, PushesToHub
from .path_biases import MOVES  # noqa: F401
from .processes import share
from .schemes import OUTSIDE
from .splitters import split_texts  # noqa: F401
from .text_layout import Found, Text, lay_out, split_inputs
from .weights import ChecksWeights  # noqa: F401
from .word_lstm import BiLSTM  # noqa: F401
from .words import Window, check_tokenizer

FOUND = "entities"
"""The name of the column that a data set gets."""
BATCH_TOKENS, CPU_BATCH_TOKENS = 16_384, 512
"""Sub-tokens that the encoder reads at once. On a CPU more would gain nothing."""
CRF_WORDS = 2**14
"""Words that the CRF decodes at once, padding included: its step costs the same for one chain as for hundreds."""


class Steps(NamedTuple):
    """The arguments of a call, by the step that takes them."""

    preprocess: dict[str, Any]
    forward: dict[str, Any]
    postprocess: dict[str, Any]


class BiLSTMCRFPipeline(PushesToHub, TokenClassificationPipeline):
    """Find the entities of texts, or of sentences already split into words.

    Reached by `pipeline("token-classification", model=folder_or_repo, trust_remote_code=True)` (or `"ner"`), and by
    the class itself for a model object: `BiLSTMCRFPipeline(model=model, tokenizer=tokenizer)`.

    Arguments of a call (or of the constructor, as defaults):
        inputs: a text, or with `is_split_into_words` a list of words; a list of them, for a list of results; whatever
            else yields them, such as a generator or a torch data set, for a generator of results; or a data set of the
            `datasets` library, whether it streams or not, which comes back with one column more, `"entities"`.
        aggregation_strategy (`str`, in any case): `"none"` gives one dictionary per word that is not ignored, `entity,
            score, index, word, start, end`; anything else one per entity, `entity_group, score, word, start, end`.
        ignore_labels (`list[str]`, defaults to `["O"]`): labels or entity types to leave out. Unless
            `"O"` is among them, the words between entities are groups, too, whose `score` is the probability that
            none of them is in one.
        is_split_into_words (`bool`, defaults to `False`): whether a sentence comes as a list of words. A list of such
            sentences is a document: one input with one result, each sentence a chain among its neighbours.
        delimiter (`str`, defaults to a blank): what joins given words into the text that offsets count in.
        stride (`int`, *optional*): sub-tokens that neighbouring windows of a long text share; by default a quarter of
            a window.
        threshold (`float`, defaults to 0.0): leave out what is less probable, for more precision and less recall.
        decoding (`str`, defaults to `"viterbi"`): `"viterbi"` finds the most probable tagging, `"marginal"` the one
            with the largest expected number of right tags. Both obey the scheme.
        operating_point (`str`, *optional*): the name of one of `config.operating_points`, whose biases the most
            probable tagging is searched with, and whose thresholds hold; by default `config.operating_point`.
        batch_tokens (`int`, *optional*): how many sub-tokens the encoder reads at once, and how many words the BiLSTM,
            padding included; by default 512 on a CPU, where more gains nothing, and 16,384 elsewhere.
        batch_size (`int`, *optional*): windows that the encoder reads at once, whatever their length.
        num_paths (`int`, *optional*): return the most probable taggings instead of the best one's entities: for each
            chain of the text a dictionary `start, end, entropy, paths`. `entropy` (in nats) says how unsure the model
            is of the whole chain; `paths` holds up to `num_paths` dictionaries `probability, entities`.
        num_workers: the host's argument, without effect here.

    Arguments of a call alone:
        progress (`bool`, defaults to `False`): show a progress bar (`datasets` shows its own).
        column (`str`, *optional*): the column of a data set to tag; by default `"text"`, or `"tokens"` with
            `is_split_into_words`.
        known (`list`, *optional*): what is known beforehand of the text; of a list of texts, a list for each. Each is
            a `(start, end, type)` in characters: an entity of exactly these words and of this type, or of one of a
            list of types; or with the type `"O"` a stretch without an entity. Paths and probabilities are then those
            given all this. What cannot be true together is refused.
        split_between_processes (`bool`, defaults to `False`): for calls under `torchrun` or `accelerate launch`. Every
            process must make the same call with the same list; then each tags a share of it, and all return all
            results, in order. Needs `accelerate.PartialState()` beforehand.

    Inputs are read in chunks of at most 1,024 texts. Of a chunk first windows of like length are read in batches, and
    then chains of like length. Results come in the order of the inputs, and do not depend on the batches.

    `word` is always `text[start:end]`. `score` is a probability given the sentence: that the word has this tag; or
    that exactly these words are one entity of this type. Both are exact sums over all taggings.

    A text may be of any length. The encoder reads it in windows, and each word is taken from the window where it has
    the most context; BiLSTM and CRF then run **once** over all words of a chain. A chain is what a chain was in
    training: a sentence if `config.text_unit` is `"sentence"`, for which texts are split into sentences; or else a
    whole text. Given words are one chain. With `config.context_size` the encoder sees each sentence of a text among
    its neighbours. If the encoder sees no farther than a certain distance (`model.reach`), windows overlap by so much
    that each word's emissions are those of the whole text.

    With `config.chain_unit="token"` a chain runs over sub-tokens. Then each of these stands where a word stands above.
    Entities begin and end without blanks, and never within a character.
    """

    model: BiLSTMCRFForTokenClassification
    tokenizer: PreTrainedTokenizerBase

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.model.eval()  # it may come from training
        roles = self.model.token_roles
        learnt = None if roles.is_meta else roles.tolist()  # those of an offloaded model are not at hand
        check_tokenizer(self.tokenizer, self.model.config.vocab_size, learnt)
        if learnt is not None and max(learnt) < 0:
            self.model.set_tokenizer(self.tokenizer)

    def check_model_type(self, supported_models: Any) -> None:
        """Accept our model: the host knows its own classes only, and logs an error for every other."""

    def __call__(
        self,
        inputs: Any,
        *,
        progress: bool = False,
        column: str | None = None,
        known: Sequence[Any] | None = None,
        split_between_processes: bool = False,
        **kwargs: Any,
    ) -> Any:
        steps = self._steps(**kwargs)
        by_words = steps.preprocess.get("is_split_into_words", False)
        if split_between_processes and not isinstance(inputs, list | tuple):
            raise ValueError(
                f"split_between_processes needs a list, got {type(inputs).__name__}: split a data set by "
                "datasets.distributed.split_dataset_by_node"
            )
        by_rows, alone = is_data_set(inputs), isinstance(inputs, str)
        progress = progress and not by_rows  # `datasets` shows its own
        if isinstance(inputs, list | tuple) and by_words and any(isinstance(one, str) for one in inputs):
            inputs, known = [inputs], None if known is None else [known]
        elif alone and known is not None:
            known = [known]
        if known is not None and (by_rows or (not alone and not isinstance(inputs, list | tuple))):
            raise ValueError(f"known needs a text or a list of them, got {type(inputs).__name__}")
        if known is not None and len(known) != (1 if alone else len(inputs)):
            raise ValueError(f"known must say something of each of {len(inputs)} texts, got {len(known)}")

        def run(some: Iterable[Any], numbers: Sequence[int] = ()) -> list[Any]:
            return list(self._stream(*_readable(some), steps, progress, numbers, known))

        if by_rows:
            column = column or ("tokens" if by_words else "text")
            return tag_data_set(inputs, column, FOUND, self._fields(**steps.postprocess), run)
        if alone:
            return run([inputs])[0]
        if isinstance(inputs, list | tuple):
            return share(inputs, run) if split_between_processes else run(inputs)
        return self._stream(*_readable(inputs), steps, progress)

    def _steps(self, batch_size: int | None = None, num_workers: int | None = None, **kwargs: Any) -> Steps:
        """Put the arguments of a call in the place of the constructor's."""
        given = self._sanitize_parameters(**kwargs)
        defaults = (self._preprocess_params, self._forward_params, self._postprocess_params)
        steps = Steps(*({**default, **step} for default, step in zip(defaults, given, strict=True)))
        batch_size = self._batch_size if batch_size is None else batch_size
        for name, value in (("batch_size", batch_size), ("batch_tokens", steps.forward.get("batch_tokens"))):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        steps.forward["batch_size"] = batch_size
        return steps

    def _sanitize_parameters(
        self,
        aggregation_strategy: str | AggregationStrategy | None = None,
        ignore_labels: Sequence[str] | None = None,
        is_split_into_words: bool | None = None,
        delimiter: str | None = None,
        stride: int | None = None,
        batch_tokens: int | None = None,
        num_paths: int | None = None,
        threshold: float | None = None,
        decoding: str | None = None,
        operating_point: str | None = None,
        **unknown: Any,
    ) -> Steps:
        if unknown:
            raise TypeError(f"unknown argument of the pipeline: {', '.join(sorted(unknown))}")
        if threshold is not None and not 0 <= threshold <= 1:
            raise ValueError(f"threshold must be from 0 to 1, got {threshold}")
        if decoding not in (None, "viterbi", "marginal"):
            raise ValueError(f"decoding must be 'viterbi' or 'marginal', got {decoding!r}")
        if operating_point is not None:
            self.model.config.point(operating_point)
        if aggregation_strategy is not None:
            name = getattr(aggregation_strategy, "value", aggregation_strategy)
            aggregation_strategy = AggregationStrategy(str(name).lower())
        steps = (
            {"is_split_into_words": is_split_into_words, "delimiter": delimiter, "stride": stride},
            {"batch_tokens": batch_tokens},
            {
                "aggregation_strategy": aggregation_strategy,
                "ignore_labels": ignore_labels,
                "num_paths": num_paths,
                "threshold": threshold,
                "decoding": decoding,
                "operating_point": operating_point,
            },
        )
        return Steps(*({name: value for name, value in step.items() if value is not None} for step in steps))

    def _stream(
        self,
        inputs: Iterable[Any],
        total: int | None,
        steps: Steps,
        progress: bool,
        numbers: Sequence[int] = (),
        known: Sequence[Any] | None = None,
    ) -> Iterator[list[dict[str, Any]]]:
        """Tag a chunk at a time.

        Args:
            total: how many inputs there are, for the progress bar; None if nobody knows.
            numbers: what an error calls each input; by default they are counted from 1.
            known: what is known of each input that a number calls.
        """
        called = iter(numbers or count(1))
        by_words = steps.preprocess.get("is_split_into_words", False)
        with logging.tqdm(total=total, desc="tagging", unit="text", disable=not progress) as bar:
            for chunk in chunks(inputs, by_words, numbers):
                texts = self.preprocess(chunk, **steps.preprocess)
                emissions = self._forward(texts, bar.update, **steps.forward)
                if known is not None:
                    emissions = self._given(texts, emissions, known, list(islice(called, len(chunk))))
                yield from self.postprocess(texts, emissions, **steps.postprocess)

    def preprocess(
        self,
        sentences: Sequence[Any],
        is_split_into_words: bool = False,
        delimiter: str = " ",
        stride: int | None = None,
    ) -> list[Text]:
        """Split texts into words and chains, and lay those out in windows."""
        config = self.model.config
        joined = delimiter if is_split_into_words else None
        texts = split_inputs(
            self.tokenizer, sentences, joined, config.word_splitter, config.text_unit, config.chain_unit
        )
        limit = min(self.tokenizer.model_max_length, self.model.max_length)
        return lay_out(self.tokenizer, texts, limit, stride, config.context_size, self.model.reach)

    @torch.inference_mode()
    def _forward(
        self,
        texts: Sequence[Text],
        advance: Callable[[int], Any] | None = None,
        batch_tokens: int | None = None,
        batch_size: int | None = None,
    ) -> list[Tensor]:
        """Score the tags: return for each chain of the texts its emissions (n, K).

        Args:
            advance: is told after each batch of windows how many texts begin in it, for the progress bar.
        """
        default = CPU_BATCH_TOKENS if self.device.type == "cpu" else BATCH_TOKENS
        windows = batch_tokens or (None if batch_size else default)
        words = self._read_windows(texts, advance, windows, batch_size)

        def score(batch: list[int]) -> list[Tensor]:
            grid, mask = pad([words[index] for index in batch])
            rows = zip(batch, self.model.emit(grid, mask), strict=True)
            return [scores[: len(words[index])] for index, scores in rows]

        return run_by_length(list(map(len, words)), score, batch_tokens or default)

    def _read_windows(
        self,
        texts: Sequence[Text],
        advance: Callable[[int], Any] | None,
        batch_tokens: int | None,
        batch_size: int | None,
    ) -> list[Tensor]:
        """Run the encoder; return for each chain of the texts what `model.encode` returns for its words, (n, H)."""
        windows = [window for text in texts for chain in text.chains for window in chain]
        firsts = {0, *accumulate(sum(map(len, text.chains)) for text in texts)}  # the first window of each text

        def read(batch: list[int]) -> list[Tensor]:
            words = self._encode([windows[index] for index in batch])
            if advance:
                advance(sum(index in firsts for index in batch))
            return words

        lengths = [len(window.input_ids) for window in windows]
        words = iter(run_by_length(lengths, read, batch_tokens, batch_size))
        return [torch.cat(list(islice(words, len(chain)))) for text in texts for chain in text.chains]

    def _encode(self, windows: Sequence[Window]) -> list[Tensor]:
        """Return for each window what `model.encode` returns for its words, (n, H)."""
        rows = {
            "input_ids": [window.input_ids for window in windows],
            "attention_mask": [[1] * len(window.input_ids) for window in windows],
            "word_mask": [window.word_mask for window in windows],
            "word_shape_ids": [window.word_shape_ids for window in windows],
        }
        width = max(map(len, rows["input_ids"]))
        words, mask = self.model.encode(
            **{
                name: torch.tensor([row + [0] * (width - len(row)) for row in values], device=self.device)
                for name, values in rows.items()
            }
        )
        return [row[:count] for row, count in zip(words, mask.sum(1).tolist(), strict=True)]

    @torch.inference_mode()
    def _given(
        self, texts: Sequence[Text], emissions: Sequence[Tensor], known: Sequence[Any], numbers: Sequence[int]
    ) -> list[Tensor]:
        """Forbid the tags that do not agree with what is known of the texts of these numbers."""
        config, crf, scores = self.model.config, self.model.crf, iter(emissions)
        rules = Rules(*(rule.tolist() for rule in (crf.allowed_starts, crf.allowed_ends, crf.allowed_transitions)))
        restricted = []
        for text, number in zip(texts, numbers, strict=True):
            place = f"text {number}"
            chains = allowed_tags(text, known[number - 1], config.labels, config.span_scheme, rules, place)
            for allowed, own in zip(chains, islice(scores, len(chains)), strict=True):
                forbidden = ~torch.tensor(allowed, dtype=torch.bool, device=own.device).view(own.shape)
                restricted.append(own.masked_fill(forbidden, -torch.inf))
        return restricted

    @torch.inference_mode()
    def postprocess(
        self,
        texts: Sequence[Text],
        emissions: Sequence[Tensor],
        aggregation_strategy: AggregationStrategy = AggregationStrategy.SIMPLE,
        ignore_labels: Sequence[str] = ("O",),
        num_paths: int | None = None,
        threshold: float = 0.0,
        decoding: str = "viterbi",
        operating_point: str | None = None,
    ) -> list[list[dict[str, Any]]]:
        """Decode the chains of the texts, and return what was found in each text, as dictionaries."""
        crf = self.model.crf
        by_word = aggregation_strategy == AggregationStrategy.NONE
        reader = read_words if by_word else partial(read_entities, with_outside=OUTSIDE not in ignore_labels)
        thresholds = self.model.config.point(operating_point).get("thresholds", {})

        def decode(grid: Tensor, mask: Tensor) -> Tensor:
            if decoding == "viterbi":
                return self.model.best_paths(grid, mask, operating_point)
            return crf.decode_by_marginals(grid, mask)[0]

        def read(grid: Tensor, mask: Tensor, paths: Tensor) -> list[list[Found]]:
            rows: list[list[Found]] = [[] for _ in grid]
            for found in reader(self.model, grid, mask, paths):
                least = max(threshold, 0.0 if by_word else thresholds.get(found.name, 0.0))
                if found.score >= least and found.name not in ignore_labels:
                    rows[found.row].append(found)
            return rows

        def read_batch(batch: list[int]) -> list[Any]:
            grid, mask = pad([emissions[index] for index in batch])
            if num_paths is None:
                return read(grid, mask, decode(grid, mask))
            return most_probable_paths(crf, grid, mask, num_paths, read)

        readings = iter(run_by_length(list(map(len, emissions)), read_batch, CRF_WORDS))
        write = Text.entries if num_paths is None else Text.rankings
        return [write(text, list(islice(readings, len(text.chains))), by_word) for text in texts]

    @staticmethod
    def _fields(
        aggregation_strategy: AggregationStrategy = AggregationStrategy.SIMPLE,
        num_paths: int | None = None,
        **others: Any,
    ) -> list[Any]:
        """Return the type of a text's result, as `tag_data_set` takes it."""
        by_word = aggregation_strategy == AggregationStrategy.NONE
        entry = {"entity" if by_word else "entity_group": "string", "score": "float64"}
        entry |= {"word": "string", "start": "int64", "end": "int64"} | ({"index": "int64"} if by_word else {})
        if num_paths is None:
            return [entry]
        path = {"probability": "float64", "entities": [entry]}
        return [{"start": "int64", "end": "int64", "entropy": "float64", "paths": [path]}]


def _readable(inputs: Any) -> tuple[Iterable[Any], int | None]:
    """Return inputs as something to iterate over, and how many they are, if they say so."""
    total = len(inputs) if hasattr(inputs, "__len__") else None
    if not isinstance(inputs, Mapping | bytes):
        if isinstance(inputs, Iterable):
            return inputs, total
        if total is not None and hasattr(inputs, "__getitem__"):
            return map(inputs.__getitem__, range(total)), total  # a torch data set
    raise ValueError(f"inputs must be a text, a list of texts or an iterator over texts, got {inputs!r}")


def pad(rows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Put rows (n, ...) of unequal lengths one above the other.

    Returns:
        (B, T, ...), 0 past each row's end, T at least 1 (an LSTM needs a step to take); and the mask, bool (B, T).
    """
    lengths = torch.tensor([len(row) for row in rows])
    grid = pad_sequence(list(rows), batch_first=True)
    if grid.shape[1] == 0:
        grid = grid.new_zeros(len(rows), 1, *grid.shape[2:])
    mask = torch.arange(grid.shape[1]) < lengths[:, None]
    return grid, mask.to(grid.device)


__all__ = ["BiLSTMCRFPipeline", "pad"]
