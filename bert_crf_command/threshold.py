"""`bert-crf threshold`: an operating point that keeps a promise of precision or recall."""

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .frame import CommandError, Verbose, in_one_sentence, say, verb
from .labelled import Annotator, Asked, DataFormat, Misaligned, OnMisaligned, OnOverlap, Overlap, read_for

if TYPE_CHECKING:  # since importing these takes seconds
    from modeling_bert_crf import BiLSTMCRFPipeline
    from modeling_bert_crf.fitting.evidence import Readings
    from modeling_bert_crf.fitting.promises import Choice, Promise

__all__ = ["COMMAND", "Unit", "threshold"]


class Unit(StrEnum):
    """What is counted."""

    ENTITIES = "entities"
    CHARACTERS = "characters"


Folder = Annotated[Path, typer.Argument(metavar="MODEL", help="A finished tagger: its folder.")]
Data = Annotated[
    Path,
    typer.Option(
        "--data", metavar="DEV", help="Labelled sentences, or texts with spans, that the tagger was not trained on."
    ),
]
Precision = Annotated[
    float | None, typer.Option("--precision", help="Of what is found, at least this share shall be right.")
]
Recall = Annotated[
    float | None, typer.Option("--recall", help="Of what is there, at least this share shall be found.")
]
Counted = Annotated[
    Unit,
    typer.Option(
        "--in",
        help="What is counted: `entities`, found exactly; or `characters`, found if any entity covers them, of "
        "whatever type, which is what counts in redaction.",
    ),
]
ByType = Annotated[bool, typer.Option("--by_type", help="Keep the promise for each type, with thresholds of its own.")]
Name = Annotated[
    str | None,
    typer.Option("--name", help="Of the operating point; `precision_0.95` and so on if not given."),
]
Check = Annotated[
    Path | None,
    typer.Option("--check", metavar="TEST", help="Labelled sentences to measure it on, which it was not chosen on."),
]
Default = Annotated[bool, typer.Option("--default", help="Put it in force where a caller names no operating point.")]
Confidence = Annotated[
    float, typer.Option("--confidence", min=0.5, max=0.999, help="How sure the promise shall be, from 0.5 on.")
]
Calibration = Annotated[
    Path | None,
    typer.Option(
        "--viterbi_calibration",
        metavar="PATH",
        help="Write all operating points as the Privacy Filter's file of that name, for its other decoders.",
    ),
]

HELP = """\
Find an operating point of a tagger that keeps a promise, and store it in the tagger's config.json.

[bold]bert-crf threshold runs/mine --data dev.conll --precision 0.95 --check test.conll[/bold]
[bold]bert-crf threshold runs/mine --data dev.conll --recall 0.98 --in characters --name redact[/bold]
[bold]bert-crf tag runs/mine --operating_point redact --input letters.txt[/bold]

Two things are tried, alone and together: the least probability of an entity, and biases on opening an entity, on going
on in one, on closing it and on staying outside. A quarter of DEV proposes settings, the rest tests them. Taken is the
one that costs the least of the other figure, among those of which, with the --confidence, another sample as large as
DEV would keep the promise. If there is none, nothing is stored.

[bold]Exit codes:[/bold]

[cyan]0[/cyan] done.
[cyan]1[/cyan] no setting keeps the promise; or the tagger or the sentences are at fault. One sentence says how.
[cyan]2[/cyan] the command is wrong.
"""


