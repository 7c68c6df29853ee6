"""`bert-crf demo`: a page to try a model out, here or as a Space on the Hub."""

import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from .frame import CommandError, Model, Revision, Verbose, fail, in_one_sentence, reason, say, verb

__all__ = ["COMMAND", "demo"]


def demo(
    model: Model,
    revision: Revision = None,
    port: Annotated[int | None, typer.Option(help="Where to listen; by default a free port from 7860 on.")] = None,
    push_to_space: Annotated[
        str | None, typer.Option("--push_to_space", metavar="OWNER/NAME", help="Put the page on the Hub, as a Space.")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Make a new Space private.")] = False,
    verbose: Verbose = False,
) -> None:
    """Show a page where a text's entities are highlighted, with their probabilities and other readings."""
    if find_spec("gradio") is None:
        fail("demo", "the demo needs gradio: pip install 'modeling-bert-crf[demo]'")
    from modeling_bert_crf.opening.tagger import OpeningError, open_tagger

    with in_one_sentence("demo", OpeningError, verbose=verbose):
        tagger = open_tagger(model, revision)
        if push_to_space is not None:
            say(_push(model, revision, push_to_space, private))
            return
        from modeling_bert_crf.demo.app import build_demo, serve
        from modeling_bert_crf.demo.examples import examples_of

        serve(build_demo(tagger, examples_of(model, revision)), port)


def _push(model: str, revision: str | None, space: str, private: bool) -> str:
    from huggingface_hub import HfApi

    from modeling_bert_crf.demo.space import push_space, write_space
    from modeling_bert_crf.hub.answers import hub_errors

    try:
        with hub_errors(space), tempfile.TemporaryDirectory() as folder:
            if not Path(model).is_dir():
                revision = HfApi().model_info(model, revision=revision).sha
            write_space(Path(folder), model, revision, title=space.split("/")[-1])
            return push_space(Path(folder), space, private)
    except OSError as error:
        raise CommandError(f"--push_to_space {space}: {reason(error)}") from error


COMMAND = verb(demo)
