"""`bert-crf demo`: a page to try a model out, here or as a Space on the Hub."""

import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from .errors import CommandError, Verbose, complain


def demo(
    model: Annotated[str, typer.Argument(help="A finished tagger: a folder, or a repository of the Hub.")],
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of the repository.")] = None,
    port: Annotated[int | None, typer.Option(help="Where to listen; by default a free port from 7860 on.")] = None,
    push_to_space: Annotated[
        str | None, typer.Option("--push_to_space", metavar="OWNER/NAME", help="Put the page on the Hub, as a Space.")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Make a new Space private.")] = False,
    verbose: Verbose = False,
) -> None:
    """Show a page where a text's entities are highlighted, with their probabilities and other readings."""
    if find_spec("gradio") is None:
        _fail("the demo needs gradio: pip install 'modeling-bert-crf[demo]'")
    from .loading import load_tagger

    try:
        tagger = load_tagger(model, revision)
    except CommandError as error:
        complain("demo", error, verbose)
    if push_to_space is not None:
        typer.echo(_push(model, revision, push_to_space, private))
        return
    from modeling_bert_crf.demo.app import build_demo, serve

    serve(build_demo(tagger), port)


def _push(model: str, revision: str | None, space: str, private: bool) -> str:
    from huggingface_hub import HfApi

    from modeling_bert_crf.demo.space import push_space, write_space

    try:
        if not Path(model).is_dir():
            revision = HfApi().model_info(model, revision=revision).sha
        with tempfile.TemporaryDirectory() as folder:
            write_space(Path(folder), model, revision, title=space.split("/")[-1])
            return push_space(Path(folder), space, private)
    except Exception as error:  # of the Hub, its client, or the network; only the first kind has a message for users
        reason = " ".join(str(error).split()) if isinstance(error, OSError | ValueError) else type(error).__name__
        _fail(f"--push_to_space {space}: {reason}")


def _fail(message: str) -> NoReturn:
    complain("demo", CommandError(message), verbose=False)
