"""The model: the chain of words, the loss, the outputs, and what a batch must not change."""

import copy
import itertools
import json
import logging
import math
import os
import subprocess
import sys

import pytest
import torch
from conftest import LABELS, WORDS, encode_words
from test_word_lstm import packed_lstm
from torch.nn.utils.rnn import pack_sequence
from transformers import (
    AutoModelForTokenClassification,
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
    BertTokenizer,
    DistilBertConfig,
    DistilBertModel,
)

from modeling_bert_crf import BertBiLSTMCRFConfig, BertBiLSTMCRFForTokenClassification
from modeling_bert_crf.crf import UNKNOWN
from modeling_bert_crf.modeling_crf import LOG_ZERO
from modeling_bert_crf.readers.conversion import first_violation
from modeling_bert_crf.word_lstm import WordGrid, _has_lstm
from modeling_bert_crf.words import WORD_SHAPES

LENGTHS = (7, 1, 4, 11)


def make_rows(lengths=LENGTHS):
    """Rows of random word ids between [CLS] and [SEP]; random holes in the word mask, legal labels on it."""
    rows = []
    for length in lengths:
        input_ids = torch.cat([torch.tensor([2]), torch.randint(5, 200, (length,)), torch.tensor([3])])
        word_mask = torch.zeros(length + 2, dtype=torch.int64)
        word_mask[1:-1] = torch.rand(length) < 0.6
        labels = torch.where(
            word_mask.bool(), torch.randint(0, 2, word_mask.shape), UNKNOWN
        )  # O and B-LOC go anywhere
        shapes = word_mask * torch.randint(0, len(WORD_SHAPES), word_mask.shape)
        rows.append({"input_ids": input_ids, "word_mask": word_mask, "word_shape_ids": shapes, "labels": labels})
    return rows


def make_batch(rows, side="right", extra=0):
    """Pad rows; `extra` positions of padding more than needed, filled with junk that must not be read."""
    length = max(len(row["input_ids"]) for row in rows) + extra
    batch = {
        "input_ids": torch.randint(5, 200, (len(rows), length)),
        "attention_mask": torch.zeros(len(rows), length, dtype=torch.int64),
        "word_mask": torch.randint(0, 2, (len(rows), length)),
        "word_shape_ids": torch.randint(0, len(WORD_SHAPES), (len(rows), length)),
        "labels": torch.full((len(rows), length), UNKNOWN),
    }
    for index, row in enumerate(rows):
        size = len(row["input_ids"])
        where = slice(0, size) if side == "right" else slice(length - size, length)
        for name, values in row.items():
            batch[name][index, where] = values
        batch["attention_mask"][index, where] = 1
    return batch


def on_chain(output, batch, row):
    """A row's emissions, log posteriors and tags at its words, in order."""
    chain = (batch["word_mask"] * batch["attention_mask"])[row].bool()
    return output.emissions[row, chain], output.logits[row, chain], output.paths[row, chain]


@pytest.mark.parametrize("layers", [0, 1, 2])
@pytest.mark.parametrize(("side", "extra"), [("right", 0), ("right", 5), ("left", 0), ("left", 3)])
def test_the_batch_does_not_matter(make_model, layers, side, extra):
    model = make_model(num_lstm_layers=layers, word_shape_size=3)
    rows = make_rows()
    batch = make_batch(rows, side, extra)
    output = model(**batch)

    losses = []
    for index, row in enumerate(rows):
        alone = {name: values[None] for name, values in row.items()}
        alone["attention_mask"] = torch.ones_like(alone["input_ids"])
        single = model(**alone)
        for got, want in zip(on_chain(output, batch, index), on_chain(single, alone, 0), strict=True):
            torch.testing.assert_close(got, want, rtol=0, atol=1e-5)
        losses.append(single.loss * (row["labels"] != UNKNOWN).sum())
    torch.testing.assert_close(output.loss, sum(losses) / (batch["labels"] != UNKNOWN).sum(), rtol=1e-5, atol=1e-5)


def test_an_unpacked_reverse_lstm_would_read_padding_first(model):
    """The test above would see the most common fault: that of a plain bidirectional LSTM on padded rows."""
    batch = make_batch(make_rows((11, 2)))
    batch["word_mask"][:] = 1
    batch["labels"][:] = UNKNOWN
    right = model(**batch).emissions
    original = model.lstm.forward
    model.lstm.forward = lambda hidden, mask: original(hidden, torch.ones_like(mask))

    wrong = model(**batch).emissions

    torch.testing.assert_close(wrong[0], right[0], rtol=0, atol=1e-5)
    assert (wrong[1] - right[1]).abs().max() > 1e-2


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("layers", [1, 2])
def test_emissions_are_those_of_the_hosts_bert_a_packed_lstm_and_a_linear_layer(
    make_model, encoder_folder, layers, side
):
    model = make_model(num_lstm_layers=layers)
    rows = make_rows((7, 2, 4))
    for row in rows:
        row["word_mask"][1] = 1  # no row without a word
    batch = make_batch(rows, side, extra=2)
    found = model(**batch, output_hidden_states=True)

    bert = BertModel.from_pretrained(encoder_folder, add_pooling_layer=False).eval()
    hidden = [bert(row["input_ids"][None]).last_hidden_state[0] for row in rows]
    lstm = packed_lstm(model.lstm)
    states = [lstm(pack_sequence([one[row["word_mask"].bool()]]))[0] for one, row in zip(hidden, rows, strict=True)]

    for index, (one, state) in enumerate(zip(hidden, states, strict=True)):
        attended = batch["attention_mask"][index].bool()
        torch.testing.assert_close(found.hidden_states[-1][index, attended], one, rtol=0, atol=1e-5)
        emissions = model.classifier(state.data)
        torch.testing.assert_close(on_chain(found, batch, index)[0], emissions, rtol=0, atol=1e-5)


