"""A corpus job: what goes in, what comes out, what becomes of bad rows, and how it goes on where it stood."""

import gzip
import json
import os
import random
import shutil
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import WORDS
from datasets import Dataset, DatasetDict
from typer.testing import CliRunner

from bert_crf_command.app import app
from modeling_bert_crf import BertBiLSTMCRFPipeline
from modeling_bert_crf.corpus import lines, rows
from modeling_bert_crf.corpus.engines import here
from modeling_bert_crf.corpus.job import Order, run_job
from modeling_bert_crf.corpus.on_ray import on_ray
from modeling_bert_crf.corpus.places import place_of
from modeling_bert_crf.corpus.progress import watched
from modeling_bert_crf.corpus.shards import Done, Job
from modeling_bert_crf.corpus.sources import Source, find_sources, read_rows
from modeling_bert_crf.doors.lock import FolderInUseError, locked
from modeling_bert_crf.readers.sentences import DataError

TEXTS = ["Ada Lovelace visited Paris, in the rain.", "", "rain in Paris . Ada", "Paris"]


@pytest.fixture(scope="module")
def tagger(make_model, tokenizer):
    return BertBiLSTMCRFPipeline(model=make_model(), tokenizer=tokenizer)


@pytest.fixture
def run(tagger, tmp_path, monkeypatch):
    """Run a job in an empty folder, and return what it says at its end."""
    monkeypatch.chdir(tmp_path)

    def run(*inputs, engine=None, **asked):
        asked = {"output": "out/", "shard_rows": 3} | asked
        asked["options"] = {"threshold": 0.0} | asked.get("options", {})
        return run_job(Order("mine", None, None, inputs, **asked), tagger, engine)

    return run


def rounded(entities):
    """Cut scores to what does not depend on the batch that a text was in."""
    return entities and [one | {"score": round(one["score"], 4)} for one in entities]


def written(folder="out"):
    """Return the rows of a job, in their order."""
    found = []
    for path in sorted(Path(folder).glob("part-*")):
        new = (
            pq.read_table(path).to_pylist()
            if path.suffix == ".parquet"
            else map(json.loads, path.read_text("utf-8").splitlines())
        )
        found += [row | {"entities": rounded(row["entities"])} for row in new]
    return found


def errors(folder="out"):
    return [json.loads(line) for line in Path(folder, "_job", "errors.jsonl").read_text().splitlines()]


