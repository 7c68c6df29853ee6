"""The Trainer: parameter groups, accumulation, and scores over every gold word."""

import copy
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import LABELS
from oracle import Chain
from torch import nn
from transformers import (
    AutoTokenizer,
    BertForTokenClassification,
    EvalPrediction,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from modeling_bert_crf import BiLSTMCRFForTokenClassification
from modeling_bert_crf.readers.conversion import first_violation
from modeling_bert_crf.readers.sentences import Sentence
from modeling_bert_crf.scores.metrics import for_paths, make_compute_metrics
from modeling_bert_crf.training.batch_order import EpochLengthSampler
from modeling_bert_crf.training.crf_statistics import crf_statistics, scores_of
from modeling_bert_crf.training.dataset import TaggingCollator, TaggingDataset
from modeling_bert_crf.training.log_lines import LogLines
from modeling_bert_crf.training.overview import group_table
from modeling_bert_crf.training.recipe import recipe_for
from modeling_bert_crf.training.settings import apply_recipe
from modeling_bert_crf.training.trainer import CRFTrainer
from modeling_bert_crf.training.training_arguments import CRFTrainingArguments


def make_sentences():
    rows = [
        ("Ada Lovelace visited Paris .", "B-PER I-PER O B-LOC O"),
        ("the rain in Paris", "O O O B-LOC"),
        ("yesterday", "O"),
        ("Ada , Ada in the rain , in the rain , in the rain", "B-PER O B-PER O O O O O O O O O O O"),
        ("Lovelace visited Ada", "B-PER O B-PER"),
    ]
    return [
        Sentence(words.split(), tags.split(), "data.conll", list(range(len(words.split())))) for words, tags in rows
    ]


@pytest.fixture
def arguments(tmp_path):
    def make(**options):
        options = {
            "output_dir": str(tmp_path),
            "use_cpu": True,
            "save_strategy": "no",
            "disable_tqdm": True,
            **options,
        }
        return CRFTrainingArguments(**options)

    return make


@pytest.fixture
def make_trainer(arguments, tokenizer, make_model):
    def make(model=None, sentences=None, **options):
        dataset = TaggingDataset(make_sentences() if sentences is None else sentences, tokenizer, LABELS, 12)
        return CRFTrainer(
            model=make_model(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, lstm_dropout=0.0)
            if model is None
            else model,
            args=arguments(**options),
            train_dataset=dataset,
            eval_dataset=dataset,
        )

    return make


def test_every_parameter_is_in_one_group_with_its_rate(make_trainer):
    trainer = make_trainer(learning_rate=1e-5, head_learning_rate=2e-4, crf_learning_rate=3e-3, weight_decay=0.1)
    groups = trainer.create_optimizer().param_groups

    names = {id(parameter): name for name, parameter in trainer.model.named_parameters()}
    found = {names[id(parameter)]: group for group in groups for parameter in group["params"]}
    assert sum(len(group["params"]) for group in groups) == len(names) == len(found)
    for name, group in found.items():
        part = name.split(".")[0]
        assert group["lr"] == {"bert": 1e-5, "lstm": 2e-4, "classifier": 2e-4, "crf": 3e-3}[part]
        decays = part != "crf" and "bias" not in name and "LayerNorm" not in name
        assert group["weight_decay"] == (0.1 if decays else 0.0), name
    table = group_table(groups)
    assert [line.split("  ")[0] for line in table.splitlines()] == [
        "group",
        "encoder",
        "encoder, no decay",
        "head",
        "head, no decay",
        "crf, no decay",
    ]
    assert "0.003" in table


def test_frozen_parameters_are_in_no_group(make_trainer):
    trainer = make_trainer()
    trainer.model.bert.requires_grad_(False)

    assert {group["name"].split(",")[0] for group in trainer.parameter_groups(trainer.model)} == {"head", "crf"}


def test_one_step_moves_every_part_at_its_rate(make_trainer):
    trainer = make_trainer(
        max_steps=1, learning_rate=1e-5, head_learning_rate=1e-3, crf_learning_rate=1e-1, warmup_steps=0
    )
    before = {name: parameter.detach().clone() for name, parameter in trainer.model.named_parameters()}
    trainer.train()

    moved = {"bert": 0.0, "lstm": 0.0, "classifier": 0.0, "crf": 0.0}
    for name, parameter in trainer.model.named_parameters():
        part = name.split(".")[0]
        moved[part] = max(moved[part], (parameter - before[name]).abs().max().item())
    # Adam's first step is as long as the rate, whatever the gradient (and decay adds a little of the weight).
    assert moved["bert"] == pytest.approx(1e-5, rel=0.1)
    assert moved["lstm"] == pytest.approx(1e-3, rel=0.1)
    assert moved["classifier"] == pytest.approx(1e-3, rel=0.1)
    assert moved["crf"] == pytest.approx(1e-1, rel=0.1)


def test_the_encoder_stands_still_at_first_and_then_warms_up_by_itself(make_trainer):
    rates = {"learning_rate": 1e-3, "head_learning_rate": 1e-2, "crf_learning_rate": 1e-1}
    trainer = make_trainer(
        max_steps=20, per_device_train_batch_size=6, frozen_steps=0.25, warmup_steps=0.2, logging_steps=1, **rates
    )
    states, modes = [], []

    class Watch(TrainerCallback):
        def on_pre_optimizer_step(self, args, state, control, model, optimizer, **kwargs):
            groups = optimizer.param_groups
            states.append({group["name"]: (group["lr"], model.bert.training) for group in groups})
            modes.append([parameter.grad is None for parameter in model.bert.parameters()])

    trainer.add_callback(Watch())
    before = trainer.model.bert.state_dict()["encoder.layer.0.output.dense.weight"].clone()
    trainer.train()

    assert all(all(step) for step in modes[:5])
    assert not any(any(step) for step in modes[5:])
    assert [state["encoder"][1] for state in states] == [False] * 5 + [True] * 15
    encoder, head, crf = (
        [state[name][0] for state in states] for name in ("encoder", "head, no decay", "crf, no decay")
    )
    assert encoder[:6] == [0.0] * 6
    assert encoder[6] == pytest.approx(1e-3 / 3)  # 15 steps, a fifth of them warm-up
    assert max(encoder) == encoder[8] == pytest.approx(1e-3)
    assert encoder[-1] == pytest.approx(1e-3 / 12)
    assert max(head) == head[4] == pytest.approx(1e-2)
    assert crf == pytest.approx([10 * rate for rate in head])
    assert not before.equal(trainer.model.bert.state_dict()["encoder.layer.0.output.dense.weight"])
    assert all(parameter.requires_grad for parameter in trainer.model.parameters())


def test_parameters_that_the_user_froze_stay_frozen(make_trainer):
    trainer = make_trainer(max_steps=4, frozen_steps=0.5)
    embeddings = trainer.model.bert.embeddings
    embeddings.requires_grad_(False)
    trainer.train()

    assert not any(parameter.requires_grad for parameter in embeddings.parameters())
    assert all(parameter.requires_grad for parameter in trainer.model.bert.encoder.parameters())


def test_batches_are_of_like_length_the_same_in_every_process_and_other_in_each_epoch():
    lengths = [5 + index % 37 for index in range(1000)]
    sampler, other = (EpochLengthSampler(8, lengths, seed=3) for _ in range(2))
    first = list(sampler)
    torch.rand(5)  # what else the process draws must not matter
    other.set_epoch(0)

    assert sorted(first) == list(range(1000))
    assert list(other) == first
    batches = [[lengths[index] for index in first[start : start + 8]] for start in range(0, 1000, 8)]
    assert sum(max(batch) - min(batch) for batch in batches) / len(batches) < 2
    sampler.set_epoch(1)
    second = list(sampler)
    assert second != first
    sampler.set_epoch(0)
    assert list(sampler) == first


@pytest.mark.parametrize(("options", "seed"), [({"seed": 3}, 3), ({"seed": 3, "data_seed": 7}, 7)], ids=str)
def test_rows_of_like_length_are_drawn_for_a_whole_step_by_the_seed_of_the_data(make_trainer, options, seed):
    trainer = make_trainer(
        sentences=make_sentences() * 20, per_device_train_batch_size=2, gradient_accumulation_steps=3, **options
    )
    sampler = trainer._get_train_sampler()

    assert sampler.batch_size == 6
    assert list(sampler) == list(EpochLengthSampler(6, trainer.train_dataset.lengths, seed))


def test_a_resumed_run_draws_the_rows_of_the_epoch_where_it_goes_on(make_trainer, monkeypatch):
    trainer = make_trainer(sentences=make_sentences() * 20)
    sampler = trainer._get_train_sampler()
    monkeypatch.setattr(Trainer, "_init_training_state", lambda *_, **__: (2, 5))

    assert trainer._init_training_state(9, 3, 3, None, None) == (2, 5)

    again = EpochLengthSampler(trainer.args.train_batch_size, trainer.train_dataset.lengths, trainer.args.seed)
    again.set_epoch(2)
    assert list(sampler) == list(again)


def test_predictions_come_in_the_order_of_the_data(make_trainer):
    """The host would shuffle evaluation data too when batches are grouped by length."""
    trainer = make_trainer(per_device_eval_batch_size=2)
    assert trainer.args.train_sampling_strategy == "group_by_length"

    tags, _ = trainer.tag(trainer.eval_dataset)

    assert [len(row) for row in tags] == [len(one.words) for one in trainer.eval_dataset.sentences]
    model = trainer.model.eval()
    alone = TaggingCollator(0)([trainer.eval_dataset[0]])
    path = model(**alone).paths
    assert tags[0] == [LABELS[tag] for tag in path[path >= 0]]


class Watched:
    """Notes the shape of each batch that a model's encoder is given."""

    def __init__(self, model):
        self.shapes = []
        model.bert.register_forward_pre_hook(self._note, with_kwargs=True)

    def _note(self, module, args, kwargs):
        self.shapes.append(tuple(kwargs["attention_mask"].shape))


def test_evaluation_reads_rows_of_like_length_together(make_trainer):
    trainer = make_trainer(per_device_eval_batch_size=2)
    lengths = sorted(trainer.eval_dataset.lengths, reverse=True)
    watched = Watched(trainer.model)

    trainer.evaluate()
    trainer.predict(trainer.eval_dataset)

    assert watched.shapes == [(len(pair), pair[0]) for pair in (lengths[i : i + 2] for i in (0, 2, 4))] * 2


@pytest.mark.parametrize("own", [True, False], ids=["of the user", "of the trainer"])
def test_a_metric_sees_the_rows_in_the_order_of_the_data(make_trainer, own):
    trainer = make_trainer(per_device_eval_batch_size=2, include_for_metrics=["inputs"])
    dataset, seen = trainer.eval_dataset, []
    if own:
        trainer.compute_metrics = lambda prediction: seen.append(prediction) or {"f1": 0.5}

    output = trainer.predict(dataset)

    predictions = [(output.predictions, output.label_ids)]
    for one in seen:
        predictions.append((one.predictions, one.label_ids))
        ids = [[int(token) for token in row if token > 0] for row in one.inputs]
        assert ids == [row["input_ids"] for row in dataset.rows]
    assert len(predictions) == 1 + own
    for paths, labels in predictions:
        assert [len(row) for row in dataset.tags_of(paths)] == [len(one.words) for one in dataset.sentences]
        known = [[label for label in row if label != -100] for row in labels.tolist()]
        assert known == [[label for label in row["labels"] if label != -100] for row in dataset.rows]


def test_the_loss_of_an_evaluation_is_the_mean_over_all_labels_whatever_the_batches(make_trainer):
    losses = []
    for batch_size in (1, 2, 3, 8):
        trainer = make_trainer(per_device_eval_batch_size=batch_size)
        losses.append(trainer.evaluate()["eval_loss"])
    dataset, model = trainer.eval_dataset, trainer.model.eval()
    labels = sum(label != -100 for row in dataset.rows for label in row["labels"])
    nll = sum(model(**TaggingCollator(0)([row]), num_items_in_batch=1).loss.item() for row in dataset)
    assert losses == pytest.approx([nll / labels] * 4, rel=1e-5)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_step_in_parts_has_the_loss_and_the_gradient_of_the_batch(make_trainer, monkeypatch, side):
    def step(positions):
        monkeypatch.setattr("modeling_bert_crf.training.trainer.CPU_POSITIONS", positions)
        trainer = make_trainer(max_steps=1, frozen_steps=0, per_device_train_batch_size=6, logging_steps=1)
        trainer.data_collator.padding_side = side
        watched = Watched(trainer.model)
        trainer.train()
        logged = {name: trainer.state.log_history[0][name] for name in ("loss", "grad_norm", "crf_rows_float64_exp")}
        return logged, watched.shapes[:-1]  # the last one is for the log

    whole, (shape,) = step(10**6)
    logged, shapes = step(24)

    assert shape == (6, 12)
    assert logged == pytest.approx(whole, rel=1e-5)
    assert whole["crf_rows_float64_exp"] == 6
    assert shapes == [(2, 12), (3, 7), (1, 3)]


def test_a_step_on_a_cpu_reads_at_most_512_sub_tokens_at_once(make_trainer):
    sentences = make_sentences() * 16
    trainer = make_trainer(sentences=sentences, max_steps=1, frozen_steps=0, per_device_train_batch_size=96)
    watched = Watched(trainer.model)
    trainer.train()

    sizes = [rows * length for rows, length in watched.shapes]
    assert 400 < max(sizes) <= 512
    assert sum(rows for rows, _ in watched.shapes) == len(trainer.train_dataset) == 96


def test_training_stops_when_nothing_improves(make_trainer, tmp_path):
    options = {"eval_strategy": "epoch", "save_strategy": "epoch", "load_best_model_at_end": True}
    trainer = make_trainer(
        num_train_epochs=30,
        early_stopping_patience=2,
        learning_rate=0.0,
        head_learning_rate=0.0,
        crf_learning_rate=0.0,
        metric_for_best_model="f1",
        **options,
    )
    trainer.train()

    assert trainer.state.global_step == 3  # the first epoch, and two that are no better


@pytest.mark.parametrize(("batch", "accumulation"), [(2, 3), (1, 6), (3, 2)])
def test_accumulation_gives_the_same_loss_and_gradient(make_trainer, batch, accumulation):
    """A loss that ignores `num_items_in_batch` comes out multiplied by the steps."""

    def first_step(**options):
        trainer = make_trainer(max_steps=1, logging_steps=1, **options)
        trainer.train()
        return {name: trainer.state.log_history[0][name] for name in ("loss", "grad_norm")}

    whole = first_step(per_device_train_batch_size=6)
    parts = first_step(per_device_train_batch_size=batch, gradient_accumulation_steps=accumulation)

    assert parts == pytest.approx(whole, rel=1e-5)


def test_evaluation_scores_every_gold_word(make_trainer):
    sentences = make_sentences()
    sentences[1].tags[0] = "B-WORK"  # a type that the model has no tag for
    sentences[3].tags[5:8] = ["B-PER", "I-PER", "I-PER"]  # an entity that a window's border cuts
    trainer = make_trainer(sentences=sentences)
    dataset = trainer.eval_dataset

    tags, scores = trainer.tag(dataset, "test")
    metrics = trainer.evaluate()

    assert dataset.cut_sentences == 1
    assert [len(row) for row in tags] == [len(one.words) for one in sentences]
    assert scores["strict"]["types"]["WORK"]["support"] == 1
    assert sum(row["support"] for row in scores["strict"]["types"].values()) == 9
    assert metrics["eval_f1"] == pytest.approx(scores["strict"]["f1"])
    assert metrics["eval_loss"] > 0
    assert trainer.compute_metrics is None


def test_training_fits_the_sentences(make_trainer):
    trainer = make_trainer(num_train_epochs=40, learning_rate=3e-3, head_learning_rate=1e-2, crf_learning_rate=1e-2)
    trainer.train()

    assert trainer.evaluate()["eval_f1"] == 1.0


def test_anybodys_trainer_works_with_our_compute_metrics(model, tokenizer, tmp_path):
    dataset = TaggingDataset(make_sentences(), tokenizer, LABELS)
    trainer = Trainer(
        model=model,
        args=TrainingArguments(str(tmp_path), use_cpu=True, dataloader_pin_memory=False, disable_tqdm=True),
        eval_dataset=dataset,
        data_collator=TaggingCollator(tokenizer.pad_token_id),
        compute_metrics=make_compute_metrics(LABELS),
    )

    metrics = trainer.evaluate()

    paths = trainer.predict(dataset).predictions
    assert paths.shape == (5, 16)
    assert {"eval_f1", "eval_conlleval_f1", "eval_accuracy"} <= metrics.keys()


def tutorial(p):
    """The metric function of the token classification tutorials; the score is a plain share in place of seqeval's."""
    predictions, labels = p
    predictions = np.argmax(predictions, axis=2)

    true_predictions = [
        [LABELS[p] for (p, l) in zip(prediction, label, strict=True) if l != -100]  # noqa: E741
        for prediction, label in zip(predictions, labels, strict=True)
    ]
    true_labels = [
        [LABELS[l] for (p, l) in zip(prediction, label, strict=True) if l != -100]  # noqa: E741
        for prediction, label in zip(predictions, labels, strict=True)
    ]
    pairs = [pair for rows in zip(true_predictions, true_labels, strict=True) for pair in zip(*rows, strict=True)]
    return {"share": sum(one == other for one, other in pairs) / len(pairs)}


def course(eval_preds):
    """The same in the words of the course."""
    logits, labels = eval_preds
    predictions = logits.argmax(axis=-1)
    known = labels != -100
    return {"share": (predictions[known] == labels[known]).mean()}


@pytest.mark.parametrize("function", [tutorial, course])
@pytest.mark.parametrize("kind", ["of the host", "of this package"])
def test_the_metric_function_of_a_tutorial_scores_the_paths(function, kind, model, make_trainer, tokenizer, tmp_path):
    trainer = make_trainer(model)
    dataset, tagged = trainer.eval_dataset, trainer.tag(trainer.eval_dataset)[0]
    trainer.compute_metrics = function
    if kind == "of the host":
        trainer = Trainer(
            model=model,
            args=TrainingArguments(str(tmp_path), use_cpu=True, dataloader_pin_memory=False, disable_tqdm=True),
            eval_dataset=dataset,
            data_collator=TaggingCollator(tokenizer.pad_token_id),
            compute_metrics=for_paths(function),
        )

    metrics = trainer.evaluate()

    pairs = [pair for rows in zip(tagged, dataset.gold, strict=True) for pair in zip(*rows, strict=True)]
    assert metrics["eval_share"] == pytest.approx(sum(one == other for one, other in pairs) / len(pairs))
    assert 0 < metrics["eval_share"] < 1


def test_scores_that_somebody_gives_a_metric_stay_as_they_are():
    scores = np.random.default_rng(0).normal(size=(2, 3, 5))
    paths = np.array([[3, 1, -100], [0, 4, 2]])
    take = for_paths(lambda p, compute_result=False: (p.predictions, p.label_ids, compute_result))

    assert take(EvalPrediction(scores, paths), compute_result=True) == (scores, paths, True)
    found = take(EvalPrediction(paths, paths))[0]
    assert [found.argmax(), *found.argmax(0)] == [4, 0, 1, 1]
    assert type(found.argmax(-1)) is np.ndarray


def test_label_smoothing_is_refused(arguments):
    """The Trainer would silently replace the CRF's loss by a cross-entropy."""
    with pytest.raises(ValueError, match=r"label_smoothing_factor must be 0: .* got 0.1"):
        arguments(label_smoothing_factor=0.1)


@pytest.mark.parametrize(
    ("name", "only"),
    [("batch_eval_metrics", False), ("prediction_loss_only", False), ("eval_do_concat_batches", True)],
)
def test_scores_of_a_part_are_refused(arguments, name, only):
    with pytest.raises(ValueError, match=f"{name} must stay {only}"):
        arguments(**{name: not only})


def test_a_metric_that_no_evaluation_gives_is_refused_before_training(make_trainer):
    with pytest.raises(ValueError, match=r"metric_for_best_model must be one of loss, accuracy, .*, got 'eval_auc'"):
        make_trainer(metric_for_best_model="eval_auc")
    make_trainer(metric_for_best_model="eval_recall")


def test_what_the_frozen_start_needs_of_several_processes_is_not_overruled(arguments, monkeypatch):
    assert arguments().ddp_find_unused_parameters
    assert arguments(ddp_find_unused_parameters=False).ddp_find_unused_parameters is False
    monkeypatch.setattr(CRFTrainingArguments, "world_size", 2)
    with pytest.raises(ValueError, match="ddp_find_unused_parameters must be True with frozen_steps"):
        arguments(ddp_find_unused_parameters=False)
    assert arguments(ddp_find_unused_parameters=False, frozen_steps=0).ddp_find_unused_parameters is False


def test_incomplete_batches_are_evaluated(make_trainer):
    """Three rows in batches of two: one is dropped in training alone."""
    batches = {"per_device_train_batch_size": 2, "per_device_eval_batch_size": 2}
    trainer = make_trainer(sentences=make_sentences()[:3], dataloader_drop_last=True, **batches)
    assert len(trainer.get_train_dataloader()) == 1
    assert len(trainer.predict(trainer.eval_dataset).predictions) == 3
    assert trainer.args.dataloader_drop_last


def test_the_last_batch_may_be_dropped_where_it_is_not_the_only_one(make_trainer):
    assert make_trainer(dataloader_drop_last=True, per_device_train_batch_size=6).args.dataloader_drop_last
    with pytest.raises(ValueError, match="or the batches smaller: 6 rows of training data do not fill one of 7"):
        make_trainer(dataloader_drop_last=True, per_device_train_batch_size=7)


def test_a_users_own_optimizer(make_trainer):
    """It may be given as an object or as a class. The frozen start needs groups that name the encoder."""
    plain = make_trainer(max_steps=2, frozen_steps=0)
    ready = torch.optim.SGD(plain.model.parameters(), 0.1)

    def with_ready(args):
        return CRFTrainer(plain.model, args, plain.data_collator, plain.train_dataset, optimizers=(ready, None))

    trainer = with_ready(plain.args)
    trainer.train()
    assert trainer.optimizer.optimizer is ready
    with pytest.raises(ValueError, match=r"frozen_steps must be 0 with an optimizer of your own, got 1: it needs "):
        with_ready(make_trainer(max_steps=2, frozen_steps=1).args).train()

    trainer = CRFTrainer(plain.model, plain.args, optimizer_cls_and_kwargs=(torch.optim.SGD, {"momentum": 0.5}))
    groups = trainer.create_optimizer().param_groups
    assert isinstance(trainer.optimizer, torch.optim.SGD)
    assert {group["momentum"] for group in groups} == {0.5}
    assert len(groups) > 3

    trainer = CRFTrainer(plain.model, plain.args, optimizer_cls_and_kwargs=(torch.optim.SGD, {"optimizer_dict": {}}))
    with pytest.raises(ValueError, match="optim must take groups of parameters"):
        trainer.create_optimizer()


def test_bfloat16_autocast_trains(make_trainer):
    trainer = make_trainer(max_steps=2, bf16=True, logging_steps=1)
    trainer.train()

    assert all(torch.tensor(entry["loss"]).isfinite() for entry in trainer.state.log_history if "loss" in entry)


@pytest.mark.parametrize(
    "option", [{"bf16": True}, {"activation_checkpointing": True}, {"gradient_accumulation_steps": 2}], ids=str
)
def test_options_of_the_host_work_with_the_frozen_start(make_trainer, option):
    seen = set()
    trainer = make_trainer(
        num_train_epochs=40,
        frozen_steps=0.1,
        learning_rate=3e-3,
        head_learning_rate=1e-2,
        per_device_train_batch_size=3,
        **option,
    )
    query = trainer.model.bert.encoder.layer[0].attention.self.query
    query.register_forward_hook(lambda module, args, output: seen.add((module.training, output.dtype)))
    trainer.train()

    dtype = torch.bfloat16 if option.get("bf16") else torch.float32
    assert {dtype for training, dtype in seen if training} == {dtype}
    assert (False, dtype) in seen  # frozen
    assert trainer.model.is_activation_checkpointing == option.get("activation_checkpointing", False)
    assert trainer.evaluate()["eval_f1"] == 1.0


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")  # dynamo looks
@pytest.mark.process
def test_a_compiled_model_trains_as_it_is(make_trainer):
    """The frozen start changes what needs a gradient in the middle of the run. The backend only traces the model."""

    def losses(**options):
        torch.manual_seed(0)
        trainer = make_trainer(max_steps=4, frozen_steps=2, logging_steps=1, head_learning_rate=1e-2, **options)
        trainer.train()
        return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]

    torch.compiler.reset()
    assert losses(torch_compile_backend="aot_eager") == pytest.approx(losses(), rel=1e-4)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0


