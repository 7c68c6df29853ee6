"""What an export says of itself: its README.md, and what it needs to be installed."""

import json
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

__all__ = ["readme", "requirements"]

NEEDS = ("numpy", "onnxruntime", "regex", "tokenizers")
README = """---
pipeline_tag: token-classification
library_name: onnx
---

# A tagger without torch

An encoder -> BiLSTM -> CRF tagger as ONNX, with the Python files that run it. It finds what the model that it was made
of finds, with the same probabilities.

```bash
pip install -r requirements.txt
python runtime.py . "Ada Lovelace wrote to Babbage."
```

```python
from runtime import OnnxTagger

tagger = OnnxTagger(".")
tagger("Ada Lovelace wrote to Babbage.")                # its entities: entity_group, score, word, start, end
tagger(["A text.", "Another."], threshold=0.5)          # a list for each text
tagger([["Given", "words", "."]], is_split_into_words=True)
tagger("A text.", decoding="marginal")                  # the most right tags to be expected
tagger("A text.", num_paths=3)                          # the most probable taggings, and the entropy
```

`stream` takes any iterator of texts and reads it in chunks. A text may be of any length. Several threads may share one
tagger; `OnnxTagger(".", threads=1)` is best where each core has a thread of its own.

## Labels

    {labels}

## How far it agrees with the model

{parity}

## Files

| | |
|---|---|
| `encoder.onnx`, `head.onnx` | the encoder; BiLSTM and scores |
{int8}| `crf.npz`, `tagger.json`, `tokenizer.json` | the CRF's tables, the settings, the tokenizer |
| `runtime.py` and the other Python files | the tagger |
| `handler.py` | the entry of an Inference Endpoint of the Hugging Face Hub: push the folder, and it is one |
| `parity.json` | how far the export agrees with the model, sentence by sentence |
"""
INT8 = """| `encoder.int8.onnx` | the encoder with weights of 8 bits: `OnnxTagger(".", int8=True)` |
"""


def readme(labels: Sequence[str], parity: Sequence[str], int8: bool) -> str:
    """Write what a folder holds, and how to use it.

    Args:
        labels: of the tagger.
        parity: lines, as `parity_lines` writes them.
        int8: whether there is an encoder of 8 bits.
    """
    said: dict[str, Any] = {"labels": json.dumps(list(labels)), "parity": "\n".join(f"* {line}" for line in parity)}
    return README.format(**said, int8=INT8 if int8 else "")


def requirements() -> str:
    """List what an export needs, in the versions that it was compared with its model in."""
    return "".join(f"{name}=={version(name).partition('+')[0]}\n" for name in NEEDS)
