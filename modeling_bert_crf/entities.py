"""What paths say: words with their tags, entities with their types, and how probable each is.

Shapes use three letters: B chains, T words, K tags. Ships with every checkpoint.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

import torch
from torch import Tensor

from .crf import LinearChainCRF
from .modeling_crf import BiLSTMCRFForTokenClassification
from .schemes import OUTSIDE, Span, continues, tags_to_spans
from .text_layout import Found, Ranking


@torch.inference_mode()
def read_words(model: BiLSTMCRFForTokenClassification, emissions: Tensor, mask: Tensor, paths: Tensor) -> list[Found]:
    """Return each word of paths, (B, T), with its tag and the tag's probability."""
    labels = model.config.labels
    marginals = model.crf.marginals(emissions, mask).gather(2, paths.clamp_min(0)[..., None]).squeeze(2)
    return [
        Found(row, index, index + 1, labels[tag], score)
        for row, (path, scores) in enumerate(zip(paths.tolist(), marginals.tolist(), strict=True))
        for index, (tag, score) in enumerate(zip(path, scores, strict=True))
        if tag >= 0
    ]


@torch.inference_mode()
def read_entities(
    model: BiLSTMCRFForTokenClassification, emissions: Tensor, mask: Tensor, paths: Tensor, with_outside: bool = False
) -> list[Found]:
    """Return the entities of paths, (B, T), each with its type and the probability that exactly its words are one.

    With `with_outside` also the words between them, as groups of the type `O`, each with the probability that none of
    its words is in an entity.
    """
    labels, scheme = model.config.labels, model.config.span_scheme
    rows = [[tag for tag in path if tag >= 0] for path in paths.tolist()]
    groups = [_groups([labels[tag] for tag in path], scheme, with_outside) for path in rows]
    found = [(row, *span) for row, spans in enumerate(groups) for span in spans]
    if not found:
        return []
    spans = [(start, end, rows[row][start:end]) for row, start, end, _ in found]
    firsts, tag_sets = _tag_sets(spans, labels, scheme)
    row_numbers = torch.tensor([row for row, *_ in found])
    log_probabilities = model.crf.span_log_probs(
        emissions, mask, *(tensor.to(mask.device) for tensor in (row_numbers, firsts, tag_sets))
    )
    return [Found(*one, score) for one, score in zip(found, log_probabilities.exp().tolist(), strict=True)]


def _groups(tags: Sequence[str], scheme: str | None, with_outside: bool) -> list[Span]:
    """Return the entities of a path, and if wanted the words between them, in the order of the words."""
    spans = tags_to_spans(tags, scheme)
    if with_outside:
        turned = ["between" if tag == OUTSIDE else OUTSIDE for tag in tags]
        spans += [(start, end, OUTSIDE) for start, end, _ in tags_to_spans(turned, None)]
    return sorted(spans)


def _tag_sets(
    spans: Sequence[tuple[int, int, list[int]]], labels: Sequence[str], scheme: str | None
) -> tuple[Tensor, Tensor]:
    """Say which taggings hold an entity: those with its tags, and with no tag next to it that makes it longer.

    Args:
        spans: first word, word after the last, and tags of each of N entities.

    Returns:
        int64 (N,): the first word that an entity says something of, the one before it if there is one.
        bool (N, L, K): the tags that each word from there on may have; all of them past the word after the entity.
    """
    apart = _apart(tuple(labels), scheme)
    firsts = [max(start - 1, 0) for start, _, _ in spans]
    sets = torch.ones(len(spans), max(end - start for start, end, _ in spans) + 2, len(labels)).bool()
    offsets = [range(start - first, end - first) for first, (start, end, _) in zip(firsts, spans, strict=True)]
    after_others = [span for span, one in enumerate(offsets) if one.start]
    sets[after_others, 0] = apart[:, [spans[span][2][0] for span in after_others]].t()
    inside = torch.tensor([(span, offset) for span, one in enumerate(offsets) for offset in one])
    tags = [tag for *_, path in spans for tag in path]
    sets[inside.unbind(1)] = torch.eye(len(labels)).bool()[tags]
    sets[range(len(spans)), [one.stop for one in offsets]] = apart[[path[-1] for *_, path in spans]]
    return torch.tensor(firsts), sets


@lru_cache(maxsize=32)
def _apart(labels: tuple[str, ...], scheme: str | None) -> Tensor:
    """Say which tag does not continue the entity of which tag before it, bool (K before, K).

    It is written once for a tagger, not for every batch.
    """
    return ~torch.tensor([[continues(first, second, scheme) for second in labels] for first in labels])


@torch.inference_mode()
def most_probable_paths(
    crf: LinearChainCRF,
    emissions: Tensor,
    mask: Tensor,
    num_paths: int,
    read: Callable[[Tensor, Tensor, Tensor], list[list[Found]]],
) -> list[Ranking]:
    """Return the most probable paths of each chain, each with what `read` reads off it.

    Args:
        read: is given the emissions, the mask, and one path of each chain, (B, T); returns what it found in each.
    """
    paths, scores = crf.nbest(emissions, mask, num_paths)
    probabilities = (scores - crf.log_partition(emissions, mask)[:, None]).exp().tolist()
    entropies = crf.entropy(emissions, mask).tolist()
    readings = zip(*(read(emissions, mask, path) for path in paths.unbind(1)), strict=True)
    return [
        Ranking(entropy, [(p, found) for p, found in zip(row, reading, strict=True) if p > 0])
        for entropy, row, reading in zip(entropies, probabilities, readings, strict=True)
    ]


__all__ = ["most_probable_paths", "read_entities", "read_words"]