def test_the_crfs_health_is_logged(make_trainer):
    trainer = make_trainer(max_steps=3, logging_steps=1, learning_rate=0.0, head_learning_rate=0.0, warmup_steps=0)
    crf = copy.deepcopy(trainer.model.crf)
    trainer.train()

    entries = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert len(entries) == 3
    now = trainer.model.crf.state_dict()
    change = [(now[name] - value).square().sum() for name, value in crf.state_dict().items()]
    assert entries[-1]["crf_drift"] == pytest.approx(sum(change).sqrt().item(), rel=1e-4)
    norm = sum(value.square().sum() for value in now.values()).sqrt().item()
    assert entries[-1]["crf_norm"] == pytest.approx(norm, rel=1e-4)
    assert 0 < entries[0]["crf_drift"] < entries[-1]["crf_drift"]
    assert [entry["cut_sentences"] for entry in entries] == [1, 1, 1]


def test_a_resumed_run_logs_the_drift_since_its_beginning(make_trainer):
    def last_drift(**options):
        trainer = make_trainer(
            max_steps=4, logging_steps=1, save_strategy="steps", save_steps=2, save_total_limit=2, **options
        )
        trainer.train(resume_from_checkpoint=options.get("resume_from_checkpoint"))
        return trainer.args.output_dir, trainer.state.log_history[-2]["crf_drift"]

    folder, drift = last_drift()
    assert last_drift(resume_from_checkpoint=f"{folder}/checkpoint-2")[1] == pytest.approx(drift, rel=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 1.7])
