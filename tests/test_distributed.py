"""Several processes, one result."""

import copy
import json
import os
import re
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from conftest import LABELS
from test_batching import equal
from torch import distributed
from transformers import AutoTokenizer, Trainer, TrainerCallback, set_seed

import run_ner
from modeling_bert_crf import BertBiLSTMCRFForTokenClassification, BertBiLSTMCRFPipeline
from modeling_bert_crf.readers.files import read_conll
from modeling_bert_crf.training.dataset import StreamingTaggingDataset, TaggingCollator, TaggingDataset
from modeling_bert_crf.training.trainer import CRFTrainer
from modeling_bert_crf.training.training_arguments import CRFTrainingArguments

pytestmark = pytest.mark.process

# Seven sentences of unequal lengths, one of them cut into windows, one of a single word: eight rows.
WORDS = ["Ada sang", "rain", "the rain in Paris , yesterday", "in " * 70, "Lovelace visited Paris .", "Ada", ", ."]
ROOT = Path(run_ner.__file__).parent
SCRIPT = f"""
import sys
sys.path[:0] = {[str(Path(__file__).parent), str(ROOT)]!r}
from test_distributed import work
work(sys.argv[1])
"""


def load(folder, **dropout):
    model = BertBiLSTMCRFForTokenClassification.from_pretrained(f"{folder}/model", **dropout)
    tokenizer = AutoTokenizer.from_pretrained(f"{folder}/model")
    return model, TaggingDataset(read_conll(f"{folder}/data.conll"), tokenizer, LABELS)


def make_trainer(model, dataset, folder, **options):
    options = {"use_cpu": True, "save_strategy": "no", "disable_tqdm": True, "logging_steps": 1, "seed": 3} | options
    set_seed(3)
    return CRFTrainer(
        model=model,
        args=CRFTrainingArguments(f"{folder}/out", **options),
        train_dataset=dataset,
        eval_dataset=dataset,
        data_collator=TaggingCollator(0),
    )


def predict_and_step(folder, batch_size, accumulation):
    """Predict with the first weights; then one step over all rows."""
    trainer = make_trainer(
        *load(folder),
        folder,
        per_device_train_batch_size=batch_size,
        gradient_accumulation_steps=accumulation,
        per_device_eval_batch_size=2,
        max_steps=1,
        frozen_steps=0,
    )
    tags, scores = trainer.tag(trainer.eval_dataset)
    answer = {"tags": tags, "scores": scores, "evaluated": trainer.evaluate()["eval_f1"]}
    answer["predicted"] = trainer.eval_dataset.tags_of(trainer.predict(trainer.eval_dataset).predictions)
    trainer.state.log_history.clear()
    trainer.train()
    first = trainer.state.log_history[0]
    return answer | {"loss": first["loss"], "grad_norm": first["grad_norm"]}


def stream_and_step(folder):
    """One step over all rows, which are streamed."""
    model, dataset = load(folder)
    streamed = StreamingTaggingDataset(
        lambda: iter(dataset.sentences), AutoTokenizer.from_pretrained(f"{folder}/model"), LABELS
    )
    trainer = make_trainer(model, streamed, folder, per_device_train_batch_size=4, max_steps=1, frozen_steps=0)
    trainer.train()
    return {name: trainer.state.log_history[0][name] for name in ("loss", "grad_norm")}


class Spy(TaggingDataset):
    """Notes which of its rows are asked for."""

    def __init__(self, dataset, rows):
        vars(self).update(vars(dataset))
        self.rows = [self.rows[index % len(self.rows)] for index in range(rows)]
        self.seen = []

    def __getitem__(self, index):
        self.seen.append(index)
        return super().__getitem__(index)


class Epochs(TrainerCallback):
    """Notes how many rows had been asked for when each epoch began."""

    def __init__(self, spy):
        self.spy, self.begins = spy, []

    def on_epoch_begin(self, *args, **kwargs):
        self.begins.append(len(self.spy.seen))


def gather(value):
    """Return a value of each process, in their order."""
    values = [None] * distributed.get_world_size()
    distributed.all_gather_object(values, value)
    return values


