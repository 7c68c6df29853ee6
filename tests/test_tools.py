"""What is written is accepted by the tools' own libraries, each in an environment of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from modeling_bert_crf.readers.documents import Annotation, Document
from modeling_bert_crf.writers.formats import FORMATS, Options, write_documents

pytestmark = pytest.mark.slow

FACE = "\U0001f600"
TEXT = f"{FACE} A\u0301da  met Mr\r\nBabbage. \u05de\u05e9\u05d4 rains"
DOCUMENTS = [
    Document(
        TEXT, [Annotation(2, 6, "PER", 0.75), Annotation(12, 23, "a & <b>", 0.5)], "made", "1", "q7", meta={"n": 1}
    ),
    Document("rain", [], "made", "2"),
    Document("rain in Paris", [Annotation(8, 13, "LOC", 1.0)], "made", "3"),
]
GOLD = [
    Document(one.text, [found._replace(score=None) for found in one.annotations], "made", one.place)
    for one in DOCUMENTS
]


@pytest.fixture(scope="module")
def tool(tmp_path_factory):
    """Run a program where a library is installed that is not installed here; return what it prints, read as JSON."""
    pythons = {}

    def run(library, program, *argv, path=""):
        if library not in pythons:
            folder = tmp_path_factory.mktemp("tool")
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            pythons[library] = folder / "bin" / "python"
            install = [pythons[library], "-m", "pip", "install", "--quiet", library]
            if (done := subprocess.run(install, capture_output=True, text=True)).returncode:
                pytest.skip(f"{library} cannot be installed here: {done.stderr.strip().splitlines()[-1]}")
        words = [pythons[library], "-c", program, *argv]
        environment = {**os.environ, "PYTHONPATH": path}
        done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def write(folder, form, documents):
    path = folder / f"out{FORMATS[form].ending}"
    options = Options()
    with path.open("w", encoding="utf-8", newline="\n") as file:
        write_documents(documents, form, file, options)
    if (beside := FORMATS[form].beside) is not None:
        with path.with_name(path.name + ".xml").open("w", encoding="utf-8") as file:
            beside(options.kinds, file)
    return path


LABEL_STUDIO = """
import json, sys
from label_studio_sdk.label_interface import LabelInterface

interface = LabelInterface(open(sys.argv[1] + ".xml", encoding="utf-8").read())
interface.validate()
found = []
for task in json.load(open(sys.argv[1], encoding="utf-8")):
    assert interface.validate_task({"data": task["data"]})
    for answer in task.get("predictions", []):
        assert interface.validate_prediction(answer)
    for answer in task.get("annotations", []):
        assert interface.validate_annotation(answer)
    (answer,) = task.get("predictions") or task["annotations"]
    regions = [one["value"] for one in answer["result"]]
    found.append([task["data"]["text"], [[one["start"], one["end"], *one["labels"]] for one in regions]])
wrong = {"result": [{**answer["result"][0], "value": {**regions[0], "labels": ["unheard of"]}}]}
assert not interface.validate_annotation(wrong)
print(json.dumps(found))
"""


@pytest.mark.parametrize("documents", [DOCUMENTS, GOLD], ids=["predictions", "annotations"])
def test_label_studio_accepts_tasks_and_configuration(tool, tmp_path, documents):
    found = tool("label-studio-sdk", LABEL_STUDIO, str(write(tmp_path, "label-studio", documents)))
    assert found == [[one.text, [list(entity[:3]) for entity in one.annotations]] for one in documents]


SPACY = """
import json, sys, warnings
import spacy
from spacy.training import Example

warnings.simplefilter("error")
nlp, found = spacy.blank("xx"), []
for text, said in json.load(open(sys.argv[1], encoding="utf-8")):
    doc = nlp.make_doc(text)
    example = Example.from_dict(doc, said)
    gold = example.reference
    found.append([gold.text, [[one.start_char, one.end_char, one.label_] for one in gold.ents]])
print(json.dumps(found))
"""


def test_spacy_makes_examples_of_what_is_written_for_it(tool, tmp_path):
    found = tool("spacy", SPACY, str(write(tmp_path, "spacy", DOCUMENTS)))
    assert found == [[one.text, [list(entity[:3]) for entity in one.annotations]] for one in DOCUMENTS]


DOCBIN = """
import json, sys
from pathlib import Path
import spacy
from modeling_bert_crf.readers.documents import Annotation, Document
from modeling_bert_crf.readers.formats import read_documents
from modeling_bert_crf.writers.formats import Options, write_documents

path, given = Path(sys.argv[1]), json.loads(sys.argv[2])
documents = [
    Document(text, [Annotation(*one) for one in entities], "made", "1", sentences=[tuple(one) for one in sentences])
    for text, entities, sentences in given
]
write_documents(documents, "docbin", path, Options())
docs = spacy.tokens.DocBin().from_disk(path).get_docs(spacy.blank("xx").vocab)
itself = [
    [doc.text, [[one.start_char, one.end_char, one.label_] for one in doc.ents], [one.text for one in doc.sents]]
    for doc in docs
]
read = [[one.text, one.annotations, [one.text[slice(*word)] for word in one.words]] for one in read_documents(path)]
print(json.dumps([itself, read]))
"""


def test_spacy_reads_its_binary_file_and_so_do_we(tool, tmp_path):
    """The package runs there with its own libraries, which are found here."""
    entities = [[list(entity[:3]) for entity in one.annotations] for one in DOCUMENTS]
    sentences = [[(0, 25), (25, len(TEXT))], [(0, 4)], [(0, 13)]]
    given = [[one.text, *pair] for one, *pair in zip(DOCUMENTS, entities, sentences, strict=True)]
    path = os.pathsep.join([str(Path(__file__).parent.parent), str(Path(torch.__file__).parent.parent)])
    itself, read = tool("spacy", DOCBIN, str(tmp_path / "out.spacy"), json.dumps(given), path=path)
    assert [one[:2] for one in itself] == [one[:2] for one in given]
    assert [[text.strip() for text in one[2]] for one in itself] == [
        [one.text[slice(*border)].strip() for border in borders]
        for one, borders in zip(DOCUMENTS, sentences, strict=True)
    ]
    assert [[text, [one[:3] for one in found]] for text, found, _ in read] == [one[:2] for one in given]
    assert read[0][2][1:5] == ["A\u0301da", "met", "Mr", "Babbage"]
