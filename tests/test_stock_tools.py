"""What the host's own tools do with our checkpoint: each pinned, so that a change of theirs is noticed."""

import copy
import pickle

import datasets
import evaluate
import pytest
import torch
from conftest import LABELS
from transformers import (
    AutoModelForTokenClassification,
    DataCollatorForTokenClassification,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    pipeline,
)

from modeling_bert_crf import BertBiLSTMCRFPipeline
from modeling_bert_crf.crf import UNKNOWN
from modeling_bert_crf.scores.metrics import TaggingMetric, make_compute_metrics

TEXT = "Ada Lovelace visited Paris in the rain ."


@pytest.fixture
def batch(tokenizer):
    return tokenizer([TEXT, "rain"], return_tensors="pt", padding=True)


class UntilAllIsRight(TrainerCallback):
    def on_evaluate(self, args, state, control, metrics, **kwargs):
        control.should_training_stop = metrics["eval_f1"] == 1.0


def test_stock_trainer_and_collator(model, tokenizer, tmp_path):
    """The examples' own preprocessing: `labels` at first sub-tokens, no `word_mask`, the host's collator."""
    rows = []
    for words, tags in ((TEXT.split(), [3, 4, 0, 1, 0, 0, 0, 0]), (["rain", "."], [0, 0])):
        encoding = tokenizer(words, is_split_into_words=True)
        labels, previous = [], None
        for word in encoding.word_ids():
            labels.append(UNKNOWN if word is None or word == previous else tags[word])
            previous = word
        rows.append({**encoding, "labels": labels})
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            str(tmp_path),
            use_cpu=True,
            dataloader_pin_memory=False,
            num_train_epochs=200,
            learning_rate=1e-3,
            eval_strategy="steps",
            eval_steps=10,
            save_strategy="no",
            disable_tqdm=True,
        ),
        train_dataset=datasets.Dataset.from_list(rows),
        eval_dataset=datasets.Dataset.from_list(rows),
        data_collator=DataCollatorForTokenClassification(tokenizer),
        processing_class=tokenizer,
        compute_metrics=make_compute_metrics(LABELS),
        callbacks=[UntilAllIsRight()],  # at whichever step of its 200 a seed gets there
    )
    trainer.train()

    assert trainer.evaluate()["eval_f1"] == 1.0
    paths = model.eval()(**tokenizer([TEXT], return_tensors="pt")).paths
    assert paths[paths != UNKNOWN].tolist() == [3, 4, 0, 1, 0, 0, 0, 0]


@pytest.mark.parametrize("strategy", ["none", "simple", "first", "average", "max"])
def test_stock_pipeline_reads_the_posterior_word_by_word(model, tokenizer, strategy):
    """`pipeline(..., model=object)` gives the host's class: tags of largest marginal probability, no best path."""
    stock = pipeline("token-classification", model=model, tokenizer=tokenizer, aggregation_strategy=strategy)
    assert type(stock) is not BertBiLSTMCRFPipeline

    result = stock(TEXT)

    probabilities = model(**tokenizer(TEXT, return_tensors="pt")).logits[0, 1:-1].softmax(-1)
    if strategy == "none":
        tags = [LABELS[tag] for tag in probabilities.argmax(-1) if tag != 0]
        assert [entry["entity"] for entry in result] == tags
    assert all(TEXT[entry["start"] : entry["end"]] == entry["word"] for entry in result)
    assert all(0 <= entry["score"] <= 1 for entry in result)


def test_evaluator_of_evaluate(model, tokenizer):
    """Given a model it builds the host's pipeline, which shows the marginal tagging; given a pipeline it fails by
    itself (evaluate 0.4.6 looks for a class that transformers 5 has dropped)."""
    rows = {"tokens": [TEXT.split(), ["rain"]], "ner_tags": [[3, 4, 0, 1, 0, 0, 0, 0], [0]]}
    features = datasets.Features(
        tokens=datasets.List(datasets.Value("string")), ner_tags=datasets.List(datasets.ClassLabel(names=LABELS))
    )
    arguments = {"data": datasets.Dataset.from_dict(rows, features=features), "metric": TaggingMetric()}
    judge = evaluate.evaluator("token-classification")

    figures = judge.compute(model_or_pipeline=model, tokenizer=tokenizer, **arguments)

    right = 0
    for words, tags in zip(*rows.values(), strict=True):
        logits = model(**tokenizer(" ".join(words), return_tensors="pt")).logits[0, 1:-1]
        right += (logits.argmax(-1) == torch.tensor(tags)).sum().item()
    assert figures["accuracy"] == pytest.approx(right / 9)
    with pytest.raises(AttributeError, match="TFPreTrainedModel"):
        judge.compute(model_or_pipeline=BertBiLSTMCRFPipeline(model=model, tokenizer=tokenizer), **arguments)


