"""The tagger that a demo shows, loaded by this package's own classes: here, and in a Space that carries them."""

from transformers import AutoTokenizer

from .. import BertBiLSTMCRFForTokenClassification, BertBiLSTMCRFPipeline


def load_tagger(name: str, revision: str | None = None) -> BertBiLSTMCRFPipeline:
    """Load a finished tagger; no code of the checkpoint runs.

    Args:
        name: a folder or a repository of the Hub.
        revision: branch, tag or commit.

    Raises:
        OSError: if there is no such model, or its weights are no safetensors.
        ValueError: if it is no tagger of this package.
    """
    model = BertBiLSTMCRFForTokenClassification.from_pretrained(name, revision=revision)
    tokenizer = AutoTokenizer.from_pretrained(name, revision=revision, trust_remote_code=False)
    return BertBiLSTMCRFPipeline(model=model, tokenizer=tokenizer)
