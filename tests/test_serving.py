"""The service: what it answers, what requests share, and what it refuses. In process, but for the last tests."""

import asyncio
import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from contextlib import asynccontextmanager, contextmanager

import httpx
import pytest
from conftest import LABELS
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from bert_crf_command.app import app as command
from modeling_bert_crf import BertBiLSTMCRFForTokenClassification, BertBiLSTMCRFPipeline
from modeling_bert_crf.serving.app import build_app
from modeling_bert_crf.serving.limits import Limits
from modeling_bert_crf.serving.metrics import Metrics
from modeling_bert_crf.serving.server import listen
from modeling_bert_crf.serving.taggers import answers_to, steps_of_pipeline

TEXT = "Ada Lovelace visited Paris in the rain."
SECRET = "Zebedee Quixote"


@pytest.fixture(scope="module")
def pipe(encoder_folder, tokenizer):
    model = BertBiLSTMCRFForTokenClassification.from_encoder(str(encoder_folder), LABELS, text_unit="sentence").eval()
    for parameter in [model.classifier.weight, *model.crf.parameters()]:
        parameter.data.normal_()
    return BertBiLSTMCRFPipeline(model=model, tokenizer=tokenizer)


@pytest.fixture(scope="module")
def client(pipe):
    with TestClient(build_app("mine", answers_to(steps_of_pipeline(pipe)))) as client:
        yield client


def post(client, **request):
    answer = client.post("/tag", json=request)
    return answer.status_code, answer.json()


def refusal(client, **request):
    status, said = post(client, **request)
    return status, said["detail"]


@asynccontextmanager
async def service(tag, **limits):
    """Run a service in this very loop, without a port."""
    app = build_app("mine", tag, Limits(**limits))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            yield client


@contextmanager
def held():
    """A tagger that finds nothing, and works on its first batch until it is let go; and the batches it was given."""
    go, began, batches = threading.Event(), threading.Event(), []

    def tag(jobs):
        batches.append([job.texts for job in jobs])
        began.set()
        assert go.wait(60)
        return [[[] for _ in job.texts] for job in jobs]

    try:
        yield tag, go, began, batches
    finally:
        go.set()


def test_answers_are_the_pipelines(client, pipe):
    texts = [TEXT, "", "Ada, in Paris. The rain visited Oslo yesterday"]
    assert any(pipe(texts))
    for options in (
        {},
        {"decoding": "marginal"},
        {"threshold": 0.4},
        {"num_paths": 3},
        {"num_paths": 2, "threshold": 0.5, "decoding": "marginal"},
    ):
        assert post(client, text=texts, **options) == (200, pipe(texts, **options))
        assert post(client, text=TEXT, **options) == (200, pipe(TEXT, **options))
    assert post(client, text=[]) == (200, [])


def test_what_is_known_is_kept(client, pipe):
    known = [[0, 3, "LOC"], [21, 26, ["PER", "LOC"]]]
    found = pipe(TEXT, known=known)
    assert found != pipe(TEXT)
    assert post(client, text=TEXT, known=known) == (200, found)
    texts = ["rain", TEXT]
    assert post(client, text=texts, known=[[], known]) == (200, pipe(texts, known=[[], known]))


def test_requests_that_arrive_together_share_the_encoders_batches(pipe, monkeypatch):
    calls, encode = [], pipe.model.encode

    def counted(**rows):
        calls.append(len(rows["input_ids"]))
        return encode(**rows)

    monkeypatch.setattr(pipe.model, "encode", counted)
    requests = [
        {"text": TEXT},
        {"text": ["rain", "Ada in Paris"], "num_paths": 2},
        {"text": TEXT, "known": [[0, 3, "LOC"]]},
        {"text": TEXT, "known": [[0, 2, "LOC"]]},  # ends within a word
        {"text": "the rain", "threshold": 1},
        {"text": TEXT, "decoding": "marginal"},
    ]

    async def ask():
        async with service(answers_to(steps_of_pipeline(pipe)), batch_wait=2.0, batch_characters=210) as client:
            answers = await asyncio.gather(*(client.post("/tag", json=request) for request in requests))
            return answers, (await client.get("/metrics")).text

    answers, figures = asyncio.run(ask())

    assert calls == [7]  # one call, for the seven texts of six requests
    assert [answer.status_code for answer in answers] == [200, 200, 200, 422, 200, 200]
    monkeypatch.undo()
    for request, answer in zip(requests, answers, strict=True):
        if answer.status_code == 200:
            assert_alike(answer.json(), pipe(request.pop("text"), **request))
    assert "text 1: a known entity must begin and end where words do" in answers[3].json()["detail"]
    assert {"bert_crf_batches_total 1", "bert_crf_texts_total 7"} <= {*figures.splitlines()}


