"""`bert-crf evaluate`: a tagger scored on labelled data, without training."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .frame import Model, Revision, Verbose, in_one_sentence, say, verb
from .judged import OperatingPoint, Tagged, TrainData, tag_gold
from .labelled import Annotator, Asked, DataFormat, Misaligned, OnMisaligned, OnOverlap, Overlap

if TYPE_CHECKING:  # since importing it takes seconds
    from modeling_bert_crf.scores.judged import Judged

__all__ = ["COMMAND", "evaluate", "scores_of"]

GoldData = Annotated[Path, typer.Argument(metavar="GOLD", help="Labelled sentences, or texts with spans.")]
AsJson = Annotated[bool, typer.Option("--json", help="Write all figures as JSON instead of tables.")]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="PATH", help="Write all figures as JSON to a file as well.")
]

HELP = """\
Score a tagger on labelled data, without training: strict F1 by type, its interval, kinds of mistakes, calibration.

[bold]bert-crf evaluate runs/mine test.conll[/bold]
[bold]bert-crf evaluate dslim/bert-base-NER tasks.json --train train.conll --output figures.json[/bold]

The tagger tags as `bert-crf tag` does: an operating point in force holds, and long sentences are tagged as a whole. So
figures may differ a little from those of training, which cuts sentences that the encoder cannot read at once.

[bold]Exit codes:[/bold]

[cyan]0[/cyan] done.
[cyan]1[/cyan] the model, the data or the output is at fault, and one sentence says how.
[cyan]2[/cyan] the command is wrong.
"""


def evaluate(
    model: Model,
    gold: GoldData,
    train: TrainData = None,
    as_json: AsJson = False,
    output: Output = None,
    operating_point: OperatingPoint = None,
    data_format: DataFormat = None,
    on_misaligned: OnMisaligned = Misaligned.SPLIT,
    on_overlap: OnOverlap = Overlap.ERROR,
    annotator: Annotator = "error",
    revision: Revision = None,
    verbose: Verbose = False,
) -> None:
    """Score a tagger on labelled data, as `HELP` says."""
    from modeling_bert_crf.opening.tagger import OpeningError
    from modeling_bert_crf.readers.sentences import DataError
    from modeling_bert_crf.reports.tables import measure_lines, score_table

    from .outputs import output_file

    with in_one_sentence("evaluate", DataError, OpeningError, verbose=verbose):
        asked = Asked(data_format, on_misaligned, on_overlap, annotator)
        tagged = tag_gold(model, gold, asked, train, operating_point, revision)
        scores = scores_of(tagged, train is not None)
        written = json.dumps(scores, indent=2, ensure_ascii=False) + "\n"
        if output is not None:
            with output_file(output) as file:
                file.write(written)
        if as_json:
            with output_file(None) as file:
                file.write(written)
        else:
            say(score_table(gold.name, scores))
            for line in measure_lines(scores):
                say(line)


def scores_of(tagged: Tagged, knows_training: bool = False) -> dict[str, Any]:
    """Measure what a tagger has found, as a run measures its splits.

    Args:
        tagged: what it has tagged.
        knows_training: whether the training data are known.
    """
    from modeling_bert_crf.readers.conversion import spans_to_tags
    from modeling_bert_crf.scores.calibration import calibration_error, reliability_bins
    from modeling_bert_crf.scores.measures import measures
    from modeling_bert_crf.scores.metrics import score_tags
    from modeling_bert_crf.scores.mistakes import forms

    scheme, judged = tagged.scheme, tagged.judged
    words, gold = [one.words for one in judged], [one.tags for one in tagged.sentences]
    predicted = [spans_to_tags(one.predicted, len(one.words), scheme) for one in judged]
    known = {form for one in judged for form in forms(one.words, one.seen or ())} if knows_training else None
    found = [(one.probability(span) or 0.0, span in one.gold) for one in judged for span in one.predicted]
    calibration = {"error": calibration_error(found), "bins": reliability_bins(found)} if found else {}
    counts = {"sentences": len(judged), "words": sum(map(len, words)), "entities": _entities(judged)}
    scores = score_tags(gold, predicted, scheme) | measures(words, gold, predicted, scheme, known)
    return {**counts, "scheme": scheme, **scores, "calibration": calibration}


def _entities(judged: "list[Judged]") -> int:
    return sum(len(one.gold) for one in judged)


COMMAND = verb(evaluate, HELP)
