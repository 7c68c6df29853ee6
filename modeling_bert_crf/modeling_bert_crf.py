"""BERT -> BiLSTM -> CRF. Where the Transformers world and the CRF world meet; ships with every checkpoint.

Outside, in the shapes of Transformers: B sentences of S sub-tokens, `labels` with -100, an int64 `attention_mask`.
Inside, in the CRF's: B sentences of T words out of K tags, `tags`, a bool prefix `mask`. `WordGrid` is the way in and
out.
"""

import logging as python_logging
import os
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields
from difflib import get_close_matches
from functools import cache
from inspect import signature
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import AutoTokenizer, BertModel, BertPreTrainedModel, PreTrainedConfig
from transformers import initialization as init
from transformers.processing_utils import Unpack
from transformers.utils import ModelOutput, TransformersKwargs, can_return_tuple, logging

from .configuration_bert_crf import BertBiLSTMCRFConfig, check_code_can_travel, quoted
from .crf import UNKNOWN, LinearChainCRF
from .pipeline_bert_crf import BertBiLSTMCRFPipeline  # noqa: F401  (imported so that saving a model brings it along)
from .pushing import PushesToHub
from .schemes import OUTSIDE, constraints
from .words import BEGINS, WORD_SHAPES, check_tokenizer, loses_case, token_roles

logger = logging.get_logger(__name__)

LOG_ZERO = -1e4
"""Stands for log 0 in `logits`: finite, and its exponential is exactly 0."""
ROLES_UNSET = -1
WORD_SHAPE_SIZE = 16
"""Width of the word shapes' embedding that `from_encoder` chooses for an encoder that sees no capitals."""
WORD_SHAPE_DROPOUT = 0.1
"""Share of training sentences whose word shapes are withheld, so that the model can do without: most calls do."""
_UNCHECKED: ContextVar[Collection[str]] = ContextVar("what the caller of from_pretrained looks at himself", default=())
# Arguments of `from_encoder` that say where to load from; every other keyword is a field of the configuration.
_LOADING_ARGUMENTS = ("revision", "token", "cache_dir", "local_files_only", "subfolder", "attn_implementation")
# What the host may pass to any model's `forward`.
_HOST_ARGUMENTS = TransformersKwargs.__required_keys__ | TransformersKwargs.__optional_keys__ | {"return_dict"}
HEAD = ("word_shapes", "lstm", "classifier", "crf")
"""The modules that a new tagger starts with untrained; one that is left out is None."""


@dataclass
class BertBiLSTMCRFOutput(ModelOutput):
    """What the model returns.

    Args:
        loss (`torch.FloatTensor` of shape `()`, returned when `labels` is given): negative log likelihood of the
            labels in nats, summed over the batch and divided by `num_items_in_batch` if given, else by the number of
            labels that are not -100.
        logits (`torch.FloatTensor` of shape `(batch_size, sequence_length, num_labels)`): for a word, at its first
            sub-token, the log of the **exact posterior** P(tag | sentence), so that `softmax(logits)` is a calibrated
            probability; elsewhere all weight on `O` (on label 0 if there is no `O`). Its argmax is the tagging of
            largest word-by-word probability, not the best path: it may break the scheme's rules. Use `paths` for tags.
        paths (`torch.LongTensor` of shape `(batch_size, sequence_length)`, not returned in training mode with labels):
            the best path (Viterbi), at each word's first sub-token; -100 elsewhere.
        emissions (`torch.FloatTensor` of shape `(batch_size, sequence_length, num_labels)`): the scores that the CRF
            adds its transitions to, 0 off the chain. Their argmax is **not** a tagging.
        hidden_states, attentions: as BERT's.
    """

    loss: torch.FloatTensor | None = None
    logits: torch.FloatTensor | None = None
    paths: torch.LongTensor | None = None
    emissions: torch.FloatTensor | None = None
    hidden_states: tuple[torch.FloatTensor, ...] | None = None
    attentions: tuple[torch.FloatTensor, ...] | None = None


