"""The last step of a run: its output folder goes to the Hub. And what makes it the only step."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..hub.push import list_push, push_folder
from .arguments import STEPS, Arguments
from .checkpoints import is_finished
from .facts import fingerprint
from .hub import HubTrainingArguments


def only_push_is_left(arguments: Arguments, options: Mapping[str, Any]) -> bool:
    """Say whether the output folder holds already what a command asks to train, so that it need only be pushed.

    That is a finished model if no step is asked for, or if its own run is: the command whose push broke off. `options`
    are those that the user gave.
    """
    _, _, training = arguments
    folder = Path(training.output_dir)
    if not training.wants_push or not is_finished(folder):
        return False
    if not any(getattr(training, step) for step in STEPS.values()):
        return True
    if not training.do_train or not (folder / "metrics.json").is_file():
        return False
    left = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return left.get("options") == fingerprint(options)


def push(training: HubTrainingArguments) -> str:
    """Push the output folder where the arguments say so, or list what would be pushed; the first process does it.

    Returns:
        What is to be said of it.

    Raises:
        HubError: if the folder holds no finished model, or the Hub does not do it.
    """
    if training.process_index != 0:
        return ""
    folder, place = training.output_dir, {"revision": training.hub_revision, "tag": training.hub_tag}
    if training.hub_dry_run:
        return list_push(folder, training.repo_id, **place)
    commit = push_folder(
        folder, training.repo_id, token=training.hub_token, private=training.hub_private_repo, **place
    )
    return f"pushed to {commit.repo_url}, commit {commit.oid[:8]}"