@pytest.mark.parametrize("probability", [1.0, 0.0])
def test_dropout_before_the_classifier_is_the_configurations(make_model, probability):
    """Where everything is dropped, the classifier's bias is left."""
    others = {"hidden_dropout_prob": 1 - probability, "attention_probs_dropout_prob": 0.0}
    model = make_model(num_lstm_layers=0, classifier_dropout=probability, **others).train()
    model.bert.eval()
    torch.nn.init.normal_(model.classifier.bias)
    batch = make_batch(make_rows())
    chain = (batch["word_mask"] * batch["attention_mask"]).bool()

    emissions = model(**batch).emissions[chain]

    dropped = (emissions - model.classifier.bias).abs().max() == 0
    assert dropped == (probability == 1.0)
    if not dropped:
        assert emissions.equal(model.eval()(**batch).emissions[chain])


def test_word_shapes_are_read_at_words_alone(make_model):
    model = make_model(word_shape_size=3)
    batch = make_batch(make_rows())
    chain = (batch["word_mask"] * batch["attention_mask"]).bool()
    output = model(**batch)

    elsewhere = {**batch, "word_shape_ids": torch.where(chain, batch["word_shape_ids"], 5)}
    assert model(**elsewhere).emissions.equal(output.emissions)
    changed = batch["word_shape_ids"].clone()
    row, position = chain.nonzero()[0]
    changed[row, position] = (changed[row, position] + 1) % len(WORD_SHAPES)
    moved = (model(**{**batch, "word_shape_ids": changed}).emissions - output.emissions).abs().amax((1, 2)) > 1e-3
    assert moved.nonzero()[:, 0].tolist() == [row]


def test_word_shapes_may_be_absent_and_are_withheld_from_some_training_sentences(make_model):
    model = make_model(word_shape_size=3)
    batch = make_batch(make_rows((5,) * 400))
    batch["word_mask"][:, 1] = 1
    batch["word_shape_ids"][:, 1] = 5
    withheld = {**batch, "word_shape_ids": torch.zeros_like(batch["word_shape_ids"])}
    absent = {name: values for name, values in batch.items() if name != "word_shape_ids"}
    assert model(**absent).emissions.equal(model(**withheld).emissions)

    for module in model.modules():
        module.training = module is model  # no dropout: only what the model itself does in training
    rows = model(**batch).emissions
    model.eval()
    with_shapes, without = ((rows - model(**one).emissions).abs().amax((1, 2)) < 1e-5 for one in (batch, withheld))
    assert (with_shapes ^ without).all()
    assert 20 <= without.sum() <= 60  # of 400, at a rate of 0.1: 40 with a deviation of 6


def test_from_encoder_gives_word_shapes_to_encoders_that_see_no_capitals(encoder_folder, tokenizer):
    lower = BertTokenizer(vocab=tokenizer.get_vocab(), do_lower_case=True)
    models = [
        BertBiLSTMCRFForTokenClassification.from_encoder(str(encoder_folder), LABELS, *arguments, **config)
        for arguments, config in (((), {}), ((lower,), {}), ((lower,), {"word_shape_size": 0}))
    ]
    assert [model.config.word_shape_size for model in models] == [0, 16, 0]
    assert 0.7 < models[1].word_shapes.weight.std() < 1.3  # as large as the encoder's output beside it


def test_paths_do_not_depend_on_labels(model):
    batch = make_batch(make_rows())
    with_labels = model(**batch)
    batch.pop("labels")
    without = model(**batch)

    assert without.loss is None
    assert with_labels.paths.equal(without.paths)
    assert with_labels.logits.equal(without.logits)


def test_paths_are_legal_and_everywhere_on_the_chain(model):
    for seed in range(20):
        torch.manual_seed(seed)
        batch = make_batch(make_rows())
        chain = (batch["word_mask"] * batch["attention_mask"]).bool()
        paths = model(**batch).paths

        assert (paths[~chain] == UNKNOWN).all()
        for row in range(len(paths)):
            tags = [None, *(LABELS[tag] for tag in paths[row, chain[row]])]
            for before, tag in itertools.pairwise(tags):
                assert not tag.startswith("I-") or before in (f"B-{tag[2:]}", tag)


def test_paths_come_always_but_in_training_with_labels(model):
    batch = make_batch(make_rows())
    labels = batch.pop("labels")

    assert model.train()(**batch).paths is not None
    assert model.train()(**batch, labels=labels).paths is None
    assert model.eval()(**batch, labels=labels).paths is not None
    with torch.no_grad():
        assert model.train()(**batch, labels=labels).paths is None


def test_logits_are_the_exact_posterior(model):
    batch = make_batch(make_rows())
    chain = (batch["word_mask"] * batch["attention_mask"]).bool()
    output = model(**batch)
    grid = WordGrid.of(chain)

    expected = model.crf.marginals(grid.gather(output.emissions, 0.0), grid.mask)

    assert output.logits.dtype == torch.float32
    assert output.logits.isfinite().all()
    torch.testing.assert_close(output.logits.softmax(-1)[chain], expected[grid.mask])
    off_chain = torch.tensor([0.0] + [LOG_ZERO] * 4).expand_as(output.logits[~chain])
    torch.testing.assert_close(output.logits[~chain], off_chain, rtol=0, atol=0)
    assert output.logits[chain].min() == LOG_ZERO  # a forbidden tag
    assert not output.emissions[~chain].any()