class WordGrid(NamedTuple):
    """The way between sub-tokens, (B, S, ...), and the dense grid of scored words, (B, T, ...)."""

    chain: Tensor  # bool (B, S): the scored positions
    rank: Tensor  # int64 (B, S): how many scored positions stand before this one
    index: Tensor  # int64 (B, T): the sub-token of each word; 0 past the row's last one
    mask: Tensor  # bool (B, T): a prefix of each row

    @classmethod
    def of(cls, chain: Tensor) -> "WordGrid":
        """Make a grid as wide as the input; `cut` makes it as narrow as it can be."""
        batch_size, length = chain.shape
        rank = chain.cumsum(1) - chain.long()
        # Unscored positions all write to one column too many, which is dropped.
        index = torch.zeros(batch_size, length + 1, dtype=torch.int64, device=chain.device)
        positions = torch.arange(length, device=chain.device).expand(batch_size, -1)
        index = index.scatter(1, rank.masked_fill(~chain, length), positions)[:, :length]
        mask = positions < chain.sum(1, keepdim=True)
        return cls(chain, rank, index.masked_fill(~mask, 0), mask)

    def cut(self, words: int) -> "WordGrid":
        return self._replace(index=self.index[:, :words], mask=self.mask[:, :words])

    def gather(self, values: Tensor, fill: float) -> Tensor:
        """(B, S, ...) -> (B, T, ...), `fill` past each row's last word."""
        return _take(values, self.index, self.mask, fill)

    def scatter(self, values: Tensor, fill: float) -> Tensor:
        """(B, T, ...) -> (B, S, ...), `fill` off the chain."""
        return _take(values, self.rank.clamp_max(values.shape[1] - 1), self.chain, fill)


def _take(values: Tensor, index: Tensor, where: Tensor, fill: float) -> Tensor:
    tail = values.shape[2:]
    index = index.reshape(*index.shape, *[1] * len(tail)).expand(*index.shape, *tail)
    return values.gather(1, index).masked_fill(~where.reshape(*where.shape, *[1] * len(tail)), fill)


class BiLSTM(nn.Module):
    """A bidirectional LSTM that never reads padding, so that a sentence's result does not depend on its batch.

    The way back is an LSTM of its own that reads each row reversed within its length: exact, as packing is, but the
    grid stays dense.
    """

    def __init__(self, input_size: int, hidden_size: int, num_layers: int, dropout: float):
        super().__init__()
        sizes = [input_size] + [2 * hidden_size] * (num_layers - 1)
        self.left_to_right = nn.ModuleList(nn.LSTM(size, hidden_size, batch_first=True) for size in sizes)
        self.right_to_left = nn.ModuleList(nn.LSTM(size, hidden_size, batch_first=True) for size in sizes)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """(B, T, H) and a prefix mask (B, T) -> (B, T, 2 * hidden_size)."""
        positions = torch.arange(mask.shape[1], device=mask.device)
        reverse = torch.where(mask, mask.sum(1, keepdim=True) - 1 - positions, positions)[..., None]  # (B, T, 1)

        def flip(grid: Tensor) -> Tensor:
            return grid.gather(1, reverse.expand_as(grid))

        for onward, back in zip(self.left_to_right, self.right_to_left, strict=True):
            hidden = torch.cat([_run_lstm(onward, hidden), flip(_run_lstm(back, flip(hidden)))], dim=2)
            hidden = self.dropout(hidden)
        return hidden


def _run_lstm(lstm: nn.LSTM, hidden: Tensor) -> Tensor:
    """Run an LSTM in autocast's precision, or in that of its weights where the device has no LSTM in autocast's."""
    device = hidden.device.type
    if not torch.amp.is_autocast_available(device) or not torch.is_autocast_enabled(device):
        return lstm(hidden)[0]
    if _has_lstm(hidden.device, torch.get_autocast_dtype(device)):
        return lstm(hidden)[0]
    with torch.autocast(device, enabled=False):
        return lstm(hidden.to(lstm.weight_ih_l0.dtype))[0]


@cache
def _has_lstm(device: torch.device, dtype: torch.dtype) -> bool:
    """Ask a device, by trying, whether it runs LSTMs under autocast to a precision, and back; say so if not.

    CPUs without units for bfloat16 have every other operation in it.
    """
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast(device.type, dtype=dtype):
        lstm = nn.LSTM(1, 1, device="meta").to_empty(device=device)  # which draws no random numbers
        try:
            lstm(torch.zeros(1, 1, 1, device=device))[0].sum().backward()
        except RuntimeError:
            logger.warning_once(
                f"This {device.type} has no LSTM in {str(dtype).removeprefix('torch.')}: under autocast the BiLSTM "
                "runs in the precision of its weights."
            )
            return False
    return True


