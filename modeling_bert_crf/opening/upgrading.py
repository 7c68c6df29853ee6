"""A tagger of an older version with today's code and configuration; weights, and what they say, stay as they are."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from transformers.dynamic_module_utils import get_relative_import_files

from .. import BiLSTMCRFPipeline
from ..configuration_crf import quoted
from .tagger import OpeningError, open_model, open_tokenizer, read_config, telling

__all__ = ["TEXTS", "write_upgraded"]

TEXTS = (
    "Ada Lovelace wrote to Charles Babbage in London on 5 May 1843.",
    "rain",
    "«Zoë», said Dr. O'Neill-Ångström; e-mail: zoe@example.org (+47 55 12 34)!",
    "The minister of Norway met the board of Example Ltd. in Oslo, and then 東京 and Αθήνα. " * 12,
)
"""What a tagger is asked before and after. The last text is longer than one window of many encoders."""


def write_upgraded(old: Path, new: Path) -> list[str]:
    """Write a tagger's folder anew, with today's code and configuration, and prove that it tags as before.

    Both folders are opened with the classes of this package; the code in the old one is not run. All files that are no
    code of the tagger's and not its configuration are taken over as they are, by a second name for the same file where
    the disk can do that.

    Args:
        old: the folder, which is only read.
        new: where to write; there must be nothing yet.

    Returns:
        The names of the files that are new, other ones, or gone. Without any there is nothing at `new`.

    Raises:
        OpeningError: if it is no finished tagger or damaged, holds code of somebody else's, or would tag otherwise.
    """
    model, tokenizer = open_model(str(old)), open_tokenizer(str(old))
    _check_own_code(old, model)
    stale = _code(old)
    with telling(f"{old}: it cannot be saved"):
        model.save_pretrained(new)
    for path in new.iterdir():
        if path.suffix != ".py" and path.name != "config.json":
            path.unlink()  # weights
    made = {path.name for path in new.iterdir()}
    for path in old.iterdir():
        if path.name not in stale | made | {".lock"}:
            _take_over(path, new / path.name)
    shutil.copystat(old, new)
    changed = sorted(name for name in stale | made if not _same(old / name, new / name))
    if not changed:
        shutil.rmtree(new)
        return []
    _check_alike(old, (model, tokenizer), (open_model(str(new)), open_tokenizer(str(new))))
    return changed


def _code(folder: Path) -> set[str]:
    """Name the files of a folder that its configuration names as code, and those that they import, without running."""
    values = read_config(str(folder))
    references = [*(values.get("auto_map") or {}).values()]
    references += [pipeline.get("impl") for pipeline in (values.get("custom_pipelines") or {}).values()]
    named = {f"{one.rpartition('--')[2].partition('.')[0]}.py" for one in references if isinstance(one, str)}
    found = {name for name in named if (folder / name).is_file()}
    with telling(f"{folder}: its code cannot be read"):
        imported = {Path(file).name for name in found for file in get_relative_import_files(folder / name)}
    return found | {name for name in imported if (folder / name).is_file()}


def _check_own_code(folder: Path, model: Any) -> None:
    """Refuse a tagger of a class that somebody else wrote, which today's code would leave without."""
    own = {type(model).__name__, type(model.config).__name__}
    for reference in (read_config(str(folder)).get("auto_map") or {}).values():
        if reference.rpartition(".")[2] not in own:
            raise OpeningError(
                f"{folder}: its `auto_map` must name classes of this package, {' and '.join(sorted(own))}, got "
                f"{quoted(reference)}: put copies of today's files beside that code yourself"
            )


def _take_over(source: Path, target: Path) -> None:
    def link(one: str, other: str) -> None:
        try:
            os.link(one, other, follow_symlinks=False)
        except OSError:  # not on every disk
            shutil.copy2(one, other, follow_symlinks=False)

    if source.is_dir() and not source.is_symlink():
        shutil.copytree(source, target, symlinks=True, copy_function=link)
    else:
        link(str(source), str(target))


def _same(one: Path, other: Path) -> bool:
    return one.is_file() and other.is_file() and one.read_bytes() == other.read_bytes()


def _check_alike(folder: Path, before: tuple[Any, Any], after: tuple[Any, Any]) -> None:
    """Compare what two taggers say of the texts: emissions, paths, and entities with their probabilities."""
    for text, one, other in zip(TEXTS, _said(*before), _said(*after), strict=True):
        for what, mine, yours in zip(("emissions", "paths", "entities"), one, other, strict=True):
            same = torch.equal(mine, yours) if isinstance(mine, torch.Tensor) else mine == yours
            if not same:
                raise OpeningError(
                    f"{folder}: the upgraded tagger must tag as before, got other {what} for {quoted(text)}: the "
                    "folder stays as it is; please report this"
                )


def _said(model: Any, tokenizer: Any) -> Iterator[tuple[Any, ...]]:
    """Yield what a tagger says of each text."""
    pipeline = BiLSTMCRFPipeline(model=model, tokenizer=tokenizer)
    limit = min(tokenizer.model_max_length, model.max_length)
    for text in TEXTS:
        batch = tokenizer(text, truncation=True, max_length=limit, return_tensors="pt").to(model.device)
        with torch.inference_mode():
            output = model(**batch)
        yield output.emissions, output.paths, pipeline(text)