def assert_alike(found, expected):
    """Compare answers of other batches, whose scores may differ by rounding."""
    if isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_alike(one, other)
    elif isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key in expected:
            assert_alike(found[key], expected[key])
    else:
        assert found == (pytest.approx(expected, abs=1e-5) if isinstance(expected, float) else expected)


def test_a_batch_takes_requests_in_order_up_to_its_size():
    async def ask():
        with held() as (tag, go, began, batches):
            async with service(tag, batch_characters=10, batch_wait=0.0) as client:
                first = asyncio.create_task(client.post("/tag", json={"text": "0"}))
                await asyncio.to_thread(began.wait, 60)
                rest = [
                    asyncio.create_task(client.post("/tag", json={"text": one}))
                    for one in ("aaaa", "bbbbb", "cc", "d" * 30, "e", "ff")
                ]
                while "requests_open 7" not in (await client.get("/metrics")).text:
                    await asyncio.sleep(0.01)
                go.set()
                await asyncio.gather(first, *rest)
                return batches

    batches = asyncio.run(ask())

    assert batches == [[["0"]], [["aaaa"], ["bbbbb"]], [["cc"]], [["d" * 30]], [["e"], ["ff"]]]


def test_a_full_queue_refuses_and_loses_nothing():
    async def ask():
        with held() as (tag, go, began, batches):
            async with service(tag, queue=3, batch_wait=0.0) as client:
                taken = [asyncio.create_task(client.post("/tag", json={"text": f"{n}"})) for n in range(3)]
                await asyncio.to_thread(began.wait, 60)
                while "requests_open 3" not in (await client.get("/metrics")).text:
                    await asyncio.sleep(0.01)
                refused = [await client.post("/tag", json={"text": "more"}) for _ in range(2)]
                healthy = await client.get("/health")
                go.set()
                answers = await asyncio.gather(*taken)
                after = await client.post("/tag", json={"text": "later"})
                return refused, healthy, answers, after, batches, (await client.get("/metrics")).text

    refused, healthy, answers, after, batches, figures = asyncio.run(ask())

    assert [(one.status_code, one.headers["retry-after"]) for one in refused] == [(429, "1")] * 2
    assert refused[0].json() == {"detail": "too many requests are waiting: try again later"}
    assert healthy.json() == {"status": "ok", "model": "mine"}
    assert [one.status_code for one in (*answers, after)] == [200] * 4
    assert sorted(text for batch in batches for (text,) in batch) == ["0", "1", "2", "later"]
    lines = figures.splitlines()
    assert 'bert_crf_requests_total{status="429"} 2' in lines
    assert 'bert_crf_requests_total{status="200"} 4' in lines
    assert "bert_crf_requests_open 0" in lines


def test_a_request_that_waits_too_long_is_answered_and_its_text_let_go():
    async def ask():
        with held() as (tag, go, began, batches):
            async with service(tag, timeout=0.2, batch_wait=0.0) as client:
                first = asyncio.create_task(client.post("/tag", json={"text": "0"}))
                await asyncio.to_thread(began.wait, 60)
                late = await client.post("/tag", json={"text": "1"})
                await first
                go.set()
                return late, await client.post("/tag", json={"text": "2"}), batches

    late, after, batches = asyncio.run(ask())

    assert (late.status_code, late.headers["retry-after"]) == (503, "1")
    assert late.json()["detail"].startswith("no answer within 0.2 s: try again later")
    assert after.status_code == 200
    assert batches == [[["0"]], [["2"]]]


def test_a_request_that_is_too_large_is_refused_before_it_is_read():
    async def ask():
        async def pieces():
            for _ in range(10):
                yield b"x" * 100

        async with service(lambda jobs: [], size=250, texts=2, timeout=0.1) as client:
            whole = await client.post("/tag", json={"text": "x" * 300})
            chunked = await client.post("/tag", content=pieces(), headers={"content-type": "application/json"})
            many = await client.post("/tag", json={"text": ["a", "b", "c"]})
            return whole, chunked, many

    whole, chunked, many = asyncio.run(ask())

    assert [one.status_code for one in (whole, chunked, many)] == [413] * 3
    assert whole.json() == chunked.json() == {"detail": "a request must be at most 250 bytes"}
    assert many.json() == {"detail": "a request must have at most 2 texts, got 3"}