def test_embeddings_can_be_read_and_resized(model, tokenizer, batch):
    before = model(**batch)
    embeddings = model.get_input_embeddings()
    assert embeddings is model.bert.embeddings.word_embeddings

    model.resize_token_embeddings(len(tokenizer) + 7, mean_resizing=False)

    assert model.get_input_embeddings().num_embeddings == len(tokenizer) + 7
    assert model(**batch).paths.equal(before.paths)


def test_gradient_checkpointing_changes_no_gradient(model, batch):
    labels = torch.where(model(**batch).paths == UNKNOWN, UNKNOWN, 0)

    def gradients():
        model.zero_grad()
        torch.manual_seed(0)
        model.train()(**batch, labels=labels).loss.backward()
        return [parameter.grad.clone() for parameter in model.parameters()]

    plain = gradients()
    model.activation_checkpointing_enable()

    for one, other in zip(plain, gradients(), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    "cast", [lambda model: model.half(), lambda model: model.to(torch.bfloat16)], ids=["half", "bf16"]
)
def test_half_precision(model, batch, cast):
    exact = model(**batch)
    output = cast(copy.deepcopy(model))(**batch)

    assert output.logits.dtype == torch.float32
    assert (output.logits.softmax(-1) - exact.logits.softmax(-1)).abs().max() < 0.2
    assert ((output.paths == UNKNOWN) == (exact.paths == UNKNOWN)).all()


def test_double_precision(model, batch):
    exact = copy.deepcopy(model).double()(**batch)

    assert exact.logits.dtype == torch.float64
    torch.testing.assert_close(model(**batch).logits.double(), exact.logits, rtol=1e-3, atol=1e-4)


def test_copies_and_pickles(model, batch):
    expected = model(**batch)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert other(**batch).logits.equal(expected.logits)


def test_loading_in_half_precision_keeps_the_crf_in_float32(model, batch, tmp_path):
    model.save_pretrained(tmp_path)
    loaded = AutoModelForTokenClassification.from_pretrained(tmp_path, dtype=torch.bfloat16)

    assert loaded.bert.embeddings.word_embeddings.weight.dtype == torch.bfloat16
    for name, parameter in loaded.crf.named_parameters():
        assert parameter.equal(model.crf.get_parameter(name)), name  # not only made float32 again
    assert model._get_dtype_plan(torch.bfloat16) == {"crf": torch.float32}  # as the host is told
    assert loaded(**batch).loss is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_making_in_half_precision_keeps_the_crf_in_float32(model, dtype):
    made = AutoModelForTokenClassification.from_config(model.config, dtype=dtype)

    assert made.bert.embeddings.word_embeddings.weight.dtype == dtype
    assert {parameter.dtype for parameter in made.crf.parameters()} == {torch.float32}


def test_making_in_double_precision_makes_the_crf_so(model):
    made = AutoModelForTokenClassification.from_config(model.config, dtype=torch.float64)

    assert {parameter.dtype for parameter in made.parameters()} == {torch.float64}


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")  # dynamo looks at it
@pytest.mark.process
def test_a_compiled_model_compiles_the_encoder_alone(model, batch):
    """The CRF's loop would be unrolled, and compiled anew for every length."""
    expected = model(**batch)
    graphs = []

    def backend(graph, inputs):
        graphs.append({str(node.target) for node in graph.graph.nodes})
        return graph.forward

    labels = torch.where(expected.paths == UNKNOWN, UNKNOWN, 0)
    gradients = torch.autograd.grad(model(**batch, labels=labels).loss, list(model.parameters()), allow_unused=True)
    compiled = torch.compile(model, backend=backend)
    output = compiled(**batch, labels=labels)

    assert graphs
    called = set().union(*graphs)
    assert any("linear" in name for name in called)
    assert not any(word in name for name in called for word in ("bmm", "lstm", "logsumexp", "gather"))
    torch.testing.assert_close(output.logits, expected.logits)
    again = torch.autograd.grad(output.loss, list(model.parameters()), allow_unused=True)
    for one, other in zip(again, gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_parameters_move_with_the_model(model):
    meta = copy.deepcopy(model).to("meta")

    assert {tensor.device.type for tensor in [*meta.parameters(), *meta.buffers()]} == {"meta"}