def test_the_illegal_mass_is_that_of_the_paths_that_break_the_rules(make_model, tokenizer, temperature):
    model = make_model()
    model.config.temperature = temperature
    dataset = TaggingDataset(make_sentences()[:2], tokenizer, LABELS)
    batch = TaggingCollator(tokenizer.pad_token_id)(list(dataset))

    found = crf_statistics(model, scores_of(model), batch)

    assert found["crf_drift"] == 0
    output = model(**batch)
    masses = []
    for emissions, row in zip(output.emissions, batch["word_mask"].bool(), strict=True):
        chain = Chain(
            emissions[row].tolist(),
            (model.crf.start_transitions / temperature).tolist(),
            (model.crf.end_transitions / temperature).tolist(),
            (model.crf.transitions / temperature).tolist(),
            [True] * 5,
            [True] * 5,
            [[True] * 5] * 5,
        )
        weights = {path: math.exp(score) for path, score in chain.paths().items()}
        illegal = sum(
            w for path, w in weights.items() if first_violation([LABELS[t] for t in path], "IOB2") is not None
        )
        masses.append(illegal / sum(weights.values()))
    assert found["crf_illegal_mass"] == pytest.approx(sum(masses) / 2, abs=1e-5)
    assert 0.05 < found["crf_illegal_mass"] < 0.999