def test_a_request_that_does_not_arrive_is_given_up():
    async def ask():
        app, said = build_app("mine", lambda jobs: [], Limits(timeout=0.05)), []
        scope = {"type": "http", "method": "POST", "path": "/tag", "query_string": b"", "http_version": "1.1"}
        scope |= {"headers": [(b"content-type", b"application/json")], "scheme": "http", "root_path": ""}

        async def send(message):
            said.append(message)

        await app(scope, lambda: asyncio.sleep(60), send)
        return said

    said = asyncio.run(ask())

    assert said[0]["status"] == 408
    assert said[1]["body"] == b'{"detail":"a request must arrive within 0.05 s"}'


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({}, "'text' must be as /openapi.json describes it: Field required"),
        ({"text": 3}, "'text' must be as /openapi.json describes it: Input should be a valid string; Input should"),
        ({"text": "a", "colour": 1}, "'colour' must be as /openapi.json describes it: Extra inputs are not permitted"),
        ({"text": "a", "threshold": 2}, "'threshold' must be .*: Input should be less than or equal to 1"),
        ({"text": "a", "decoding": "x"}, "'decoding' must be .*: Input should be 'viterbi' or 'marginal'"),
        ({"text": "a", "num_paths": 0}, "'num_paths' must be .*: Input should be greater than or equal to 1"),
        ({"text": "a", "num_paths": 101}, "num_paths must be from 1 to 100, got 101"),
        ({"text": "a", "known": [[0, 1, 5]]}, "'known' must be as /openapi.json describes it: "),
        ({"text": ["a"], "known": []}, "known must say something of each of 1 texts, got 0"),
        ({"text": TEXT, "known": [[0, 3, "GOD"]]}, r"text 1: something known must be \(start, end, type\)"),
        ({"text": TEXT, "known": [[0, 3, "O"], [0, 3, "PER"]]}, "text 1: what is known must agree, got"),
    ],
)
def test_mistakes_end_in_one_sentence(client, request_, message):
    status, said = refusal(client, **request_)
    assert status == 422
    assert re.match(message, said)
    assert "\n" not in said


def test_what_is_no_json_and_half_a_character_are_refused(client):
    for content, message in (
        (b"{", "the body must be a JSON object as /openapi.json describes it: JSON decode error"),
        (b"[1]", "the body must be a JSON object as /openapi.json describes it: "),
        (b'{"text": "\\ud800"}', "text 1 must be Unicode text, got half a character"),
        (b'{"text": ["a", "b\\udc00"]}', "text 2 must be Unicode text, got half a character"),
    ):
        answer = client.post("/tag", content=content, headers={"content-type": "application/json"})
        assert answer.status_code == 422
        assert answer.json()["detail"].startswith(message)


def test_openapi_has_examples_that_are_answered(client):
    described = client.get("/openapi.json").json()["paths"]["/tag"]["post"]
    examples = described["requestBody"]["content"]["application/json"]["examples"]
    assert len(examples) == 4
    for example in examples.values():
        assert client.post("/tag", json=example["value"]).status_code == 200
    assert {"200", "408", "413", "422", "429", "503"} <= described["responses"].keys()
    assert client.get("/docs").status_code == 404  # it would load scripts from elsewhere


def test_a_fault_of_one_request_is_answered_to_it_alone(pipe):
    steps = steps_of_pipeline(pipe)

    def split(texts):
        if "bad" in texts:
            raise ValueError("it cannot be split")
        return steps.split(texts)

    async def ask():
        async with service(answers_to(steps._replace(split=split)), batch_wait=1.0, batch_characters=46) as client:
            texts = (TEXT, "bad", "rain")
            return await asyncio.gather(*(client.post("/tag", json={"text": text}) for text in texts))

    good, bad, other = asyncio.run(ask())

    assert (bad.status_code, bad.json()) == (422, {"detail": "it cannot be split"})
    assert_alike([good.json(), other.json()], pipe([TEXT, "rain"]))


def test_no_text_of_a_user_is_logged_or_counted(caplog, capfd):
    def fail(jobs):
        raise RuntimeError(f"cannot read {jobs[0].texts[0]}")

    async def ask():
        async with service(fail, batch_wait=0.0) as client:
            failed = [await client.post("/tag", json={"text": SECRET}) for _ in range(2)]
            wrong = await client.post("/tag", json={"text": "a", "decoding": SECRET})
            return failed, wrong, (await client.get("/metrics")).text

    with caplog.at_level(logging.DEBUG):
        failed, wrong, figures = asyncio.run(ask())

    assert [(one.status_code, one.json()) for one in failed] == [(500, {"detail": "the tagger has failed"})] * 2
    assert wrong.status_code == 422
    said = caplog.text + "".join(capfd.readouterr())
    assert "RuntimeError at fail:" in said
    assert not any(name in said + figures + wrong.text for name in SECRET.split())


def test_a_fault_of_the_service_itself_is_not_quoted_either(monkeypatch, caplog):
    def fail(request, limits):
        raise TypeError(f"{request.text} is odd")

    monkeypatch.setattr("modeling_bert_crf.serving.app.job_of", fail)

    async def ask():
        async with service(lambda jobs: []) as client:
            return await client.post("/tag", json={"text": SECRET})

    answer = asyncio.run(ask())

    assert (answer.status_code, answer.json()) == (500, {"detail": "the service has failed"})
    assert "TypeError at fail:" in caplog.text
    assert SECRET not in caplog.text