def rows_of_two_epochs(folder, rows):
    """Train two epochs on so many rows; return which each epoch saw, over all processes."""
    model, dataset = load(folder)
    spy = Spy(dataset, rows)
    trainer = make_trainer(model, spy, folder, per_device_train_batch_size=4, num_train_epochs=2)
    epochs = Epochs(spy)
    trainer.add_callback(epochs)
    trainer.train()
    parts = [spy.seen[begin:end] for begin, end in pairwise([*epochs.begins, len(spy.seen)])]
    return [[*one, *other] for one, other in zip(*gather(parts), strict=True)]


class Thaw(TrainerCallback):
    """Keeps a copy of the encoder at the end of each step."""

    def __init__(self):
        self.encoders = []

    def on_step_end(self, args, state, control, model, **kwargs):
        self.encoders.append(copy.deepcopy(model.bert.state_dict()))


def weights(model):
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def equal_states(one, other):
    return all(one[name].equal(other[name]) for name in one)


def frozen_start(folder):
    """Train with the default recipe, dropout and all; say how the encoder moved and whether the processes agree."""
    model, dataset = load(folder, hidden_dropout_prob=0.1)
    start = copy.deepcopy(model.bert.state_dict())
    trainer = make_trainer(model, Spy(dataset, 16), folder, per_device_train_batch_size=2, max_steps=20)
    thaw = Thaw()
    trainer.add_callback(thaw)
    trainer.train()
    mine = weights(model)
    return {
        "moved": [not equal_states(start, encoder) for encoder in thaw.encoders],
        "equal": all(mine.equal(other) for other in gather(mine)),
    }


