"""What paths say: words with their tags, entities with their types, and how probable each is. Ships with every
checkpoint."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .schemes import continues, tags_to_spans
from .text_layout import Found, Ranking


@torch.inference_mode()
def read_words(model: Any, emissions: Tensor, mask: Tensor, paths: Tensor) -> list[Found]:
    """Return each word of paths (B, T) with its tag and the tag's probability."""
    labels = model.config.labels
    marginals = model.crf.marginals(emissions, mask).gather(2, paths.clamp_min(0)[..., None]).squeeze(2)
    return [
        Found(row, index, index + 1, labels[tag], score)
        for row, (path, scores) in enumerate(zip(paths.tolist(), marginals.tolist(), strict=True))
        for index, (tag, score) in enumerate(zip(path, scores, strict=True))
        if tag >= 0
    ]


@torch.inference_mode()
def read_entities(model: Any, emissions: Tensor, mask: Tensor, paths: Tensor) -> list[Found]:
    """Return the entities of paths (B, T), each with its type and the probability that exactly its words are one."""
    labels, scheme = model.config.labels, model.config.span_scheme
    paths = paths.tolist()
    tags = [[labels[tag] for tag in path if tag >= 0] for path in paths]
    spans = [(row, *span) for row, names in enumerate(tags) for span in tags_to_spans(names, scheme)]
    if not spans:
        return []
    # The entity's tags; and beside them, where there are words, every tag that does not make it longer.
    apart = ~torch.tensor([[continues(first, second, scheme) for second in labels] for first in labels])
    one = torch.eye(len(labels)).bool()
    firsts = [max(start - 1, 0) for _, start, _, _ in spans]
    sets = torch.ones(len(spans), max(end - start for _, start, end, _ in spans) + 2, len(labels)).bool()
    for allowed, first, (row, start, end, _) in zip(sets, firsts, spans, strict=True):
        path = paths[row][start:end]
        if first < start:
            allowed[0] = apart[:, path[0]]
        allowed[start - first : end - first] = one[path]
        allowed[end - first] = apart[path[-1]]
    rows = torch.tensor([row for row, *_ in spans])
    log_probabilities = model.crf.span_log_probs(
        emissions, mask, *(tensor.to(mask.device) for tensor in (rows, torch.tensor(firsts), sets))
    )
    return [Found(*span, score) for span, score in zip(spans, log_probabilities.exp().tolist(), strict=True)]


@torch.inference_mode()
def rank(
    crf: Any,
    emissions: Tensor,
    mask: Tensor,
    num_paths: int,
    read: Callable[[Tensor, Tensor, Tensor], list[list[Found]]],
) -> list[Ranking]:
    """Return the most probable paths of each row; `read` reads one path of each, (B, T)."""
    paths, scores = crf.nbest(emissions, mask, num_paths)
    probabilities = (scores - crf.log_partition(emissions, mask)[:, None]).exp().tolist()
    entropies = crf.entropy(emissions, mask).tolist()
    readings = zip(*(read(emissions, mask, path) for path in paths.unbind(1)), strict=True)
    return [
        Ranking(entropy, [(p, found) for p, found in zip(row, reading, strict=True) if p > 0])
        for entropy, row, reading in zip(entropies, probabilities, readings, strict=True)
    ]


__all__ = ["rank", "read_entities", "read_words"]
