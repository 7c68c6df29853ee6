"""A hand-made tagger, as people write it with pytorch-crf, becomes one of ours."""

import re

import pytest
import torch
import torchcrf
from conftest import LABELS
from torch import nn
from transformers import BertModel

from modeling_bert_crf import BertBiLSTMCRFForTokenClassification
from modeling_bert_crf.opening.hand_made import load_hand_made

PLAIN = {"num_lstm_layers": 0, "word_shape_size": 0, "tag_scheme": None}


class HandMade(nn.Module):
    """What stands in many repositories."""

    def __init__(self, folder):
        super().__init__()
        self.encoder = BertModel.from_pretrained(folder)
        self.dropout = nn.Dropout(0.1)
        self.hidden2tag = nn.Linear(self.encoder.config.hidden_size, len(LABELS))
        self.crf_layer = torchcrf.CRF(len(LABELS), batch_first=True)


@pytest.fixture
def hand_made(encoder_folder):
    torch.manual_seed(5)
    model = HandMade(encoder_folder).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        model.hidden2tag.weight.normal_(std=0.5)
        for parameter in model.crf_layer.parameters():
            parameter.normal_()
    return model


@pytest.fixture
def ours(encoder_folder):
    return BertBiLSTMCRFForTokenClassification.from_encoder(str(encoder_folder), LABELS, **PLAIN).eval()


@torch.no_grad()
def test_a_tagger_with_pytorch_crf_tags_alike(hand_made, ours, tokenizer):
    load_hand_made(ours, hand_made.state_dict())
    batch = tokenizer(
        [["Ada", "sang", "in", "Paris"], ["Oslo"]], is_split_into_words=True, padding=True, return_tensors="pt"
    )
    mask = torch.zeros_like(batch["attention_mask"])
    for row, words in enumerate([4, 1]):
        ids = batch.word_ids(row)
        for word in range(words):
            mask[row, ids.index(word)] = 1
    emissions = hand_made.hidden2tag(hand_made.encoder(**batch).last_hidden_state)
    output = ours(**batch, word_mask=mask)
    for row, words in enumerate([4, 1]):
        scores = emissions[row][mask[row].bool()][None]
        (expected,) = hand_made.crf_layer.decode(scores, torch.ones(1, words, dtype=torch.bool))
        assert [tag for tag in output.paths[row].tolist() if tag >= 0] == expected
        labels = torch.full_like(mask, -100)
        labels[row][mask[row].bool()] = torch.tensor(expected)
        alone = {name: value[row : row + 1] for name, value in batch.items()}
        loss = ours(**alone, word_mask=mask[row : row + 1], labels=labels[row : row + 1]).loss
        theirs = -hand_made.crf_layer(scores, torch.tensor([expected]), torch.ones(1, words, dtype=torch.bool)) / words
        torch.testing.assert_close(loss, theirs, rtol=1e-5, atol=1e-5)


def test_what_allennlp_calls_its_parts_is_found_as_well(hand_made, ours):
    """Its layer has the same three names, and a mask of its constraints."""
    state = hand_made.state_dict()
    renamed = {
        name.replace("encoder.", "text_field_embedder.token_embedder_tokens._matched_embedder.transformer_model.", 1)
        .replace("hidden2tag", "tag_projection_layer._module")
        .replace("crf_layer", "crf"): value
        for name, value in state.items()
    }
    renamed["crf._constraint_mask"] = torch.ones(len(LABELS) + 2, len(LABELS) + 2)
    load_hand_made(ours, renamed)

    torch.testing.assert_close(ours.crf.transitions, state["crf_layer.transitions"])
    torch.testing.assert_close(ours.classifier.weight, state["hidden2tag.weight"])
    torch.testing.assert_close(
        ours.bert.embeddings.word_embeddings.weight, state["encoder.embeddings.word_embeddings.weight"]
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("crf_layer.transitions"), "one weight called transitions, got none"),
        (lambda state: state.pop("hidden2tag.bias"), "one linear layer to 5 tags, a bias of shape (5,), got none"),
        (lambda state: state.update({"lstm.weight_ih_l0": torch.ones(3)}), "got lstm.weight_ih_l0 besides"),
        (lambda state: state.pop("encoder.embeddings.word_embeddings.weight"), "the model's encoder once, got 0"),
        (
            lambda state: state.update({"crf_layer.transitions": torch.ones(4, 5)}),
            "crf_layer.transitions must have the shape of crf.transitions, (5, 5), got (4, 5)",
        ),
    ],
)
def test_what_does_not_fit_is_refused_and_the_model_is_as_it_was(hand_made, ours, change, message):
    before = {name: value.clone() for name, value in ours.state_dict().items()}
    state = hand_made.state_dict()
    change(state)
    with pytest.raises(ValueError, match=re.escape(message)):
        load_hand_made(ours, state)
    assert all(torch.equal(value, before[name]) for name, value in ours.state_dict().items())


def test_a_model_with_a_bilstm_is_refused(hand_made, make_model):
    with pytest.raises(ValueError, match="the model must have no BiLSTM"):
        load_hand_made(make_model(), hand_made.state_dict())