@pytest.mark.parametrize(("labels", "outside"), [(["B-X", "I-X", "O"], 2), (["NOUN", "VERB"], 0)])
def test_off_the_chain_all_weight_is_on_the_outside_tag(make_model, labels, outside):
    batch = make_batch(make_rows())
    chain = (batch["word_mask"] * batch["attention_mask"]).bool()
    logits = make_model(labels)(**batch).logits[~chain]

    assert (logits.argmax(1) == outside).all()
    assert (logits.softmax(1)[:, outside] == 1).all()


def test_logits_carry_the_gradient_of_the_posterior(model):
    """Through `marginals` in float64: the classifier's bias gets the sum of the gradients at all words."""
    batch = make_batch(make_rows((5, 3)))
    output = model(**batch)
    grid = WordGrid.of((batch["word_mask"] * batch["attention_mask"]).bool())
    exact = copy.deepcopy(model.crf).double()
    emissions = grid.gather(output.emissions.detach().double(), 0.0).requires_grad_()
    (expected,) = torch.autograd.grad(exact.marginals(emissions, grid.mask).square().sum(), emissions)

    (output.logits.softmax(-1).square() * grid.scored[..., None]).sum().backward()

    assert expected.abs().max() > 1e-2
    torch.testing.assert_close(model.classifier.bias.grad.double(), expected.sum((0, 1)), rtol=1e-3, atol=1e-5)


def test_loss_is_the_nll_per_label_or_per_item(model):
    batch = make_batch(make_rows())
    count = (batch["labels"] != UNKNOWN).sum()

    mean = model(**batch).loss
    by_items = model(**batch, num_items_in_batch=torch.tensor(10)).loss

    torch.testing.assert_close(by_items, mean * count / 10)
    torch.testing.assert_close(model(**batch, num_items_in_batch=10).loss, by_items)


def test_the_mean_loss_is_over_the_known_labels_alone(model):
    """A word whose label nobody knows is in the chain, and not in the mean."""
    batch = make_batch(make_rows((5, 3)))
    batch["word_mask"] = batch["attention_mask"].clone()  # of 7 and 5 words, 4 labels are known
    batch["labels"][:] = UNKNOWN
    batch["labels"][0, 1:4] = torch.tensor([0, 1, 0])
    batch["labels"][1, 2] = 1

    output = model(**batch)

    nll = model.crf(output.emissions, batch["labels"], batch["attention_mask"].bool())  # the words stand side by side
    torch.testing.assert_close(output.loss, nll.sum() / 4)


def test_unknown_labels_are_summed_over(model):
    row = make_rows((6,))[0]
    row["word_mask"] = torch.tensor([0, 1, 0, 1, 1, 0, 0, 0])
    row["labels"] = torch.tensor([UNKNOWN, 0, UNKNOWN, UNKNOWN, 1, UNKNOWN, UNKNOWN, UNKNOWN])
    batch = make_batch([row])
    partial = model(**batch, num_items_in_batch=1).loss

    weights = []
    for tag in range(len(LABELS)):
        batch["labels"][0, 3] = tag
        weights.append(-model(**batch, num_items_in_batch=1).loss)

    torch.testing.assert_close(partial, -torch.stack(weights).logsumexp(0))


@pytest.mark.parametrize("attended", [True, False], ids=["no scored word", "nothing attended"])
@pytest.mark.parametrize("others", [True, False], ids=["beside others", "alone"])
def test_empty_rows(model, attended, others):
    rows = make_rows((4, 5) if others else (4,))
    rows[0]["word_mask"][:] = 0
    rows[0]["labels"][:] = UNKNOWN
    batch = make_batch(rows)
    if not attended:
        batch["attention_mask"][0] = 0
    model.train()

    loss = model(**batch).loss
    loss.backward()
    paths = model.eval()(**batch).paths

    assert loss.isfinite()
    assert (loss == 0) == (not others)
    assert (paths[0] == UNKNOWN).all()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert [name for name, gradient in gradients.items() if gradient is None] == []
    assert all(gradient.isfinite().all() for gradient in gradients.values())


def test_left_padding_keeps_positions_from_zero(model):
    row = make_rows((5,))[0]
    left = make_batch([row], "left", extra=4)

    shifted = model(**left, position_ids=torch.arange(11)[None])
    right = model(**make_batch([row]))

    assert (on_chain(shifted, left, 0)[0] - on_chain(right, make_batch([row]), 0)[0]).abs().max() > 1e-3


def test_without_a_word_mask_the_tokenizers_words_are_tagged(model, tokenizer):
    words = ["Ada", "sang", "in", "Paris", "."]
    (window,) = encode_words(tokenizer, words)
    explicit = model(
        torch.tensor([window.input_ids]),
        torch.ones(1, len(window.input_ids)),
        word_mask=torch.tensor([window.word_mask]),
    )

    bare = model(**tokenizer(["Ada sang in Paris.", "Ada"], return_tensors="pt", padding=True))

    length = len(window.input_ids)
    assert bare.paths[0, :length].equal(explicit.paths[0])
    torch.testing.assert_close(bare.emissions[0, :length], explicit.emissions[0], rtol=0, atol=1e-5)
    assert (bare.paths[1] != UNKNOWN).sum() == 1


