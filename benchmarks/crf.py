"""Compare the CRF with pytorch-crf 0.7.2 and pyt-crf 0.1.2: time, operations, memory, exactness.

    pip install -e '.[dev]' && OMP_NUM_THREADS=1 python benchmarks/crf.py            # a few minutes
    pip install pyt-crf==0.1.2                                # wants Python 3.12 or newer; left out if it is missing

One process, one thread, float32, rows of ragged length (N/4 to N). In every round each program runs twice, in random
order, and the second run is timed, so that none pays for what another left behind in caches and free lists; compared
is the fastest of the rounds, since others use the machine too. Operations are what PyTorch dispatches,
without views and empty tensors: on a GPU each is a kernel launch. Writes `crf.json` beside this
file, and `docs/images/crf.svg`.
"""

import argparse
import gc
import json
import platform
import random
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import torch
import torchcrf
from crf_reference import reference_nll
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from modeling_bert_crf import LinearChainCRF

pyt_crf = import_module("pyt_crf") if find_spec("pyt_crf") else None

SIZES = [(1, 32, 9), (8, 128, 9), (32, 128, 9), (32, 512, 9), (32, 128, 37), (16, 512, 37), (32, 128, 128)]
HERE = Path(__file__).parent
Program = tuple[torch.nn.Module, Callable[..., Tensor], Callable[..., Any]]


class Count(TorchDispatchMode):
    """Count the operations, and among them the values that are fetched one by one (`.item()`)."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = self.items = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function._schema.name
        self.items += name == "aten::_local_scalar_dense"
        self.operations += not function.is_view and "empty" not in name
        return function(*args, **(kwargs or {}))


def make_batch(shape: tuple[int, int, int], scale: float = 2.0) -> tuple[Tensor, Tensor, Tensor]:
    batch, positions, num_tags = shape
    lengths = torch.randint(max(1, positions // 4), positions + 1, (batch,))
    lengths[0] = positions
    mask = torch.arange(positions) < lengths[:, None]
    emissions = scale * torch.randn(shape)
    return emissions.requires_grad_(), torch.randint(num_tags, mask.shape), mask


def make_programs(num_tags: int) -> dict[str, Program]:
    """Return each program's module, its summed NLL and its decoding, all with the same scores."""
    ours = LinearChainCRF(num_tags)
    for parameter in ours.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    programs: dict[str, Program] = {"ours": (ours, lambda e, y, m: ours(e, y, m).sum(), ours.decode)}
    peers = {"pytorch-crf": torchcrf.CRF} | ({"pyt-crf": pyt_crf.CRF} if pyt_crf else {})
    for name, peer in peers.items():
        crf = peer(num_tags, batch_first=True)
        crf.load_state_dict(ours.state_dict())
        sign = 1.0 if nll_is_positive(crf, num_tags) else -1.0
        programs[name] = (crf, lambda e, y, m, c=crf, s=sign: s * c(e, y, m, reduction="sum"), crf.decode)
    return programs


def nll_is_positive(crf: torch.nn.Module, num_tags: int) -> bool:
    """Say whether a program returns the NLL, or the log likelihood."""
    ones = torch.ones(1, 2, dtype=torch.bool)
    return crf(torch.zeros(1, 2, num_tags), torch.zeros(1, 2, dtype=torch.int64), ones, reduction="sum").item() > 0


