"""What a tagger costs on one GPU: the CRF beside its peers, a training step beside a softmax's, tagging.

    python benchmarks/gpu.py [--device cuda] [--part crf step lstm tag where] [--small] [--rounds 20]

    crf     forward with backward, and decoding, against pytorch-crf, torch-struct (if it is there) and a plain loop in
            the log domain; float32
    step    a training step in bfloat16: encoders of the sizes of BERT-base and XLM-R-large, with random weights, under
            this package's head (without and with a BiLSTM), pytorch-crf's, and a softmax; and its peak memory
    lstm    the BiLSTM, forward with backward in bfloat16, beside cuDNN's own on packed rows
    tag     texts a second, this pipeline beside the stock one in batches of 8, 32 and 128
    where   the operations of a training step that take the device longest, and the processor; printed only

"kernels" is the CRF with BERT_CRF_KERNELS=1. All else is without.

Everything of a part runs in one process, in random order in each round, after one round that does not count. Times are
the fewest milliseconds of the rounds, from one synchronisation of the device to the next. Figures go to
benchmarks/gpu.json, with the card's name. `--device cpu --small` tries the script where there is no GPU; it writes
nothing.
"""

import argparse
import json
import os
import random
import time
from collections.abc import Callable, Sequence
from functools import wraps
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import torchcrf
from crf import make_batch
from torch import Tensor, nn
from transformers import (
    BertConfig,
    BertForTokenClassification,
    BertTokenizer,
    TokenClassificationPipeline,
    XLMRobertaConfig,
    XLMRobertaForTokenClassification,
)

from modeling_bert_crf import (
    BertBiLSTMCRFForTokenClassification,
    BiLSTMCRFPipeline,
    LinearChainCRF,
    XLMRobertaBiLSTMCRFForTokenClassification,
)
from modeling_bert_crf.crf_kernels import SWITCH, kernels_run
from modeling_bert_crf.word_lstm import BiLSTM

torch_struct = import_module("torch_struct") if find_spec("torch_struct") else None
RESULTS = Path(__file__).with_suffix(".json")
LABELS = ["O", *(f"{part}-{kind}" for kind in ("LOC", "MISC", "ORG", "PER") for part in "BI")]
CRF_SIZES = [(32, 128, 9), (32, 512, 9), (64, 512, 37), (8, 2048, 9)]
STEP_SIZES = [(32, 128), (16, 512)]
OF_STOCK = {"architectures", "id2label", "label2id", "model_type", "transformers_version"}
LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
Call = Callable[[], Any]


def fewest(calls: dict[str, Call], rounds: int, device: torch.device) -> dict[str, float]:
    """Return the fewest milliseconds of each call."""

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    best = dict.fromkeys(calls, float("inf"))
    for number in range(rounds + 1):
        for name in random.sample(list(calls), len(calls)):
            wait()
            start = time.perf_counter()
            calls[name]()
            wait()
            if number:
                best[name] = min(best[name], 1e3 * (time.perf_counter() - start))
    return best


def by_kernels(call: Call) -> Call:
    """Make a call run with the CRF's kernels."""

    @wraps(call)
    def run(*args: Any, **kwargs: Any) -> Any:
        os.environ[SWITCH] = "1"
        try:
            return call(*args, **kwargs)
        finally:
            os.environ[SWITCH] = "0"

    return run


def struct_of(crf: LinearChainCRF, emissions: Tensor, mask: Tensor) -> Any:
    """Return torch-struct's distribution over the paths."""
    lengths = mask.sum(1)
    scores = crf.transitions.t() + emissions[:, 1:, :, None]
    first = (emissions[:, 0] + crf.start_transitions)[:, None, None, :]
    last = torch.arange(1, mask.shape[1], device=mask.device) == lengths[:, None] - 1
    scores = torch.cat([scores[:, :1] + first, scores[:, 1:]], 1)  # (B, T-1, K to, K from)
    scores = scores + last[..., None, None] * crf.end_transitions[:, None]
    return torch_struct.LinearChainCRF(scores, lengths=lengths)  # pyright: ignore[reportOptionalMemberAccess]


