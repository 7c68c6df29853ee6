"""A corpus job on machines that share a store: a Ray cluster of several processes, of which some are killed; Spark."""

import importlib.util
import os
import re
import shutil
import signal
import sys
import threading
import time
import uuid
from functools import partial
from pathlib import Path

import pytest
from test_corpus import corpus, jsonl, rounded, written
from test_docs import ROOT, blocks_of

from modeling_bert_crf.corpus.job import Order, run_job
from modeling_bert_crf.corpus.on_ray import on_ray
from modeling_bert_crf.corpus.places import place_of
from modeling_bert_crf.opening.tagger import open_tagger
from modeling_bert_crf.readers.sentences import DataError

pytestmark = [
    # Ray Data warns of its own options.
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning:ray.data.context"),
]


@pytest.fixture(scope="module")
def tagger(make_model, tokenizer, tmp_path_factory):
    """An open tagger, and a folder `mine` that it was opened from."""
    folder = tmp_path_factory.mktemp("many") / "mine"
    make_model().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return open_tagger(str(folder)), folder


@pytest.fixture
def here(tagger, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tagger


@pytest.fixture
def store():
    """A double of S3 on this machine; a function that returns addresses in it."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    end = f"?endpoint_override={host}:{port}&scheme=http&region=us-east-1&allow_bucket_creation=true"
    bucket = f"s3://key:secret@store-{uuid.uuid4().hex}"  # all doubles of a process share what they hold
    place_of(bucket + end).make_folder()
    yield lambda name: f"{bucket}/{name}{end}"
    server.stop()


def order(folder, *names, output, **asked):
    options = {"threshold": 0.0, "decoding": "viterbi"}
    return Order(str(folder), None, "cpu", names, output, options=options, **{"shard_rows": 4} | asked)


@pytest.mark.process
def test_s3_holds_inputs_and_outputs_of_a_job(here, tmp_path, store):
    tagger, folder = here
    names = corpus(tmp_path)
    run_job(order(folder, *names, output="out/"), tagger)
    for name in names:
        with place_of(store(f"docs/{name}")).written() as file:
            file.write(Path(name).read_bytes())

    done = run_job(order(folder, store("docs/*"), output=store("tagged/")), tagger)

    assert run_job(order(folder, store("docs/*"), output=store("tagged/")), tagger).made == 0
    assert done.shards == 17
    tagged = place_of(store("tagged"))
    assert {f"part-{number:05d}.jsonl" for number in range(17)} | {"_job"} == set(tagged.names())
    for name in tagged.names()[1:]:
        assert tagged.inside(name).read() == Path("out", name).read_bytes()
    shown = f"{place_of(store('docs')).name}/".encode()
    said = tagged.inside("_job/errors.jsonl").read()
    assert said == Path("out/_job/errors.jsonl").read_bytes().replace(b'"file": "', b'"file": "' + shown)
    assert said.count(shown + b"b.jsonl") > 0
    assert b"secret" not in said + tagged.inside("_job/job.json").read()


@pytest.fixture(scope="module")
def machines():
    """A Ray cluster of two nodes with a core each; yields its address and its nodes."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    small = {"num_cpus": 1, "object_store_memory": 2**27, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=small)
    cluster.add_node(**{name: value for name, value in small.items() if name != "include_dashboard"})
    yield cluster
    processes = processes_of(cluster)
    cluster.shutdown()
    deadline = time.monotonic() + 60
    while left := [name for pid, name in processes.items() if Path(f"/proc/{pid}").exists()]:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def processes_of(cluster):
    """Return all processes of a cluster, by their numbers: what each was called with."""
    parents, called = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int(folder.joinpath("stat").read_text().rpartition(")")[2].split()[1])
            called[int(folder.name)] = folder.joinpath("cmdline").read_text().replace("\0", " ")
        except OSError:  # it has ended
            continue
    found = {one[0].process.pid for node in cluster.list_all_nodes() for one in node.all_processes.values()}
    while new := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= new
    return {pid: called.get(pid, "") for pid in found}


@pytest.mark.slow
def test_a_cluster_makes_the_bytes_of_one_process_also_if_workers_are_killed(here, tmp_path, store, machines):
    tagger, folder = here
    texts = [{"id": number, "text": f"Ada visited Paris in the rain , {number}" * 3} for number in range(6000)]
    (tmp_path / "a.jsonl").write_text(jsonl(*texts, {"text": None}))
    run_job(order(folder, "a.jsonl", output="out/", shard_rows=100), tagger)
    with place_of(store("docs/a.jsonl")).written() as file:
        file.write(Path("a.jsonl").read_bytes())
    killed, made_by = [], set()

    def kill_one():
        tagged = place_of(store("tagged"))
        while len(tagged.names()) < 8:
            time.sleep(0.05)
        workers = [pid for pid, name in processes_of(machines).items() if name.startswith("ray::MapWorker")]
        made_by.update(workers)
        os.kill(workers[0], signal.SIGKILL)
        killed.append(len(tagged.names()))

    killer = threading.Thread(target=kill_one)
    killer.start()
    engine = partial(on_ray, address=machines.address)
    done = run_job(order(folder, store("docs/a.jsonl"), output=store("tagged/"), shard_rows=100), tagger, engine)
    killer.join()

    assert len(made_by) == 2
    assert killed[0] < 60
    assert (done.rows, done.made, done.bad) == (6001, 61, 1)
    tagged = place_of(store("tagged"))
    for number in range(61):
        name = f"part-{number:05d}.jsonl"
        assert tagged.inside(name).read() == Path("out", name).read_bytes(), name
    assert len(tagged.names()) == 62  # with the job's own folder; nothing half written is left


@pytest.mark.process
def test_a_cluster_that_does_not_answer_is_named(here, tmp_path):
    pytest.importorskip("ray")
    tagger, folder = here
    (tmp_path / "a.txt").write_text("Ada\n")
    expected = {"127.0.0.1:1": "Connection refused", "auto": "Could not find any running Ray", "x": "Invalid address"}
    for address, said in expected.items():
        with pytest.raises(DataError, match=rf"^--ray {address}: there is no cluster that can be reached: .*{said}"):
            run_job(order(folder, "a.txt", output="out/"), tagger, partial(on_ray, address=address))


@pytest.mark.slow
def test_what_fails_on_a_cluster_is_said_in_one_sentence(here, tmp_path, machines):
    tagger, folder = here
    (tmp_path / "a.jsonl").write_text(jsonl({"text": "Ada"}))

    def said(model, device):
        asked = Order(str(model), None, device, ["a.jsonl"], f"out-{device}/")
        with pytest.raises(DataError) as info:
            run_job(asked, tagger, partial(on_ray, address=machines.address, count=1))
        return str(info.value)

    assert said(tmp_path / "gone", "cpu").startswith(f"{tmp_path}/gone: ")
    machines.add_node(num_cpus=1, num_gpus=1, object_store_memory=2**27)  # says so, and has none
    assert re.match(rf"{folder}: .*(CUDA|NVIDIA)", said(folder, None))


JAVA = shutil.which("java") and importlib.util.find_spec("pyspark")


@pytest.mark.slow
@pytest.mark.skipif(not JAVA, reason="Spark needs pyspark and Java")
def test_spark_finds_what_a_job_finds_row_for_row(here, tmp_path, monkeypatch):
    """The block of the documentation, in local mode."""
    tagger, folder = here
    run_job(order(folder, *corpus(tmp_path)[:1], output="out/"), tagger)
    (block,) = [one.body for one in blocks_of(ROOT / "docs/batch.md") if "mapInArrow" in one.body]
    assert "runs/mine" in block
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    (tmp_path / "runs").mkdir()
    shutil.copytree(folder, tmp_path / "runs" / "mine")
    shutil.copy("a.parquet", "docs.parquet")
    names: dict = {}
    try:
        exec(block, names)
        rows = sorted((row.asDict(recursive=True) for row in names["tagged"].collect()), key=lambda row: row["id"])
    finally:
        if "spark" in names:
            names["spark"].stop()
    assert [row | {"entities": rounded(row["entities"])} for row in rows] == written()
