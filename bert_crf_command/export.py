"""`bert-crf export`: a finished tagger as a folder that tags without torch."""

from pathlib import Path
from typing import Annotated, Any, cast

import typer

from .frame import CommandError, Model, Revision, Verbose, fail, in_one_sentence, reason, say, verb
from .labelled import Annotator, Asked, DataFormat, Misaligned, OnMisaligned, OnOverlap, Overlap, read_for

__all__ = ["COMMAND", "export"]

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to write; must not exist, or be empty.")]
Sentences = Annotated[
    Path,
    typer.Option(
        "--sentences",
        metavar="PATH",
        help="What to compare model and export on: texts, one a line (.txt), or labelled data as `bert-crf "
        "train` reads them, which also give both an F1. Better a thousand than ten.",
    ),
]
Int8 = Annotated[
    bool, typer.Option("--int8", help="Write an encoder with weights of 8 bits, too: a quarter as large, faster.")
]

HELP = """\
Write a tagger as a folder that runs without torch and transformers: on numpy, onnxruntime, regex, tokenizers.

[bold]bert-crf export runs/mine exported --sentences test.conll --int8[/bold]
[bold]python exported/runtime.py exported "Ada wrote to Babbage."[/bold]

Both then tag the sentences. If the export in float32 finds fewer than 99.9 % of the model's tag paths, ties aside,
nothing is written. What was found stands in FOLDER/parity.json, for 8 bits too.

[bold]Exit codes:[/bold]

[cyan]0[/cyan] done.
[cyan]1[/cyan] the model, the sentences or the export is at fault, and one sentence says how.
[cyan]2[/cyan] the command is wrong.
"""


def export(
    model: Model,
    folder: Folder,
    sentences: Sentences,
    int8: Int8 = False,
    revision: Revision = None,
    data_format: DataFormat = None,
    on_misaligned: OnMisaligned = Misaligned.SPLIT,
    on_overlap: OnOverlap = Overlap.ERROR,
    annotator: Annotator = "error",
    verbose: Verbose = False,
) -> None:
    """Write a tagger as a folder that runs without torch, as `HELP` says."""
    import torch

    from modeling_bert_crf import BiLSTMCRFForTokenClassification
    from modeling_bert_crf.opening.tagger import OpeningError, open_tagger
    from modeling_bert_crf.readers.sentences import DataError

    try:
        from modeling_bert_crf.export.parity import parity_lines
        from modeling_bert_crf.export.writing import export as write
    except ImportError as error:
        fail("export", f"{reason(error)}: pip install 'modeling-bert-crf[onnx]'")

    with in_one_sentence("export", DataError, OpeningError, OSError, ValueError, verbose=verbose):
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise CommandError(f"{folder}: must not exist, or be an empty folder")
        pipeline = open_tagger(model, revision, torch.device("cpu"))
        tagger = cast(BiLSTMCRFForTokenClassification, pipeline.model)
        asked = Asked(data_format, on_misaligned, on_overlap, annotator)
        inputs, gold = _read(sentences, tagger.config, pipeline.tokenizer, asked)
        parity = write(tagger, pipeline.tokenizer, folder, inputs, gold, int8)
    for line in parity_lines(parity):
        say(line)


def _read(
    path: Path, config: Any, tokenizer: Any = None, asked: Asked | None = None
) -> tuple[list[Any], list[list[str]] | None]:
    """Read texts, or words with their gold tags in the model's scheme."""
    from modeling_bert_crf.readers.columns import number_lines

    from .inputs import opened

    if path.suffix.lower() == ".txt" and not path.with_suffix(".ann").exists():
        with opened(str(path)) as file:
            return [text for _, text in number_lines(file, str(path)) if text.strip()], None
    written = read_for(tokenizer, config, path, asked or Asked())
    return [sentence.words for sentence in written], [sentence.tags for sentence in written]


COMMAND = verb(export, HELP)
