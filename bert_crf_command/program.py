"""What `bert-crf train` and `run_ner.py` do, as a table of contents: read, train, save, evaluate, report, push.

The output folder is a model that `AutoModel...from_pretrained(folder, trust_remote_code=True)` loads anywhere, with
`metrics.json`, `predictions.conll` (word, gold tag, predicted tag), `entities.jsonl` (how probable entities are), and
a model card.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from transformers import set_seed

from modeling_bert_crf import BiLSTMCRFForTokenClassification
from modeling_bert_crf.diagnosis.diagnosis import gravest
from modeling_bert_crf.diagnosis.parts import Part
from modeling_bert_crf.doors.lock import FolderInUseError, locked
from modeling_bert_crf.doors.terminal import show, visible, visible_logs
from modeling_bert_crf.hub.answers import HubError
from modeling_bert_crf.readers.sentences import DataError
from modeling_bert_crf.reports.card import TEMPLATE, write_card
from modeling_bert_crf.reports.plots import draw_plots
from modeling_bert_crf.reports.runs import ENTITIES, PREDICTIONS
from modeling_bert_crf.reports.tables import bracketed, score_line, score_table
from modeling_bert_crf.training.arguments import Arguments, ModelArguments, given_options, parse_arguments
from modeling_bert_crf.training.checks import check_arguments, check_same_run, find_checkpoint, host_checks
from modeling_bert_crf.training.crf_statistics import strongest_transitions
from modeling_bert_crf.training.dataset import TaggingCollator, TaggingDataset
from modeling_bert_crf.training.errors import Stopped, TrainingError, UserError
from modeling_bert_crf.training.evaluation import evaluate, example_of, known_forms
from modeling_bert_crf.training.example import example_arguments
from modeling_bert_crf.training.facts import run_facts
from modeling_bert_crf.training.machine_faults import faults_in_words
from modeling_bert_crf.training.output_folder import OutputFolder
from modeling_bert_crf.training.overview import group_table, overview
from modeling_bert_crf.training.push_step import only_push_is_left, push
from modeling_bert_crf.training.reading import Reading
from modeling_bert_crf.training.run_record import run_record
from modeling_bert_crf.training.settings import settings_of_model
from modeling_bert_crf.training.split_datasets import Datasets, make_datasets
from modeling_bert_crf.training.splits import Split, read_splits
from modeling_bert_crf.training.starting_model import load_model
from modeling_bert_crf.training.stock_results import stock_results
from modeling_bert_crf.training.trainer import CRFTrainer

from .options import CommandLine, Program

__all__ = ["finish", "run", "start"]


@visible_logs()
def start(line: CommandLine | None, program: Program) -> None:
    """Run what a command line asks for, or the demo if there is none. What goes wrong ends in one sentence."""
    try:
        if line is None:
            line = CommandLine(example_arguments(Path("runs/demo"), program.start))
        _run_alone(parse_arguments(line.words, line.file), given_options(line.words), program)
    except (DataError, FolderInUseError, HubError, TrainingError, UserError) as error:
        sys.exit(visible(f"{program.name}: error: {error}"))


def _run_alone(arguments: Arguments, options: dict[str, Any], program: Program) -> None:
    """Run while no other run has the output folder; end quietly if the user stops it."""
    training = arguments[2]
    folder, is_first = training.folder, training.process_index == 0
    try:
        with faults_in_words(folder, training.do_train), locked(folder, is_first):
            run(arguments, options, program)
    except Stopped as error:
        if is_first:
            print(visible(f"{program.name}: {error}"), file=sys.stderr)
        sys.exit(error.status)


def run(arguments: Arguments, options: dict[str, Any], program: Program) -> None:
    """Train, save, evaluate and push: what the arguments ask for and an earlier start of the same run did not do.

    Args:
        arguments: of the run.
        options: those of them that the user gave, as `given_options` returns them.
        program: as which the run was started.
    """
    model_arguments, data_arguments, training = arguments
    if only_push_is_left(arguments, options):
        show(push(training))
        return
    check_arguments(*arguments)
    output = OutputFolder(training.folder, training.process_index == 0)
    trained = output.unfinished() if training.do_train else None
    checkpoint = find_checkpoint(training) if trained is None else None
    set_seed(training.seed)

    splits = read_splits(data_arguments, training, model_arguments)
    model, tokenizer = load_model(model_arguments, data_arguments, splits, options)
    recipe = settings_of_model(training, options, model, tokenizer, data_arguments.max_seq_length)
    datasets = make_datasets(splits, tokenizer, model, data_arguments)
    record = run_record(arguments, model, tokenizer, datasets) if training.do_train else None
    check_same_run(record, checkpoint, output)
    if trained is not None:
        itself = ModelArguments(model_name_or_path=training.output_dir)
        model, tokenizer = load_model(itself, data_arguments, splits, {})
    with host_checks():
        trainer = CRFTrainer(
            model=model,
            args=training,
            train_dataset=datasets.get("train"),
            eval_dataset=datasets.get("validation"),
            data_collator=TaggingCollator(tokenizer.pad_token_id),
            processing_class=tokenizer,
            run_record=record,
        )
    say = _sayer(output)
    say(overview(datasets, splits))
    if output.writes and (found := _findings(splits)):
        say("\n".join(found) + "\n")

    readings = {}
    if trained is not None:
        trainer.take_up(trained)
        say(f"{training.output_dir} holds the trained model: it is not trained again")
    elif training.do_train:
        say(recipe)
        readings = _train(trainer, model, datasets, output, checkpoint, record)
    finish(arguments, options, trainer, datasets, output, program, readings)


def _findings(splits: Mapping[str, Split]) -> list[str]:
    """Return the gravest of what `bert-crf diagnose` says of sentences that are in memory anyway."""
    whole = [split for split in splits.values() if split.sentences is not None]
    return gravest([Part(split.name, split.sentences or [], split.scheme) for split in whole])


def _train(
    trainer: CRFTrainer,
    model: BiLSTMCRFForTokenClassification,
    datasets: Datasets,
    output: OutputFolder,
    checkpoint: Path | None,
    record: dict[str, Any] | None,
) -> dict[str, Reading | None]:
    """Train from the beginning or from a checkpoint, and save the model before anything else can fail.

    Returns:
        What the encoder says of the splits that it has read since.
    """
    say = _sayer(output)
    if trainer.args.log_health:
        say(group_table(trainer.parameter_groups(model)))
    trainer.train(resume_from_checkpoint=checkpoint and str(checkpoint))
    readings = {}
    if isinstance(held_out := datasets.get("validation"), TaggingDataset):
        readings["validation"] = trainer.calibrate(held_out)
    output.save_model(trainer, {"run": record, **trainer.training_facts()})
    if not trainer.is_fsdp_enabled:
        say(strongest_transitions(model))
    return readings


def finish(
    arguments: Arguments,
    options: dict[str, Any],
    trainer: CRFTrainer,
    datasets: Datasets,
    output: OutputFolder,
    program: Program,
    readings: Mapping[str, Reading | None],
) -> None:
    """Evaluate a model that is saved, write what there is to say of it, and push it if that was asked for."""
    _, data_arguments, training = arguments
    say = _sayer(output)
    scores, speed, example, seen = {}, {}, None, known_forms(datasets.get("train"))
    for split in ("validation", "test"):
        dataset = datasets.get(split)
        if not isinstance(dataset, TaggingDataset):
            continue
        tags, scores[split], speed[split], judged = evaluate(trainer, dataset, split, seen, readings.get(split))
        say(score_table(split, scores[split]))
        example = example_of(judged) or example
        if split == "test":
            output.write_predictions(PREDICTIONS, dataset.sentences, tags)
            output.write_entities(ENTITIES, judged)
            say(bracketed(dataset.sentences[:4], tags, dataset.scheme))

    start = program.started(training.world_size)
    facts = run_facts(arguments, options, trainer, datasets, speed, start)
    output.write_json("metrics.json", {"scores": scores, **facts})
    for name, results in stock_results(trainer, scores, facts["data"], data_arguments).items():
        output.write_json(f"{name}_results.json", results)
    if training.do_train:
        plots = draw_plots(facts, scores)
        output.write_images("plots", plots)
        output.write("README.md", lambda path: write_card(path, TEMPLATE, facts, scores, plots))
        output.finish()
        say(output.usage(example))
    if training.wants_push:
        say(push(training))
    for split, figures in scores.items():
        say(score_line(split, figures))


def _sayer(output: OutputFolder) -> Callable[..., None]:
    """Return what writes lines on the terminal; it does so in the first process of a run only."""
    return show if output.writes else lambda *_: None