def plain_nll(crf: LinearChainCRF, emissions: Tensor, tags: Tensor, mask: Tensor) -> Tensor:
    """The forward algorithm as it is written in textbooks: a step a word, all in the log domain."""
    alpha = crf.start_transitions + emissions[:, 0]
    for step in range(1, emissions.shape[1]):
        following = torch.logsumexp(alpha[:, :, None] + crf.transitions, 1) + emissions[:, step]
        alpha = torch.where(mask[:, step, None], following, alpha)
    return torch.logsumexp(alpha + crf.end_transitions, 1) - crf.path_score(emissions, tags, mask)


def crf_part(device: torch.device, rounds: int, small: bool) -> dict[str, Any]:
    """Compare CRFs."""
    results = {}
    for shape in [(3, 17, 5)] if small else CRF_SIZES:
        results[str(shape)] = crfs_of(shape, device, rounds)
        print(shape, results[str(shape)], flush=True)
    return results


def crfs_of(shape: tuple[int, int, int], device: torch.device, rounds: int) -> dict[str, dict[str, float]]:
    """Return the times of each CRF at one size."""
    emissions, tags, mask = (one.detach().to(device) for one in make_batch(shape))
    leaf = emissions.clone().requires_grad_()
    ours, peer = LinearChainCRF(shape[2]).to(device), torchcrf.CRF(shape[2], batch_first=True).to(device)
    for parameter in ours.parameters():
        nn.init.normal_(parameter, std=0.5)
    peer.load_state_dict(ours.state_dict())
    losses: dict[str, Callable[[], Tensor]] = {
        "ours": lambda: ours(leaf, tags, mask).sum(),
        "pytorch-crf": lambda: -peer(leaf, tags, mask, reduction="sum"),
        "plain loop": lambda: plain_nll(ours, leaf, tags, mask).sum(),
    }
    decode: dict[str, Call] = {
        "ours": lambda: ours.decode(emissions, mask),
        "pytorch-crf": lambda: peer.decode(emissions, mask),
    }
    if torch_struct:
        losses["torch-struct"] = lambda: (
            struct_of(ours, leaf, mask).partition - ours.path_score(leaf, tags, mask)
        ).sum()
        decode["torch-struct"] = torch.enable_grad()(lambda: struct_of(ours, leaf, mask).argmax)
    if by_kernels(kernels_run)(emissions):
        losses["ours, kernels"] = by_kernels(losses["ours"])
        decode["ours, kernels"] = by_kernels(decode["ours"])
    values = [loss().item() for loss in losses.values()]
    if max(values) - min(values) > 1e-3 * abs(values[0]):
        raise ValueError(f"all must compute the same loss, got {values}")
    train = {name: lambda loss=loss: loss().backward() for name, loss in losses.items()}
    with torch.no_grad():
        decoded = fewest(decode, rounds, device)
    return {"train ms": fewest(train, rounds, device), "decode ms": decoded}


class PeerHead(nn.Module):
    """An encoder under pytorch-crf's CRF, as people make it by hand."""

    def __init__(self, stock: nn.Module):
        super().__init__()
        self.stock, self.crf = stock, torchcrf.CRF(len(LABELS), batch_first=True)

    def forward(self, input_ids: Tensor, labels: Tensor) -> Tensor:
        logits = self.stock(input_ids=input_ids).logits
        return -self.crf(logits.float(), labels, reduction="mean")


def encoders(small: bool) -> dict[str, tuple[type, Any]]:
    tiny = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 40}
    room = {"num_labels": len(LABELS), "max_position_embeddings": 600}
    base, large = ({**room, **(tiny if small else sizes)} for sizes in ({}, LARGE))
    return {
        "BERT-base": (BertForTokenClassification, BertConfig(vocab_size=28996, **base)),
        "XLM-R-large": (XLMRobertaForTokenClassification, XLMRobertaConfig(vocab_size=250002, **large)),
    }


