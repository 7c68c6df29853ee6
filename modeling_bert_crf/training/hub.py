"""A Trainer that pushes once, at the end: the Hub holds the model before or the finished one, nothing in between."""

from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from huggingface_hub import CommitInfo, HfApi, ModelCard
from transformers import Trainer, TrainingArguments
from transformers.trainer_utils import HubStrategy

from ..doors.terminal import show
from ..hub.push import list_push, push_folder
from ..hub.pushing import bare_card, hub_errors
from .output import Output


@dataclass(repr=False)  # the host's, which hides the token
class HubTrainingArguments(TrainingArguments):
    """The Trainer's arguments; those that begin with `hub_` say where a model is pushed."""

    push_to_hub: bool = field(
        default=False, metadata={"help": "Push the finished model to the Hub, all of it in one commit at the end."}
    )
    hub_strategy: HubStrategy | str = field(default="end", metadata={"help": "Nothing but `end` is possible."})
    hub_tag: str | None = field(default=None, metadata={"help": "A tag for the commit, such as v1.0."})
    hub_dry_run: bool = field(
        default=False, metadata={"help": "List what --push_to_hub would push, without a network, and push nothing."}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.hub_strategy != HubStrategy.END:
            raise ValueError(
                "hub_strategy must be 'end', so that the Hub never holds a model that is half trained, got "
                f"{self.hub_strategy.value!r}"
            )
        self.push_to_hub = self.push_to_hub and not self.hub_dry_run

    @property
    def repo_id(self) -> str:
        """The repository to push to: `hub_model_id`, else one named as the output folder."""
        return self.hub_model_id or Path(self.output_dir).resolve().name

    @property
    def wants_push(self) -> bool:
        """Whether something is to be pushed, or listed."""
        return self.push_to_hub or self.hub_dry_run

    def __getstate__(self) -> dict[str, Any]:
        """Leave the token out of what is pickled: the host writes it into every checkpoint."""
        return vars(self) | {"hub_token": None}


class HubTrainer(Trainer):
    """`Trainer`, whose `push_to_hub` pushes the output folder as `run_ner.py` does."""

    args: HubTrainingArguments

    def init_hf_repo(self, token: str | None = None, private: bool | None = None) -> None:
        """Make the repository; called before training, so that a token that cannot write is noticed by then.

        Raises:
            HubError: if there is no token, it lacks the right, or the Hub cannot be reached or refuses.
        """
        with hub_errors(self.args.repo_id, "nothing there has changed"):
            super().init_hf_repo(token, private)
            if self.is_world_process_zero():
                self.args.hub_model_id = self.hub_model_id  # with its owner
                HfApi(token=token or self.args.hub_token).auth_check(self.hub_model_id, write=True)

    def push_to_hub(
        self,
        commit_message: str | None = "End of training",
        blocking: bool = True,
        token: str | None = None,
        revision: str | None = None,
        private: bool | None = None,
        **metadata: Any,
    ) -> CommitInfo | Future[CommitInfo] | None:
        """Save model and tokenizer in the output folder and push what belongs on the Hub (`push.GOES_UP`).

        The folder's card is kept; a folder without one gets one that says only what the model is.

        Args:
            commit_message: of the one commit.
            blocking: whether to wait until it is made; else a `Future` is returned.
            token, revision, private: None takes those of the arguments.
            **metadata: of the card, such as `license="mit"`, `language="en"`.

        Returns:
            What was committed; None in processes other than the first, and with `hub_dry_run`.

        Raises:
            HubError: if the Hub does not do it.
        """
        self.callback_handler.on_push_begin(self.args, self.state, self.control)
        output = Output(self.args.output_dir, self.is_world_process_zero())
        output.save_model(self)
        if not self.is_world_process_zero():
            return None
        if self.hub_model_id is None and not self.args.hub_dry_run:
            self.init_hf_repo(token, private)
        self._write_card(output, metadata)
        place = {"revision": revision or self.args.hub_revision, "tag": self.args.hub_tag}
        if self.args.hub_dry_run:
            show(list_push(output.folder, self.args.repo_id, **place))
            return None
        push = partial(
            push_folder,
            output.folder,
            self.args.repo_id,
            token=token or self.args.hub_token,
            private=self.args.hub_private_repo if private is None else private,
            message=commit_message or "End of training",
            **place,
        )
        return push() if blocking else HfApi().run_as_future(push)

    def _write_card(self, output: Output, metadata: dict[str, Any]) -> None:
        """Write a card where there is none, and metadata into it."""
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
