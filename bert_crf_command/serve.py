"""`bert-crf serve`: a tagger, or an export of one, behind HTTP."""

import sys
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from .frame import CommandError, Model, Revision, Verbose, fail, in_one_sentence, reason, say, verb

__all__ = ["COMMAND", "serve"]

Host = Annotated[
    str, typer.Option(help="The address to listen at. By default only programs on this machine can connect.")
]
Port = Annotated[int, typer.Option(min=0, max=65535, help="The port to listen at; 0 takes a free one.")]
Queue = Annotated[
    int, typer.Option("--max_queue", min=1, help="Requests at a time; whoever comes then gets 429 and Retry-After.")
]
Size = Annotated[int, typer.Option("--max_bytes", min=1, help="Size of a request; a larger one gets 413.")]
Timeout = Annotated[
    float, typer.Option(min=0.001, help="Seconds that a request may take to arrive (408), and to be answered (503).")
]
Characters = Annotated[
    int, typer.Option("--batch_characters", min=1, help="Requests share a batch until it has so many characters.")
]
Wait = Annotated[
    float,
    typer.Option("--batch_wait", min=0, help="Seconds that a request waits for others while the tagger idles."),
]
Threads = Annotated[int | None, typer.Option(min=1, help="Of the tagger on a CPU; by default one for each core.")]
Int8 = Annotated[bool, typer.Option("--int8", help="Of an export: the encoder with weights of 8 bits.")]

HELP = """\
Serve a tagger, or what `bert-crf export` made of one, over HTTP.

[bold]bert-crf serve runs/mine[/bold]
[bold]curl http://127.0.0.1:8000/tag --json '{"text": "Ada wrote to Babbage."}'[/bold]

[cyan]POST /tag[/cyan] takes an object with a `text`, or a list of them, and as the pipeline does
`threshold`, `decoding`, `num_paths` and `known`; it answers what the pipeline returns.
[cyan]GET /health[/cyan], [cyan]GET /metrics[/cyan] (as Prometheus reads them), [cyan]GET /openapi.json[/cyan].

Requests that arrive together share batches. On SIGTERM no more are taken, and those under way are answered.

The model runs on this package's own code: Python files beside the weights are not executed. An export is served
without importing torch. No text of a request is logged, counted or stored. There is no password: whoever reaches the
port can use it, so --host 0.0.0.0 belongs behind something that asks for one.

[bold]Exit codes:[/bold]

[cyan]0[/cyan] stopped by SIGTERM or Ctrl-C, with all requests answered.
[cyan]1[/cyan] the model or the address is at fault, and one sentence says how.
[cyan]2[/cyan] the command is wrong.
"""


def serve(
    model: Model,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    max_queue: Queue = 256,
    max_bytes: Size = 200_000,
    timeout: Timeout = 30.0,
    batch_characters: Characters = 8192,
    batch_wait: Wait = 0.005,
    threads: Threads = None,
    int8: Int8 = False,
    revision: Revision = None,
    verbose: Verbose = False,
) -> None:
    """Serve a tagger over HTTP, as `HELP` says."""
    if find_spec("fastapi") is None or find_spec("uvicorn") is None:
        fail("serve", "the service needs fastapi and uvicorn: pip install 'modeling-bert-crf[serve]'")
    is_export = (Path(model) / "tagger.json").is_file()
    if int8 and not is_export:
        raise typer.BadParameter("--int8 is for an export")
    if is_export:
        _spare_torch()

    from modeling_bert_crf.serving.app import build_app
    from modeling_bert_crf.serving.limits import Limits
    from modeling_bert_crf.serving.server import listen
    from modeling_bert_crf.serving.server import serve as serve_app
    from modeling_bert_crf.serving.taggers import answers_to

    with in_one_sentence("serve", *_errors(is_export), verbose=verbose):
        try:
            listener = listen(host, port)
        except OSError as error:
            raise CommandError(f"--host {host} --port {port}: {reason(error)}") from error
        limits = Limits(
            queue=max_queue,
            size=max_bytes,
            timeout=timeout,
            batch_characters=batch_characters,
            batch_wait=batch_wait,
        )
        name = Path(model).resolve().name if Path(model).is_dir() else model
        with listener:
            steps = _open_export(model, int8, threads) if is_export else _open_tagger(model, revision, threads)
            app = build_app(name, answers_to(steps), limits)
            serve_app(app, listener, timeout, lambda address: say(f"{name} is served at {address}", err=True))


def _spare_torch() -> None:
    """Let parts of the package be imported without its top, which imports torch.

    An export needs no more than the package's own files of that kind, and those that travel with it are not run.
    """
    if "modeling_bert_crf" not in sys.modules and (spec := find_spec("modeling_bert_crf")) is not None:
        sys.modules["modeling_bert_crf"] = module_from_spec(spec)


def _errors(is_export: bool) -> list[type[Exception]]:
    """Return the kinds of errors that opening the model may end in; that of taggers is defined beside torch."""
    if is_export:
        return []
    from modeling_bert_crf.opening.tagger import OpeningError

    return [OpeningError]


def _open_tagger(model: str, revision: str | None, threads: int | None) -> Any:
    import torch

    from modeling_bert_crf.opening.tagger import open_tagger
    from modeling_bert_crf.serving.taggers import steps_of_pipeline

    if threads is not None:
        torch.set_num_threads(threads)
    return steps_of_pipeline(open_tagger(model, revision))


def _open_export(model: str, int8: bool, threads: int | None) -> Any:
    from modeling_bert_crf.serving.taggers import steps_of_export

    from .judged import open_export

    return steps_of_export(open_export(model, int8=int8, threads=threads))


COMMAND = verb(serve, HELP)