def content(folder="out"):
    """Return all that a folder holds."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()
    }


def jsonl(*values):
    return "".join(json.dumps(value) + "\n" for value in values)


def compressed(text, kind):
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, kind) as file:
        file.write(text.encode())
    return sink.getvalue().to_pybytes()


ROWS = [{"id": index, "text": text, "more": {"a": [index]}} for index, text in enumerate(TEXTS)]
CSV = 'id,text\n007,"Ada visited\nParis"\n\n8,"rain, Ada"\n'


def inputs_of_each_kind(folder):
    """Write the same rows in each kind of file that keeps them; return what the job reads them from."""
    pq.write_table(pa.Table.from_pylist(ROWS), folder / "a.parquet", row_group_size=2)
    (folder / "a.jsonl").write_text("\n" + jsonl(*ROWS))
    (folder / "a.jsonl.gz").write_bytes(
        gzip.compress(jsonl(*ROWS[:1]).encode()) + gzip.compress(jsonl(*ROWS[1:]).encode())
    )
    (folder / "a.json.zst").write_bytes(compressed(jsonl(*ROWS), "zstd"))
    Dataset.from_list(ROWS).save_to_disk(folder / "saved")
    DatasetDict({"one": Dataset.from_list(ROWS[:3]), "two": Dataset.from_list(ROWS[3:])}).save_to_disk(
        folder / "splits"
    )
    (folder / "some").mkdir()
    shutil.copy(folder / "a.parquet", folder / "some")
    return ["a.parquet", "a.jsonl", "a.jsonl.gz", "a.json.zst", "saved", "splits", "some"]


def test_every_kind_of_input_keeps_all_its_columns_and_gets_the_pipelines_entities(run, tagger, tmp_path, capsys):
    expected = [row | {"entities": rounded(found)} for row, found in zip(ROWS, tagger(TEXTS), strict=True)]
    assert sum(len(row["entities"]) for row in expected) > 4

    for name in inputs_of_each_kind(tmp_path):
        for form in (None, "parquet", "jsonl"):
            run(name, output=f"{name}-{form}", form=form)
            assert written(f"{name}-{form}") == expected, (name, form)
            endings = {path.suffix for path in Path(f"{name}-{form}").glob("part-*")}
            assert endings == {f".{form or ('jsonl' if 'json' in name else 'parquet')}"}
            assert errors(f"{name}-{form}") == []
    assert "4 of 4 rows, " in capsys.readouterr().err


def test_texts_and_csv_are_rows_too_and_words_are_tagged_as_words(run, tagger, tmp_path):
    (tmp_path / "a.txt").write_text(f"\ufeff{TEXTS[0]}\r\n \n{TEXTS[2]}")
    (tmp_path / "b.csv").write_text("\ufeff" + CSV)
    (tmp_path / "c.jsonl").write_text(jsonl({"tokens": TEXTS[2].split()}, {"tokens": "Ada", "b": None}))

    run("a.txt", "b.csv", "c.jsonl")

    texts = [TEXTS[0], TEXTS[2], "Ada visited\nParis", "rain, Ada"]
    found = [*map(rounded, tagger(texts)), rounded(tagger([TEXTS[2].split()], is_split_into_words=True)[0])]
    said = [{"file": "a.txt", "line": 1}, {"file": "a.txt", "line": 3}, {"id": "007"}, {"id": "8"}]
    expected = [a | {"text": b, "entities": c} for a, b, c in zip(said, texts, found[:4], strict=True)]
    assert written()[:4] == expected
    assert written()[4:] == [
        {"tokens": TEXTS[2].split(), "entities": found[4]},
        {"tokens": "Ada", "b": None, "entities": rounded(tagger("Ada"))},
    ]


def test_entities_are_a_typed_column_also_where_nothing_is_found(run, tmp_path):
    pq.write_table(pa.table({"n": pa.array([2], pa.int8()), "body": pa.array([""]).dictionary_encode()}), "a.parquet")

    run("a.parquet", column="body")

    schema = pq.read_schema("out/part-00000.parquet")
    entity = [
        ("entity_group", "string"),
        ("score", "double"),
        ("word", "string"),
        ("start", "int64"),
        ("end", "int64"),
    ]
    assert [(field.name, str(field.type)) for field in schema.field("entities").type.value_type] == entity
    assert [str(schema.field(name).type) for name in ("n", "body")] == ["int8", str(pa.dictionary("int32", "string"))]
    assert pq.read_table("out").to_pylist() == [{"n": 2, "body": "", "entities": []}]


def test_a_bad_row_is_named_with_its_file_and_row_and_the_job_goes_on(run, tagger, tmp_path):
    (tmp_path / "a.jsonl").write_text(
        jsonl({"text": "Ada"}, {"text": None, "id": 2}, {"text": 7}, {"txt": "x"}, [1], {"text": "Ada \ud800"})
        + '{"text": \n'
        + jsonl({"text": ["Ada", ""]}, {"text": "Paris" * 30}, {"text": "Paris"})
    )
    with open("a.jsonl", "ab") as file:
        file.write(b'{"text": "\xe4"}\n')
    pq.write_table(pa.table({"id": [1, 2, 3], "text": ["Ada", None, "Paris"]}), "b.parquet")
    offsets = pa.array([0, 3, 6], pa.int32()).buffers()[1]
    broken = pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"Ada\xed\xa0\x80")])
    pq.write_table(pa.table({"text": broken}), "c.parquet")
    (tmp_path / "d.csv").write_bytes(b'id,text\n1\n2,\xe4\n3,Ada\n4,"Ada')

    done = run("a.jsonl", "b.parquet", "c.parquet", "d.csv", longest=100)

    no_text = "'text' must be a text or a list of words, got"
    assert [(one["file"], one["row"], one["error"]) for one in errors()] == [
        ("a.jsonl", 2, f"{no_text} null"),
        ("a.jsonl", 3, f"{no_text} '7'"),
        ("a.jsonl", 4, "must have a column 'text', got txt"),
        ("a.jsonl", 5, "must hold one JSON object a line, got '[1]'"),
        ("a.jsonl", 6, "'text' must be Unicode text, got half a character, '\\ud800'"),
        ("a.jsonl", 7, "must hold one JSON object a line, got Expecting value"),
        ("a.jsonl", 8, f"{no_text} \"['Ada', '']\""),
        ("a.jsonl", 9, "'text' must have at most 100 characters (--longest), got 150"),
        ("a.jsonl", 11, "must be UTF-8, got byte 0xe4"),
        ("b.parquet", 2, f"{no_text} null"),
        ("c.parquet", 2, "must be UTF-8, got byte 0xed"),
        ("d.csv", 1, "must have 2 columns as the first line, got 1"),
        ("d.csv", 2, "must be UTF-8, got byte 0xe4"),
    ]
    assert (done.rows, done.bad, done.errors) == (20, 13, "out/_job/errors.jsonl")
    ada, paris = map(rounded, tagger(["Ada", "Paris"]))
    assert [(row.get("text"), row["entities"]) for row in written()] == [
        ("Ada", ada),
        *[(value, None) for value in (None, 7, None, "Ada \ud800", ["Ada", ""], "Paris" * 30)],
        ("Paris", paris),
        *[("Ada", ada), (None, None), ("Paris", paris), ("Ada", ada), ("Ada", ada), ("Ada", ada)],
    ]


def test_a_bad_row_ends_the_job_if_it_shall_and_what_was_done_stays(run, tmp_path):
    (tmp_path / "a.jsonl").write_text(jsonl(*[{"text": "Ada"}] * 5, {"text": None}))

    with pytest.raises(DataError, match=r"^a.jsonl:6: 'text' must be a text or a list of words, got null$"):
        run("a.jsonl", fails=True)

    assert len(written()) == 3
    assert run("a.jsonl").made == 1
    assert [one["row"] for one in errors()] == [6]


def test_what_typed_columns_cannot_hold_is_named_and_not_lost_in_silence(run, tmp_path, monkeypatch):
    monkeypatch.setattr("modeling_bert_crf.corpus.sources.SEEN", 2)
    odd = [
        {"text": "Ada", "n": "x"},
        {"text": "Ada", "m": 1},
        {"text": "Ada", "d": {"a": 1, "b": 2}},
        {"text": "a\ud800"},
    ]
    (tmp_path / "a.jsonl").write_text(jsonl({"text": "Ada", "n": 1, "d": {"a": 1}}, {"text": "Paris"}, *odd, {"n": 3}))

    run("a.jsonl", form="parquet", shard_rows=9)

    assert [one["row"] for one in errors()] == [3, 4, 5, 6, 7]
    fault = "must fit the columns that the first rows have (--format jsonl keeps all), got "
    assert all(one["error"].startswith(fault) for one in errors()[:3])
    assert [(row["text"], row["n"], row["d"], row["entities"] is None) for row in written()] == [
        ("Ada", 1, {"a": 1}, False),
        ("Paris", None, None, False),
        (None, 3, None, True),
    ]
    (tmp_path / "b.jsonl").write_text(jsonl({"text": "Ada", "n": 1}, {"text": "Ada", "n": "x"}))
    with pytest.raises(DataError, match=r"b.jsonl: 'n' must hold values of one type for parquet, got several"):
        run("b.jsonl", form="parquet", output="other/")


def corpus(folder):
    """Write a corpus of several kinds, in which no shard is as long as a portion that is read."""
    draw = random.Random(0)
    texts = [" ".join(draw.choices(WORDS, k=draw.randint(0, 9))) for _ in range(60)]
    found = [{"id": index, "text": text or None} for index, text in enumerate(texts)]
    pq.write_table(pa.Table.from_pylist(found[:23]), folder / "a.parquet", row_group_size=5)
    (folder / "b.jsonl").write_text("\n\n" + jsonl(*found[23:42]) + "\n")
    (folder / "c.jsonl.gz").write_bytes(gzip.compress(jsonl(*found[42:53]).encode(), mtime=0))
    (folder / "d.csv").write_text(
        "id,text\n" + "".join(f'{one["id"]},"{one["text"] or ""}\n"\n' for one in found[53:])
    )
    return ["a.parquet", "b.jsonl", "c.jsonl.gz", "d.csv"]


def test_a_job_that_is_resumed_has_the_bytes_of_one_that_was_not_disturbed(run, tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "BLOCK_ROWS", 2)
    monkeypatch.setattr("modeling_bert_crf.corpus.tables.BLOCK_ROWS", 3)
    names = corpus(tmp_path)
    run(*names, shard_rows=4)
    expected = content()
    assert len([name for name in expected if name.startswith("part-")]) == 17
    assert errors()

    for seed in range(4):
        draw = random.Random(seed)

        def broken_off(job, shards, tagger, draw=draw):
            """Make some shards, in any order, and die in another."""
            shards = draw.sample(shards, len(shards))
            yield from here(job, shards[: draw.randrange(len(shards))], tagger)
            with job.file_of(shards[-1].number).written() as file:
                file.write(b"half")
                raise KeyboardInterrupt

        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                run(*names, shard_rows=4, output=f"{seed}/", engine=broken_off)
            (tmp_path / f"{seed}" / ".saving-999999-part-00001.jsonl").write_text("left by a process that was killed")
        run(*names, shard_rows=4, output=f"{seed}/")
        assert content(str(seed)) == expected


def test_a_finished_job_is_not_touched(run, tmp_path):
    names = corpus(tmp_path)
    run(*names)
    before = {path: os.stat(path).st_mtime_ns for path in Path("out").rglob("*") if path.is_file()}

    done = run(*names, engine=lambda *_: pytest.fail("nothing is to be done"))

    assert done.made == 0
    assert {path: os.stat(path).st_mtime_ns for path in Path("out").rglob("*") if path.is_file()} == before


def test_another_job_is_refused_unless_it_shall_start_over(run, tagger, tmp_path):
    names = corpus(tmp_path)
    run(*names)
    before = content()
    refused = {
        "--threshold (0.0 there, 0.5 here)": {"options": {"threshold": 0.5}},
        "--shard_rows (3 there, 4 here)": {"shard_rows": 4},
        "--longest (1000000 there, 5 here)": {"longest": 5},
        "--format (jsonl there, parquet here)": {"form": "parquet"},
    }
    for said, change in refused.items():
        with pytest.raises(DataError, match=r"^out: holds a job with other ") as info:
            run(*names, **change)
        assert f"other {said}: choose another --output, or --start_over" in str(info.value)
    with pytest.raises(DataError, match=r"other inputs \(4 with 63 rows, digest \w+ there, 3 with 56 rows"):
        run(*names[:3])
    os.utime("b.jsonl", ns=(1, 1))
    with pytest.raises(DataError, match=r"other inputs \("):
        run(*names)
    with tagger_changed(tagger), pytest.raises(DataError, match=r"other model \(mine, digest \w+ there, mine, digest"):
        run(*names)
    assert content() == before

    run(*names, options={"threshold": 0.5}, start_over=True, shard_rows=50)
    assert len(list(Path("out").glob("part-*"))) == 4
    assert content()["_job/job.json"] != before["_job/job.json"]


class tagger_changed:
    def __init__(self, tagger):
        self.bias = tagger.model.classifier.bias.data

    def __enter__(self):
        self.bias += 1

    def __exit__(self, *_):
        self.bias -= 1


def test_a_job_says_that_it_does_not_use_what_is_known(run, tagger, tmp_path, caplog):
    (tmp_path / "a.jsonl").write_text(jsonl({"text": "Ada sang", "known": [[0, 3, "LOC"]]}))
    run("a.jsonl")
    assert "a.jsonl: the column 'known' is kept like the others; a job finds entities without it" in caplog.text
    (row,) = written()
    assert row["known"] == [[0, 3, "LOC"]]
    assert rounded(row["entities"]) == rounded(tagger("Ada sang"))


def test_a_folder_of_something_else_and_one_in_use_are_refused(run, tmp_path):
    (tmp_path / "a.txt").write_text("Ada\n")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("Ada")
    with pytest.raises(DataError, match=r"mine: must be a new folder, or one of a job, got one that holds notes.txt"):
        run("a.txt", output="mine/", start_over=True)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "part-00000.jsonl").write_text("")
    with pytest.raises(DataError, match=r"out: holds part-00000.jsonl of no known job: --start_over removes it"):
        run("a.txt")
    assert os.listdir("mine") == ["notes.txt"]
    with locked("out"), pytest.raises(FolderInUseError, match=f"--output {tmp_path}/out is in use by another run"):
        run("a.txt")


@pytest.mark.parametrize(
    ("inputs", "column", "said"),
    [
        (["gone.jsonl"], None, "gone.jsonl: no such file, and no data set that can be opened: "),
        (["*.gone"], None, r"\*.gone: must be or hold at least one file, got none"),
        (["a.md"], None, "a.md: must end in .parquet, .jsonl, .json, .txt, .csv, or in one of these and .gz or .zst"),
        (
            ["a.parquet"],
            None,
            "a.parquet: must have a column named text or tokens or words, got body, n; name it with",
        ),
        (["a.parquet"], "n", "a.parquet: 'n' must hold texts or lists of words, got int64"),
        (["a.jsonl"], "body", "a.jsonl: must have a column named body, got text, entities; name it with --column"),
        (["a.jsonl"], None, "a.jsonl: must not have a column 'entities' yet: rename it"),
        (["cut.jsonl.gz"], None, "cut.jsonl.gz: cannot be read: Truncated compressed stream"),
        (["cut.parquet"], None, "cut.parquet: cannot be read: Parquet magic bytes not found in footer"),
        (["list.json"], None, "list.json: must hold one JSON object a line, got none in its first rows"),
        (["wide.txt"], None, "wide.txt: must be UTF-8, got UTF-16"),
        (["twice.csv"], None, "twice.csv:1: must name each column once, got text, text"),
        (["a.parquet", "*.parquet"], "body", "a.parquet: must be among the inputs once, got it twice"),
        (["abc://x"], None, "abc://x: cannot be reached: Protocol not known: abc"),
    ],
)
def test_an_input_that_cannot_be_read_is_said_before_anything_is_written(run, tmp_path, inputs, column, said):
    pq.write_table(pa.table({"body": ["Ada"], "n": [1]}), "a.parquet")
    files = {
        "a.md": b"Ada",
        "a.jsonl": jsonl({"text": "Ada", "entities": []}).encode(),
        "cut.jsonl.gz": gzip.compress(jsonl({"text": "Ada"}).encode() * 99)[:-9],
        "list.json": b'[{"text": "Ada"}]',
        "wide.txt": "Ada".encode("utf-16"),
        "twice.csv": b"text,text\n",
    }
    files["cut.parquet"] = Path("a.parquet").read_bytes()[:-1] if inputs == ["cut.parquet"] else None
    for name, value in files.items():
        if value is not None:
            (tmp_path / name).write_bytes(value)

    with pytest.raises(DataError, match=f"^{said}"):
        run(*inputs, column=column)

    assert not Path("out").exists()


def test_no_more_than_a_few_rows_are_in_memory_whatever_they_hold(tmp_path, monkeypatch):
    """Rows with much beside their texts come alone or in small portions; a line without an end is never whole."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lines, "LINE_BYTES", 2**16)
    for module in (lines, rows):
        monkeypatch.setattr(module, "BLOCK_BYTES", 2**12)
    monkeypatch.setattr("modeling_bert_crf.corpus.tables.BLOCK_BYTES", 2**12)
    much = [{"text": "Ada", "more": str(index) * 900} for index in range(40)]
    pq.write_table(pa.Table.from_pylist(much), "a.parquet", use_dictionary=False, compression=None)
    (tmp_path / "b.jsonl").write_text(jsonl(*much, {"text": "Ada" * 10**5}, {"text": "Ada"}))
    (tmp_path / "c.csv").write_text("text,more\nAda," + "x" * 10**5 + '\nAda,"' + "y\n" * 10**5 + "\n")

    for name in ("a.parquet", "b.jsonl", "c.csv"):
        (source,) = find_sources([name], None, 100, False, {})
        portions = list(read_rows(source, 0, 100, 10**6))
        assert max(len(one.numbers) for one in portions) <= 5 or name == "c.csv"  # of which the rows are short
        values = [value for one in portions for value in one.values]
        assert values.count("Ada") == {"a.parquet": 40, "b.jsonl": 41}.get(name, 0)
        bad = [value.rule for value in values if value != "Ada"]
        assert [rule.partition(" bytes")[0] for rule in bad[:1]] == {
            "a.parquet": [],
            "b.jsonl": ["must be a line of at most 65,536"],
            "c.csv": ["must be a record of CSV, got a line of more than 65,536 characters"],
        }[name]