def fastest(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Return the fewest milliseconds of each call, all of them interleaved."""
    best = dict.fromkeys(calls, float("inf"))
    for call in calls.values():
        call()
    gc.collect()
    gc.disable()
    for _ in range(rounds):
        for name in random.sample(list(calls), len(calls)):
            calls[name]()
            start = time.perf_counter()
            calls[name]()
            best[name] = min(best[name], 1e3 * (time.perf_counter() - start))
    gc.enable()
    return best


def saved_bytes(loss: Callable[[], Tensor], inputs: list[Tensor]) -> int:
    """Return what the graph of a loss keeps for backward, beside the inputs themselves."""
    known, kept = {tensor.untyped_storage().data_ptr() for tensor in inputs}, {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = (tensor, storage.nbytes())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss()
    return sum(size for _, size in kept.values())


def measure(shape: tuple[int, int, int], rounds: int) -> dict[str, dict[str, float]]:
    emissions, tags, mask = make_batch(shape)
    programs = make_programs(shape[2])
    calls = {
        "train": {n: lambda f=f: f(emissions, tags, mask).backward() for n, (_, f, _) in programs.items()},
        "decode": {n: lambda f=f: f(emissions.detach(), mask) for n, (_, _, f) in programs.items()},
    }
    results: dict[str, dict[str, float]] = {name: {} for name in programs}
    for kind, by_program in calls.items():
        for name, milliseconds in fastest(by_program, rounds).items():
            with Count() as count:
                by_program[name]()
            results[name] |= {f"{kind} ms": milliseconds, f"{kind} operations": count.operations}
            results[name] |= {f"{kind} items": count.items}
    for name, (crf, loss, _) in programs.items():
        inputs = [emissions, tags, mask, *crf.parameters(), *crf.buffers()]
        results[name]["saved bytes"] = saved_bytes(lambda loss=loss: loss(emissions, tags, mask), inputs)
    return results


def largest_errors() -> dict[str, dict[str, float]]:
    """Return the largest error of the emissions' gradient at (4, 512, 9), by scale and constraints."""
    errors: dict[str, dict[str, float]] = {}
    tags9 = ["O", *(prefix + kind for kind in "abcd" for prefix in "BI")]
    illegal = torch.tensor([[b[0] == "I" and a[1:] != b[1:] for b in tags9] for a in tags9])
    for rules in ("free", "IOB2 by -inf", "IOB2 by -1e4"):
        for scale in (2.0, 10.0, 30.0, 100.0, 1e3):
            emissions, tags, mask = make_batch((4, 512, 9), scale)
            programs = make_programs(9)
            ours = cast(LinearChainCRF, programs["ours"][0])
            if rules == "IOB2 by -inf":
                ours.allowed_transitions.copy_(~illegal)
                ours.allowed_starts.copy_(~illegal[0])
            for crf, _, _ in programs.values():
                if rules == "IOB2 by -1e4":
                    for parameter, where in (("transitions", illegal), ("start_transitions", illegal[0])):
                        crf.get_parameter(parameter).data[where] = -1e4
            tags = ours.decode(emissions, mask)[0].clamp_min(0)
            _, exact = reference_nll(ours, emissions, tags, mask)
            cell = errors.setdefault(f"{rules}, randn * {scale:g}", {})
            for name, (_, loss, _) in programs.items():
                if name != "ours" and rules == "IOB2 by -inf":
                    continue  # peers have no constraints
                (gradient,) = torch.autograd.grad(loss(emissions, tags, mask), emissions)
                cell[name] = (gradient - exact).abs().max().item()
    return errors


def draw(results: dict[str, Any]) -> str:
    """Draw how many times as fast as pytorch-crf each program trains and decodes, as SVG for light and dark pages."""
    ratios = {
        (cell, kind, name): programs["pytorch-crf"][f"{kind} ms"] / programs[name][f"{kind} ms"]
        for cell, programs in results["sizes"].items()
        for kind in ("train", "decode")
        for name in ("ours", "pyt-crf")
        if name in programs
    }
    bars, y, unit = [], 24, 380 / max(ratios.values())
    for (cell, kind, name), ratio in ratios.items():
        if name == "ours":
            y += 6
            bars.append(f'<text x="8" y="{y + 12}">{cell} {kind}</text>')
        colour = "#2a7ae2" if name == "ours" else "#aaaaaa"
        bars.append(f'<rect x="190" y="{y}" width="{unit * ratio:.0f}" height="11" fill="{colour}"/>')
        bars.append(f'<text x="{196 + unit * ratio:.0f}" y="{y + 10}">{ratio:.1f}</text>')
        y += 13
    title = '<text x="8" y="18">Times as fast as pytorch-crf 0.7.2 (blue: this package, grey: pyt-crf 0.1.2)</text>'
    style = "<style>text{font:11px sans-serif;fill:#7a828e}</style>"
    size = f'width="620" height="{y + 6}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{style}{title}{"".join(bars)}</svg>\n'


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=25)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    torch.ones(7_000_000)  # as any encoder does; malloc then keeps its pages, for all programs alike
    if pyt_crf is None:
        print("pyt-crf is not installed: left out")
    results: dict[str, Any] = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "rounds": arguments.rounds,
        "sizes": {},
    }
    for shape in SIZES:
        cell = results["sizes"][str(shape)] = measure(shape, arguments.rounds)
        for name, values in cell.items():
            ratios = [
                f"{kind} {cell[name][f'{kind} ms'] / cell['ours'][f'{kind} ms']:5.1f}x" for kind in ("train", "decode")
            ]
            print(shape, f"{name:12}", *ratios, {key: round(value, 3) for key, value in values.items()}, flush=True)
    results["largest error of dE"] = largest_errors()
    for name, values in results["largest error of dE"].items():
        print(f"{name:28}", {key: f"{value:.1e}" for key, value in values.items()})
    (HERE / "crf.json").write_text(json.dumps(results, indent=1) + "\n")
    (HERE.parent / "docs/images/crf.svg").write_text(draw(results))


if __name__ == "__main__":
    main()
