"""The BiLSTM: what a packed sequence gives, on a dense grid."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from modeling_bert_crf.word_lstm import BiLSTM


def packed_lstm(ours):
    """Return torch's own bidirectional LSTM with the weights of a `BiLSTM`; it reads packed sequences."""
    first = ours.left_to_right[0]
    lstm = nn.LSTM(first.input_size, first.hidden_size, len(ours.left_to_right), batch_first=True, bidirectional=True)
    with torch.no_grad():
        for suffix, directions in (("", ours.left_to_right), ("_reverse", ours.right_to_left)):
            for layer, one in enumerate(directions):
                for name, value in one.named_parameters():
                    lstm.get_parameter(name.removesuffix("_l0") + f"_l{layer}{suffix}").copy_(value)
    return lstm


@pytest.mark.parametrize("layers", [1, 3])
def test_a_dense_grid_gives_what_a_packed_sequence_gives(layers):
    ours = BiLSTM(input_size=5, hidden_size=3, num_layers=layers, dropout=0.0)
    lengths = torch.tensor([4, 1, 7])
    hidden = torch.randn(3, 7, 5)
    mask = torch.arange(7) < lengths[:, None]

    found = ours(hidden, mask)

    packed, _ = packed_lstm(ours)(pack_padded_sequence(hidden, lengths, batch_first=True, enforce_sorted=False))
    expected, _ = pad_packed_sequence(packed, batch_first=True)
    assert found.shape == (3, 7, 6)
    torch.testing.assert_close(found[mask], expected[mask], rtol=0, atol=1e-6)


def test_what_stands_past_a_rows_end_is_not_read():
    ours = BiLSTM(input_size=5, hidden_size=3, num_layers=2, dropout=0.0)
    mask = torch.tensor([[True, True, False, False], [False] * 4, [True] * 4])
    hidden = torch.randn(3, 4, 5)
    other = torch.where(mask[..., None], hidden, torch.randn(3, 4, 5))

    assert ours(other, mask)[mask].equal(ours(hidden, mask)[mask])


@pytest.mark.parametrize("layers", [1, 2])
def test_dropout_stands_behind_each_layer(layers):
    """Where everything is dropped, the result is 0, and so is what the next layer reads."""
    ours = BiLSTM(input_size=5, hidden_size=3, num_layers=layers, dropout=1.0)
    mask, read = torch.ones(2, 4, dtype=torch.bool), []
    for one in ours.left_to_right:
        one.register_forward_pre_hook(lambda module, inputs: read.append(inputs[0].any().item()))

    assert not ours(torch.randn(2, 4, 5), mask).any()
    assert read == [True, False][:layers]
    assert ours.eval()(torch.randn(2, 4, 5), mask).all()