def test_rows_are_counted_by_the_arithmetic_that_their_scores_ask_for(make_model, tokenizer):
    model = make_model()
    batch = TaggingCollator(tokenizer.pad_token_id)(list(TaggingDataset(make_sentences()[:3], tokenizer, LABELS)))

    def rows(scale):
        with torch.no_grad():
            model.classifier.weight.fill_(0.0)
            model.classifier.bias.copy_(torch.linspace(0.0, scale, len(LABELS)))
            for parameter in model.crf.parameters():
                parameter.zero_()
        found = crf_statistics(model, scores_of(model), batch)
        return [found[f"crf_rows_{tier}"] for tier in ("float32_exp", "float64_exp", "float64_log")]

    assert rows(1.0) == [0, 3, 0]  # with few tags float64 costs nothing
    assert rows(1e5) == [0, 0, 3]


@pytest.mark.parametrize(
    ("weights", "size", "rate"),
    [(10.6e6, "small", 1e-4), (30e6, "small", 1e-4), (85e6, "base", 5e-5), (302e6, "large", 1e-5)],
)
def test_the_encoders_size_decides_the_recipe(weights, size, rate):
    """Sizes of MiniLM, the border, BERT base and BERT large, beside the word embeddings."""
    embeddings = nn.Embedding(7, 3, device="meta")
    rest = nn.Linear(int(weights), 1, bias=False, device="meta")
    model = SimpleNamespace(
        base_model=nn.ModuleList([embeddings, rest]), get_input_embeddings=lambda: embeddings, config=SimpleNamespace()
    )

    recipe, counted = recipe_for(model)

    assert (recipe.size, recipe.learning_rate, counted) == (size, rate, weights)