def test_progress_says_how_many_rows_how_fast_and_how_long(capsys):
    times = iter([0.0, 4.0, 12.0, 15.0, 20.0])

    list(watched([Done(n, 100, 0) for n in range(4)], 200, 1000, lambda: next(times)))

    assert capsys.readouterr().err.splitlines() == ["400 of 1,000 rows, 17 a second, 0:00:36 left"]


def test_rows_may_be_read_and_written_wherever_fsspec_can(run, tmp_path):
    import fsspec

    memory = fsspec.filesystem("memory")
    for name in ("docs/a.jsonl", "docs/b.jsonl", "docs/deep/c.jsonl", "docs/d.txt"):
        memory.pipe(f"/{name}", jsonl({"text": "Ada"}, {"text": None}).encode())
    try:
        done = run("memory://docs/*.jsonl", output="memory://out")
        assert (done.rows, done.bad, done.shards) == (4, 2, 2)
        assert run("memory://docs/*.jsonl", output="memory://out").made == 0
        names = sorted(memory.find("/out"))
        assert names == [
            "/out/_job/errors.jsonl",
            "/out/_job/job.json",
            "/out/part-00000.jsonl",
            "/out/part-00001.jsonl",
        ]
        assert memory.cat("/out/_job/errors.jsonl").count(b'"file": "memory://docs/') == 2
        assert run("memory://docs/**/*.jsonl", output="memory://all").shards == 3
        assert run("memory://docs", output="memory://folder").shards == 4
    finally:
        memory.store.clear()


