"""The last step of a run, which pushes its output folder to the Hub; and when it is the only step that is left."""

import json
from collections.abc import Mapping
from typing import Any

from ..hub.folders import list_push, push_folder
from .arguments import STEPS, Arguments
from .facts import fingerprint
from .output_folder import is_finished
from .training_arguments import CRFTrainingArguments

__all__ = ["only_push_is_left", "push"]


def only_push_is_left(arguments: Arguments, options: Mapping[str, Any]) -> bool:
    """Say whether the output folder already holds what a command asks to train, so that it need only be pushed.

    That is so if the folder holds a finished model and no step is asked for. It is also so if the steps are those of
    the very run that made the model: then this is the command whose push broke off, given once more.

    Args:
        arguments: of the run.
        options: those of them that the user gave.
    """
    _, _, training = arguments
    folder = training.folder
    if not training.wants_push or not is_finished(folder):
        return False
    if not any(getattr(training, step) for step in STEPS.values()):
        return True
    if not training.do_train or not (folder / "metrics.json").is_file():
        return False
    left = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return left.get("options") == fingerprint(options)


def push(training: CRFTrainingArguments) -> str:
    """Push the output folder where the arguments say, or list what would be pushed. The first process does it.

    Returns:
        What is to be said of it.

    Raises:
        HubError: if the folder holds no finished model, or the Hub does not do it.
    """
    if training.process_index != 0:
        return ""
    folder, branch, tag = training.folder, training.hub_revision, training.hub_tag
    if training.hub_dry_run:
        return list_push(folder, training.repo_id, revision=branch, tag=tag)
    commit = push_folder(
        folder,
        training.repo_id,
        token=training.hub_token,
        private=training.hub_private_repo,
        revision=branch,
        tag=tag,
    )
    return f"pushed to {commit.repo_url}, commit {commit.oid[:8]}"