def test_what_the_user_says_wins_over_the_recipe(model):
    training = SimpleNamespace(learning_rate=3e-4, num_train_epochs=7)

    said = apply_recipe(model, training, {"learning_rate": 3e-4})

    assert (training.learning_rate, training.num_train_epochs) == (3e-4, 4)
    assert said.startswith("recipe for small encoders (0.0 M weights beside the embeddings): num_train_epochs 4; ")
    apply_recipe(model, training, {"max_steps": 5})
    assert (training.learning_rate, training.num_train_epochs) == (1e-4, 4)


@pytest.fixture
def make_wrapped(encoder_folder, tmp_path):
    """Make a tagger of a stock classifier."""

    def make():
        torch.manual_seed(6)
        names = {"id2label": dict(enumerate(LABELS)), "label2id": {label: i for i, label in enumerate(LABELS)}}
        stock = BertForTokenClassification.from_pretrained(encoder_folder, **names)
        stock.classifier.bias.data.normal_()  # as training leaves it
        stock.save_pretrained(tmp_path / "stock")
        tokenizer = AutoTokenizer.from_pretrained(encoder_folder)
        return BiLSTMCRFForTokenClassification.from_tagger(str(tmp_path / "stock"), tokenizer)

    return make


def test_a_wrapped_tagger_goes_on_at_the_encoders_rate(make_wrapped, make_trainer):
    trainer = make_trainer(make_wrapped())
    said = apply_recipe(trainer.model, trainer.args, {})

    rates = {group["name"]: group["lr"] for group in trainer.create_optimizer().param_groups}
    assert rates == {
        "encoder": 1e-4,
        "encoder, no decay": 1e-4,
        "head": 1e-4,
        "head, no decay": 1e-4,
        "crf, no decay": 1e-2,
    }
    assert trainer.args.frozen_steps == 0
    assert "learning_rate 0.0001, num_train_epochs 4, frozen_steps 0, head_learning_rate 0.0001; " in said


