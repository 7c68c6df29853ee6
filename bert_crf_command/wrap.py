"""`bert-crf wrap`: a chain over a stock token classifier, without training."""

from pathlib import Path
from typing import Annotated, Any

import typer

from .frame import CommandError, Revision, Verbose, in_one_sentence, say, verb

__all__ = ["COMMAND", "wrap"]

Stock = Annotated[
    str, typer.Argument(metavar="TAGGER", help="A stock `...ForTokenClassification`: a folder, or a name on the Hub.")
]
Out = Annotated[Path, typer.Argument(metavar="OUT", help="Where to write the tagger; must not exist, or be empty.")]
Fit = Annotated[
    Path | None,
    typer.Option(
        "--fit", metavar="DEV", help="Labelled sentences that the classifier was not trained on, to fit the chain to."
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


def wrap(stock: Stock, out: Out, fit: Fit = None, revision: Revision = None, verbose: Verbose = False) -> None:
    """Put a chain on a stock token classifier, as `HELP` says."""
    from modeling_bert_crf import BiLSTMCRFPipeline
    from modeling_bert_crf.doors.files import whole
    from modeling_bert_crf.opening.tagger import OpeningError, open_stock, quiet
    from modeling_bert_crf.readers.sentences import DataError

    with in_one_sentence("wrap", DataError, OpeningError, OSError, ValueError, verbose=verbose):
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise CommandError(f"{out}: must not exist, or be an empty folder")
        sentences = None if fit is None else _read(fit)
        with quiet():
            model, tokenizer = open_stock(stock, revision)
            scheme = model.config.span_scheme or "no scheme: neighbouring words with the same label are one entity"
            lines = [f"{model.config.num_labels} labels, in {scheme}"]
            if sentences is not None:
                pipeline = BiLSTMCRFPipeline(model=model, tokenizer=tokenizer)
                lines += _fit(stock, revision, pipeline, sentences)
            with whole(out) as folder:
                model.save_pretrained(folder)
                tokenizer.save_pretrained(folder)
    for line in lines:
        say(line)
    say(f"{out} is a tagger: bert-crf tag {out} TEXT")


def _read(path: Path) -> Any:
    from modeling_bert_crf.readers.files import read_file
    from modeling_bert_crf.readers.labelled import understand

    return understand(read_file(path), repair_tags=True)


def _fit(stock: str, revision: str | None, pipeline: Any, labelled: Any) -> list[str]:
    """Fit the chain, store what gains, and say what was found."""
    from transformers import pipeline as stock_pipeline

    from modeling_bert_crf.fitting.chains import apply_fit, read_chains
    from modeling_bert_crf.fitting.choice import choose
    from modeling_bert_crf.fitting.comparison import HEADING, STRATEGIES, by_pipeline, word_by_word
    from modeling_bert_crf.readers.tags import convert_tags

    model, config = pipeline.model, pipeline.model.config
    scheme = config.span_scheme
    sentences = [convert_tags(sentence, labelled.scheme, scheme) for sentence in labelled.sentences]
    chains = read_chains(pipeline, sentences)
    rows = word_by_word(chains, config.labels, scheme, sentences)
    host = stock_pipeline("token-classification", model=stock, revision=revision, **SAFE)
    for strategy in STRATEGIES:
        name = f"stock pipeline, {strategy}"
        rows.append(by_pipeline(host, sentences, scheme, name, aggregation_strategy=strategy))
    rows.append(by_pipeline(pipeline, [*sentences], scheme, "chain, not fitted"))
    chosen = choose(chains, model.crf, config.labels, scheme)
    lines = [HEADING, *(row.line() for row in rows), ""]
    for one in chosen.candidates:
        lines.append(
            f"on folds that it was not fitted to, {one.name}: {one.nll:.4f} nats a word, F1 {100 * one.f1:.2f}, "
            f"with a bias on opening an entity {100 * one.biased_f1:.2f}"
        )
    apply_fit(model, chosen.fit)
    stored = f"stored: {chosen.chosen}"
    if chosen.biases:
        config.operating_points = {"f1": {"biases": chosen.biases}}
        config.operating_point = "f1"
        stored += f", with a bias of {next(iter(chosen.biases.values())):+.2f} on opening an entity"
    return [*lines, stored]


COMMAND = verb(wrap, HELP)
