"""What a run leaves behind: the output folder."""

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from transformers import Trainer

from ..doors.files import whole
from ..readers.sentences import Sentence
from .checkpoints import UNFINISHED, TrainingError, is_finished, is_trained, read_object, writing
from .dataset import write_conll


class Output:
    """The output folder. What is written appears whole or not at all; see `is_trained` and `is_finished`.

    Args:
        folder: where; made at the first writing.
        writes: whether this process is the one that writes; the others' calls do nothing.
    """

    def __init__(self, folder: str | Path, writes: bool = True):
        self.folder = Path(folder)
        self.writes = writes

    def write(self, name: str, writer: Callable[[Path], Any]) -> None:
        """Let `writer(path)` write a file."""
        if not self.writes:
            return
        path = self.folder / name
        with writing(str(path), self.folder):
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole(path) as staging:
                writer(staging)

    def write_json(self, name: str, values: Any) -> None:
        """Write values to a JSON file."""
        self.write(name, lambda path: path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8"))

    def write_images(self, folder: str, images: Mapping[str, bytes]) -> None:
        """Write PNG images under their names into a sub-folder."""
        for name, image in images.items():
            self.write(f"{folder}/{name}.png", partial(Path.write_bytes, data=image))

    def write_predictions(self, name: str, sentences: Sequence[Sentence], tags: Sequence[list[str]]) -> None:
        """Write word, gold tag and predicted tag in columns."""
        self.write(name, lambda path: write_conll(path, sentences, tags))

    def save_model(self, trainer: Trainer, unfinished: Mapping[str, Any] | None = None) -> None:
        """Save model, shipped code and tokenizer; the configuration, which makes the folder a model, comes last.

        Args:
            trainer: of the model.
            unfinished: what the rest of the run needs to know, if there is more to come: `run`, its record, and so on.
                It stands in the folder until `finish`.
        """
        staging = self.folder / ".saving-model"
        try:
            with writing(f"the model in {self.folder}", self.folder):
                if self.writes:  # what a killed run has left
                    shutil.rmtree(staging, ignore_errors=True)
                # Without a push; in every process, since gathering a sharded model takes them all.
                trainer.save_model(str(staging), _internal_call=True)
                if self.writes:
                    (staging / "training_args.bin").unlink()  # a pickle: nothing that a model folder should hold
                    if unfinished is not None:
                        (staging / UNFINISHED).write_text(json.dumps(unfinished), encoding="utf-8")
                    for path in sorted(staging.iterdir(), key=lambda path: path.name == "config.json"):
                        os.replace(path, self.folder / path.name)
        finally:
            if self.writes:
                shutil.rmtree(staging, ignore_errors=True)

    def unfinished(self) -> dict[str, Any] | None:
        """Return what a run that broke off after training left for the rest of it; None if there is no such run.

        Raises:
            TrainingError: if it cannot be read.
        """
        if is_finished(self.folder) or not is_trained(self.folder):
            return None
        content = read_object(self.folder / UNFINISHED)
        if content is None or not isinstance(content.get("run"), dict):
            raise TrainingError(
                f"{self.folder / UNFINISHED} cannot be read: delete it; then --do_eval and --do_predict with "
                f"--model_name_or_path {self.folder} evaluate the model"
            )
        return content

    def finish(self) -> None:
        """Note that the run has left all that it was to leave."""
        if self.writes:
            (self.folder / UNFINISHED).unlink(missing_ok=True)

    def usage(self) -> str:
        """Say how to load the model."""
        return f"""
from transformers import pipeline
tagger = pipeline("token-classification", model="{self.folder}", trust_remote_code=True)
tagger("A sentence in which somebody is named.")
"""