def threshold(
    model: Folder,
    data: Data,
    precision: Precision = None,
    recall: Recall = None,
    unit: Counted = Unit.ENTITIES,
    by_type: ByType = False,
    name: Name = None,
    check: Check = None,
    default: Default = False,
    confidence: Confidence = 0.9,
    calibration: Calibration = None,
    data_format: DataFormat = None,
    on_misaligned: OnMisaligned = Misaligned.SPLIT,
    on_overlap: OnOverlap = Overlap.ERROR,
    annotator: Annotator = "error",
    verbose: Verbose = False,
) -> None:
    """Find an operating point that keeps a promise, as `HELP` says."""
    figure, target = _target(precision, recall)
    in_characters = unit is Unit.CHARACTERS
    if by_type and in_characters:
        raise typer.BadParameter(
            "--by_type and --in characters exclude each other: an entity of one type also covers characters of others"
        )
    name = name or f"{figure}_{target:g}" + "_characters" * in_characters + "_by_type" * by_type

    from modeling_bert_crf import is_tagger
    from modeling_bert_crf.fitting.promises import Promise
    from modeling_bert_crf.opening.tagger import OpeningError, open_tagger, read_config
    from modeling_bert_crf.readers.sentences import DataError

    asked = Asked(data_format, on_misaligned, on_overlap, annotator)
    promise = Promise(figure, target, in_characters, by_type, confidence)
    with in_one_sentence("threshold", DataError, OpeningError, OSError, verbose=verbose):
        if not model.is_dir():
            raise CommandError(f"{model}: must be a folder, since the operating point is stored in its config.json")
        if not is_tagger(kind := read_config(str(model)).get("model_type")):
            raise CommandError(
                f"{model}: must be a finished tagger, got model_type {kind!r:.80}: of a stock token classifier "
                f"`bert-crf wrap {model} FOLDER` makes one"
            )
        tagger = open_tagger(str(model))
        points, lines = _find(tagger, promise, name, data, check, asked)
        _store(model / "config.json", points, name if default else None)
        config = tagger.model.config
        config.operating_points = {**(config.operating_points or {}), **points}
        config.operating_point = name if default else config.operating_point
        if calibration is not None:
            lines += _write_calibration(calibration, config)
    for line in lines:
        say(line)
    say(f"stored in {model / 'config.json'} as {name!r}" + ", and in force" * default)
    say(f"bert-crf tag {model} --operating_point {name} TEXT")


def _target(precision: float | None, recall: float | None) -> tuple[str, float]:
    given = [(name, value) for name, value in (("precision", precision), ("recall", recall)) if value is not None]
    if len(given) != 1:
        raise typer.BadParameter("give one of --precision and --recall")
    if not 0 < given[0][1] < 1:
        raise typer.BadParameter(f"--{given[0][0]} must be above 0 and below 1, got {given[0][1]:g}")
    return given[0]


def _find(
    tagger: "BiLSTMCRFPipeline", promise: "Promise", name: str, data: Path, check: Path | None, asked: Asked
) -> tuple[dict[str, Any], list[str]]:
    """Return the operating point under its name, and what is to be said of it.

    Raises:
        CommandError: if nothing keeps the promise.
    """
    from modeling_bert_crf.fitting.costs import cost_lines
    from modeling_bert_crf.fitting.evidence import Evidence
    from modeling_bert_crf.fitting.promises import biases_to_try, choose, operating_point

    readings = _read(tagger, data, asked)
    others = None if check is None else _read(tagger, check, asked)  # before the search, since it may be at fault
    biases = biases_to_try()
    found = [readings.find({"biases": one} if one else {}) for one in biases]
    evidence = Evidence(readings.types, readings.count, readings.gold, found)
    choice = choose(evidence, promise)
    if choice.setting is None:
        raise CommandError(_none(data, promise, choice, len(readings.gold.units)))
    point = operating_point(evidence, choice.setting, biases, readings.known)
    what = f"{promise.figure} in {'characters' if promise.in_characters else 'entities'}"
    sure = _percent(promise.confidence)
    lines = [
        f"{data}: {len(readings.gold.units):,} entities; {_written(point)}",
        *cost_lines(evidence, readings.find(None), readings.find(point), choice.bounds),
        f"{what}: {_percent(promise.target)} or more on another such sample, with {sure} confidence",
        *(f"{kind}: no promise, {_percent(best)} is the most that it could be" for kind, best in choice.best.items()),
        *(f"{kind}: no promise, there are too few entities" for kind in choice.too_few),
    ]
    if others is not None:
        lines += ["", f"{check}: {len(others.gold.units):,} entities"]
        lines += _checked(others, point, promise, choice)
    return {name: point}, lines