def test_without_roles_every_attended_position_is_tagged_and_said_once(model, caplog):
    model.token_roles.fill_(-1)
    logging.getLogger("modeling_bert_crf").propagate = True
    batch = make_batch(make_rows((3, 5)))
    inputs = {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}
    embeds = {"inputs_embeds": torch.randn(2, 7, 36), "attention_mask": batch["attention_mask"]}

    outputs = [model(**inputs), model(**inputs), model(**embeds)]

    assert all((output.paths != UNKNOWN).equal(batch["attention_mask"].bool()) for output in outputs)
    assert sum("set_tokenizer" in record.message for record in caplog.records) == 1


def test_resizing_the_embeddings_extends_the_roles(model, tokenizer):
    size = len(tokenizer)
    model.resize_token_embeddings(size + 4, mean_resizing=False)
    assert model.token_roles[size:].tolist() == [1] * 4
    assert model.config.vocab_size == size + 4
    model.resize_token_embeddings(size - 4, mean_resizing=False)
    assert model.token_roles.shape == (size - 4,)

    model.token_roles.fill_(-1)
    model.resize_token_embeddings(size, mean_resizing=False)
    assert (model.token_roles == -1).all()


def batch_with(position, label, word_mask=(0, 1, 1, 0, 1, 0)):
    labels = torch.tensor([[UNKNOWN, 0, 0, UNKNOWN, 0, UNKNOWN]] * 2)
    labels[1, position] = label
    return {
        "input_ids": torch.full((2, 6), 9),
        "attention_mask": torch.ones(2, 6, dtype=torch.int64),
        "word_mask": torch.tensor([word_mask] * 2),
        "labels": labels,
    }


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (batch_with(3, 1), r"labels must be -100 off the chain of words, got 1 in row 1, position 3"),
        (batch_with(2, 5), r"labels must be in \[0, 5\) or -100, got 5 in row 1, position 2"),
        (batch_with(2, -1), r"labels must be in \[0, 5\) or -100, got -1 in row 1, position 2"),
        ({**batch_with(2, 0), "labels": torch.zeros(2, 5)}, r"labels must have shape \(2, 6\), got \(2, 5\)"),
        ({**batch_with(2, 0), "word_mask": torch.ones(2, 5)}, r"word_mask must have shape \(2, 6\), got \(2, 5\)"),
    ],
)
@pytest.mark.parametrize("training", [True, False])
def test_bad_labels_are_refused(model, batch, message, training):
    with pytest.raises(ValueError, match=message):
        model.train(training)(**batch)


@pytest.mark.parametrize(
    ("position", "label", "message"),
    [
        (1, 2, r"labels must obey IOB2, got 'I-LOC' after the start in row 1, word 0"),
        (2, 2, r"labels must obey IOB2, got 'I-LOC' after 'O' in row 1, word 1"),
        (4, 4, r"labels must obey IOB2, got 'I-PER' after 'O' in row 1, word 2"),
    ],
)
def test_illegal_gold_is_refused_in_training_and_costs_infinity_in_evaluation(model, position, label, message):
    with pytest.raises(ValueError, match=message):
        model.train()(**batch_with(position, label))
    assert model.eval()(**batch_with(position, label)).loss == math.inf


def test_illegal_end_is_named(make_model):
    model = make_model(["O", "B-X", "I-X", "E-X", "S-X"])

    with pytest.raises(ValueError, match=r"got 'B-X' after 'O' in row 1, word 2, at the end of the sentence"):
        model.train()(**batch_with(4, 1))


@pytest.mark.parametrize("training", [True, False])
def test_arguments_are_not_changed(model, training):
    batch = make_batch(make_rows())
    before = copy.deepcopy(batch)
    model.train(training)(**batch)

    assert all(batch[name].equal(before[name]) for name in batch)


def test_return_dict_false_and_hidden_states(model):
    batch = make_batch(make_rows((3,)))
    output = model(**batch, output_hidden_states=True)
    as_tuple = model(**batch, return_dict=False)

    assert list(output) == ["loss", "logits", "paths", "emissions", "hidden_states"]
    assert len(output.hidden_states) == 3
    assert len(as_tuple) == 4
    assert as_tuple[2].equal(output.paths)


def test_half_precision_weights_decode(model):
    batch = make_batch(make_rows())
    output = model.to(torch.bfloat16)(**batch)

    assert output.logits.dtype == torch.float32
    assert output.loss.isfinite()
    assert ((output.paths != UNKNOWN) == (batch["word_mask"] * batch["attention_mask"]).bool()).all()


def test_the_reach_is_that_of_all_layers_or_none(model):
    """One layer that sees the whole row is enough for the row to be seen."""
    model.config.sliding_window = 8
    for kinds, reach in ((["sliding_attention"] * 3, 24), (["sliding_attention", "full_attention"], None)):
        model.config.layer_types = kinds
        assert model.reach == reach


def test_encode_returns_the_words_and_the_mask_under_which_they_stand(make_model):
    """What a caller hands on to `emit`. Padding that `word_mask` marks is no word."""
    model = make_model(word_shape_size=3)
    batch = make_batch(make_rows((5, 0, 9)), extra=2)
    expected = model(**batch).emissions
    chain = (batch["word_mask"] * batch["attention_mask"]).bool()
    batch.pop("labels")

    words, mask = model.encode(**batch)

    assert mask.dtype == torch.bool
    assert mask.tolist() == [[index < count for index in range(mask.shape[1])] for count in chain.sum(1).tolist()]
    assert words.shape == (3, int(chain.sum(1).max()), 36 + 3)
    torch.testing.assert_close(model.emit(words, mask)[mask], expected[chain], rtol=0, atol=0)


