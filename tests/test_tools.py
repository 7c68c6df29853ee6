"""What is written is accepted by the tools' own libraries, each in an environment of its own."""

import json
import subprocess
import sys

import pytest

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

    def run(library, program, *argv):
        if library not in pythons:
            folder = tmp_path_factory.mktemp("tool")
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            pythons[library] = folder / "bin" / "python"
            install = [pythons[library], "-m", "pip", "install", "--quiet", library]
            if (done := subprocess.run(install, capture_output=True, text=True)).returncode:
                pytest.skip(f"{library} cannot be installed here: {done.stderr.strip().splitlines()[-1]}")
        done = subprocess.run([pythons[library], "-c", program, *argv], capture_output=True, text=True, check=False)
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
