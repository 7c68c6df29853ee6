"""Encoder -> BiLSTM -> CRF: the head, where the world of Transformers and the world of the CRF meet.

Transformers counts sub-tokens: B sentences of S sub-tokens, with `labels` that are -100 where there is none, and an
int64 `attention_mask`. The CRF counts words: B sentences of T words with one of K tags each, with `tags` and a bool
`mask`, True on a prefix of each row. `WordGrid` is the way from sub-tokens to words and back. The chain of a sentence
is the sequence of its words that the CRF runs over.

Ships with every checkpoint.
"""

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from importlib import import_module
from inspect import signature
from typing import Any, ClassVar, NamedTuple, TypeVar, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.utils import logging
from transformers.utils.generic import ModelOutput, TransformersKwargs, can_return_tuple

from .configuration_crf import BiLSTMCRFFields, check_code_can_travel
from .crf import UNKNOWN, LinearChainCRF
from .path_biases import bias_scores
from .schemes import OUTSIDE, constraints
from .weights import ChecksWeights
from .word_lstm import BiLSTM, WordGrid
from .words import BEGINS, BLANK, OPEN, SPECIAL, UNMARKED, WORD_SHAPES, check_tokenizer, token_roles

if __package__ == "modeling_bert_crf":
    PushesToHub = import_module("modeling_bert_crf.hub.pushing").PushesToHub
else:  # what this package adds to the host's `push_to_hub` does not travel

    class PushesToHub:
        """Add nothing: the model and its pipeline are pushed as the host does it."""


logger = logging.get_logger(__name__)

LOG_ZERO = -1e4
"""Stands for log 0 in `logits`: finite, and its exponential is exactly 0."""
SEVERAL = -101
"""The label of a word of which `tag_sets` says which tags it may have."""
ROLES_UNSET = -1
"""Stands in `token_roles` until `set_tokenizer` fills it."""
WORD_SHAPE_DROPOUT = 0.1
"""Share of training sentences whose word shapes are withheld. Most calls pass no shapes, so the model must learn to do
without them."""
_OPTIONAL_INPUTS = ("position_ids", "token_type_ids")
"""Inputs that only some encoders have."""
# What the host may pass to the `forward` of any model.
_HOST_ARGUMENTS = TransformersKwargs.__required_keys__ | TransformersKwargs.__optional_keys__ | {"return_dict"}


