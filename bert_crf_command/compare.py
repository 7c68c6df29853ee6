"""`bert-crf compare`: two taggers on the same labelled sentences."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .frame import CommandError, Verbose, in_one_sentence, say, verb
from .judged import Gold, of_run, tag_gold
from .labelled import Annotator, Asked, DataFormat, Misaligned, OnMisaligned, OnOverlap, Overlap

if TYPE_CHECKING:  # since importing it takes seconds
    from modeling_bert_crf.scores.judged import Judged

__all__ = ["COMMAND", "compare"]

One = Annotated[str, typer.Argument(metavar="RUN_A", help="A run's folder; with GOLD any tagger.")]
Other = Annotated[str, typer.Argument(metavar="RUN_B", help="The one to compare it with.")]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON instead, with every entity that one alone finds.")]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="PATH", help="Write the JSON to a file as well.")
]
Examples = Annotated[
    int, typer.Option("--examples", min=0, help="How many of the entities that one alone finds are shown, of each.")
]

HELP = """\
Say which of two taggers is better, how sure that is, and what one finds and the other does not.

[bold]bert-crf compare runs/mine runs/other[/bold]
[bold]bert-crf compare runs/mine dslim/bert-base-NER test.conll --json[/bold]

Without GOLD it compares what two runs of `bert-crf train --do_predict` have left in their folders; they must have been
tested on the same sentences. The interval is that of a paired bootstrap: both taggers on the same 10,000 resamples of
the sentences. The p-value is one-sided: how often the better one would lead like this by chance (Berg-Kirkpatrick,
Burkett and Klein, EMNLP 2012). Neither says anything of the chance in training: for that, compare several seeds.

[bold]Exit codes:[/bold]

[cyan]0[/cyan] done.
[cyan]1[/cyan] a tagger, the data or the output is at fault, and one sentence says how.
[cyan]2[/cyan] the command is wrong.
"""


def compare(
    one: One,
    other: Other,
    gold: Gold = None,
    examples: Examples = 5,
    as_json: AsJson = False,
    output: Output = None,
    data_format: DataFormat = None,
    on_misaligned: OnMisaligned = Misaligned.SPLIT,
    on_overlap: OnOverlap = Overlap.ERROR,
    annotator: Annotator = "error",
    verbose: Verbose = False,
) -> None:
    """Compare two taggers, as `HELP` says."""
    from modeling_bert_crf.opening.tagger import OpeningError
    from modeling_bert_crf.readers.sentences import DataError
    from modeling_bert_crf.reports.errors import ReportError
    from modeling_bert_crf.scores.comparison import compare_taggers

    from .outputs import output_file

    with in_one_sentence("compare", DataError, OpeningError, ReportError, verbose=verbose):
        if gold is None:
            pair = [of_run(Path(name)) for name in (one, other)]
        else:
            asked = Asked(data_format, on_misaligned, on_overlap, annotator)
            pair = [tag_gold(name, gold, asked).judged for name in (one, other)]
        try:
            found = compare_taggers(*pair)
        except ValueError as error:
            raise CommandError(f"{one} and {other}: {error}") from None
        alone = _alone(*pair)
        written = {"taggers": [one, other], **found, "found_by_one": alone}
        text = json.dumps(written, indent=2, ensure_ascii=False) + "\n"
        for path in [*([output] if output is not None else []), *([None] if as_json else [])]:
            with output_file(path) as file:
                file.write(text)
        for line in [] if as_json else _lines((one, other), found, alone, examples):
            say(line)


def _alone(one: "list[Judged]", other: "list[Judged]") -> list[dict[str, Any]]:
    """Return the entities that one tagger alone finds."""
    from modeling_bert_crf.scores.comparison import found_by_one

    rows = []
    for found in found_by_one(one, other):
        judged = (one, other)[found.finder][found.sentence]
        start, end, kind = found.span
        row = {"sentence": found.sentence, "place": judged.place, "start": start, "end": end, "type": kind}
        row |= {"words": judged.text(found.span), "probability": judged.probability(found.span)}
        rows.append(row | {"found_by": "first" if found.finder == 0 else "second", "right": found.right})
    return rows


def _lines(names: tuple[str, str], found: dict[str, Any], alone: list[dict[str, Any]], examples: int) -> list[str]:
    """Write a comparison for a terminal."""
    width = max(map(len, names))
    lines = []
    for name, value, interval in zip(names, found["f1"], found["interval"], strict=True):
        low, high = (100 * interval[end] for end in ("low", "high"))
        lines.append(f"{name:<{width}}  strict F1 {100 * value:6.2f}, 95 % interval {low:.2f} to {high:.2f}")
    difference, low, high = (100 * found[name] for name in ("difference", "low", "high"))
    least = 1 / found["resamples"]
    p_value = f"p = {found['p_value']:.4f}" if found["p_value"] >= least else f"p < {least:g}"
    lines.append(
        f"{'difference':<{width}}            {difference:+6.2f}, 95 % interval {low:+.2f} to {high:+.2f}; {p_value}"
    )
    rows = [(kind or "all", row) for kind, row in sorted(found["types"].items(), key=lambda item: not item[0])]
    width = max(len(name) for name, _ in rows)
    heads = {"both": "both", "first": "only A", "second": "only B", "neither": "neither"}
    heads |= {"first_wrong": "wrong, A", "second_wrong": "wrong, B"}
    lines += ["", f"A is {names[0]}, B is {names[1]}; entities found by", ""]
    lines.append(" " * width + "".join(f"{head:>10}" for head in heads.values()))
    lines += [f"{name:<{width}}" + "".join(f"{row[fate]:>10,}" for fate in heads) for name, row in rows]
    for letter, finder in (("A", "first"), ("B", "second")):
        for right, what in ((True, "right"), (False, "wrong")):
            own = [row for row in alone if row["found_by"] == finder and row["right"] == right]
            if own and examples:
                lines += ["", f"found by {letter} alone, and {what}:"]
                lines += [f"  {row['words']} ({row['type']}), {row['place']}" for row in own[:examples]]
    return lines


COMMAND = verb(compare, HELP)
