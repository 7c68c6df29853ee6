"""What a chain needs of labelled sentences: emissions and tags, each sentence read by the encoder once."""

from collections.abc import Sequence

import torch

from .. import BiLSTMCRFForTokenClassification, BiLSTMCRFPipeline
from ..crf import UNKNOWN
from ..readers.sentences import Sentence
from .likelihood import ChainFit, Chains


def read_chains(pipeline: BiLSTMCRFPipeline, sentences: Sequence[Sentence]) -> Chains:
    """Let a tagger read sentences, as its pipeline does.

    Args:
        pipeline: of the tagger.
        sentences: with tags in the tagger's scheme. A tag that it has no label for is unknown.
    """
    model: BiLSTMCRFForTokenClassification = pipeline.model
    ids = {label: index for index, label in enumerate(model.config.labels)}
    texts = pipeline.preprocess([sentence.words for sentence in sentences], is_split_into_words=True)
    emissions = pipeline.forward(texts)
    tags = [torch.tensor([ids.get(tag, UNKNOWN) for tag in sentence.tags]) for sentence in sentences]
    return Chains([one.double().cpu() for one in emissions], tags)


@torch.no_grad()
def apply_fit(model: BiLSTMCRFForTokenClassification, fit: ChainFit) -> None:
    """Store the scores of a fit in a model; its temperature goes into the classifier's weights."""
    for parameter in model.classifier.parameters():
        parameter.div_(fit.temperature)
    crf = model.crf
    for name in ("start_transitions", "end_transitions", "transitions"):
        getattr(crf, name).copy_(getattr(fit, name))


__all__ = ["apply_fit", "read_chains"]