def head_on(stock: Any, layers: int) -> nn.Module:
    """Make a tagger of this package with an encoder of the same size."""
    taggers = {"bert": BertBiLSTMCRFForTokenClassification, "xlm-roberta": XLMRobertaBiLSTMCRFForTokenClassification}
    kind = taggers[stock.config.model_type]
    settings = {name: value for name, value in stock.config.to_diff_dict().items() if name not in OF_STOCK}
    named = {"id2label": dict(enumerate(LABELS)), "label2id": {name: index for index, name in enumerate(LABELS)}}
    return kind(kind.config_class(**settings, **named, num_lstm_layers=layers))


def step_part(device: torch.device, rounds: int, small: bool) -> dict[str, Any]:
    """Compare training steps, forward, backward and AdamW, and the memory that they take at most."""
    results: dict[str, Any] = {}
    for name, (kind, config) in encoders(small).items():
        for size in [(2, 17)] if small else STEP_SIZES:
            cell = results[f"{name}, {size[0]} x {size[1]}"] = {}
            ids = torch.randint(5, 20000, size, device=device)
            labels = torch.randint(len(LABELS), size, device=device)
            labels[labels % 2 == 0] = 0  # so that I is legal nowhere else than after its B
            legal = torch.where(labels % 2 == 1, labels, 0)
            makers: dict[str, Callable[[], nn.Module]] = {
                "softmax": lambda kind=kind, config=config: kind(config),
                "ours, no BiLSTM": lambda kind=kind, config=config: head_on(kind(config), 0),
                "ours": lambda kind=kind, config=config: head_on(kind(config), 1),
                "pytorch-crf": lambda kind=kind, config=config: PeerHead(kind(config)),
            }
            for head, make in makers.items():  # one after another: four large models at once would not fit
                model = make().to(device).train()
                cell[head] = one_step(model, ids, legal, rounds, device)
                if head.startswith("ours"):
                    cell[f"{head}, kernels"] = by_kernels(one_step)(model, ids, legal, rounds, device)
            for head, figures in cell.items():
                figures["of softmax"] = figures["ms"] / cell["softmax"]["ms"]
                print(name, size, head, figures, flush=True)
    return results


def stepper(model: nn.Module, ids: Tensor, labels: Tensor) -> Call:
    """Return a call that takes a training step."""
    given = {"input_ids": ids, "labels": labels}
    if hasattr(model, "emit"):
        given["word_mask"] = torch.ones_like(ids)  # each position is a word, as for the others
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=ids.is_cuda)

    def step() -> None:
        with torch.autocast(ids.device.type, torch.bfloat16):
            found = model(**given)
        (found if isinstance(found, Tensor) else found.loss).backward()
        optimiser.step()
        optimiser.zero_grad()

    return step


def one_step(model: nn.Module, ids: Tensor, labels: Tensor, rounds: int, device: torch.device) -> dict[str, float]:
    step = stepper(model, ids, labels)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    figures = fewest({"ms": step}, rounds, device)
    if device.type == "cuda":
        figures["peak MiB"] = torch.cuda.max_memory_allocated(device) / 2**20
    return figures


def lstm_part(device: torch.device, rounds: int, small: bool) -> dict[str, Any]:
    """Compare BiLSTMs: dense rows that are reversed for the second direction, and packed ones."""
    results = {}
    features, hidden = (24, 7) if small else (768, 256)
    for rows, words in [(2, 17)] if small else STEP_SIZES:
        _, _, mask = (tensor.to(device) for tensor in make_batch((rows, words, 2)))
        states = torch.randn(rows, words, features, device=device, requires_grad=True)
        ours = BiLSTM(features, hidden, 1, 0.0).to(device)
        packed = nn.LSTM(features, hidden, batch_first=True, bidirectional=True).to(device)
        with torch.no_grad():
            for direction, suffix in ((ours.left_to_right, ""), (ours.right_to_left, "_reverse")):
                for name, weight in direction[0].named_parameters():
                    packed.get_parameter(name + suffix).copy_(weight)

        def read_packed(states: Tensor = states, mask: Tensor = mask, packed: nn.LSTM = packed) -> Tensor:
            lengths = mask.sum(1).cpu()  # as packing wants them
            rows = nn.utils.rnn.pack_padded_sequence(states, lengths, batch_first=True, enforce_sorted=False)
            return nn.utils.rnn.pad_packed_sequence(packed(rows)[0], batch_first=True, total_length=states.shape[1])[0]

        calls = {"ours": lambda ours=ours, states=states, mask=mask: ours(states, mask), "packed": read_packed}
        found = [(call() * mask[..., None]).sum().item() for call in calls.values()]
        if abs(found[0] - found[1]) > 1e-2:
            raise ValueError(f"both must read the same, got {found}")

        def step(call: Call) -> None:
            with torch.autocast(device.type, torch.bfloat16):
                value = call()
            value.sum().backward()

        steps = {name: lambda call=call, step=step: step(call) for name, call in calls.items()}
        results[f"{rows} x {words}"] = fewest(steps, rounds, device)
        print(rows, words, results[f"{rows} x {words}"], flush=True)
    return results


