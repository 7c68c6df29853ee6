"""The output folder: what a run leaves in it, and how far a run in it has come.

A folder holds a trained model once it holds `config.json`, which is put there last. The model is finished once its run
has also evaluated it and written what there is to say of it; until then a hidden file, `UNFINISHED`, stands beside it.
"""

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from transformers import Trainer

from ..doors.files import aside, move_in, whole
from ..readers.columns import write_rows
from ..readers.sentences import Sentence
from ..scores.judged import Judged
from .checkpoints import last_whole, read_object
from .errors import TrainingError

__all__ = [
    "UNFINISHED",
    "OutputFolder",
    "is_finished",
    "is_trained",
    "way_on",
    "write_entities",
    "write_predictions",
    "writing",
]

UNFINISHED = ".run.json"
"""The file that stands beside a trained model until its run has come to its end. It holds what the rest of the run has
to know."""


class OutputFolder:
    """The output folder of a run. Each file in it appears whole or not at all.

    Args:
        folder: its path; it is made when the first file is written.
        writes: whether this process is the one that writes. The calls of other processes do nothing.
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

    def write_predictions(self, name: str, sentences: Sequence[Sentence], predicted: Sequence[list[str]]) -> None:
        """Write word, gold tag and predicted tag in columns."""
        self.write(name, lambda path: write_predictions(path, sentences, predicted))

    def write_entities(self, name: str, judged: Sequence[Judged]) -> None:
        """Write the entities of sentences, see `write_entities`."""
        self.write(name, lambda path: write_entities(path, judged))

    def save_model(self, trainer: Trainer, unfinished: Mapping[str, Any] | None = None) -> None:
        """Save model, shipped code and tokenizer; the configuration, which makes the folder a model, comes last.

        Args:
            trainer: of the model.
            unfinished: what the rest of the run has to know, if there is more to come: its record as `run`, and so on.
                It stands in the folder until `finish`.
        """
        with aside(self.folder, self.writes) as staging, writing(f"the model in {self.folder}", self.folder):
            # Every process takes part, since they gather a sharded model together. The host would push now; a run
            # pushes at its end.
            trainer.save_model(str(staging), _internal_call=True)
            if self.writes:
                (staging / "training_args.bin").unlink()  # a pickle does not belong into the folder of a model
                if unfinished is not None:
                    (staging / UNFINISHED).write_text(json.dumps(unfinished), encoding="utf-8")
                move_in(staging, self.folder, last="config.json")

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
        """Note that the run has come to its end, and that nothing is missing."""
        if self.writes:
            (self.folder / UNFINISHED).unlink(missing_ok=True)

    def usage(self, example: tuple[str, list[dict[str, Any]]] | None) -> str:
        """Write the lines of Python that load the model, and tag a text, with what that returns."""
        text, found = example or ("A sentence in which somebody is named.", [])
        rounded = [{**one, "score": round(one["score"], 2)} for one in found]
        shown = "".join(f"# {', ' if index else '['}{one}\n" for index, one in enumerate(rounded))
        return f"""
from transformers import pipeline
tagger = pipeline("token-classification", model="{self.folder}", trust_remote_code=True)
tagger({text!r})
{shown.removesuffix(chr(10))}{"]" if shown else ""}
"""


def write_predictions(path: Path, sentences: Iterable[Sentence], predicted: Iterable[list[str]]) -> None:
    """Write `word TAB gold TAB predicted` lines, and an empty line after each sentence (see `write_rows`)."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for sentence, tags in zip(sentences, predicted, strict=True):
            write_rows(file, list(zip(sentence.words, sentence.tags, tags, strict=True)))


def write_entities(path: Path, judged: Iterable[Judged]) -> None:
    """Write a JSON object a line for each entity that is there or was found: where it stands, and how probable it is.

    No text stands there. `sentence`, from 0, is its number in the predictions, `start` its first word, and `end` the
    word after its last. `probability` and `seen` (in the training data) are null where nobody knows.
    """
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for number, one in enumerate(judged):
            for span in sorted({*one.gold, *one.predicted}):
                row = {"sentence": number, **dict(zip(("start", "end", "type"), span, strict=True))}
                seen = None if one.seen is None else span in one.seen
                row |= {"probability": one.probability(span), "seen": seen}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")


def is_trained(folder: str | Path) -> bool:
    """Say whether a folder holds a model: its configuration is put there last."""
    return Path(folder, "config.json").is_file()


def is_finished(folder: str | Path) -> bool:
    """Say whether a folder holds a model and all else that its run had to leave there."""
    return is_trained(folder) and not Path(folder, UNFINISHED).exists()


def way_on(folder: Path) -> str:
    """Say how a run in a folder can be taken up again."""
    if is_trained(folder) and not is_finished(folder):
        return f"the model in {folder} is whole, and the same command goes on with what is left"
    last = last_whole(folder)
    return "there is no checkpoint to go on from" if last is None else f"go on with --resume_from_checkpoint {last}"


@contextmanager
def writing(what: str, folder: Path) -> Iterator[None]:
    """Turn a failure to write a file of a run, such as a full disk, into one sentence.

    Args:
        what: is written.
        folder: of the run.

    Raises:
        TrainingError: what could not be written, why, and how to go on.
    """
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or (str(error).strip() or repr(error)).splitlines()[0]
        free = shutil.disk_usage(next(path for path in (folder, *folder.parents) if path.exists())).free
        raise TrainingError(
            f"{what} could not be written: {reason} ({free / 1e6:,.0f} MB are free there); make room, or mend what "
            f"else is wrong, then {way_on(folder)}"
        ) from error