def test_the_head_of_a_wrapped_tagger_follows_the_rate_that_the_user_gives(make_wrapped, make_trainer):
    trainer = make_trainer(make_wrapped(), learning_rate=3e-5)
    apply_recipe(trainer.model, trainer.args, {"learning_rate": 3e-5})
    assert {group["name"]: group["lr"] for group in trainer.create_optimizer().param_groups}["head"] == 3e-5

    given = {"head_learning_rate": 7e-4, "frozen_steps": 0.3}
    trainer = make_trainer(make_wrapped(), **given)
    apply_recipe(trainer.model, trainer.args, given)
    assert {group["name"]: group["lr"] for group in trainer.create_optimizer().param_groups}["head"] == 7e-4
    assert trainer.args.frozen_steps == 0.3


def test_a_head_that_starts_from_nothing_has_its_own_rate(make_model, make_trainer):
    trainer = make_trainer(make_model(num_lstm_layers=0))  # its classifier has no bias yet
    apply_recipe(trainer.model, trainer.args, {})

    assert {group["name"]: group["lr"] for group in trainer.create_optimizer().param_groups}["head"] == 1e-3
    assert trainer.args.frozen_steps == 0.1


def test_an_encoder_does_not_wait_for_a_bilstm_that_has_learnt(make_model, make_trainer):
    trainer = make_trainer(make_model())
    trainer.model.classifier.bias.data.normal_()
    apply_recipe(trainer.model, trainer.args, {})

    assert {group["name"]: group["lr"] for group in trainer.create_optimizer().param_groups}["head"] == 1e-3
    assert trainer.args.frozen_steps == 0