def test_word_grid_goes_there_and_back():
    for seed in range(10):
        torch.manual_seed(seed)
        chain = torch.rand(5, 9) < 0.4
        chain[2] = False
        values = torch.randn(5, 9, 3)
        grid = WordGrid.of(chain).cut(int(chain.sum(1).max()))

        words = grid.gather(values, fill=-7.0)

        for row in range(5):
            count = int(chain[row].sum())
            assert words[row, :count].equal(values[row, chain[row]])
            assert (words[row, count:] == -7.0).all()
        assert grid.scatter(words, fill=3.0).equal(torch.where(chain[..., None], values, 3.0))


def test_from_encoder_keeps_the_encoder_and_zeroes_the_crf(encoder_folder, tmp_path, caplog):
    """A CRF that `_init_weights` forgot would come out of `from_pretrained` as whatever stood in memory."""
    poison = [torch.full((5, 5), 7e9) for _ in range(200)]
    del poison

    model = BertBiLSTMCRFForTokenClassification.from_encoder(str(encoder_folder), LABELS)

    assert [parameter.abs().max().item() for parameter in model.crf.parameters()] == [0.0, 0.0, 0.0]
    assert model.crf.allowed_starts.tolist() == [True, True, False, True, False]
    assert model.crf.allowed_transitions.tolist()[0] == [True, True, False, True, False]
    assert model.crf.allowed_transitions.tolist()[1] == [True, True, True, True, False]
    assert model.config.id2label == dict(enumerate(LABELS))
    assert model.config.label2id == {label: index for index, label in enumerate(LABELS)}
    assert model.config.model_type == "bert_bilstm_crf"
    assert not any("LOAD REPORT" in record.message or "model of type" in record.message for record in caplog.records)
    encoder = BertModel.from_pretrained(encoder_folder, add_pooling_layer=False)
    for name, value in encoder.state_dict().items():
        assert model.bert.state_dict()[name].equal(value), name


def test_constraints_survive_every_load(model, tmp_path):
    model.save_pretrained(tmp_path)
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    poison = [torch.ones(5, 5, dtype=torch.bool) for _ in range(200)]
    del poison

    loaded = BertBiLSTMCRFForTokenClassification.from_pretrained(tmp_path)

    for name, buffer in loaded.named_buffers():
        assert buffer.equal(before[name]), name
    for name, parameter in loaded.named_parameters():
        assert parameter.equal(model.get_parameter(name)), name


def test_the_rules_stand_though_a_host_does_not_initialise_what_no_checkpoint_holds(model, tmp_path, monkeypatch):
    model.save_pretrained(tmp_path)
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    monkeypatch.setattr(BertBiLSTMCRFForTokenClassification, "initialize_weights", lambda *_: None)

    loaded = BertBiLSTMCRFForTokenClassification.from_pretrained(tmp_path)

    for name, buffer in loaded.crf.named_buffers(prefix="crf"):
        assert buffer.equal(before[name]), name


def test_an_encoder_with_a_language_model_head_is_loaded_whole(tokenizer, tmp_path):
    config = BertConfig(vocab_size=len(tokenizer), hidden_size=12, num_hidden_layers=1, num_attention_heads=2)
    pretrained = BertForMaskedLM(config)
    pretrained.half().save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)

    model = BertBiLSTMCRFForTokenClassification.from_encoder(
        str(tmp_path), LABELS, num_lstm_layers=2, lstm_hidden_size=5
    )

    weight = pretrained.bert.encoder.layer[0].output.dense.weight
    assert model.bert.encoder.layer[0].output.dense.weight.equal(weight.float())
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert len(model.lstm.left_to_right) == 2
    assert model.classifier.in_features == 10


def test_from_encoder_refuses_what_is_not_bert(tokenizer, tmp_path):
    DistilBertModel(DistilBertConfig(vocab_size=20, dim=12, n_heads=2, n_layers=1, hidden_dim=13)).save_pretrained(
        tmp_path
    )

    with pytest.raises(ValueError, match="the encoder must be of the family 'bert', got model_type 'distilbert'"):
        BertBiLSTMCRFForTokenClassification.from_encoder(str(tmp_path), LABELS, tokenizer)


def test_from_encoder_refuses_a_checkpoint_that_lacks_weights(encoder_folder, tokenizer, tmp_path):
    config = BertConfig.from_pretrained(encoder_folder)
    config.num_hidden_layers = 1
    BertModel(config).save_pretrained(tmp_path)
    config.num_hidden_layers = 2
    config.save_pretrained(tmp_path)

    with pytest.raises(ValueError, match=r"got 16 missing, 'bert\.encoder\.layer\.1\."):
        BertBiLSTMCRFForTokenClassification.from_encoder(str(tmp_path), LABELS, tokenizer)


@pytest.mark.parametrize("labels", [[], ["O", "O"], ["O", 1]])
def test_from_encoder_refuses_labels_that_are_not_distinct_names(encoder_folder, labels):
    with pytest.raises(ValueError, match="labels must be distinct strings"):
        BertBiLSTMCRFForTokenClassification.from_encoder(str(encoder_folder), labels)


def test_labels_without_a_scheme_forbid_nothing():
    model = BertBiLSTMCRFForTokenClassification(
        BertBiLSTMCRFConfig(vocab_size=9, hidden_size=12, num_hidden_layers=1, num_attention_heads=2)
    )

    assert model.config.labels == ["LABEL_0", "LABEL_1"]
    assert all(buffer.all() for buffer in model.crf.buffers())


