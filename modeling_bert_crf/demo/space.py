"""A Space on the Hub: a folder that holds all that the demo needs, and its upload.

The folder carries this package's own files, so that it works whether or not the package can be installed by name, and
runs none of the model's code. It opens with the examples of the model's card.
"""

import json
import shutil
from importlib.metadata import version
from pathlib import Path

from huggingface_hub import HfApi

from .examples import examples_of

__all__ = ["push_space", "write_space"]

PACKAGE = Path(__file__).parent.parent
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "spiece.model")
_MODEL_FILES = ("config.json", *_TOKENIZER_FILES, "*.safetensors", "*.index.json")
_APP = '''"""A tagger to try out; made by `bert-crf demo MODEL --push_to_space OWNER/NAME`."""

from modeling_bert_crf.demo.app import build_demo, serve
from modeling_bert_crf.opening.tagger import open_tagger

serve(build_demo(open_tagger({name!r}, revision={revision!r}), {examples!r}))
'''
_README = """---
title: {title}
sdk: gradio
sdk_version: {gradio}
python_version: "3.11"
app_file: app.py
{models}---

A text in, its entities out, found by an encoder -> BiLSTM -> CRF tagger: with the probability of each, the most
probable other readings of each sentence, and the pipeline's own output as JSON.

The folder `modeling_bert_crf` holds the demo and the model's code; no code is loaded from the model's repository.
"""


def write_space(folder: Path, model: str, revision: str | None, title: str) -> None:
    """Write what a Space needs into an empty folder.

    Args:
        folder: where to; made if need be.
        model: a folder, whose model is then copied, or a repository of the Hub, which the Space loads by itself.
        revision: of the repository; a commit keeps the Space as it is.
        title: of the Space.
    """
    folder.mkdir(parents=True, exist_ok=True)
    own = Path(model).is_dir()
    if own:
        (folder / "model").mkdir()
        for path in sorted(path for pattern in _MODEL_FILES for path in Path(model).glob(pattern)):
            shutil.copy(path, folder / "model")
    package = folder / PACKAGE.name
    parts = ("demo/*", "doors/*.py", "hub/*.py", "opening/*.py", "pages/*.py", "pages/*.css", "pages/demo/*")
    for pattern in ("*.py", *parts):
        for path in (path for path in PACKAGE.glob(pattern) if path.is_file()):
            (package / path.relative_to(PACKAGE)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, package / path.relative_to(PACKAGE))
    origin = {"name": "model", "revision": None} if own else {"name": model, "revision": revision}
    app = _APP.format(**origin, examples=examples_of(model, revision))
    models = "" if own else f"models: [{model}]\n"
    readme = _README.format(title=json.dumps(title), gradio=version("gradio"), models=models)
    pins = "".join(f"{name}=={version(name).partition('+')[0]}\n" for name in ("torch", "transformers", "jinja2"))
    for name, text in (("app.py", app), ("README.md", readme), ("requirements.txt", pins)):
        (folder / name).write_text(text, encoding="utf-8")


def push_space(folder: Path, space: str, private: bool = False, api: HfApi | None = None) -> str:
    """Upload a Space in one commit, making it if need be; what it held before is replaced.

    Args:
        folder: as `write_space` leaves it.
        space: `owner/name`.
        private: whether a new Space is private.
        api: by default the Hub, with the token of `hf auth login` or `HF_TOKEN`.

    Returns:
        Its address.
    """
    api = api or HfApi()
    url = api.create_repo(space, repo_type="space", space_sdk="gradio", private=private, exist_ok=True)
    api.upload_folder(
        folder_path=folder,
        repo_id=space,
        repo_type="space",
        delete_patterns="*",
        ignore_patterns=["**/__pycache__/**"],
        commit_message="A tagger to try out",
    )
    return str(url)
