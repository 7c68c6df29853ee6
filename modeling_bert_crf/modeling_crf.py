"""Encoder -> BiLSTM -> CRF. Where the Transformers world and the CRF world meet; ships with every checkpoint.

Outside, in the shapes of Transformers: B sentences of S sub-tokens, `labels` with -100, an int64 `attention_mask`.
Inside, in the CRF's: B sentences of T words out of K tags, `tags`, a bool prefix `mask`. `WordGrid` is the way in and
out.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from inspect import signature
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.processing_utils import Unpack
from transformers.utils import ModelOutput, TransformersKwargs, can_return_tuple, logging

from .configuration_crf import BiLSTMCRFFields, check_code_can_travel
from .crf import UNKNOWN, LinearChainCRF
from .pipeline_crf import PushesToHub  # its pipeline travels with the model, since this is imported
from .schemes import OUTSIDE, constraints
from .weights import ChecksWeights
from .word_lstm import BiLSTM, WordGrid
from .words import BEGINS, BLANK, OPEN, SPECIAL, UNMARKED, WORD_SHAPES, check_tokenizer, token_roles

logger = logging.get_logger(__name__)

LOG_ZERO = -1e4
"""Stands for log 0 in `logits`: finite, and its exponential is exactly 0."""
ROLES_UNSET = -1
WORD_SHAPE_DROPOUT = 0.1
"""Share of training sentences whose word shapes are withheld, so that the model can do without: most calls do."""
_OF_SOME = ("position_ids", "token_type_ids")
"""Inputs that only some encoders have."""
# What the host may pass to any model's `forward`.
_HOST_ARGUMENTS = TransformersKwargs.__required_keys__ | TransformersKwargs.__optional_keys__ | {"return_dict"}


@dataclass
class BiLSTMCRFOutput(ModelOutput):
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
        hidden_states, attentions: as the encoder's.
    """

    loss: torch.FloatTensor | None = None
    logits: torch.FloatTensor | None = None
    paths: torch.LongTensor | None = None
    emissions: torch.FloatTensor | None = None
    hidden_states: tuple[torch.FloatTensor, ...] | None = None
    attentions: tuple[torch.FloatTensor, ...] | None = None