def test_the_words_of_the_fixture_are_whole(tokenizer):
    assert all(len(tokenizer(word, add_special_tokens=False)["input_ids"]) == 1 for word in WORDS)


def test_gold_that_unknown_labels_cannot_save_is_refused_in_training(make_model):
    model = make_model(["O", *(f"{prefix}-{kind}" for kind in "XY" for prefix in "BIES")]).train()
    batch = batch_with(2, 0, word_mask=(0, 1, 1, 1, 1, 0))
    batch["labels"][:, 1:5] = torch.tensor([[0, 0, 0, 0], [1, UNKNOWN, 6, 7]])  # B-X ? I-Y E-Y
    with pytest.raises(ValueError, match="labels must leave a tagging that obeys the scheme, got none in row 1"):
        model(**batch)

    batch["labels"][1, 1:5] = torch.tensor([0, 0, UNKNOWN, 1])
    with pytest.raises(
        ValueError, match="got 'B-X' after an unknown tag in row 1, word 3, at the end of the sentence"
    ):
        model(**batch)


@pytest.mark.parametrize("unknown", range(3))
def test_an_unknown_label_breaks_no_rule(make_model, unknown):
    """Whatever the first label of the list may: `I-X` may neither begin a sentence nor end it."""
    model = make_model(["I-X", "B-X", "E-X", "S-X", "O"]).train()
    batch = batch_with(2, 0)
    batch["labels"][1, [1, 2, 4]] = torch.tensor([1, 0, 2])  # B-X I-X E-X
    batch["labels"][0, [1, 2, 4]] = torch.tensor([4, 1, 2])  # O B-X E-X
    batch["labels"][:, [1, 2, 4][unknown]] = UNKNOWN

    assert model(**batch).loss.isfinite()


def test_integer_types_of_labels_and_masks_do_not_matter(model):
    batch = make_batch(make_rows())
    other = {
        **batch,
        "labels": batch["labels"].int(),
        "word_mask": batch["word_mask"].bool(),
        "attention_mask": batch["attention_mask"].float(),
    }

    assert model(**other).loss.equal(model(**batch).loss)


def test_a_configuration_without_return_dict_works(model):
    batch = make_batch(make_rows())
    expected = model(**batch).paths
    model.config.return_dict = False

    assert model(**batch)[2].equal(expected)


def test_from_encoder_refuses_misspelt_fields(encoder_folder):
    with pytest.raises(ValueError, match="'lstm_layers' must be a field of the configuration or one of"):
        BertBiLSTMCRFForTokenClassification.from_encoder(str(encoder_folder), LABELS, lstm_layers=2)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_trains_also_where_the_device_has_no_lstm_in_its_precision(model, dtype):
    """Most CPUs have none in float16, and older ones none in bfloat16."""
    batch = make_batch(make_rows())
    model.train()
    for module in model.modules():  # no dropout
        module.training = module is model

    def gradients(**autocast):
        model.zero_grad()
        with torch.autocast("cpu", **autocast):
            loss = model(**batch).loss
        loss.backward()
        return loss.detach(), torch.cat([parameter.grad.flatten() for parameter in model.parameters()])

    for exact, rough in zip(gradients(enabled=False), gradients(dtype=dtype), strict=True):
        assert (rough - exact).norm() < 0.05 * exact.norm()
    with torch.inference_mode(), torch.autocast("cpu", dtype=dtype):
        assert model.eval()(**batch).paths is not None


OLD_CPU = """
import copy, json, sys
import torch
from modeling_bert_crf import BertBiLSTMCRFForTokenClassification
model = BertBiLSTMCRFForTokenClassification.from_pretrained(sys.argv[1])
batch = {name: torch.tensor(values) for name, values in json.load(sys.stdin).items()}
for dtype in (torch.bfloat16, torch.float16):
    for weights in (torch.float32, dtype):
        one = copy.deepcopy(model).to(weights).train()
        state = torch.get_rng_state()
        for enabled in (True, False):
            with torch.autocast("cpu", dtype=dtype, enabled=enabled):
                loss = one(**batch).loss
            loss.backward()
            assert all(parameter.grad.isfinite().all() for parameter in one.parameters())
"""


def test_a_cpu_without_units_for_bfloat16_trains_in_it_and_says_so_once(model, tmp_path):
    model.save_pretrained(tmp_path)
    batch = {name: values.tolist() for name, values in make_batch(make_rows()).items()}

    result = subprocess.run(
        [sys.executable, "-c", OLD_CPU, str(tmp_path)],
        input=json.dumps(batch),
        env=os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2"},
        capture_output=True,
        text=True,
    )

    assert result.returncode == 0, result.stderr
    said = [line for line in result.stderr.splitlines() if "LSTM" in line]
    assert said == [
        f"This cpu has no LSTM in {dtype}: under autocast the BiLSTM runs in the precision of its weights."
        for dtype in ("bfloat16", "float16")
    ]


def test_asking_for_an_lstm_draws_no_random_numbers(model):
    """A run that is resumed asks again: it must go on as if it had not."""
    batch = make_batch(make_rows())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        _has_lstm.cache_clear()
        state = torch.get_rng_state()
        model(**batch)

    assert _has_lstm.cache_info().misses == 1
    assert torch.get_rng_state().equal(state)


