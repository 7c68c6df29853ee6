"""A Trainer that pushes once, at the end. So the Hub holds the earlier model or the finished one, never a half-trained
one."""

from concurrent.futures import Future
from functools import partial
from typing import Any, cast

from huggingface_hub import CommitInfo, HfApi, ModelCard
from transformers import Trainer

from ..doors.terminal import show
from ..hub.answers import hub_errors
from ..hub.folders import list_push, push_folder
from ..hub.pushing import bare_card
from .output_folder import OutputFolder
from .training_arguments import CRFTrainingArguments

__all__ = ["HubTrainer"]


class HubTrainer(Trainer):
    """`Trainer`, whose `push_to_hub` pushes the output folder in the way of `push_step.py`."""

    args: CRFTrainingArguments

    def init_hf_repo(self, token: str | None = None, private: bool | None = None) -> None:
        """Make the repository.

        The Trainer calls this before training, so that a token that cannot write is noticed before and not after it.

        Raises:
            HubError: if there is no token, it lacks the right, or the Hub cannot be reached or refuses.
        """
        with hub_errors(self.args.repo_id, "nothing there has changed"):
            super().init_hf_repo(token, private)
            if self.is_world_process_zero():
                repo_id = cast(str, self.hub_model_id)  # with its owner, as the Hub has answered
                self.args.hub_model_id = repo_id
                HfApi(token=token or self.args.hub_token).auth_check(repo_id, write=True)

    def push_to_hub(
        self,
        commit_message: str | None = "End of training",
        blocking: bool = True,
        token: str | None = None,
        revision: str | None = None,
        private: bool | None = None,
        **metadata: Any,
    ) -> CommitInfo | Future[CommitInfo] | None:
        """Save model and tokenizer in the output folder, and push what belongs on the Hub (`hub.folders.GOES_UP`).

        The card of the folder is kept. A folder without a card gets one that says only what the model is.

        Args:
            commit_message: of the one commit.
            blocking: whether to wait until the commit is made; if not, a `Future` is returned.
            token, revision, private: None takes those of the arguments.
            **metadata: of the card, such as `license="mit"`, `language="en"`.

        Returns:
            What was committed; None in processes other than the first, and with `hub_dry_run`.

        Raises:
            HubError: if the Hub does not do it.
        """
        self.callback_handler.on_push_begin(self.args, self.state, self.control)
        output = OutputFolder(self.args.folder, self.is_world_process_zero())
        output.save_model(self)
        if not self.is_world_process_zero():
            return None
        if self.hub_model_id is None and not self.args.hub_dry_run:
            self.init_hf_repo(token, private)
        self._write_card(output, metadata)
        branch, tag = revision or self.args.hub_revision, self.args.hub_tag
        if self.args.hub_dry_run:
            show(list_push(output.folder, self.args.repo_id, revision=branch, tag=tag))
            return None
        push = partial(
            push_folder,
            output.folder,
            self.args.repo_id,
            token=token or self.args.hub_token,
            private=self.args.hub_private_repo if private is None else private,
            message=commit_message or "End of training",
            revision=branch,
            tag=tag,
        )
        return push() if blocking else HfApi().run_as_future(push)

    def _write_card(self, output: OutputFolder, metadata: dict[str, Any]) -> None:
        """Write a card where there is none, and metadata into the card."""
        path = output.folder / "README.md"
        if path.exists() and not metadata:
            return
        labels = self.accelerator.unwrap_model(self.model).config.labels
        has_tokenizer = (output.folder / "tokenizer_config.json").exists()
        bare = bare_card(self.args.repo_id, labels, has_tokenizer)
        card = ModelCard(path.read_text(encoding="utf-8") if path.exists() else bare)
        for name, value in metadata.items():
            card.data[name] = value
        output.write("README.md", card.save)