def resume_within_an_epoch(folder):
    """Train three epochs of three steps; then again from the second step of the second.

    The second process is slow to write its part of a checkpoint.
    """
    save = Trainer._save_rng_state
    if distributed.get_rank() == 1:
        Trainer._save_rng_state = lambda *arguments: (time.sleep(0.1), save(*arguments))
    options = {"per_device_train_batch_size": 4, "max_steps": 9, "save_strategy": "steps", "save_steps": 1}
    options |= {"save_total_limit": 20}
    ends, orders = [], []
    for checkpoint in (None, f"{folder}/out/checkpoint-5"):
        model, dataset = load(folder, hidden_dropout_prob=0.1, lstm_dropout=0.3)
        spy = Spy(dataset, 24)
        trainer = make_trainer(model, spy, folder, **options)
        trainer.train(resume_from_checkpoint=checkpoint)
        ends.append(weights(model))
        orders.append(spy.seen[-16:])  # four steps
    Trainer._save_rng_state = save
    files = sorted(Path(folder, "out", "checkpoint-9").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    return {"weights": ends[0].equal(ends[1]), "order": orders[0] == orders[1], "last file": files[-1].name}


def two_steps(model, batches, scale):
    """Return the loss of two steps of plain SGD and the first step's gradients."""
    losses, gradients = [], {}
    for _ in range(2):
        loss = model(**batches).loss * scale
        loss.backward()
        losses.append(loss.detach())
        gradients = gradients or {
            name: parameter.grad.full_tensor() if hasattr(parameter.grad, "full_tensor") else parameter.grad.clone()
            for name, parameter in model.named_parameters()
        }
        with torch.no_grad():
            for parameter in model.parameters():
                parameter -= 0.1 * parameter.grad
        model.zero_grad()
    return losses, gradients


def shard(model):
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh("cpu", (distributed.get_world_size(),))
    for part in (*model.bert.encoder.layer, model.lstm, model):
        fully_shard(part, mesh=mesh)
    return model


def fully_sharded(folder):
    """Compare two steps and the paths of a sharded model, each process with its half of the rows, to the whole."""
    from torch.distributed.fsdp import register_fsdp_forward_method

    whole, dataset = load(folder)
    collator, rank = TaggingCollator(0), distributed.get_rank()
    rows = [dataset[index] for index in range(len(dataset))]
    batch, mine = collator(rows), collator(rows[rank::2])
    items = (batch["labels"] >= 0).sum()
    paths = whole.eval()(**mine).paths
    sharded = shard(copy.deepcopy(whole))
    answer = {"encode": "works"}
    unlabelled = {name: values for name, values in mine.items() if name != "labels"}
    try:
        sharded.encode(**unlabelled)  # before any `forward`, which may leave the weights gathered
    except RuntimeError as error:
        answer["encode"] = str(error)
    sharded = shard(copy.deepcopy(whole))
    register_fsdp_forward_method(sharded, "encode")
    encoded = zip(sharded.encode(**unlabelled), whole.encode(**unlabelled), strict=True)
    answer["registered"] = all(one.allclose(other) for one, other in encoded)
    answer["paths"] = bool(sharded(**mine).paths.equal(paths))

    losses, gradients = two_steps(whole.train(), batch | {"num_items_in_batch": items}, 1)
    sharded.bert.requires_grad_(False)  # a frozen start, and the thaw
    sharded.train()(**mine).loss.backward()
    sharded.zero_grad()
    sharded.bert.requires_grad_(True)
    own, shards = two_steps(sharded.train(), mine | {"num_items_in_batch": items}, 2)
    shared = [sum(values) / 2 for values in zip(*gather([float(loss) for loss in own]), strict=True)]
    answer["losses"] = [[float(loss) for loss in losses], shared]
    answer["gradients"] = {
        name: [float((shards[name] - gradient).norm()), float(gradient.norm())] for name, gradient in gradients.items()
    }
    state = {name: v.full_tensor() if hasattr(v, "full_tensor") else v for name, v in sharded.state_dict().items()}
    if rank == 0:
        sharded.save_pretrained(f"{folder}/sharded", state_dict=state)
        saved = json.loads(Path(folder, "sharded", "config.json").read_text())
        answer["saved"] = [sorted(path.name for path in Path(folder, "sharded").iterdir()), saved["auto_map"]]
    return answer


def tag_together(folder):
    """Tag five texts by two processes; and five of which the second cannot read its first."""
    model, _ = load(folder)
    tagger = BertBiLSTMCRFPipeline(model=model, tokenizer=AutoTokenizer.from_pretrained(f"{folder}/model"))
    tagged = []
    preprocess = tagger.preprocess
    tagger.preprocess = lambda texts, **arguments: tagged.extend(texts) or preprocess(texts, **arguments)
    answer = {"found": gather(tagger(WORDS[:5], split_between_processes=True)), "tagged": gather(tagged)}
    try:
        tagger(["Ada", 3, *WORDS[2:5]], split_between_processes=True)
    except (ValueError, RuntimeError) as error:
        answer["failed"] = gather(repr(error))
    return answer


def work(folder):
    """What two processes do; the first writes what came out."""
    answers = {
        "4 x 2": predict_and_step(folder, 4, 1),
        "2 x 2 x 2": predict_and_step(folder, 2, 2),
        "streamed": stream_and_step(folder),
        "16 rows": rows_of_two_epochs(folder, 16),
        "13 rows": rows_of_two_epochs(folder, 13),
        "frozen": frozen_start(folder),
        "resumed": resume_within_an_epoch(folder),
        "sharded": fully_sharded(folder),
        "pipeline": tag_together(folder),
    }
    if distributed.get_rank() == 0:
        Path(folder, "answers.json").write_text(json.dumps(answers))
    distributed.destroy_process_group()


def torchrun(*arguments):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone"]
    result = subprocess.run(
        [*command, *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=240
    )
    assert result.returncode == 0, result.stderr[-5000:]
    return result


@pytest.fixture(scope="module")
def folder(encoder_folder, tokenizer, tmp_path_factory):
    """A tagger without dropout, and data."""
    folder = tmp_path_factory.mktemp("distributed")
    model = BertBiLSTMCRFForTokenClassification.from_encoder(
        str(encoder_folder), LABELS, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, lstm_dropout=0.0
    )
    torch.manual_seed(2)
    for parameter in (*model.crf.parameters(), *model.classifier.parameters(), *model.lstm.parameters()):
        torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    blocks = ("".join(f"{word}\tO\n" for word in words.split()) for words in WORDS)
    (folder / "data.conll").write_text("\n".join(blocks))
    return folder


@pytest.fixture(scope="module")
def answers(folder):
    """What two processes found: one start of them for all tests."""
    (folder / "script.py").write_text(SCRIPT)
    torchrun(folder / "script.py", folder)
    return json.loads((folder / "answers.json").read_text())


def test_predictions_keep_their_order_and_lose_no_row(answers, folder):
    one = predict_and_step(folder, 8, 1)

    for two in (answers["4 x 2"], answers["2 x 2 x 2"]):
        assert [len(tags) for tags in two["tags"]] == [len(words.split()) for words in WORDS]
        assert two["tags"] == one["tags"]
        assert two["predicted"] == one["tags"]
        assert two["scores"] == one["scores"]
        assert two["evaluated"] == one["scores"]["strict"]["f1"]


def test_loss_and_gradient_are_those_of_one_batch(answers, folder):
    one = predict_and_step(folder, 8, 1)

    for other in (predict_and_step(folder, 4, 2), answers["4 x 2"], answers["2 x 2 x 2"], answers["streamed"]):
        assert other["loss"] == pytest.approx(one["loss"], rel=1e-6)
        assert other["grad_norm"] == pytest.approx(one["grad_norm"], rel=1e-6)


def test_an_epoch_shows_every_row_once(answers):
    first, second = answers["16 rows"]
    assert sorted(first) == sorted(second) == list(range(16))
    assert first != second


def test_the_host_fills_up_the_last_batch_with_rows_of_the_first(answers):
    for epoch in answers["13 rows"]:
        assert len(epoch) == 16
        assert set(epoch) == set(range(13))


def test_the_pipeline_shares_a_list_between_processes(answers, folder):
    model, _ = load(folder)
    tagger = BertBiLSTMCRFPipeline(model=model, tokenizer=AutoTokenizer.from_pretrained(f"{folder}/model"))
    together = answers["pipeline"]

    assert together["tagged"] == [WORDS[0:5:2], WORDS[1:5:2]]
    for found in together["found"]:
        assert equal(found, tagger(WORDS[:5], batch_size=1))
    told = "a text must be a string, got 3"
    for error, start in zip(together["failed"], ("RuntimeError", "ValueError"), strict=True):
        assert error.startswith(start)
        assert told in error
    assert "process 1 failed" in together["failed"][0]


def test_the_frozen_start_leaves_the_processes_equal(answers):
    # The rate of the thawed encoder's first step is still 0.
    assert answers["frozen"]["moved"] == [False] * 3 + [True] * 17
    assert answers["frozen"]["equal"]


def test_training_resumes_within_an_epoch(answers):
    assert answers["resumed"] == {"order": True, "weights": True, "last file": "run.json"}


def test_a_fully_sharded_model_is_the_whole_one(answers):
    sharded = answers["sharded"]
    whole, shared = sharded["losses"]
    assert shared == pytest.approx(whole, rel=1e-6)
    assert whole[1] != whole[0]
    assert len(sharded["gradients"]) > 40
    for name, (difference, norm) in sharded["gradients"].items():
        assert difference <= 1e-5 * norm + 1e-7, name
    assert sharded["paths"]


def test_a_fully_sharded_model_gathers_its_weights_in_forward_alone(answers):
    assert "mixed torch.Tensor and DTensor" in answers["sharded"]["encode"]
    assert answers["sharded"]["registered"]


def test_a_fully_sharded_model_is_saved_with_its_own_code(answers, model, tmp_path):
    """FSDP makes it one of a class of torch's, and the host saves the file of a model's class."""
    model.save_pretrained(tmp_path)

    auto_map = json.loads((tmp_path / "config.json").read_text())["auto_map"]
    assert answers["sharded"]["saved"] == [sorted(path.name for path in tmp_path.iterdir()), auto_map]


def test_the_program_in_two_processes(files, command, error_of, capfd):
    options = {"per_device_train_batch_size": 2, "per_device_eval_batch_size": 1, "dataloader_drop_last": True}
    said = torchrun(ROOT / "run_ner.py", *command(**options)).stdout

    out = files / "out"
    gold, predicted = read_conll(files / "test.conll"), read_conll(out / "predictions.conll")
    assert [one.words for one in predicted] == [one.words for one in gold]
    names = {path.name for path in out.iterdir() if path.is_file()}
    assert names >= {"config.json", "model.safetensors", "tokenizer.json", "metrics.json", "README.md"}
    assert not [name for name in names if name.startswith(".")]
    assert len(re.findall("^test F1", said, flags=re.M)) == 1
    loaded = BertBiLSTMCRFForTokenClassification.from_pretrained(out)
    assert loaded.config.labels == ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]

    files_of = json.loads((out / "checkpoint-2" / "run.json").read_text())["files"]
    assert {"rng_state_0.pth", "rng_state_1.pth", "model.safetensors"} <= files_of.keys()
    (out / "config.json").unlink()
    error = error_of(command(**options, resume_from_checkpoint="True"))
    assert "is of another run, which differs in the number of processes (2 there, 1 here): go on as" in error
