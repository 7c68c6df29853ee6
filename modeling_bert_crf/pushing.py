"""`push_to_hub` of a model and its pipeline: a card where there is none, failures in one sentence.

Ships with every checkpoint: whoever loaded the model may push it on. The pushing itself is the host's.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers.utils.hub import hf_api

CARD = """---
{metadata}
---

# {name}

BERT -> BiLSTM -> CRF for token classification, with {count} tags. It was pushed without a card: nothing is written
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


class HubError(OSError):
    """The Hub did not do what was asked; the message says why, in one sentence and without the token."""


class PushesToHub:
    """What a model and its pipeline do differently from the host's `push_to_hub`, in front of it in the bases."""

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
        """Keep the card that a branch has; where there is none, write one that is true, not the host's form."""
        card = Path(working_dir, "README.md")
        token, revision = options.get("token"), options.get("revision")
        if not hf_api().file_exists(repo_id, "README.md", token=token):
            if revision is not None and hf_api().file_exists(repo_id, "README.md", token=token, revision=revision):
                card.unlink()
            else:
                host = card.read_text(encoding="utf-8")  # a form to fill in, and metadata with the user's tags
                metadata = host.removeprefix("---").partition("\n---")[0].replace("\ntags: []", "").strip()
                labels = getattr(self, "model", self).config.labels
                has_tokenizer = Path(working_dir, "tokenizer_config.json").exists()
                card.write_text(bare_card(repo_id, labels, has_tokenizer, metadata), encoding="utf-8")
        return super()._upload_modified_files(working_dir, repo_id, *args, **options)


def bare_card(
    repo_id: str, labels: Sequence[str], has_tokenizer: bool, metadata: str = "library_name: transformers"
) -> str:
    """Write the card of a model of which nothing is known but itself.

    Args:
        repo_id: as the example names the model.
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
        labels=json.dumps(list(labels)),  # one line in any case, so that no label leaves the block
    )


@contextmanager
def hub_errors(
    repo_id: str, state: str = "nothing is half done there, and the same call goes on from here"
) -> Iterator[None]:
    """Turn a failure of the Hub into one sentence. What has another cause passes through.

    Args:
        repo_id: the repository.
        state: how things stand after a failure.

    Raises:
        HubError: what failed, why, and how things stand.
    """
    try:
        yield
    except Exception as error:
        fault = _fault(error)
        if fault is None:
            raise
        # The host's message is left out, and so are those below it: one of them quotes a malformed token.
        raise HubError(f"{repo_id} could not be pushed to the Hub: {fault}; {state}") from None


def _fault(error: BaseException | None) -> str | None:
    """Say what the Hub objects to, or that it was not reached; None if the error is not the Hub's."""
    if error is None:
        return None
    response, name = getattr(error, "response", None), type(error).__name__
    if response is not None:
        return _refusal(response, getattr(error, "server_message", None))
    # A name that no repository can have; files that the storage will not take.
    if name == "HFValidationError" or str(error).startswith("LFS batch API returned errors"):
        return " ".join(str(error).split())
    if name == "OfflineModeIsEnabled":
        return "this machine is told to stay offline, unset HF_HUB_OFFLINE"
    if name in ("LocalProtocolError", "UnicodeEncodeError"):
        return "the token holds a character that no token has"
    if isinstance(error, ConnectionError | TimeoutError) or type(error).__module__.split(".")[0].startswith("httpx"):
        return f"it could not be reached or did not answer ({name})"
    fault = _fault(error.__cause__)  # the host wraps failures of single files
    invalid_card = fault is not None and isinstance(error, ValueError)
    return " ".join(str(error).split()) if invalid_card else fault


def _refusal(response: Any, message: str | None) -> str:
    """Say in words what a status code means for a push."""
    status = response.status_code
    if status == 401 and "authorization" not in response.request.headers:
        return "there is no token, log in with `hf auth login` or set HF_TOKEN"
    return {
        401: "it does not know the token (401), which may have expired: log in again with `hf auth login`",
        403: "the token has no right to write there (403)",
        404: "there is no such repository or revision, or the token may not see it (404)",
        429: "it takes no more requests for now (429, rate limit): wait some minutes",
    }.get(status, f"it answered {status}" + (f" ({' '.join(message.split())})" if message else ""))


__all__ = ["HubError", "PushesToHub"]