@pytest.fixture
def command(make_model, tokenizer, tmp_path, monkeypatch):
    """Run `bert-crf tag` in a folder with a tagger."""
    make_model().save_pretrained(tmp_path / "mine")
    tokenizer.save_pretrained(tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")

    def command(*argv, code=0):
        result = CliRunner().invoke(app, ["tag", "mine", *map(str, argv)])
        assert result.exit_code == code, result.output
        return result.stderr

    return command


def test_the_command_tags_a_corpus_and_goes_on_with_it(command, tmp_path):
    pq.write_table(pa.table({"body": ["Ada", None], "id": [1, 2]}), "a.parquet")
    argv = ["--input", "*.parquet", "--column", "body", "--output", "tagged/"]

    said = command(*argv)

    assert said.endswith(
        "2 rows in 1 shards, 1 of them made now: tagged/\n1 row is bad: see tagged/_job/errors.jsonl\n"
    )
    assert pq.read_table("tagged").column_names == ["body", "id", "entities"]
    assert "2 rows in 1 shards, 0 of them made now" in command(*argv)
    assert command(*argv, "--threshold", 0.5, code=1).startswith(
        "bert-crf tag: error: tagged: holds a job with other --threshold (0.0 there, 0.5 here): "
    )
    assert "1 of them made now" in command(*argv, "--threshold", 0.5, "--start_over")
    said = command(*argv, "--on_error", "fail", "--start_over", code=1)
    assert said == "bert-crf tag: error: a.parquet:2: 'body' must be a text or a list of words, got null\n"


def test_shards_that_are_made_somewhere_else_are_missed(run, tmp_path):
    (tmp_path / "a.txt").write_text("Ada\n" * 5)
    elsewhere = lambda job, shards, tagger: (Done(shard.number, shard.rows, 0) for shard in shards)  # noqa: E731

    with pytest.raises(
        DataError, match=r"^out: must be where all machines write, got 2 shards of 2 that .*, such as out/part-00000"
    ):
        run("a.txt", engine=elsewhere)

    assert not Path("out/_job/errors.jsonl").exists()
    assert run("a.txt").made == 2


def test_what_a_killed_worker_left_half_written_is_swept_up(run, tmp_path):
    (tmp_path / "a.txt").write_text("Ada\n")

    def killed(job, shards, tagger):
        Path("out/.saving-1-part-00000.jsonl").write_text("half")
        yield from here(job, shards, tagger)

    run("a.txt", engine=killed)

    assert sorted(os.listdir("out")) == ["_job", "part-00000.jsonl"]


def test_the_order_of_the_names_of_shards_is_that_of_the_rows(tmp_path):
    place = place_of(str(tmp_path))
    for count, last in ((100_000, "part-99999.jsonl"), (100_002, "part-100001.jsonl")):
        sizes = {"a": 25, "b": 10 * count - 30}  # the first ends in a shard of five rows
        sources = [Source("jsonl", name, "text", (), size, None, place) for name, size in sizes.items()]
        job = Job("mine", None, None, {}, sources, place, "jsonl", 10, 9, False)
        numbers = [0, 7, 99_999, count - 1]
        for of in (job.file_of, job.errors_of):
            names = [of(number).name for number in numbers]
            assert names == sorted(names)
        assert job.file_of(count - 1).name == f"{tmp_path}/{last}"


def test_messages_name_no_key_of_an_address():
    place = place_of("s3://key:secret@store/docs/?region=us-east-1&endpoint_override=localhost:1")
    assert (place.name, place.path) == ("s3://store/docs/", "store/docs")
    with pytest.raises(DataError, match=r"^abc://store/x: cannot be reached: "):
        place_of("abc://key:secret@store/x")


def test_ray_may_stand_without_an_address(command, tmp_path, monkeypatch):
    asked = []

    def engine(job, shards, tagger, address, count):
        asked.append((address, count))
        yield from here(job, shards, tagger)

    monkeypatch.setattr("modeling_bert_crf.corpus.on_ray.on_ray", engine)
    (tmp_path / "a.txt").write_text("Ada\n")
    for words in (
        ["--ray", "-i", "a.txt"],
        ["--processes", 3, "-i", "a.txt", "--ray"],
        ["--ray", "auto", "-i", "a.txt"],
    ):
        command("-o", "out/", "--start_over", *words)
    command("-o", "out/", "--start_over", "-i", "a.txt", "--ray=other:6379")

    assert asked == [("local", None), ("local", 3), ("auto", None), ("other:6379", None)]


def test_ray_that_is_not_there_is_asked_for(run, tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("Ada\n")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(DataError, match=r"^--ray needs Ray: pip install 'modeling-bert-crf\[ray\]'$"):
        run("a.txt", engine=on_ray)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["Ada", "-o", "out/"], "a job reads what --input names, and no TEXT and no standard input"),
        (["-o", "out/"], "a job reads what --input names"),
        (["-i", "a.txt", "-o", "out/", "--input_format", "txt"], "--input_format is not for a job"),
        (["Ada", "--format", "parquet"], "--format parquet needs a folder, --output NAME/, got none"),
        (["Ada", "--ray"], "--ray is for a job, whose output is a folder: --output NAME/"),
        (["Ada", "--shard_rows", "3"], "--shard_rows is for a job, whose output is a folder: --output NAME/"),
        (["-i", "*.gone"], "*.gone: must match at least one file, got none"),
    ],
)
def test_what_a_job_cannot_have_is_refused_before_anything_is_loaded(command, argv, said):
    assert said in command(*argv, code=2)


def test_a_null_loses_no_results_where_rows_may_be_skipped(command, tmp_path):
    (tmp_path / "a.jsonl").write_text(jsonl({"text": "Ada"}, {"text": None}, {"text": "Paris"}))

    said = command("-i", "a.jsonl", "-o", "out.jsonl", code=1)
    fault = "a.jsonl:2: 'text' must be a text or a list of words, got null; --on_error skip leaves it out\n"
    assert said == f"bert-crf tag: error: {fault}"
    assert command("-i", "a.jsonl", "-o", "out.jsonl", "--on_error", "skip") == f"bert-crf tag: left out: {fault}"
    assert [json.loads(line)["text"] for line in (tmp_path / "out.jsonl").read_text().splitlines()] == ["Ada", "Paris"]
