"""`push_to_hub` of a model and its pipeline: a card where there is none, failures in one sentence.

Where this package is installed; whoever has loaded a model by remote code pushes it as the host does, whose part the
pushing itself is here, too.
"""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from transformers.utils.hub import get_session, hf_api

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


class HubError(OSError):
    """The Hub did not do what was asked; the message says why, in one sentence and without the token."""


class HubAnswerError(OSError):
    """An answer ended a request: no Hub gives it, or it asks to wait for longer than anybody would."""


MOST_WAIT = 120
"""Seconds that a task waits in all where the Hub asks it to. Its client would sleep through whatever is asked."""
NO_HUB = "what answered was not the Hub, but perhaps a proxy, or the login page of this network"


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
        with hub_answers():
            yield
    except Exception as error:
        fault = _fault(error)
        if fault is None:
            raise
        # The host's message is left out, and so are those below it: one of them quotes a malformed token.
        raise HubError(f"{repo_id} could not be pushed to the Hub: {fault}; {state}") from None


@contextmanager
def hub_answers() -> Iterator[None]:
    """End a request of the Hub's client on an answer that no Hub gives, and on one that asks to wait for too long.

    Raises:
        HubAnswerError: what the answer was, and when to try again.
    """
    waited = 0

    def check(response: Any) -> None:
        nonlocal waited
        status, request = response.status_code, response.request
        is_call = request.method not in ("GET", "HEAD") or "/api/" in request.url.path  # and no file
        is_page = is_call and 200 <= status < 300 and "html" in response.headers.get("content-type", "")
        if is_page and response.read().lstrip().startswith(b"<"):
            raise HubAnswerError(NO_HUB)
        if status == 429 or status >= 500:
            waited += _wait(response) or 0
            if waited > MOST_WAIT:
                raise HubAnswerError(_refusal(response, None))

    hooks = get_session().event_hooks["response"]
    hooks.append(check)
    try:
        yield
    except Exception as error:
        if _is_misread(error):
            raise HubAnswerError(NO_HUB) from error
        raise
    finally:
        hooks.remove(check)


def _is_misread(error: BaseException) -> bool:
    """Say whether the Hub's client failed because an answer did not hold what it reads there."""
    if error.__cause__ is not None and _is_misread(error.__cause__):
        return True
    modules, trace = [""], error.__traceback__
    while trace is not None:
        modules.append(trace.tb_frame.f_globals.get("__name__", ""))
        trace = trace.tb_next
    if isinstance(error, json.JSONDecodeError):
        return any(module.startswith("huggingface_hub.") for module in modules)
    if not modules[-1].startswith("huggingface_hub.") or modules[-1].endswith("._validators"):
        return False
    if isinstance(error, ValueError):
        return re.search("malformed|improperly formatted|unable to retrieve", str(error), re.IGNORECASE) is not None
    return isinstance(error, AttributeError | LookupError | TypeError)


def _wait(response: Any) -> int | None:
    """Return for how many seconds a refusal asks to wait, if it does."""
    after, limit = (response.headers.get(name, "") for name in ("retry-after", "ratelimit"))
    window = re.search(r"\br *= *0 *; *t *= *([0-9]+)", limit)
    seconds = window[1] if window and response.status_code == 429 else after.strip()
    if re.fullmatch("[0-9]+", seconds):
        return int(seconds[:12])
    with suppress(ValueError, TypeError, OverflowError):
        moment = parsedate_to_datetime(after)
        return max(0, int((moment - datetime.now(moment.tzinfo)).total_seconds()))
    return None


def _fault(error: BaseException | None) -> str | None:
    """Say what the Hub objects to, or that it was not reached; None if the error is not the Hub's."""
    if error is None:
        return None
    if isinstance(error, HubAnswerError):
        return str(error)
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
    status, wait = response.status_code, _wait(response)
    if wait and (status == 429 or status >= 500):
        try:
            moment = f"{datetime.now() + timedelta(seconds=wait):%Y-%m-%d %H:%M}"
        except OverflowError:
            moment = "the year 10000"
        return f"no request is taken before {moment} ({status}): try again then"
    if status == 401 and "authorization" not in response.request.headers:
        return "there is no token, log in with `hf auth login` or set HF_TOKEN"
    return {
        401: "it does not know the token (401), which may have expired: log in again with `hf auth login`",
        403: "the token has no right to write there (403)",
        404: "there is no such repository or revision, or the token may not see it (404)",
        429: "it takes no more requests for now (429, rate limit): wait some minutes",
    }.get(status, f"it answered {status}" + (f" ({' '.join(message.split())})" if message else ""))


__all__ = ["HubAnswerError", "HubError", "PushesToHub"]
