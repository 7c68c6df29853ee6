"""`bert-crf wrap`: a chain over a stock token classifier, without training."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from .frame import CommandError, Revision, Verbose, in_one_sentence, say, verb
from .labelled import Annotator, Asked, DataFormat, Misaligned, OnMisaligned, OnOverlap, Overlap, read_labelled

__all__ = ["COMMAND", "wrap"]

Stock = Annotated[
    str, typer.Argument(metavar="TAGGER", help="A stock `...ForTokenClassification`: a folder, or a name on the Hub.")
]
Out = Annotated[Path, typer.Argument(metavar="OUT", help="Where to write the tagger; must not exist, or be empty.")]
Fit = Annotated[
    Path | None,
    typer.Option(
        "--fit",
        metavar="DEV",
        help="Labelled sentences, or texts with spans, that the classifier was not trained on, to fit the chain to.",
    ),
]


class Scheme(StrEnum):
    """How labels may be read."""

    IO = "IO"
    IOB1 = "IOB1"
    IOB2 = "IOB2"
    BIOES = "BIOES"
    BILOU = "BILOU"
    BMES = "BMES"


TagScheme = Annotated[
    Scheme | None,
    typer.Option(
        "--tag_scheme",
        help="How the labels are read, if not as they look. `IOB1` is for a classifier whose entities begin with `I-` "
        "although there is a `B-`; with --fit it is found out.",
    ),
]


class Unit(StrEnum):
    """What a chain may run over."""

    WORD = "word"
    TOKEN = "token"


UNITS = {"word": "words", "token": "all sub-tokens"}
ChainUnit = Annotated[
    Unit | None,
    typer.Option(
        "--chain_unit",
        help="What the chain runs over: words, each of which its first sub-token stands for, or all sub-tokens, as "
        "the classifier has learnt them; with --fit both are tried.",
    ),
]
SAFE: dict[str, Any] = {"trust_remote_code": False, "model_kwargs": {"use_safetensors": True}}
"""How the stock pipeline is opened. `from_tagger` has looked at the files before."""
HELP = """\
Put a chain on a token classifier that is trained already: legal tags, exact probabilities, no training.

[bold]bert-crf wrap dslim/bert-base-NER wrapped --fit dev.conll[/bold]
[bold]bert-crf tag wrapped "Ada wrote to Babbage."[/bold]

With --fit, other ways to decode the same classifier are compared on the sentences, and the chain's scores are fitted
to them in seconds; what does not gain on folds that it was not fitted to is not stored.

[bold]Exit codes:[/bold]

[cyan]0[/cyan] done.
[cyan]1[/cyan] the classifier, the sentences or the output is at fault, and one sentence says how.
[cyan]2[/cyan] the command is wrong.
"""


def wrap(
    stock: Stock,
    out: Out,
    fit: Fit = None,
    tag_scheme: TagScheme = None,
    chain_unit: ChainUnit = None,
    data_format: DataFormat = None,
    on_misaligned: OnMisaligned = Misaligned.SPLIT,
    on_overlap: OnOverlap = Overlap.ERROR,
    annotator: Annotator = "error",
    revision: Revision = None,
    verbose: Verbose = False,
) -> None:
    """Put a chain on a stock token classifier, as `HELP` says."""
    from modeling_bert_crf import BiLSTMCRFPipeline
    from modeling_bert_crf.doors.files import whole
    from modeling_bert_crf.opening.tagger import OpeningError, open_stock, quiet
    from modeling_bert_crf.opening.taking_over import describe_rules
    from modeling_bert_crf.readers.sentences import DataError

    with in_one_sentence("wrap", DataError, OpeningError, OSError, ValueError, verbose=verbose):
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise CommandError(f"{out}: must not exist, or be an empty folder")
        if fit is not None and not fit.exists():
            raise CommandError(f"{fit}: no such file")
        options: dict[str, Any] = {} if chain_unit is None else {"chain_unit": chain_unit.value}
        if tag_scheme is not None:
            options["tag_scheme"] = None if tag_scheme == "IOB1" else tag_scheme.value
        with quiet():
            model, tokenizer = open_stock(stock, revision, **options)
        labelled = None
        if fit is not None:
            labelled = read_labelled(
                fit, Asked(data_format, on_misaligned, on_overlap, annotator), tokenizer, model.config
            )
        with quiet():
            lines = []
            if labelled is not None:
                pipeline = BiLSTMCRFPipeline(model=model, tokenizer=tokenizer)
                lines = _fit(stock, revision, pipeline, labelled, tag_scheme is None, chain_unit is None)
            with whole(out) as folder:
                model.save_pretrained(folder)
                tokenizer.save_pretrained(folder)
    say(f"{model.config.num_labels} labels, in {describe_rules(model.config)}")
    for line in lines:
        say(line)
    say(f"{out} is a tagger: bert-crf tag {out} TEXT")


def _fit(
    stock: str, revision: str | None, pipeline: Any, data: Any, finds_scheme: bool, finds_unit: bool
) -> list[str]:
    """Fit the chain, store what gains, and say what was found."""
    from transformers import pipeline as stock_pipeline

    from modeling_bert_crf.fitting.chains import read_in_better_unit, read_sentences
    from modeling_bert_crf.fitting.choice import choose, store
    from modeling_bert_crf.fitting.comparison import HEADING, StockPipeline, compare

    model, config = pipeline.model, pipeline.model.config
    rules = config.scheme
    asked = (pipeline, data.sentences, data.scheme, finds_scheme)
    readings = read_in_better_unit(*asked) if finds_unit else [read_sentences(*asked)]
    reading = readings[0]
    tried = [f"F1 {100 * one.counts.f1:.2f} over {UNITS[one.unit]}" for one in readings]
    lines = [f"the chain runs over {UNITS[reading.unit]}: without a fit {', '.join(tried)}"]
    if config.scheme != rules:
        lines.append("most entities of the classifier begin with I-, so that its tags are read as IOB1")
    host: Any = stock_pipeline(
        "token-classification", model=stock, revision=revision, pipeline_class=StockPipeline, **SAFE
    )
    choice = choose(reading.chains, model.crf, config.labels, config.span_scheme)
    lines += [HEADING, *(row.line() for row in compare(reading, host, model, choice)), ""]
    lines.append(f"{'on folds that it was not fitted to, the chain':<71} {'nats a word':>11} {'F1':>9}")
    lines += [f"{one.name:<71} {one.nll:11.4f} {100 * one.f1:9.2f}" for one in choice.candidates]
    store(model, choice)
    return [*lines, f"stored: {choice.chosen.name}; {_settings(choice)}"]


def _settings(choice: Any) -> str:
    said = f"temperature {choice.fit.temperature:.2f}"
    return said + f", bias {next(iter(choice.biases.values())):+.2f}" if choice.biases else said


COMMAND = verb(wrap, HELP)