def _checked(readings: "Readings", point: dict[str, Any], promise: "Promise", choice: "Choice") -> list[str]:
    """Measure an operating point on sentences that it was not chosen on."""
    from modeling_bert_crf.fitting.costs import cost_lines
    from modeling_bert_crf.fitting.evidence import Evidence

    after = readings.find(point)
    evidence = Evidence(readings.types, readings.count, readings.gold, [])
    lines = list(cost_lines(evidence, readings.find(None), after, {}))
    for kind in choice.bounds:
        kinds = [readings.types.index(kind)] if promise.by_type else None
        value = evidence.share(after, promise.figure, promise.in_characters, kinds).value
        fate = "kept" if value >= promise.target else "broken"
        of = f" of {kind}" * promise.by_type
        lines.append(f"{promise.figure}{of} {_percent(value)}: the promise of {_percent(promise.target)} is {fate}")
    return lines


def _none(data: Path, promise: "Promise", choice: "Choice", entities: int) -> str:
    """Say in one sentence that nothing keeps the promise, and what could be promised."""
    from modeling_bert_crf.fitting.evidence import FEWEST

    wanted = f"{promise.figure} of {_percent(promise.target)}" + " in characters" * promise.in_characters
    most = [f"{_percent(best)}" + f" of {kind}" * promise.by_type for kind, best in choice.best.items() if best]
    if not most:
        of_what = "of one type " * promise.by_type
        return (
            f"{data}: must hold more entities: a promise needs {FEWEST} {of_what}in the three quarters of the "
            f"sentences that settings are tested on, got {entities} in all of them"
        )
    sure = _percent(promise.confidence)
    if min(choice.best.values()) >= promise.target:
        return f"{data}: no one setting keeps a {wanted} of all types with {sure} confidence"
    return f"{data}: no setting keeps a {wanted} with {sure} confidence; the most is {', '.join(most)}"


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"


def _written(point: dict[str, Any]) -> str:
    """Say in words what an operating point does."""
    thresholds = point.get("thresholds", {})
    same = len(set(thresholds.values())) == 1
    least = [f"probability at least {next(iter(thresholds.values()))}"] if same else []
    least += [] if same else [f"{kind} at least {value}" for kind, value in thresholds.items()]
    moves = [f"{move} {value:+g}" for move, value in point.get("biases", {}).items()]
    return "; ".join([*least, *(["biases: " + ", ".join(moves)] if moves else [])]) or "as it is, without a bias"


def _read(tagger: "BiLSTMCRFPipeline", path: Path, asked: Asked) -> "Readings":
    from modeling_bert_crf.fitting.evidence import Readings

    return Readings(tagger, read_for(tagger.tokenizer, tagger.model.config, path, asked))


def _store(file: Path, points: dict[str, Any], in_force: str | None) -> None:
    """Put operating points into a configuration's file, beside those that stand there."""
    from modeling_bert_crf.doors.files import whole

    values = json.loads(file.read_text("utf-8"))
    values["operating_points"] = {**(values.get("operating_points") or {}), **points}
    if in_force is not None:
        values["operating_point"] = in_force
    with whole(file) as staging:
        staging.write_text(json.dumps(values, indent=2) + "\n", "utf-8")


def _write_calibration(path: Path, config: Any) -> list[str]:
    """Write the operating points for other decoders; return what they will not know of."""
    from modeling_bert_crf.doors.files import whole
    from modeling_bert_crf.opening.viterbi_calibration import viterbi_calibration

    written, notes = viterbi_calibration(config)
    with whole(path) as staging:
        staging.write_text(json.dumps(written, indent=2) + "\n", "utf-8")
    return [f"{path}: {', '.join(written['operating_points'])}", *notes]


COMMAND = verb(threshold, HELP)