class BertBiLSTMCRFForTokenClassification(PushesToHub, BertPreTrainedModel):
    """BERT, a BiLSTM over words, and a linear-chain CRF over their tags.

    Start a new tagger with [`from_encoder`]; load a trained one with `from_pretrained`.
    """

    config_class = BertBiLSTMCRFConfig
    # A pooler or a language model's head may stand in the encoder's checkpoint; a tagger has no use for either.
    _keys_to_ignore_on_load_unexpected = (r"pooler", r"^cls\.")
    _keep_in_fp32_modules_strict = frozenset({"crf"})

    def __init__(self, config: BertBiLSTMCRFConfig):
        super().__init__(config)
        self.num_labels = config.num_labels
        self.bert = BertModel(config, add_pooling_layer=False)
        self.word_shapes = nn.Embedding(len(WORD_SHAPES), config.word_shape_size) if config.word_shape_size else None
        word_size = config.hidden_size + config.word_shape_size
        dropout = config.hidden_dropout_prob if config.classifier_dropout is None else config.classifier_dropout
        self.dropout = nn.Dropout(dropout)
        self.lstm = (
            BiLSTM(word_size, config.lstm_units, config.num_lstm_layers, config.lstm_dropout)
            if config.num_lstm_layers
            else None
        )
        width = 2 * config.lstm_units if config.num_lstm_layers else word_size
        self.classifier = nn.Linear(width, config.num_labels)
        self.crf = LinearChainCRF(config.num_labels)
        self._write_rules(self._modules["crf"])
        self.register_buffer("token_roles", torch.full((config.vocab_size,), ROLES_UNSET, dtype=torch.int8))
        self.post_init()

    @property
    def crf(self) -> LinearChainCRF:
        """The CRF, with the rules and the temperature that the configuration asks for by now."""
        crf = self._modules["crf"]
        for module in crf.modules():  # adapters keep copies
            if isinstance(module, LinearChainCRF):
                module.temperature = self.config.temperature
                if getattr(module, "rules", None) != (self.config.tag_scheme, self.config.id2label):
                    self._write_rules(module)
        return crf

    @property
    def device(self) -> torch.device:
        """Where inputs belong. Of a model that accelerate has offloaded that is not where the weights wait."""
        hook = vars(self.get_input_embeddings()).get("_hf_hook")
        device = getattr(hook, "execution_device", None)
        return super().device if device is None else torch.device(device)

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike | None, *args: Any, **kwargs: Any
    ) -> Any:
        """Load a tagger, or an encoder for a new one, as the host does: but from safetensors alone.

        The host falls back to pickles, files that are able to run code when they are read. With other labels and
        `ignore_mismatched_sizes=True` classifier and CRF start anew, and the temperature, which was theirs, is 1.

        Raises:
            ValueError: if other weights are asked for, by `use_safetensors=False` or a `gguf_file`; or if weights that
                the configuration describes are missing, or others left over, unless `output_loading_info=True` asks
                for a list of them. Of an encoder, for a new tagger, only its own weights count.
            RuntimeError: if their shapes are others, and `ignore_mismatched_sizes=True` does not say to start such
                weights anew.
            OSError: if there are no safetensors.
        """
        if kwargs.pop("use_safetensors", None) is False or kwargs.get("gguf_file") is not None:
            raise ValueError("weights must be safetensors: use_safetensors=False and gguf_file cannot be followed")
        told = kwargs.pop("output_loading_info", False)
        unchecked = _UNCHECKED.set(kwargs.pop("_unchecked", _FAULTS if told else ()))
        try:
            model, info = super().from_pretrained(
                pretrained_model_name_or_path, *args, use_safetensors=True, output_loading_info=True, **kwargs
            )
        except OSError as error:
            if "file named model" not in str(error):
                raise
            name = str(pretrained_model_name_or_path)
            raise OSError(
                f"{name} must hold its weights as model.safetensors; an old pytorch_model.bin is a pickle, which can "
                f"run code: if you trust it, convert it: BertModel.from_pretrained({name!r}).save_pretrained(FOLDER), "
                "and the same with AutoTokenizer"
            ) from error
        finally:
            _UNCHECKED.reset(unchecked)
        if any(name.split(".")[0] in HEAD for name, *_ in info["mismatched_keys"]):
            model.config.temperature = 1.0
        return (model, info) if told else model

    @staticmethod
    def _load_pretrained_model(
        model: Any,
        state_dict: dict[str, Tensor] | None,
        checkpoint_files: list[str] | None,
        load_config: Any,
        **kwargs: Any,
    ) -> Any:
        """Read the files of weights, unless one is no safetensors or lies elsewhere; check that they are the model's.

        `use_safetensors` alone does not see to it: the index of a sharded checkpoint names what it likes, and so does
        the configuration (`transformers_weights`).
        """
        folder = load_config.pretrained_model_name_or_path
        for file in checkpoint_files or []:
            if not file.endswith(".safetensors"):
                raise OSError(f"the weights in {folder} must be safetensors, got {file}")
            top = os.path.abspath(folder)
            if os.path.isdir(top) and os.path.commonpath([top, os.path.abspath(file)]) != top:
                raise OSError(f"the weights must lie in {folder}, got {file}")
        loaded = BertPreTrainedModel._load_pretrained_model(
            model=model, state_dict=state_dict, checkpoint_files=checkpoint_files, load_config=load_config, **kwargs
        )
        _check_weights(model, loaded[0], load_config, is_adapter="expected_keys" in kwargs)
        return loaded

    @classmethod
    def from_encoder(
        cls, name_or_path: str, labels: Sequence[str], tokenizer: Any = None, **config: Any
    ) -> "BertBiLSTMCRFForTokenClassification":
        """Put a new, untrained head on a pretrained BERT encoder.

        Args:
            name_or_path: a BERT checkpoint, on the Hub or in a folder.
            labels: the tags, each once; their order gives the ids.
            tokenizer: the encoder's tokenizer; None loads it from the same place.
            **config: fields of `BertBiLSTMCRFConfig` (`num_lstm_layers=2`; `word_shape_size` is 16 by default if the
                tokenizer writes everything in lower case, `word_splitter` is `"unicode_words"` if it is not a fast
                one), or where and how to load from
                (`revision`, `token`, `cache_dir`, `local_files_only`, `subfolder`, `attn_implementation`).

        Raises:
            ValueError: if the checkpoint is not BERT, is a decoder, lacks weights of the encoder or has some that its
                configuration knows nothing of, or the labels are not distinct strings.
        """
        if isinstance(labels, str):
            raise ValueError(f"labels must be a list of tags, got the string {labels!r}")
        labels = list(labels)
        if not labels or not all(isinstance(label, str) for label in labels) or len(set(labels)) < len(labels):
            raise ValueError(f"labels must be distinct strings, at least one, got {labels}")
        if named := sorted(config.keys() & {"num_labels", "id2label", "label2id"}):
            raise ValueError(f"{named[0]!r} must be left away: `labels` names the tags and their number")
        known = {field.name for field in fields(BertBiLSTMCRFConfig)}
        if unknown := sorted(config.keys() - known - set(_LOADING_ARGUMENTS)):
            raise ValueError(f"{unknown[0]!r} must be a field of the configuration or one of {_LOADING_ARGUMENTS}")
        loading = {name: config.pop(name) for name in _LOADING_ARGUMENTS if name in config}
        hub = {name: value for name, value in loading.items() if name != "attn_implementation"}
        stored, _ = PreTrainedConfig.get_config_dict(name_or_path, **hub)
        # Before the tokenizer, which reads the file too, and may fail on it without naming it.
        full = BertBiLSTMCRFConfig.for_encoder(stored, **config, id2label=dict(enumerate(labels)))
        if tokenizer is None:
            tokenizer = AutoTokenizer.from_pretrained(name_or_path, trust_remote_code=False, **hub)
        if "word_shape_size" not in config and loses_case(tokenizer):
            full.word_shape_size = WORD_SHAPE_SIZE
        if "word_splitter" not in config and not tokenizer.is_fast:
            full.word_splitter = "unicode_words"
        with _quiet_load_report():
            # In float32, whatever the checkpoint's dtype: half-precision weights do not train.
            model = cls.from_pretrained(
                name_or_path,
                config=full,
                dtype=torch.float32,
                # Who names a number of layers may mean the first ones.
                _unchecked=("left over",) if "num_hidden_layers" in config else (),
                **loading,
            )
        model.set_tokenizer(tokenizer)
        return model

    def set_tokenizer(self, tokenizer: Any) -> None:
        """Learn from the tokenizer which sub-tokens begin a word, for calls that pass no `word_mask`.

        Raises:
            ValueError: if the tokenizer cannot feed this model (see `check_tokenizer`).
        """
        check_tokenizer(tokenizer, self.config.vocab_size)
        roles = token_roles(tokenizer, self.config.vocab_size)
        self.token_roles.copy_(torch.tensor(roles, dtype=torch.int8))

    def check_code(self) -> type:
        """Return the class whose code travels with the weights, if it can (see `check_code_can_travel`)."""
        home = next(one for one in type(self).__mro__ if not one.__module__.startswith("torch."))
        check_code_can_travel(home, BertBiLSTMCRFForTokenClassification)
        check_code_can_travel(type(self.config), BertBiLSTMCRFConfig)
        return home

    def save_pretrained(self, save_directory: str | os.PathLike, *args: Any, **kwargs: Any) -> None:
        """Save as the host does: weights, configuration, and the code that reads them.

        Raises:
            ValueError: for a subclass whose code cannot travel along (see `check_code_can_travel`).
        """
        home = self.check_code()
        type(self).__module__ = home.__module__  # the host would save torch's files for the class that FSDP makes
        name = f"{home.__module__.rpartition('.')[2]}.{home.__name__}" if home._auto_class else None
        named = {"AutoModel": name, "AutoModelForTokenClassification": name}
        if name is None and type(self.config)._auto_class is None:
            named["AutoConfig"] = None
        self.config.auto_map = (getattr(self.config, "auto_map", None) or {}) | named
        super().save_pretrained(save_directory, *args, **kwargs)

    @torch.no_grad()
    def fold_temperature(self, temperature: float) -> None:
        """Divide all scores by `temperature`, for a calibration after training: paths stay as they are.

        The weights are divided, and the configuration's temperature, which would come on top, becomes 1. Where an
        adapter has taken the place of a weight the configuration's temperature does it alone.
        """
        plain = type(self.classifier) is nn.Linear and isinstance(self.crf, LinearChainCRF)
        if plain:
            for parameter in (*self.classifier.parameters(), *self.crf.parameters()):
                parameter.div_(temperature)
        self.config.temperature = 1.0 if plain else float(temperature)

    def resize_token_embeddings(self, *args: Any, **kwargs: Any) -> nn.Embedding:
        embeddings = super().resize_token_embeddings(*args, **kwargs)
        added = embeddings.num_embeddings - self.token_roles.shape[0]
        if added > 0:
            unset = (self.token_roles == ROLES_UNSET).all()
            role = torch.where(unset, ROLES_UNSET, BEGINS).to(self.token_roles)
            self.token_roles = torch.cat([self.token_roles, role.expand(added)])
        else:
            self.token_roles = self.token_roles[: embeddings.num_embeddings].clone()
        return embeddings

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, LinearChainCRF):
            for parameter in module.parameters():
                init.zeros_(parameter)
            self._write_rules(module)
        elif module is self.word_shapes:
            init.normal_(module.weight)  # as large as BERT's output beside it
        elif module is self:
            init.constant_(self.token_roles, ROLES_UNSET)

    @torch.no_grad()
    def _write_rules(self, crf: LinearChainCRF) -> None:
        """Tell the CRF what the scheme forbids: not in the checkpoint, and memory garbage after every load."""
        labels, scheme = self.config.labels, self.config.scheme
        if len(labels) != crf.num_tags:
            raise ValueError(
                f"the configuration must name {crf.num_tags} labels, as many as the CRF has tags, got {len(labels)}: "
                "from_pretrained makes a new head, with id2label, label2id and ignore_mismatched_sizes=True"
            )
        if scheme is None and self.config.tag_scheme is not None:
            logger.warning_once("The labels have no scheme prefixes (B-, I-, ...): the CRF forbids no transition.")
        buffers = (crf.allowed_starts, crf.allowed_ends, crf.allowed_transitions)
        for buffer, rule in zip(buffers, constraints(labels, scheme), strict=True):
            buffer.copy_(torch.tensor(rule))
        crf.rules = (self.config.tag_scheme, dict(self.config.id2label))

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.LongTensor | None = None,
        position_ids: torch.LongTensor | None = None,
        inputs_embeds: torch.FloatTensor | None = None,
        word_mask: torch.Tensor | None = None,
        word_shape_ids: torch.LongTensor | None = None,
        labels: torch.LongTensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> BertBiLSTMCRFOutput:
        r"""Tag the words of a batch of sentences, and score the labels if they are given.

        Args:
            input_ids, attention_mask, token_type_ids, inputs_embeds: as BERT's. Padding may stand on either side.
            position_ids: as BERT's; by default each row counts its attended positions from 0.
            word_mask: bool or 0/1, `(batch_size, sequence_length)`: the positions that the CRF's chain visits,
                normally the first sub-token of each word. By default the tokenizer's words, as `set_tokenizer` learnt
                them.
            word_shape_ids: int64 `(batch_size, sequence_length)`: how each word is written, at its position of the
                chain, as `encode_words` gives it; 0 means unknown, and so does None. Read if the configuration's
                `word_shape_size` is not 0.
            labels: int64 `(batch_size, sequence_length)`: the tag of each word, at its position of the chain; -100 for
                an unknown tag, and off the chain.
            **kwargs: `num_items_in_batch` (see `BertBiLSTMCRFOutput.loss`), `output_hidden_states`,
                `output_attentions`, `return_dict`.

        Raises:
            TypeError: for an argument of another name.
            ValueError: if a label is off the chain or out of range, or (in training mode) no tagging that obeys the
                scheme agrees with a row's labels.
        """
        for name in kwargs:
            if name not in _HOST_ARGUMENTS:
                raise TypeError(_unknown_argument(name))
        num_items_in_batch = kwargs.pop("num_items_in_batch", None)
        if self.training and labels is None and torch.is_grad_enabled():
            logger.warning_once(
                "Called in training mode without labels: there is no CRF loss. A Trainer takes the labels away if "
                "label_smoothing_factor is not 0; call model.eval() to predict."
            )
        outputs = self._run_encoder(
            input_ids,
            attention_mask,
            token_type_ids=token_type_ids,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            **kwargs,
        )
        loss, logits, paths, emissions = self._tag(
            outputs.last_hidden_state,
            input_ids,
            attention_mask,
            word_mask,
            word_shape_ids,
            labels,
            num_items_in_batch,
        )
        return BertBiLSTMCRFOutput(
            loss=loss,
            logits=logits,
            paths=paths,
            emissions=emissions,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )

    @torch.compiler.disable  # its loops run over words: unrolled, they would be compiled anew for every length
    def _tag(
        self,
        hidden: Tensor,
        input_ids: Tensor | None,
        attention_mask: Tensor | None,
        word_mask: Tensor | None,
        word_shape_ids: Tensor | None,
        labels: Tensor | None,
        num_items_in_batch: Tensor | int | None,
    ) -> tuple[Tensor | None, Tensor, Tensor | None, Tensor]:
        """Do all that follows the encoder, word by word.

        Returns:
            loss, logits, paths and emissions, as `BertBiLSTMCRFOutput` describes them.
        """
        grid, tags, partial = self._compact(hidden, input_ids, attention_mask, word_mask, labels)
        emissions = self.emit(self._words(hidden, grid, word_shape_ids), grid.mask)  # (B, T, K)

        loss = paths = None
        if tags is None:
            log_marginals = self.crf.log_marginals(emissions, grid.mask)
        else:
            nll, log_marginals = self.crf.nll_and_log_marginals(emissions, tags, grid.mask)  # (B,), (B, T, K)
            if partial and self.training and nll.isinf().any():  # `_compact` compares neighbours only
                row = int(nll.isinf().nonzero()[0])
                raise ValueError(f"labels must leave a tagging that obeys the scheme, got none in row {row}")
            count = (labels != UNKNOWN).sum() if num_items_in_batch is None else num_items_in_batch
            loss = nll.sum() / torch.as_tensor(count, device=nll.device).clamp_min(1)
        if tags is None or not self.training:
            paths = grid.scatter(self.crf.decode(emissions, grid.mask)[0], fill=UNKNOWN)
        return loss, self._logits(log_marginals, grid), paths, grid.scatter(emissions, fill=0.0)

    def _run_encoder(
        self,
        input_ids: Tensor | None,
        attention_mask: Tensor | None,
        position_ids: Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        """Run BERT; positions count from each row's first attended token, so that left padding changes nothing."""
        if position_ids is None and attention_mask is not None and attention_mask.dim() == 2:
            position_ids = (attention_mask.long().cumsum(1) - 1).clamp_min(0)
        return self.bert(
            input_ids, attention_mask=attention_mask, position_ids=position_ids, return_dict=True, **kwargs
        )

    def _words(self, hidden: Tensor, grid: WordGrid, word_shape_ids: Tensor | None) -> Tensor:
        """Lay out by words, (B, T, H), what is known of each: BERT's output and the word's shape."""
        words = grid.gather(hidden, fill=0.0)
        if self.word_shapes is None:
            return words
        if word_shape_ids is None:
            shapes = torch.zeros_like(grid.index)
        else:
            shapes = grid.gather(_of_shape("word_shape_ids", word_shape_ids, hidden.shape[:2]).long(), fill=0)
        if self.training:
            withheld = torch.rand(len(shapes), 1, device=shapes.device) < WORD_SHAPE_DROPOUT
            shapes = shapes.masked_fill(withheld, 0)
        return torch.cat([words, self.word_shapes(shapes)], dim=2)

    def encode(
        self, input_ids: Tensor, attention_mask: Tensor, word_mask: Tensor, word_shape_ids: Tensor | None = None
    ) -> Tensor:
        """Return what is known of the marked words before any looks at the others: `forward` up to `emit`.

        Args:
            input_ids, attention_mask, word_mask, word_shape_ids: (B, S), as for `forward`.

        Returns:
            float (B, T, H), BERT's output at each word's first sub-token, and the word's shape; of no meaning past a
            row's last word.
        """
        hidden = self._run_encoder(input_ids, attention_mask).last_hidden_state
        grid = self._compact(hidden, input_ids, attention_mask, word_mask, None)[0]
        return self._words(hidden, grid, word_shape_ids)

    def emit(self, words: Tensor, mask: Tensor) -> Tensor:
        """Score the tags of words by what is known of each: all that lies between BERT and the CRF.

        Args:
            words: float (B, T, H), what `encode` returns.
            mask: bool (B, T), True on each row's words, a prefix.

        Returns:
            float (B, T, K), the CRF's emissions.
        """
        words = self.dropout(words)
        emissions = self.classifier(words if self.lstm is None else self.lstm(words, mask))
        return emissions if self.config.temperature == 1.0 else emissions / self.config.temperature

    def _logits(self, log_marginals: Tensor, grid: WordGrid) -> Tensor:
        log_marginals = log_marginals.clamp_min(LOG_ZERO)
        outside = self.config.labels.index(OUTSIDE) if OUTSIDE in self.config.labels else 0
        off_chain = torch.full_like(log_marginals[0, 0], LOG_ZERO)
        off_chain[outside] = 0.0
        return torch.where(grid.chain[..., None], grid.scatter(log_marginals, fill=0.0), off_chain)

    def _compact(
        self,
        hidden: Tensor,
        input_ids: Tensor | None,
        attention_mask: Tensor | None,
        word_mask: Tensor | None,
        labels: Tensor | None,
    ) -> tuple[WordGrid, Tensor | None, bool]:
        """Find the chain, check the labels against it, lay both out by words; look at the device's data once."""
        shape, device = hidden.shape[:2], hidden.device
        attended = torch.ones(shape, dtype=torch.bool, device=device)
        if attention_mask is not None:
            attended = _of_shape("attention_mask", attention_mask, shape).bool()
        guessed = False
        if word_mask is not None:
            chain = _of_shape("word_mask", word_mask, shape).bool() & attended
        elif input_ids is not None:
            roles = self.token_roles[input_ids]
            chain = attended & ((roles == BEGINS) | (roles == ROLES_UNSET))
            guessed = (roles == ROLES_UNSET).any()
        else:
            chain, guessed = attended, True

        grid = WordGrid.of(chain)
        facts = [grid.mask.sum(1).max(), torch.as_tensor(guessed, device=device)]
        tags = None
        if labels is not None:
            labels = _of_shape("labels", labels, shape).long()
            tags = grid.gather(labels, fill=UNKNOWN)
            known = labels != UNKNOWN
            off_chain = known & ~chain
            out_of_range = known & ((labels < 0) | (labels >= self.num_labels))
            facts += [(chain & ~known).any(), off_chain.any(), out_of_range.any()]
            if self.training:
                illegal = self._illegal(tags.clamp(UNKNOWN, self.num_labels - 1), grid.mask)
                facts.append(illegal.any())

        longest, guessed, *label_facts = torch.stack([fact.long() for fact in facts]).tolist()
        if guessed:
            logger.warning_once(
                "No word_mask, and no word to sub-token map: every attended position is tagged, [CLS] and [SEP] too. "
                "Call model.set_tokenizer(tokenizer) once, or pass word_mask."
            )
        partial, *faults = label_facts or [False]
        if any(faults):
            self._refuse(labels, off_chain, out_of_range, grid, tags)
        words = max(longest, 1)  # an LSTM needs a step to take
        return grid.cut(words), None if tags is None else tags[:, :words], bool(partial)

    def _illegal(self, tags: Tensor, mask: Tensor) -> Tensor:
        """Mark, bool (B, T), the words whose tag may not follow the one before, start, or end the sentence."""
        known = mask & (tags != UNKNOWN)
        tag = tags.clamp_min(0)
        last = mask & ~nn.functional.pad(mask[:, 1:], (0, 1))
        illegal = known & last & ~self.crf.allowed_ends[tag]
        illegal[:, :1] |= known[:, :1] & ~self.crf.allowed_starts[tag[:, :1]]
        illegal[:, 1:] |= known[:, 1:] & known[:, :-1] & ~self.crf.allowed_transitions[tag[:, :-1], tag[:, 1:]]
        return illegal

    def _refuse(self, labels: Tensor, off_chain: Tensor, out_of_range: Tensor, grid: WordGrid, tags: Tensor) -> None:
        """Raise the error that names the first bad label."""
        if off_chain.any():
            row, position = off_chain.nonzero()[0].tolist()
            raise ValueError(
                f"labels must be {UNKNOWN} off the chain of words, got {labels[row, position]} in row {row}, position "
                f"{position}: word_mask or attention_mask is 0 there, or the token does not begin a word"
            )
        if out_of_range.any():
            row, position = out_of_range.nonzero()[0].tolist()
            raise ValueError(
                f"labels must be in [0, {self.num_labels}) or {UNKNOWN}, got {labels[row, position]} in row {row}, "
                f"position {position}"
            )
        row, word = self._illegal(tags, grid.mask).nonzero()[0].tolist()
        names = self.config.labels
        tag = names[tags[row, word]]
        previous = int(tags[row, word - 1]) if word > 0 else None
        before = {None: "the start", UNKNOWN: "an unknown tag"}.get(previous) or repr(names[previous])
        raise ValueError(
            f"labels must obey {self.config.scheme}, got {tag!r} after {before} in row {row}, word {word}"
            + ("" if word + 1 < int(grid.mask[row].sum()) else ", at the end of the sentence")
        )


def _unknown_argument(name: str) -> str:
    own = list(signature(BertBiLSTMCRFForTokenClassification.forward).parameters)[1:-1]  # without self and kwargs
    near = get_close_matches(name, [*own, *sorted(_HOST_ARGUMENTS)], n=1)
    return f"forward() has no argument {name!r}" + (f", did you mean {near[0]!r}?" if near else "")


def _of_shape(name: str, values: Tensor, shape: torch.Size) -> Tensor:
    if values.shape != shape:
        raise ValueError(f"{name} must have shape {tuple(shape)}, got {tuple(values.shape)}")
    return values


_FAULTS = ("missing", "left over")
# Parts of the weights' names, and the fields that say how many of them there are, or how large they are.
_COUNTED_BY = {".layer.": "num_hidden_layers", "lstm.": "num_lstm_layers", "word_shapes.": "word_shape_size"}
_SIZED_BY = {
    ".LayerNorm.": "hidden_size",
    ".word_embeddings.": "vocab_size",
    ".position_embeddings.": "max_position_embeddings",
    ".token_type_embeddings.": "type_vocab_size",
    ".intermediate.": "intermediate_size",
    "word_shapes.": "word_shape_size",
    "lstm.": "lstm_hidden_size",
    "crf.": "num_labels",
}


def _check_weights(model: Any, info: Any, load_config: Any, is_adapter: bool) -> None:
    """Refuse weights that are not what the configuration describes, and those of a head that is not a tagger's.

    The host would start anew what is missing and drop what is left over, for no more than a line in the log. Of an
    encoder for a new tagger the weights of other heads are rightly dropped; an adapter brings few of the weights.
    """
    name = load_config.pretrained_model_name_or_path
    if name is None:
        return  # the caller's own weights, as a `state_dict`
    missing = _without(model._keys_to_ignore_on_load_missing, info.missing_keys)
    # The positions' numbers were weights once.
    left_over = _without([*model._keys_to_ignore_on_load_unexpected, r"(^|\.)position_ids$"], info.unexpected_keys)
    if load_config.is_quantized:
        left_over = []  # a quantizer has weights of its own
    is_tagger = is_adapter or _holds_a_tagger(model, info, load_config)
    if is_adapter:
        missing = []
    elif not is_tagger:
        prefix, parts = f"{model.base_model_prefix}.", dict(model.base_model.named_children())
        missing = [key for key in missing if key.startswith(prefix)]
        left_over = [key for key in left_over if key.removeprefix(prefix).partition(".")[0] in parts]
        _forget_head(model, info, prefix)
    faults = zip(_FAULTS, (missing, left_over), strict=True)
    if faults := {fault: keys for fault, keys in faults if keys and fault not in _UNCHECKED.get()}:
        listed = " and ".join(
            f"{len(keys)} {fault}, {quoted(keys[0])}" + " first" * (len(keys) > 1) for fault, keys in faults.items()
        )
        raise ValueError(
            f"the weights in {name} must be those that the configuration describes, got {listed}"
            + _value_of(model.config, _COUNTED_BY, next(iter(faults.values()))[:1])
        )
    if info.mismatched_keys and not load_config.ignore_mismatched_sizes:
        key, got, expected = min(info.mismatched_keys)
        raise RuntimeError(
            f"the weights in {name} must have the shapes that the configuration describes, {quoted(key)} "
            f"{tuple(expected)}, got {tuple(got)}"
            + "; ignore_mismatched_sizes=True starts such weights anew" * is_tagger
            + _value_of(model.config, _SIZED_BY, [key for key, *_ in info.mismatched_keys])
        )


def _forget_head(model: Any, info: Any, prefix: str) -> None:
    """Let the host start the head anew: what an encoder's checkpoint calls so is a classifier for something else."""
    head = {key for key in model.state_dict() if not key.startswith(prefix)}
    for key in head:
        model.get_parameter_or_buffer(key)._is_hf_initialized = False
    info.missing_keys |= head
    info.mismatched_keys = {one for one in info.mismatched_keys if one[0] not in head}


def _value_of(config: Any, fields: dict[str, str], keys: Collection[str]) -> str:
    """Say what the configuration says, in the field that is most likely at fault for these weights."""
    field = next((field for part, field in fields.items() if any(part in key for key in keys)), None)
    return "" if field is None else f"; its `{field}` is {getattr(config, field)}"


def _without(patterns: Collection[str] | None, keys: Collection[str]) -> list[str]:
    return sorted(key for key in keys if not any(re.search(pattern, key) for pattern in patterns or ()))


def _holds_a_tagger(model: Any, info: Any, load_config: Any) -> bool:
    """Say whether a checkpoint is a finished tagger, not an encoder for a new one."""
    try:
        saved, _ = PreTrainedConfig.get_config_dict(
            load_config.pretrained_model_name_or_path, **load_config.download_kwargs
        )
    except OSError:  # weights alone
        return not {f"crf.{name}" for name, _ in model.crf.named_parameters()} <= info.missing_keys
    return saved.get("model_type") == model.config_class.model_type


@contextmanager
def _quiet_load_report() -> Iterator[None]:
    """Keep the host from listing a new head's weights as missing."""

    def keep(record: python_logging.LogRecord) -> bool:
        return "LOAD REPORT" not in record.getMessage()

    host = python_logging.getLogger("transformers.modeling_utils")
    host.addFilter(keep)
    try:
        yield
    finally:
        host.removeFilter(keep)


__all__ = ["BertBiLSTMCRFForTokenClassification", "BertBiLSTMCRFOutput"]