@dataclass
class BiLSTMCRFOutput(ModelOutput):
    """What the model returns. A word's values stand at its first sub-token.

    Args:
        loss (`torch.FloatTensor` of shape `()`, returned when `labels` is given): negative log likelihood of the
            labels in nats, summed over the batch and divided by `num_items_in_batch` if given, else by the number of
            labels that are not -100.
        logits (`torch.FloatTensor` of shape `(batch_size, sequence_length, num_labels)`): for a word the log of the
            **exact posterior** P(tag | sentence), so that `softmax(logits)` is a calibrated probability; where no word
            is, all weight is on `O` (on label 0 if there is no `O`). The argmax gives each word its most probable tag.
            That is not the best path, and may break the scheme's rules: use `paths` for tags.
        paths (`torch.LongTensor` of shape `(batch_size, sequence_length)`, not returned in training mode with labels):
            the best path (Viterbi); -100 where no word is.
        emissions (`torch.FloatTensor` of shape `(batch_size, sequence_length, num_labels)`): the scores that the CRF
            adds its transitions to; 0 where no word is. Their argmax is **not** a tagging.
        hidden_states, attentions: as the encoder's.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    paths: Tensor | None = None
    emissions: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


_Function = TypeVar("_Function", bound=Callable[..., Any])


def _not_compiled(function: _Function) -> _Function:
    """Keep `torch.compile` off a function that loops over words: it would be compiled anew for every length."""
    return cast(_Function, torch.compiler.disable(function))


class BiLSTMCRFForTokenClassification(PushesToHub, ChecksWeights):
    """An encoder, a BiLSTM over words, and a linear-chain CRF over their tags.

    Start a new tagger with [`from_encoder`]; load a trained one with `from_pretrained`. Both choose the class of the
    encoder's family, which inherits from this class and from the family's `PreTrainedModel`.
    """

    encoder_class: ClassVar[type[PreTrainedModel]]
    """The family's encoder."""
    prediction_head_class: ClassVar[type[nn.Module] | None] = None
    """What stands between encoder and classifier in the family's stock token classifier, if anything does."""
    stock_fields: ClassVar[dict[str, Any]] = {}
    """What `from_tagger` sets in the configuration by default, since the family's stock classifiers learnt so."""
    # A pooler or a language model's head may stand in an encoder's checkpoint; a tagger has no use for either.
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [r"pooler", r"^cls\."]
    _keep_in_fp32_modules_strict: ClassVar[list[str]] = ["crf"]

    word_shapes: nn.Embedding | None
    lstm: BiLSTM | None
    token_roles: Tensor

    def __init__(self, config: Any):
        super().__init__(config)
        self.num_labels = config.num_labels
        # The encoder's name is the one that it has in the family's own checkpoints. A tagger has no use for a pooler.
        options = {"add_pooling_layer": False} if _takes(self.encoder_class.__init__, "add_pooling_layer") else {}
        setattr(self, self.base_model_prefix, self.encoder_class(config, **options))
        self._unknown_inputs = [name for name in _OPTIONAL_INPUTS if not _takes(self.encoder_class.forward, name)]
        self.word_shapes = nn.Embedding(len(WORD_SHAPES), config.word_shape_size) if config.word_shape_size else None
        word_size = config.hidden_size + config.word_shape_size
        head = self.prediction_head_class
        self.head = head(config) if head is not None and config.prediction_head else None
        self.dropout = nn.Dropout(_dropout_of(config))
        self.lstm = (
            BiLSTM(word_size, config.lstm_units, config.num_lstm_layers, config.lstm_dropout)
            if config.num_lstm_layers
            else None
        )
        width = 2 * config.lstm_units if config.num_lstm_layers else word_size
        self.classifier = nn.Linear(width, config.num_labels)
        crf = LinearChainCRF(config.num_labels)
        super().__setattr__("crf", crf)  # the module behind the property below
        self._write_rules(crf)
        self.register_buffer("token_roles", torch.full((config.vocab_size,), ROLES_UNSET, dtype=torch.int8))
        self.post_init()

    @property
    def crf(self) -> LinearChainCRF:
        """The CRF, with the rules and the temperature that the configuration asks for at this moment."""
        crf = cast(LinearChainCRF, self._modules["crf"])
        for module in crf.modules():  # an adapter keeps copies of the CRF
            if isinstance(module, LinearChainCRF):
                module.temperature = self.config.temperature
                if module.written_for != (self.config.tag_scheme, self.config.labels):
                    self._write_rules(module)
        return crf

    @property
    def device(self) -> torch.device:
        """Where inputs belong. The weights themselves may lie elsewhere, if accelerate has offloaded them."""
        hook = vars(self.get_input_embeddings()).get("_hf_hook")
        device = getattr(hook, "execution_device", None)
        return super().device if device is None else torch.device(device)

    @classmethod
    def from_encoder(cls, name_or_path: str, labels: Sequence[str], tokenizer: Any = None, **config: Any) -> Any:
        """Put a new, untrained head on a pretrained encoder.

        Args:
            name_or_path: a checkpoint of an encoder, on the Hub or in a folder.
            labels: the tags, each once; their order gives the ids.
            tokenizer: the encoder's tokenizer; None loads it from the same place.
            **config: fields of the family's configuration (`num_lstm_layers=2`; `word_shape_size` is 16 by default if
                the tokenizer writes everything in lower case, `word_splitter` is `"unicode_words"` if it is not a fast
                one), or where and how to load from (`revision`, `token`, `cache_dir`, `local_files_only`,
                `subfolder`, `attn_implementation`).

        Raises:
            ValueError: if the encoder is of no family or of another one than the class, is a decoder, lacks weights or
                has some that its configuration does not describe, or the labels are not distinct strings.
            ImportError: where this package is not installed: its code that makes new taggers does not travel.
        """
        return import_module("modeling_bert_crf.opening.building").build(cls, name_or_path, labels, tokenizer, config)

    @classmethod
    def from_tagger(cls, name_or_path: str, tokenizer: Any = None, **config: Any) -> Any:
        """Put a chain on a stock token classifier, without training: its encoder and its classifier are taken over.

        The emissions are its logits. The transitions are 0, so that the best path is the most probable tagging that
        obeys the scheme of the labels, and probabilities are those of the classifier among such taggings.

        Args:
            name_or_path: a stock `...ForTokenClassification` of any family, on the Hub or in a folder.
            tokenizer: its tokenizer; None loads it from the same place.
            **config: as for [`from_encoder`]; `tag_scheme=None` for labels whose rules the classifier does not keep,
                as those of IOB1, where an entity begins with `I-`.

        Raises:
            ValueError: if it is of no family or of another one than the class, has no classifier, or its labels are
                the library's placeholders, `LABEL_0` and so on.
            ImportError: where this package is not installed: its code that makes new taggers does not travel.
        """
        return import_module("modeling_bert_crf.opening.taking_over").take_over(cls, name_or_path, tokenizer, config)

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike | None, *args: Any, **kwargs: Any
    ) -> Any:
        """Load a tagger, see `ChecksWeights.from_pretrained`. Called on this class, it finds the family by itself."""
        if cls is BiLSTMCRFForTokenClassification:
            cls = import_module("modeling_bert_crf").class_for(pretrained_model_name_or_path, kwargs)
        loaded = super().from_pretrained(pretrained_model_name_or_path, *args, **kwargs)
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        model._write_rules(model.crf)  # a host that does not initialise what no checkpoint holds would leave anything
        return loaded

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
        check_code_can_travel(home, BiLSTMCRFForTokenClassification)
        check_code_can_travel(type(self.config), BiLSTMCRFFields)
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

    def resize_token_embeddings(self, *args: Any, **kwargs: Any) -> nn.Embedding:
        """Do what the host does, and give new ids a role: each begins a word, if the roles of the others are known."""
        embeddings = super().resize_token_embeddings(*args, **kwargs)
        added = embeddings.num_embeddings - self.token_roles.shape[0]
        if added > 0:
            unset = (self.token_roles == ROLES_UNSET).all()
            role = torch.where(unset, ROLES_UNSET, BEGINS).to(self.token_roles)
            self.token_roles = torch.cat([self.token_roles, role.expand(added)])
        else:
            self.token_roles = self.token_roles[: embeddings.num_embeddings].clone()
        return embeddings

    @classmethod
    def is_custom_code(cls) -> bool:
        """Answer no, since the host expects of custom code what does not hold here.

        It would expect that `_init_weights` overwrites what was loaded. And it would pass over modules that own no
        tensor, from which ModernBERT initialises the modules below them.
        """
        return False

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, LinearChainCRF):
            for parameter in module.parameters():
                init.zeros_(parameter)
            self._write_rules(module)
        elif self.word_shapes is not None and module is self.word_shapes:
            init.normal_(self.word_shapes.weight)  # as large as the encoder's output, which stands next to it
        elif module is self:
            init.constant_(self.token_roles, ROLES_UNSET)

    @torch.no_grad()
    def _write_rules(self, crf: LinearChainCRF) -> None:
        """Tell the CRF what the scheme forbids. No checkpoint holds the rules: after a load anything stands there."""
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
        crf.written_for = (self.config.tag_scheme, labels)

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
        tag_sets: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> BiLSTMCRFOutput:
        r"""Tag the words of a batch of sentences, and score the labels if they are given.

        Args:
            input_ids, attention_mask, token_type_ids, inputs_embeds: as the encoder's. Padding may stand on
                either side.
            position_ids: as the encoder's; by default each row counts its attended positions from 0.
            word_mask: bool or 0/1, `(batch_size, sequence_length)`: the positions that the CRF's chain visits,
                normally the first sub-token of each word. By default the tokenizer's words, as `set_tokenizer` learnt
                them; with `config.chain_unit="token"` all but the special tokens.
            word_shape_ids: int64 `(batch_size, sequence_length)`: how each word is written, at its position of the
                chain, as `encode_documents` gives it; 0 means unknown, and so does None. Read if the configuration's
                `word_shape_size` is not 0.
            labels: int64 `(batch_size, sequence_length)`: the tag of each word, at its position of the chain; -100 for
                an unknown tag, and off the chain; -101 where one of several tags is right. The loss is that of what is
                known: of all taggings that agree with it.
            tag_sets: bool or 0/1 `(batch_size, sequence_length, num_labels)`: the tags that a word may have, if its
                label is -101; not read elsewhere.
            **kwargs: `num_items_in_batch` (see `BiLSTMCRFOutput.loss`), `output_hidden_states`,
                `output_attentions`, `return_dict`.

        Raises:
            TypeError: for an argument of another name.
            ValueError: if a label is off the chain or out of range, or (in training mode) no tagging that obeys the
                scheme agrees with a row's labels.
        """
        _check_names(kwargs)
        num_items_in_batch = kwargs.pop("num_items_in_batch", None)
        if self.training and labels is None and torch.is_grad_enabled():
            logger.warning_once(
                "Called in training mode without labels: there is no CRF loss. A Trainer takes the labels away if "
                "label_smoothing_factor is not 0; call model.eval() to predict."
            )
        kwargs |= {"token_type_ids": token_type_ids, "inputs_embeds": inputs_embeds}
        outputs = self._run_encoder(input_ids, attention_mask, position_ids, **kwargs)
        hidden = outputs.last_hidden_state
        tagged = self._tag_words(
            hidden, input_ids, attention_mask, word_mask, word_shape_ids, labels, tag_sets, num_items_in_batch
        )
        return BiLSTMCRFOutput(*tagged, outputs.hidden_states, outputs.attentions)

    @_not_compiled
    def _tag_words(
        self,
        hidden: Tensor,
        input_ids: Tensor | None,
        attention_mask: Tensor | None,
        word_mask: Tensor | None,
        word_shape_ids: Tensor | None,
        labels: Tensor | None,
        tag_sets: Tensor | None,
        num_items_in_batch: Tensor | int | None,
    ) -> tuple[Tensor | None, Tensor, Tensor | None, Tensor]:
        """Do all that follows the encoder, whose output is `hidden`, (B, S, H).

        Returns:
            loss, logits, paths and emissions, as `BiLSTMCRFOutput` describes them.
        """
        grid, tags, some_unknown = self._lay_out(hidden, input_ids, attention_mask, word_mask, labels, tag_sets)
        emissions = self.emit(self._word_features(hidden, grid, word_shape_ids), grid.mask)  # (B, T, K)

        loss = paths = None
        if tags is None or labels is None:
            log_marginals = self.crf.log_marginals(emissions, grid.mask)
        else:
            checked = tags.dtype == torch.int64 and not some_unknown  # `_lay_out` has looked at all of them
            nll, log_marginals = self.crf.nll_and_log_marginals(emissions, tags, grid.mask, checked)  # (B,), (B, T, K)
            # `_lay_out` has compared neighbours only; over a gap of unknown tags the CRF alone sees what can be.
            if some_unknown and self.training and nll.isinf().any():
                row = int(nll.isinf().nonzero()[0])
                raise ValueError(f"labels must leave a tagging that obeys the scheme, got none in row {row}")
            count = (labels != UNKNOWN).sum() if num_items_in_batch is None else num_items_in_batch
            loss = nll.sum() / torch.as_tensor(count, device=nll.device).clamp_min(1)
        if tags is None or not self.training:
            paths = grid.scatter(self.best_paths(emissions, grid.mask), fill=UNKNOWN)
        return loss, self._logits(log_marginals, grid), paths, grid.scatter(emissions, fill=0.0)

    def best_paths(self, emissions: Tensor, mask: Tensor, operating_point: str | None = None) -> Tensor:
        """Find the best path of each row, with the biases of an operating point.

        Args:
            emissions: float (B, T, K), what `emit` returns.
            mask: bool (B, T).
            operating_point: the name of one; None means the configuration's.

        Returns:
            int64 (B, T), -100 where the mask is False.
        """
        biases = self.config.point(operating_point).get("biases")
        if biases is not None:
            config = self.config
            scores = _bias_scores(tuple(config.labels), config.span_scheme, tuple(sorted(biases.items())))
            return self.crf.decode(emissions, mask, scores)[0]
        return self.crf.decode(emissions, mask)[0]

    def _run_encoder(
        self,
        input_ids: Tensor | None,
        attention_mask: Tensor | None,
        position_ids: Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        """Run the encoder; each row's positions count from its first attended token, whatever padding is before it."""
        if position_ids is None and attention_mask is not None and attention_mask.dim() == 2:
            position_ids = (attention_mask.long().cumsum(1) - 1).clamp_min(0) + self._first_position
        kwargs["position_ids"] = position_ids
        # An encoder that does not know an input must not be given it, not even as None.
        known = {name: value for name, value in kwargs.items() if name not in self._unknown_inputs}
        return self.base_model(input_ids, attention_mask=attention_mask, return_dict=True, **known)

    @property
    def _positions(self) -> nn.Embedding | None:
        """The embedding of absolute positions, if the encoder has one."""
        positions = getattr(getattr(self.base_model, "embeddings", None), "position_embeddings", None)
        return positions if isinstance(positions, nn.Embedding) else None

    @property
    def _first_position(self) -> int:
        """The number of the first position: RoBERTa and its kin count from one past that of padding."""
        padding = None if self._positions is None else self._positions.padding_idx
        return 0 if padding is None else padding + 1

    @property
    def max_length(self) -> int:
        """The most sub-tokens that the encoder reads at once, special ones included."""
        positions = self._positions
        if positions is None:
            return self.config.max_position_embeddings
        return positions.num_embeddings - self._first_position

    @property
    def reach(self) -> int | None:
        """How far away, in sub-tokens, the encoder sees anything at all; None if it sees the whole row.

        Each layer whose attention is banded sees as far as its band to either side, and what it sees there has seen as
        far again in the layer below.
        """
        kinds = getattr(self.config, "layer_types", None)
        return len(kinds) * self.config.sliding_window if kinds and set(kinds) == {"sliding_attention"} else None

    def encode(
        self, input_ids: Tensor, attention_mask: Tensor, word_mask: Tensor, word_shape_ids: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Do the first part of `forward`: read the sub-tokens, and lay out what the BiLSTM is to read, word by word.

        The second part is `emit`, which takes both results. Between the two the words of several rows may be joined,
        as the pipeline joins the windows of a long text.

        Args:
            input_ids, attention_mask, word_mask, word_shape_ids: (B, S), as for `forward`.

        Returns:
            float (B, T, H): for each word the encoder's output at its first sub-token, and then the embedding of the
            word's shape, if the model has one. What stands past a row's last word means nothing.
            bool (B, T): the mask, True on each row's words, a prefix.
        """
        hidden = self._run_encoder(input_ids, attention_mask).last_hidden_state
        grid = self._lay_out(hidden, input_ids, attention_mask, word_mask, None)[0]
        return self._word_features(hidden, grid, word_shape_ids), grid.mask

    def emit(self, words: Tensor, mask: Tensor) -> Tensor:
        """Do the second part of `forward`, as far as the CRF: run the BiLSTM, and score the tags of each word.

        Args:
            words, mask: float (B, T, H) and bool (B, T), as `encode` returns them.

        Returns:
            float (B, T, K), the CRF's emissions.
        """
        words = self.dropout(words if self.head is None else self.head(words))
        emissions = self.classifier(words if self.lstm is None else self.lstm(words, mask))
        return emissions if self.config.temperature == 1.0 else emissions / self.config.temperature

    def _word_features(self, hidden: Tensor, grid: WordGrid, word_shape_ids: Tensor | None) -> Tensor:
        """Lay out what `encode` returns of each word, (B, T, H); in training some sentences' shapes are withheld."""
        words = grid.gather(hidden, fill=0.0)
        if self.word_shapes is None:
            return words
        if word_shape_ids is None:
            shapes = torch.zeros_like(grid.position)
        else:
            shapes = grid.gather(_in_shape("word_shape_ids", word_shape_ids, hidden.shape[:2]).long(), fill=0)
        if self.training:
            withheld = torch.rand(len(shapes), 1, device=shapes.device) < WORD_SHAPE_DROPOUT
            shapes = shapes.masked_fill(withheld, 0)
        return torch.cat([words, self.word_shapes(shapes)], dim=2)

    def _logits(self, log_marginals: Tensor, grid: WordGrid) -> Tensor:
        """Write log posteriors (B, T, K) as `BiLSTMCRFOutput.logits`, (B, S, K)."""
        log_marginals = log_marginals.clamp_min(LOG_ZERO)
        outside = self.config.labels.index(OUTSIDE) if OUTSIDE in self.config.labels else 0
        off_chain = torch.full_like(log_marginals[0, 0], LOG_ZERO)
        off_chain[outside] = 0.0
        return torch.where(grid.scored[..., None], grid.scatter(log_marginals, fill=0.0), off_chain)

    def _lay_out(
        self,
        hidden: Tensor,
        input_ids: Tensor | None,
        attention_mask: Tensor | None,
        word_mask: Tensor | None,
        labels: Tensor | None,
        tag_sets: Tensor | None = None,
    ) -> tuple[WordGrid, Tensor | None, bool]:
        """Find the words of the chain, and check the labels.

        What must be known of them here is read back from the device all at once, since every reading makes it wait.

        Returns:
            The grid; the labels as the CRF takes them, if there are labels: as tags (B, T), -100 where unknown, or as
            tag sets (B, T, K); and whether one is unknown.
        """
        scored, is_unset = self._scored_positions(hidden, input_ids, attention_mask, word_mask)
        grid = WordGrid.of(scored)
        facts = [grid.mask.sum(1).max(), is_unset]
        tags = faults = None
        if labels is not None:
            labels = _in_shape("labels", labels, hidden.shape[:2]).long()
            tags = grid.gather(labels, fill=UNKNOWN)
            if tag_sets is not None:
                tag_sets = _in_shape("tag_sets", tag_sets, (*hidden.shape[:2], self.num_labels)).bool()
            faults = self._label_faults(labels, tags, grid, tag_sets)
            facts += [(grid.mask & (tags < 0)).any(), *(fault.any() for fault in faults)]

        longest, unset, *label_facts = torch.stack([fact.long() for fact in facts]).tolist()
        if unset:
            logger.warning_once(
                "No word_mask, and no word to sub-token map: every attended position is tagged, [CLS] and [SEP] too. "
                "Call model.set_tokenizer(tokenizer) once, or pass word_mask."
            )
        words = max(longest, 1)  # an LSTM needs a step to take
        if labels is None or tags is None or faults is None:
            return grid.cut(words), None, False
        some_unknown, *found = label_facts
        if any(found):
            raise self._label_error(labels, tags, faults, grid.mask)
        if tag_sets is not None:
            tags = _as_sets(tags, grid.gather(tag_sets, fill=False))
        return grid.cut(words), tags[:, :words], bool(some_unknown)

    def _scored_positions(
        self, hidden: Tensor, input_ids: Tensor | None, attention_mask: Tensor | None, word_mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Mark the sub-tokens that stand for words of the chain; and say whether nothing is known of words.

        These are the ones that `word_mask` marks; or else those that begin a word, or where the chain runs over
        sub-tokens those that are not special, by the tokenizer's roles; or else all. Padding is never among them.

        Returns:
            bool (B, S) and bool ().
        """
        shape, device = hidden.shape[:2], hidden.device
        attended = torch.ones(shape, dtype=torch.bool, device=device)
        if attention_mask is not None:
            attended = _in_shape("attention_mask", attention_mask, shape).bool()
        if word_mask is not None:
            return _in_shape("word_mask", word_mask, shape).bool() & attended, torch.zeros_like(attended[0, 0])
        if input_ids is None:
            return attended, torch.ones_like(attended[0, 0])
        roles = self.token_roles[input_ids]
        is_unset = roles == ROLES_UNSET
        on_chain = roles != SPECIAL if self.config.chain_unit == "token" else _first_pieces(roles)
        return attended & (on_chain | is_unset), is_unset.any()

    def _label_faults(self, labels: Tensor, tags: Tensor, grid: WordGrid, tag_sets: Tensor | None) -> "_LabelFaults":
        known = labels != UNKNOWN
        has_set = torch.zeros_like(known) if tag_sets is None else (labels == SEVERAL) & tag_sets.any(2)
        illegal = torch.zeros_like(grid.mask)
        if self.training:  # in evaluation such labels cost infinity
            illegal = self._illegal(tags.clamp(SEVERAL, self.num_labels - 1), grid.mask)
        return _LabelFaults(
            off_chain=known & ~grid.scored,
            out_of_range=known & ~has_set & ((labels < 0) | (labels >= self.num_labels)),
            illegal=illegal,
        )

    def _illegal(self, tags: Tensor, mask: Tensor) -> Tensor:
        """Mark, bool (B, T), the words whose tag may not follow the one before, start, or end the sentence."""
        known = mask & (tags >= 0)
        tag = tags.clamp_min(0)
        last = mask & ~nn.functional.pad(mask[:, 1:], (0, 1))
        illegal = known & last & ~self.crf.allowed_ends[tag]
        illegal[:, :1] |= known[:, :1] & ~self.crf.allowed_starts[tag[:, :1]]
        illegal[:, 1:] |= known[:, 1:] & known[:, :-1] & ~self.crf.allowed_transitions[tag[:, :-1], tag[:, 1:]]
        return illegal

    def _label_error(self, labels: Tensor, tags: Tensor, faults: "_LabelFaults", mask: Tensor) -> ValueError:
        """Return the error that names the first bad label."""
        if faults.off_chain.any():
            row, position = faults.off_chain.nonzero()[0].tolist()
            return ValueError(
                f"labels must be {UNKNOWN} off the chain of words, got {labels[row, position]} in row {row}, position "
                f"{position}: word_mask or attention_mask is 0 there, or the token does not begin a word"
            )
        if faults.out_of_range.any():
            row, position = faults.out_of_range.nonzero()[0].tolist()
            hint = f"; {SEVERAL} needs tag_sets with a tag there" if labels[row, position] == SEVERAL else ""
            return ValueError(
                f"labels must be in [0, {self.num_labels}) or {UNKNOWN}, got {labels[row, position]} in row {row}, "
                f"position {position}{hint}"
            )
        row, word = faults.illegal.nonzero()[0].tolist()
        names = self.config.labels
        before = "the start"
        if word > 0:
            previous = int(tags[row, word - 1])
            before = "an unknown tag" if previous < 0 else repr(names[previous])
        return ValueError(
            f"labels must obey {self.config.scheme}, got {names[tags[row, word]]!r} after {before} in row {row}, "
            f"word {word}" + ("" if word + 1 < int(mask[row].sum()) else ", at the end of the sentence")
        )


class _LabelFaults(NamedTuple):
    """Where labels are wrong, and how."""

    off_chain: Tensor  # bool (B, S): a label where no word is
    out_of_range: Tensor  # bool (B, S): no tag's number
    illegal: Tensor  # bool (B, T): a tag that breaks the scheme's rules


def _first_pieces(roles: Tensor) -> Tensor:
    """Mark the sub-tokens that begin a word, bool (B, S), by what each token of a row is (see `token_roles`)."""
    before = nn.functional.pad(roles[:, :-1], (1, 0), value=SPECIAL)
    begins = ((roles == BEGINS) | (roles == OPEN)) & (before != OPEN)
    return begins | ((roles == UNMARKED) & ((before == SPECIAL) | (before == BLANK)))


def _check_names(arguments: Collection[str]) -> None:
    """Refuse an argument of `forward` that neither it nor the host knows, with the name that may be meant."""
    for name in arguments:
        if name not in _HOST_ARGUMENTS:
            own = list(signature(BiLSTMCRFForTokenClassification.forward).parameters)[1:-1]  # without self and kwargs
            near = get_close_matches(name, [*own, *sorted(_HOST_ARGUMENTS)], n=1)
            raise TypeError(f"forward() has no argument {name!r}" + (f", did you mean {near[0]!r}?" if near else ""))


def _takes(function: Callable[..., Any], name: str) -> bool:
    return name in signature(function).parameters


def _dropout_of(config: Any) -> float:
    """Return the dropout before the classifier, under whatever name the family has it."""
    names = ("classifier_dropout", "classifier_dropout_prob", "hidden_dropout_prob", "dropout")
    return next((value for name in names if (value := getattr(config, name, None)) is not None), 0.0)


def _as_sets(tags: Tensor, tag_sets: Tensor) -> Tensor:
    """Write tags (B, T) as sets, bool (B, T, K): one tag; all, where it is unknown; or those of `tag_sets`."""
    one = tags[..., None]
    exact = one == torch.arange(tag_sets.shape[2], device=tags.device)
    return exact | (one == UNKNOWN) | ((one == SEVERAL) & tag_sets)


def _in_shape(name: str, values: Tensor, shape: Sequence[int]) -> Tensor:
    """Return the values, if they have the shape."""
    if values.shape != shape:
        raise ValueError(f"{name} must have shape {tuple(shape)}, got {tuple(values.shape)}")
    return values


@lru_cache(maxsize=32)
def _bias_scores(
    labels: tuple[str, ...], scheme: str | None, biases: tuple[tuple[str, float], ...]
) -> tuple[Tensor, Tensor]:
    """Return what `bias_scores` does, as tensors: (K,) and (K, K). It is written once, not at every batch."""
    starts, moves = bias_scores(labels, scheme, dict(biases))
    return torch.tensor(starts), torch.tensor(moves)


__all__ = ["SEVERAL", "BiLSTMCRFForTokenClassification", "BiLSTMCRFOutput", "PushesToHub"]
