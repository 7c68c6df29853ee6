"""What the Hub answers: its refusals in one sentence each, and no waiting for longer than a user would."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from huggingface_hub import get_session
from huggingface_hub.errors import HFValidationError

__all__ = ["HubAnswerError", "HubError", "hub_answers", "hub_errors"]

MOST_WAIT = 120
"""How many seconds a task waits in all if the Hub asks it to. The Hub's client would sleep for as long as is asked."""
NO_HUB = "what answered was not the Hub, but perhaps a proxy, or the login page of this network"


class HubError(OSError):
    """The Hub did not do what was asked; the message says why, in one sentence and without the token."""


class HubAnswerError(OSError):
    """An answer ended a request: the Hub never gives such an answer, or it asks to wait for too long."""


@contextmanager
def hub_errors(
    repo_id: str, state: str = "nothing is half done there, and the same call goes on from here"
) -> Iterator[None]:
    """Turn a failure of the Hub into one sentence. An error with another cause passes through.

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
        # The host's messages do not come along, since one of them quotes a malformed token.
        raise HubError(f"{repo_id} could not be pushed to the Hub: {fault}; {state}") from None


@contextmanager
def hub_answers() -> Iterator[None]:
    """End a request of the Hub's client if its answer is none of the Hub's, or asks to wait for too long.

    Raises:
        HubAnswerError: what the answer was, and when to try again.
    """
    waited = 0

    def look_at(response: Any) -> None:
        nonlocal waited
        status, request = response.status_code, response.request
        is_call = request.method not in ("GET", "HEAD") or "/api/" in request.url.path  # and no download of a file
        is_page = is_call and 200 <= status < 300 and "html" in response.headers.get("content-type", "")
        if is_page and response.read().lstrip().startswith(b"<"):
            raise HubAnswerError(NO_HUB)
        if status == 429 or status >= 500:
            waited += _wait(response) or 0
            if waited > MOST_WAIT:
                raise HubAnswerError(_refusal(response, None))

    hooks = get_session().event_hooks["response"]
    hooks.append(look_at)
    try:
        yield
    except Exception as error:
        if _is_misread(error):
            raise HubAnswerError(NO_HUB) from error
        raise
    finally:
        hooks.remove(look_at)


def _is_misread(error: BaseException) -> bool:
    """Say whether the Hub's client failed because an answer did not hold what the client expects there."""
    if error.__cause__ is not None and _is_misread(error.__cause__):
        return True
    modules, trace = [""], error.__traceback__
    while trace is not None:
        modules.append(trace.tb_frame.f_globals.get("__name__", ""))
        trace = trace.tb_next
    if isinstance(error, json.JSONDecodeError):
        return any(module.startswith("huggingface_hub.") for module in modules)
    if not modules[-1].startswith("huggingface_hub.") or isinstance(error, HFValidationError):
        return False  # the latter is a fault of the caller's, and no answer
    if isinstance(error, ValueError):
        return re.search("malformed|improperly formatted|unable to retrieve", str(error), re.IGNORECASE) is not None
    return isinstance(error, AttributeError | LookupError | TypeError)


def _wait(response: Any) -> int | None:
    """Return for how many seconds a refusal asks to wait; None if it does not ask."""
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
    # The name of the repository is none, or the storage will not take the files.
    if isinstance(error, HFValidationError) or str(error).startswith("LFS batch API returned errors"):
        return " ".join(str(error).split())
    if name == "OfflineModeIsEnabled":
        return "this machine is told to stay offline, unset HF_HUB_OFFLINE"
    if name in ("LocalProtocolError", "UnicodeEncodeError"):
        return "the token holds a character that no token has"
    if isinstance(error, ConnectionError | TimeoutError) or type(error).__module__.split(".")[0].startswith("httpx"):
        return f"it could not be reached or did not answer ({name})"
    fault = _fault(error.__cause__)  # the host puts the failure of a single file into an error of its own
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