class BiLSTMCRFForTokenClassification(PushesToHub, ChecksWeights):
    """An encoder, a BiLSTM over words, and a linear-chain CRF over their tags.

    Start a new tagger with [`from_encoder`]; load a trained one with `from_pretrained`. Both choose the class of the
    encoder's family, which inherits this one and the family's `PreTrainedModel`.
    """

    encoder_class: ClassVar[type[PreTrainedModel]]
    """The family's encoder."""
    # A pooler or a language model's head may stand in an encoder's checkpoint; a tagger has no use for either.
    _keys_to_ignore_on_load_unexpected = [r"pooler", r"^cls\."]  # noqa: RUF012  (the host's type)
    _keep_in_fp32_modules_strict = frozenset({"crf"})

    def __init__(self, config: Any):
        super().__init__(config)
        self.num_labels = config.num_labels
        # Where the family's own checkpoints have it; without a pooler, of which a tagger has no use.
        options = {"add_pooling_layer": False} if _takes(self.encoder_class.__init__, "add_pooling_layer") else {}
        setattr(self, self.base_model_prefix, self.encoder_class(config, **options))
        self._unknown_inputs = [name for name in _OF_SOME if not _takes(self.encoder_class.forward, name)]
        self.word_shapes = nn.Embedding(len(WORD_SHAPES), config.word_shape_size) if config.word_shape_size else None
        word_size = config.hidden_size + config.word_shape_size
        self.dropout = nn.Dropout(_dropout(config))
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
                has some that its configuration knows nothing of, or the labels are not distinct strings.
            ImportError: where this package is not installed: its code that makes new taggers does not travel.
        """
        return import_module("modeling_bert_crf.opening.building").build(cls, name_or_path, labels, tokenizer, config)

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike | None, *args: Any, **kwargs: Any
    ) -> Any:
        """Load a tagger, see `ChecksWeights.from_pretrained`; called on this class, as one of the tagger's family."""
        if cls is BiLSTMCRFForTokenClassification:
            cls = import_module("modeling_bert_crf").class_for(pretrained_model_name_or_path, kwargs)
        return super().from_pretrained(pretrained_model_name_or_path, *args, **kwargs)

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

    @classmethod
    def is_custom_code(cls) -> bool:
        """Answer no: of custom code the host believes that `_init_weights` overwrites what was loaded, which ours does
        not, and passes over modules that own no tensor, where ModernBERT initialises what is below them."""
        return False

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, LinearChainCRF):
            for parameter in module.parameters():
                init.zeros_(parameter)
            self._write_rules(module)
        elif module is self.word_shapes:
            init.normal_(module.weight)  # as large as the encoder's output beside it
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
    ) -> BiLSTMCRFOutput:
        r"""Tag the words of a batch of sentences, and score the labels if they are given.

        Args:
            input_ids, attention_mask, token_type_ids, inputs_embeds: as the encoder's. Padding may stand on
                either side.
            position_ids: as the encoder's; by default each row counts its attended positions from 0.
            word_mask: bool or 0/1, `(batch_size, sequence_length)`: the positions that the CRF's chain visits,
                normally the first sub-token of each word. By default the tokenizer's words, as `set_tokenizer` learnt
                them.
            word_shape_ids: int64 `(batch_size, sequence_length)`: how each word is written, at its position of the
                chain, as `encode_words` gives it; 0 means unknown, and so does None. Read if the configuration's
                `word_shape_size` is not 0.
            labels: int64 `(batch_size, sequence_length)`: the tag of each word, at its position of the chain; -100 for
                an unknown tag, and off the chain.
            **kwargs: `num_items_in_batch` (see `BiLSTMCRFOutput.loss`), `output_hidden_states`,
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
        return BiLSTMCRFOutput(
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
            loss, logits, paths and emissions, as `BiLSTMCRFOutput` describes them.
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
        """Run the encoder; positions count from each row's first attended token: left padding changes nothing."""
        encoder = self.base_model
        if position_ids is None and attention_mask is not None and attention_mask.dim() == 2:
            position_ids = (attention_mask.long().cumsum(1) - 1).clamp_min(0) + self._first_position
        kwargs["position_ids"] = position_ids
        # Not every encoder has these: what it does not know it must not get.
        known = {name: value for name, value in kwargs.items() if name not in self._unknown_inputs}
        return encoder(input_ids, attention_mask=attention_mask, return_dict=True, **known)

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

    def _words(self, hidden: Tensor, grid: WordGrid, word_shape_ids: Tensor | None) -> Tensor:
        """Lay out by words, (B, T, H), what is known of each: the encoder's output and the word's shape."""
        words = grid.gather(hidden, fill=0.0)
        if self.word_shapes is None:
            return words
        if word_shape_ids is None:
            shapes = torch.zeros_like(grid.position)
        else:
            shapes = grid.gather(_of_shape("word_shape_ids", word_shape_ids, hidden.shape[:2]).long(), fill=0)
        if self.training:
            withheld = torch.rand(len(shapes), 1, device=shapes.device) < WORD_SHAPE_DROPOUT
            shapes = shapes.masked_fill(withheld, 0)
        return torch.cat([words, self.word_shapes(shapes)], dim=2)

    def encode(
        self, input_ids: Tensor, attention_mask: Tensor, word_mask: Tensor, word_shape_ids: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Do the first part of `forward`: read the sub-tokens, and lay out what the BiLSTM is to read, word by word.

        The second part is `emit`, which takes both results. Between the two the words of several rows may be joined,
        as the pipeline joins the windows of a long text.

        Args:
            input_ids, attention_mask, word_mask, word_shape_ids: (B, S), as for `forward`.

        Returns:
            float (B, T, H): for each word the encoder's output at its first sub-token, and beside it the embedding of
            the word's shape if the model has one. What stands past a row's last word means nothing.
            bool (B, T): the mask, True on each row's words, a prefix.
        """
        hidden = self._run_encoder(input_ids, attention_mask).last_hidden_state
        grid = self._compact(hidden, input_ids, attention_mask, word_mask, None)[0]
        return self._words(hidden, grid, word_shape_ids), grid.mask

    def emit(self, words: Tensor, mask: Tensor) -> Tensor:
        """Score the tags of words by what is known of each: all that lies between encoder and CRF.

        Args:
            words, mask: float (B, T, H) and bool (B, T), as `encode` returns them.

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
        return torch.where(grid.scored[..., None], grid.scatter(log_marginals, fill=0.0), off_chain)

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
            behind = nn.functional.pad(roles[:, :-1], (1, 0), value=SPECIAL)
            alone = (roles == UNMARKED) & ((behind == SPECIAL) | (behind == BLANK))
            begins = ((roles == BEGINS) | (roles == OPEN)) & (behind != OPEN)
            chain = attended & (begins | alone | (roles == ROLES_UNSET))
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
    own = list(signature(BiLSTMCRFForTokenClassification.forward).parameters)[1:-1]  # without self and kwargs
    near = get_close_matches(name, [*own, *sorted(_HOST_ARGUMENTS)], n=1)
    return f"forward() has no argument {name!r}" + (f", did you mean {near[0]!r}?" if near else "")


def _takes(function: Callable[..., Any], name: str) -> bool:
    return name in signature(function).parameters


def _dropout(config: Any) -> float:
    """Return the dropout before the classifier, under whatever name the family has it."""
    names = ("classifier_dropout", "classifier_dropout_prob", "hidden_dropout_prob", "dropout")
    return next((value for name in names if (value := getattr(config, name, None)) is not None), 0.0)


def _of_shape(name: str, values: Tensor, shape: torch.Size) -> Tensor:
    if values.shape != shape:
        raise ValueError(f"{name} must have shape {tuple(shape)}, got {tuple(values.shape)}")
    return values


__all__ = ["BiLSTMCRFForTokenClassification", "BiLSTMCRFOutput"]
