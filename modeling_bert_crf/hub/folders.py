"""Pushing the folder of a finished model: what of it belongs on the Hub goes there in one commit."""

from pathlib import Path

from huggingface_hub import CommitInfo, CommitOperationAdd, HfApi
from huggingface_hub.errors import HfHubHTTPError

from ..doors.lock import LOCK
from .answers import HubError, hub_errors

__all__ = ["GOES_UP", "files_to_push", "list_push", "push_folder"]

GOES_UP = ("README.md", "LICENSE", "*.safetensors", "*.json", "*.py", "vocab.txt", "spiece.model", "plots/*")
"""What of a model's folder belongs on the Hub. All else stays: checkpoints, pickles, and the predictions, which hold
the text and the gold tags of a data set that may have another licence than the model."""


def files_to_push(folder: str | Path) -> list[str]:
    """List the files of a model's folder that belong on the Hub, by their paths in it.

    Raises:
        HubError: if the folder holds no finished model.
    """
    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise HubError(f"{folder} cannot be pushed to the Hub: it holds no finished model, since no config.json")
    found = {path for pattern in GOES_UP for path in folder.glob(pattern)}
    return sorted(path.relative_to(folder).as_posix() for path in found if path.is_file() and path.name[0] != ".")


def list_push(folder: str | Path, repo_id: str, revision: str | None = None, tag: str | None = None) -> str:
    """Return a list of what `push_folder` would push, and of what would stay. It needs no network.

    Raises:
        HubError: if the folder holds no finished model.
    """
    folder = Path(folder)
    names = files_to_push(folder)
    sizes = {name: (folder / name).stat().st_size for name in names}
    goes = {name.split("/")[0] for name in names} | {LOCK}
    kept = sorted(path.name for path in folder.iterdir() if path.name not in goes)
    target = f"{repo_id}, branch {revision or 'main'}" + (f", tag {tag}" if tag else "")
    lines = [f"{len(names)} files, {sum(sizes.values()) / 1e6:,.1f} MB, would go to {target}:"]
    lines += [f"{size:>15,}  {name}" for name, size in sizes.items()]
    return "\n".join(lines + ([f"would stay here: {', '.join(kept)}"] if kept else []))


def push_folder(
    folder: str | Path,
    repo_id: str,
    *,
    token: str | None = None,
    private: bool | None = None,
    revision: str | None = None,
    tag: str | None = None,
    message: str = "Upload model",
) -> CommitInfo:
    """Push a finished model in one commit; make the repository and the branch if need be.

    A call that is repeated sends only what is missing: large files that have arrived before are not sent again, and
    where nothing has changed nothing is committed. The folder is only read.

    Args:
        folder: the model's; see `GOES_UP`.
        repo_id: `name`, or `owner/name`.
        token: None takes that of `hf auth login` or HF_TOKEN.
        private: whether a new repository is private; None leaves it to its owner's default.
        revision: the branch; None means `main`.
        tag: a name for the commit, which must not be that of another commit yet.
        message: of the commit.

    Raises:
        HubError: if the folder holds no finished model, or the Hub does not do it.
    """
    files = [CommitOperationAdd(name, str(Path(folder, name))) for name in files_to_push(folder)]
    api = HfApi(token=token, library_name="modeling-bert-crf")
    with hub_errors(repo_id, f"the model in {folder} is whole, and the same command again pushes what is missing"):
        repo_id = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
        if revision is not None and not revision.startswith("refs/"):
            api.create_branch(repo_id, branch=revision, exist_ok=True)
        commit = api.create_commit(repo_id, files, commit_message=message, revision=revision)
        if tag is not None:
            _tag(api, repo_id, tag, commit.oid)
    return commit


def _tag(api: HfApi, repo_id: str, tag: str, commit: str) -> None:
    try:
        api.create_tag(repo_id, tag=tag, revision=commit)
    except HfHubHTTPError as error:
        if error.response.status_code != 409:
            raise
        there = {ref.name: ref.target_commit for ref in api.list_repo_refs(repo_id).tags}[tag]
        if there != commit:
            raise HubError(
                f"{repo_id} has been pushed, but its tag {tag!r} stands at another commit, {there[:8]}: choose another"
            ) from None