def is_new(model):
    """Whether a head's biases and its CRF are as they are made, exactly 0, and word shapes as large as they are."""
    head = {name: value for name, value in model.named_parameters() if not name.startswith("bert.")}
    zeros = [value for name, value in head.items() if "bias" in name or name.startswith("crf")]
    others = [value for name, value in head.items() if "weight" in name]
    return not any(value.any() for value in zeros) and all(0.005 < value.std() < 2 for value in others)


def fine_tuned(kind, encoder_folder, folder, **names):
    """Save a classifier on the fixture's encoder as if it had been trained: no weight of its head is 0."""
    model = kind.from_pretrained(encoder_folder, **names)
    with torch.no_grad():
        for parameter in model.classifier.parameters():
            parameter.fill_(7.0)
    model.save_pretrained(folder)
    return model.bert.state_dict()


@pytest.mark.parametrize("labels", [5, 3], ids=["as many labels", "other labels"])
@pytest.mark.parametrize("kind", [BertForTokenClassification, BertForSequenceClassification])
def test_from_encoder_starts_a_new_head_on_a_fine_tuned_model(encoder_folder, tokenizer, tmp_path, kind, labels):
    names = {"num_labels": labels, "problem_type": "multi_label_classification"}
    encoder = fine_tuned(kind, encoder_folder, tmp_path, **names)

    model = BertBiLSTMCRFForTokenClassification.from_encoder(
        str(tmp_path), LABELS, tokenizer, num_lstm_layers=0, word_shape_size=0
    )

    assert model.config.problem_type is None
    again = BertBiLSTMCRFForTokenClassification.from_pretrained(tmp_path, config=model.config)
    for one in (model, again):
        assert one.classifier.weight.shape == (5, 36)  # of the shape of a classifier upon BERT itself
        assert is_new(one)
        assert all(value.equal(encoder[name]) for name, value in one.bert.state_dict().items())


@pytest.mark.parametrize("scale", [1, 2], ids=["of our shapes", "of others"])
def test_from_encoder_starts_a_new_head_whatever_the_checkpoint_calls_so(
    make_model, encoder_folder, tokenizer, tmp_path, scale
):
    """A BERT with a head like ours, of the same names, by somebody who calls it BERT."""
    sizes = {"lstm_hidden_size": 7 * scale, "word_shape_size": 4 * scale}
    other = make_model(**sizes)
    other.word_shapes.weight.data.fill_(9.0)
    other.token_roles.fill_(1)
    other.save_pretrained(tmp_path)
    BertConfig.from_pretrained(
        encoder_folder, num_lstm_layers=3, tag_scheme="BIOES", classifier_dropout=0.25
    ).save_pretrained(tmp_path)

    model = BertBiLSTMCRFForTokenClassification.from_encoder(
        str(tmp_path), LABELS, tokenizer, lstm_hidden_size=7, word_shape_size=4
    )

    assert is_new(model)
    assert (model.config.num_lstm_layers, model.config.scheme) == (1, "IOB2")
    assert model.config.classifier_dropout == 0.25  # BERT's own
    assert model.token_roles.unique().tolist() == [0, 1, 2]
    for name, value in other.bert.state_dict().items():
        assert model.bert.state_dict()[name].equal(value), name


def test_from_encoder_refuses_a_finished_tagger(model, tokenizer, tmp_path):
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)

    with pytest.raises(ValueError, match=r"must be pretrained .* got a finished tagger: from_pretrained loads it"):
        BertBiLSTMCRFForTokenClassification.from_encoder(str(tmp_path), LABELS)


def test_from_encoder_refuses_sizes_that_the_encoder_has_not(encoder_folder):
    message = r"the shapes that the configuration describes, 'bert\.\S+\.bias' \(40,\), got \(50,\)"
    with pytest.raises(RuntimeError, match=message):
        BertBiLSTMCRFForTokenClassification.from_encoder(str(encoder_folder), LABELS, intermediate_size=40)


BIOES = ["O", "B-X", "I-X", "E-X", "S-X"]


def rules(model):
    return [buffer.int().tolist() for buffer in (model.crf.allowed_starts, model.crf.allowed_ends)]


@pytest.mark.parametrize(
    "change",
    [
        lambda config: setattr(config, "id2label", dict(enumerate(BIOES))),
        lambda config: setattr(config, "label2id", {label: str(index) for index, label in enumerate(BIOES)}),
        lambda config: config.id2label.update(enumerate(BIOES)),
    ],
    ids=["id2label", "label2id", "in place"],
)
def test_labels_that_the_configuration_gets_later_make_the_rules(model, tmp_path, change):
    batch = make_batch(make_rows((9, 6)))
    model(**batch)
    assert rules(model) == [[1, 1, 0, 1, 0], [1, 1, 1, 1, 1]]

    change(model.config)
    output = model(**batch)

    assert rules(model) == [[1, 1, 0, 0, 1], [1, 0, 0, 1, 1]]
    chain = (batch["word_mask"] * batch["attention_mask"]).bool()
    for path, row in zip(output.paths, chain, strict=True):
        assert first_violation([BIOES[tag] for tag in path[row]], "BIOES") is None
    model.save_pretrained(tmp_path)
    loaded = BertBiLSTMCRFForTokenClassification.from_pretrained(tmp_path)
    assert loaded.config.label2id == {label: index for index, label in enumerate(BIOES)}
    assert loaded(**batch).logits.equal(output.logits)
    batch["labels"] = torch.where(chain, 1, UNKNOWN)
    with pytest.raises(ValueError, match="labels must obey BIOES, got 'B-X' after 'B-X' in row 0, word 1"):
        model.train()(**batch)