def test_a_line_says_whether_the_tagger_was_never_better(capsys):
    lines = LogLines()
    args = SimpleNamespace(log_health=False, metric_for_best_model="f1", greater_is_better=True, eval_strategy="epoch")

    def said(best, **logs):
        state = SimpleNamespace(best_metric=best, epoch=2.0, is_world_process_zero=True)
        lines.on_log(args, state, None, logs)
        return capsys.readouterr().out

    assert said(None, loss=0.5, crf_norm=1.25) == ""
    assert said(None, eval_loss=0.25, eval_f1=0.5) == (
        "epoch 2: loss 0.5, validation loss 0.25, F1 50.0, the best so far\n"
    )
    assert (
        said(0.5, eval_loss=0.125, eval_f1=0.625)
        == "epoch 2: validation loss 0.125, F1 62.5, +12.5, the best so far\n"
    )
    assert said(0.625, eval_loss=2.0, eval_f1=0.5) == "epoch 2: validation loss 2, F1 50.0\n"  # as after a resumption
    args.metric_for_best_model, args.greater_is_better = "loss", False
    assert said(2.0, eval_loss=1.0, eval_f1=0.5) == "epoch 2: validation loss 1\n"
    args.log_health = True
    assert said(None, loss=0.5, crf_norm=1.25, epoch=2.0) == "epoch 2: crf_norm 1.25\n"


def test_rows_that_are_not_ours_are_padded_as_the_host_pads_them(make_trainer, arguments):
    ours = make_trainer()
    assert isinstance(ours.data_collator, TaggingCollator)
    other = CRFTrainer(ours.model, arguments(), train_dataset=[{"input_ids": [1, 2], "odd": 3}])
    assert not isinstance(other.data_collator, TaggingCollator)