def test_durations_are_counted_as_prometheus_reads_them():
    metrics = Metrics()
    for status, seconds in ((200, 0.005), (200, 0.3), (200, 99.0), (429, 0.001)):
        metrics.answered(status, seconds)

    lines = metrics.text().splitlines()

    found = dict(line.rsplit(" ", 1) for line in lines if line.startswith("bert_crf_request_seconds"))
    buckets = {name.split('"')[1]: value for name, value in found.items() if "bucket" in name}
    assert [buckets[bound] for bound in ("0.005", "0.25", "0.5", "30.0", "+Inf")] == ["1", "1", "2", "2", "3"]
    assert found["bert_crf_request_seconds_count"] == "3"
    assert float(found["bert_crf_request_seconds_sum"]) == pytest.approx(99.305)
    kinds = Counter(line.split()[3] for line in lines if line.startswith("# TYPE"))
    assert kinds == {"counter": 5, "histogram": 1, "gauge": 1}


def test_an_address_in_use_and_a_folder_without_a_model_end_in_one_sentence(tmp_path):
    taken = listen("127.0.0.1", 0)
    taken.listen()
    port = str(taken.getsockname()[1])
    try:
        result = CliRunner().invoke(command, ["serve", str(tmp_path), "--port", port])
    finally:
        taken.close()
    assert result.exit_code == 1
    assert result.stderr == f"bert-crf serve: error: --host 127.0.0.1 --port {port}: Address already in use\n"
    result = CliRunner().invoke(command, ["serve", str(tmp_path), "--port", "0"])
    assert result.exit_code == 1
    assert "this folder holds no model" in result.stderr
    result = CliRunner().invoke(command, ["serve", str(tmp_path), "--int8"])
    assert result.exit_code == 2


WATCHED = """
import atexit, os, sys
from bert_crf_command.app import app
atexit.register(lambda: print("torch" in sys.modules, "transformers" in sys.modules, file=sys.stderr))
app(["serve", *sys.argv[1:]])
"""


@contextmanager
def started(*options):
    """Run the command in a process of its own, on a free port; give it and its address."""
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", WATCHED, *map(str, options), "--port", "0"],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stderr.readline()
        assert "is served at http://127.0.0.1:" in line, line + process.stderr.read()
        yield process, line.split()[-1]
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


@pytest.mark.slow
def test_a_process_answers_what_is_under_way_when_it_is_asked_to_stop(pipe, tmp_path):
    pipe.save_pretrained(tmp_path / "model")
    texts = [" ".join([TEXT] * 20)] * 20

    async def ask(process, address):
        async with httpx.AsyncClient(base_url=address, timeout=120) as client:
            assert (await client.get("/health")).json() == {"status": "ok", "model": "model"}
            alone = (await client.post("/tag", json={"text": SECRET})).json()
            under_way = [asyncio.create_task(client.post("/tag", json={"text": texts})) for _ in range(3)]
            while "requests_open 3" not in (await client.get("/metrics")).text:
                await asyncio.sleep(0.01)
            process.send_signal(signal.SIGTERM)
            return alone, [answer.json() for answer in await asyncio.gather(*under_way)]

    with started(tmp_path / "model", "--timeout", "100") as (process, address):
        alone, answers = asyncio.run(ask(process, address))
        assert process.wait(60) == 0
        said = process.stderr.read()

    assert_alike([alone, answers[0]], [pipe(SECRET), pipe(texts)])
    assert answers[1:] == answers[:1] * 2
    assert not any(name in said for name in SECRET.split())
    assert said == "True True\n"


@pytest.mark.slow
def test_an_export_is_served_without_torch_in_the_process(pipe, tmp_path):
    from modeling_bert_crf.export.writing import export

    export(pipe.model, pipe.tokenizer, tmp_path / "exported", [TEXT])
    (tmp_path / "exported" / "runtime.py").write_text("raise SystemExit('code of the folder was run')")
    texts, known = [TEXT, "", "Ada in the rain"], [[[0, 3, "LOC"]], [], []]
    requests = [{}, {"num_paths": 3}, {"decoding": "marginal", "threshold": 0.3}, {"known": known}]

    with started(tmp_path / "exported") as (process, address):
        answers = [httpx.post(f"{address}/tag", json={"text": texts, **one}, timeout=60).json() for one in requests]
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert process.stderr.read() == "False False\n"

    assert_alike(answers, [pipe(texts, **one) for one in requests])
    assert json.loads((tmp_path / "exported" / "tagger.json").read_text())["labels"] == LABELS