def test_a_scheme_that_the_configuration_gets_later_makes_the_rules(model):
    held = model.crf
    model.config.tag_scheme = None
    assert model.crf is held
    assert all(buffer.all() for buffer in model.crf.buffers())

    model.config.tag_scheme = "IOB2"
    assert rules(model)[0] == [1, 1, 0, 1, 0]
    model.config.tag_scheme = "BIOES"
    model.config.id2label = dict(enumerate(BIOES))
    assert rules(model)[0] == [1, 1, 0, 0, 1]
    model.config.tag_scheme = "BILOU"
    with pytest.raises(ValueError, match="`tag_scheme` 'BILOU' has no tag 'E-X'"):
        model(**make_batch(make_rows()))


def test_labels_of_another_number_are_refused_at_the_next_use(model):
    model.config.id2label = {0: "O", 1: "B-X", 2: "I-X"}

    with pytest.raises(ValueError, match="must name 5 labels, as many as the CRF has tags, got 3: from_pretrained"):
        model(**make_batch(make_rows()))


def test_rules_of_ones_own_stay_while_the_configuration_stays(model):
    model.crf.allowed_starts[1] = False

    model(**make_batch(make_rows()))

    assert rules(model)[0] == [1, 0, 0, 1, 0]


def test_a_copy_follows_its_own_configuration(model):
    other = copy.deepcopy(model)
    other.config.tag_scheme = None
    other.config.temperature = 2.0

    assert other.crf.allowed_starts.all()
    assert rules(model)[0] == [1, 1, 0, 1, 0]
    assert (model.crf.temperature, other.crf.temperature) == (1.0, 2.0)


NEW = {"id2label": {0: "O", 1: "B-X", 2: "I-X"}, "label2id": {"O": 0, "B-X": 1, "I-X": 2}}


@pytest.mark.parametrize(
    "names",
    [
        {"num_labels": 3, **NEW},
        {"id2label": NEW["id2label"]},
        {"num_labels": 3, "label2id": {"O": "0", "B-X": "1", "I-X": "2"}},
        {"id2label": {"2": "I-X", "0": "O", "1": "B-X"}, "label2id": NEW["label2id"], "tag_scheme": "IOB2"},
    ],
    ids=["all three", "id2label", "numerals", "with its scheme"],
)
@pytest.mark.parametrize("auto", [BertBiLSTMCRFForTokenClassification, AutoModelForTokenClassification])
def test_a_tagger_gets_a_new_head_as_the_hosts_guide_has_it(make_model, tmp_path, names, auto):
    model = make_model(BIOES, tag_scheme="BIOES" if "tag_scheme" in names else "auto", temperature=1.7)
    model.save_pretrained(tmp_path)

    other = auto.from_pretrained(tmp_path, ignore_mismatched_sizes=True, **names)

    assert other.config.labels == ["O", "B-X", "I-X"]
    assert other.config.label2id == NEW["label2id"]
    assert other.config.temperature == 1.0
    assert rules(other) == [[1, 1, 0], [1, 1, 1]]
    assert not any(parameter.any() for parameter in [*other.crf.parameters(), other.classifier.bias])
    kept = {name: value for name, value in other.named_parameters() if name.startswith(("bert", "lstm"))}
    assert len(kept) == len([*other.parameters()]) - 5
    assert all(value.equal(model.get_parameter(name)) for name, value in kept.items())


def test_as_many_labels_of_other_names_keep_the_head_and_its_temperature(make_model, tmp_path):
    model = make_model(temperature=1.7)
    model.save_pretrained(tmp_path)

    other, info = BertBiLSTMCRFForTokenClassification.from_pretrained(
        tmp_path, ignore_mismatched_sizes=True, id2label=dict(enumerate(BIOES)), output_loading_info=True
    )

    assert info["mismatched_keys"] == set()
    assert other.config.temperature == 1.7
    assert other.classifier.weight.equal(model.classifier.weight)
    assert rules(other) == [[1, 1, 0, 0, 1], [1, 0, 0, 1, 1]]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"num_labels": 3}, "must be left out where the labels have names: there are 5, got 3"),
        ({"num_labels": 4, **NEW}, "must be left out where the labels have names: there are 3, got 4"),
        (NEW | {"label2id": {"O": 0, "I-X": 1, "B-X": 2}}, "`label2id` must be the inverse of `id2label`"),
    ],
)
def test_contradictory_labels_are_still_refused(model, tmp_path, names, message):
    model.save_pretrained(tmp_path)

    with pytest.raises(ValueError, match=message):
        BertBiLSTMCRFForTokenClassification.from_pretrained(tmp_path, ignore_mismatched_sizes=True, **names)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("word_maks", "forward\\(\\) has no argument 'word_maks', did you mean 'word_mask'\\?"),
        ("output_hiden_states", "'output_hiden_states', did you mean 'output_hidden_states'\\?"),
        ("gold", "forward\\(\\) has no argument 'gold'$"),
    ],
)
def test_misspelt_arguments_are_refused(model, name, message):
    batch = make_batch(make_rows())

    with pytest.raises(TypeError, match=message):
        model(**batch, **{name: batch["word_mask"]})


def test_what_the_host_passes_to_every_model_is_taken(model):
    batch = make_batch(make_rows())
    output = model(**batch)
    host = {"num_items_in_batch": 3, "return_dict": True, "output_attentions": False, "output_hidden_states": None}

    assert model(**batch, **host).paths.equal(output.paths)
