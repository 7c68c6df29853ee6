"""`push_to_hub` of a model and of its pipeline: the host's, with a true card, and with failures in one sentence.

It is in use where this package is installed. A process that has loaded a model by remote code pushes as the host does.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers.utils.hub import PushToHubMixin, hf_api

from .answers import hub_errors

__all__ = ["PushesToHub", "bare_card"]

CARD = """---
{metadata}
---

# {name}

Encoder -> BiLSTM -> CRF for token classification, with {count} tags. It was pushed without a card: nothing is written
here of its training data, its recipe, or how often it is right.

## Use

```python
from transformers import pipeline

tagger = pipeline("token-classification", model="{repo_id}", trust_remote_code=True)
tagger("A sentence in which somebody is named.")
```

`trust_remote_code=True` runs the Python files beside the weights: read them first, or pin a `revision` that you have
read.
{tokenizer}
## Labels

    {labels}
"""

NO_TOKENIZER = """The tokenizer was pushed by itself or not at all: if it is not here, pass `tokenizer=` as well.
"""


class PushesToHub(PushToHubMixin):
    """What a model and its pipeline do otherwise than the host's `push_to_hub`; the first of their bases."""

    def push_to_hub(self, repo_id: str, **options: Any) -> Any:
        """Push in one commit, as the host does: weights, configuration, code, and what else `save_pretrained` writes.

        Args:
            repo_id: `name`, or `owner/name`.
            **options: the host's: `private`, `revision` (a branch, made if need be), `token`, `commit_message`,
                `create_pr`, `tags` and so on.

        Raises:
            HubError: if there is no token, it lacks the right, or the Hub cannot be reached or refuses.
        """
        with hub_errors(repo_id):
            return super().push_to_hub(repo_id, **options)

    def _upload_modified_files(self, working_dir: str, repo_id: str, *args: Any, **options: Any) -> Any:
        """Push the files of a folder. A card that the branch has is kept; without one, a card is written that is true.

        The host would push a form to fill in.
        """
        card = Path(working_dir, "README.md")
        token, revision = options.get("token"), options.get("revision")
        if not hf_api().file_exists(repo_id, "README.md", token=token):
            if revision is not None and hf_api().file_exists(repo_id, "README.md", token=token, revision=revision):
                card.unlink()
            else:
                host = card.read_text(encoding="utf-8")  # a form to fill in, and metadata with the user's tags
                metadata = host.removeprefix("---").partition("\n---")[0].replace("\ntags: []", "").strip()
                labels = _labels_of(self)
                has_tokenizer = Path(working_dir, "tokenizer_config.json").exists()
                card.write_text(bare_card(repo_id, labels, has_tokenizer, metadata), encoding="utf-8")
        return super()._upload_modified_files(working_dir, repo_id, *args, **options)


def _labels_of(pushed: Any) -> list[str]:
    """Return the labels of a model, or of the model of a pipeline."""
    return getattr(pushed, "model", pushed).config.labels


def bare_card(
    repo_id: str, labels: Sequence[str], has_tokenizer: bool, metadata: str = "library_name: transformers"
) -> str:
    """Return the card of a model of which nothing else is known.

    Args:
        repo_id: the name of the model in the card's example.
        labels: its tags.
        has_tokenizer: whether the tokenizer is pushed with it.
        metadata: lines of YAML, without the task.
    """
    return CARD.format(
        metadata=f"{metadata}\npipeline_tag: token-classification",
        name=repo_id.split("/")[-1],
        repo_id=repo_id,
        count=len(labels),
        tokenizer="" if has_tokenizer else NO_TOKENIZER,
        labels=json.dumps(list(labels)),  # on one line, so that no label can end the block
    )