def where_part(device: torch.device, rounds: int, small: bool) -> dict[str, Any]:
    """Print what a training step of BERT-base spends its time on, under a softmax and under our head."""
    kind, config = encoders(small)["BERT-base"]
    ids = torch.randint(5, 20000, (2, 17) if small else STEP_SIZES[0], device=device)
    activities = [torch.profiler.ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    for name, model in (("softmax", kind(config)), ("ours, no BiLSTM, kernels", head_on(kind(config), 0))):
        step = by_kernels(stepper(model.to(device).train(), ids, torch.zeros_like(ids)))
        step()
        with torch.profiler.profile(activities=activities) as profile:
            for _ in range(min(rounds, 5)):
                step()
        print(f"\n{name}")
        averages = profile.key_averages()
        for order in ["self_cpu_time_total", f"self_{device.type}_time_total"][: len(activities)]:
            print(averages.table(sort_by=order, row_limit=20, max_name_column_width=50))
    return {}


def tag_part(device: torch.device, rounds: int, small: bool) -> dict[str, Any]:
    """Compare pipelines, by texts a second."""
    words = [f"word{number}" for number in range(300)]
    vocabulary = {name: index for index, name in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words])}
    tokenizer = BertTokenizer(vocab=vocabulary, model_max_length=512)
    kind, config = encoders(small)["BERT-base"]
    stock = kind(config).to(device).eval()
    ours = head_on(stock, 1).to(device).eval()
    draw = random.Random(0)
    texts = [" ".join(draw.choices(words, k=draw.randint(5, 60))) for _ in range(20 if small else 2000)]
    tagger = BiLSTMCRFPipeline(model=ours, tokenizer=tokenizer, device=device)
    taggers: dict[str, Call] = {"ours": lambda: tagger(texts), "ours, kernels": by_kernels(lambda: tagger(texts))}
    plain = TokenClassificationPipeline(model=stock, tokenizer=tokenizer, device=device, aggregation_strategy="first")
    for size in (8, 32, 128):
        taggers[f"stock, batch {size}"] = lambda size=size: plain(texts, batch_size=size)
    rates = {name: 1e3 * len(texts) / ms for name, ms in fewest(taggers, max(1, rounds // 7), device).items()}
    print({name: round(rate, 1) for name, rate in rates.items()})
    return {"texts a second": rates}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the parts, and write their figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = {"crf": crf_part, "step": step_part, "lstm": lstm_part, "tag": tag_part, "where": where_part}
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--part", nargs="+", choices=parts, default=list(parts))
    parser.add_argument("--small", action="store_true", help="tiny sizes, to try the script")
    parser.add_argument("--rounds", type=int, default=20)
    given = parser.parse_args(argv)
    device = torch.device(given.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        parser.error(f"--device {device} needs a GPU that torch can use; --device cpu --small tries the script")
    torch.manual_seed(0)
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for part in given.part:
        found = parts[part](device, given.rounds, given.small)
        if found and device.type == "cuda" and not given.small:
            results[part] = {"card": torch.cuda.get_device_name(device), "torch": torch.__version__, **found}
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
