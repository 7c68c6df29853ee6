"""What annotation tools would export: texts with spans, written in each format."""

import json
import random
from xml.sax.saxutils import escape


def lines(*values):
    return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values)


def utf16(text, place):
    beyond = max(0, place - len(text))
    return place if place < 0 else len(text[:place].encode("utf-16-le", "surrogatepass")) // 2 + beyond


def label_studio_task(number, text, spans, who=1):
    results = [
        {
            "id": f"r{start}",
            "type": "labels",
            "from_name": "label",
            "to_name": "text",
            "value": {
                "start": utf16(text, start),
                "end": utf16(text, end),
                "text": text[start:end],
                "labels": [kind],
            },
        }
        for start, end, kind in spans
    ]
    return {"id": number, "data": {"text": text}, "annotations": [{"id": 9, "completed_by": who, "result": results}]}


def label_studio_row(number, text, spans):
    label = [
        {"start": utf16(text, start), "end": utf16(text, end), "text": text[start:end], "labels": [kind]}
        for start, end, kind in spans
    ]
    return {
        "text": text,
        "id": number,
        "label": label,
        "annotator": 1,
        "annotation_id": 70 + number,
        "created_at": "2024-01-01",
        "lead_time": 3.5,
    }


def bioc_document(number, text, spans):
    first = text.partition("\n")[0]
    passages, offset = [], 100
    for part in text.split("\n"):
        own = [one for one in spans if (one[0] < len(first)) == (part == first)]
        annotations = [
            {
                "id": "1",
                "infons": {"type": kind},
                "text": text[start:end],
                "locations": [{"offset": offset + start, "length": end - start}],
            }
            for start, end, kind in own
        ]
        passages.append({"infons": {}, "offset": offset, "text": part, "annotations": annotations})
        offset += len(part) + 5
    return {"id": str(number), "infons": {"year": "1843"}, "passages": passages}


def bioc_xml(documents):
    written = ['<?xml version="1.0"?><!DOCTYPE collection SYSTEM "BioC.dtd"><collection><source>x</source>']
    for one in documents:
        written.append(f"<document><id>{one['id']}</id>")
        for passage in one["passages"]:
            written.append(f"<passage><offset>{passage['offset']}</offset><text>{escape(passage['text'])}</text>")
            for mark in passage["annotations"]:
                place = mark["locations"][0]
                written.append(
                    f'<annotation id="1"><infon key="type">{mark["infons"]["type"]}</infon>'
                    f'<location offset="{place["offset"]}" length="{place["length"]}"/>'
                    f"<text>{escape(mark['text'])}</text>"
                    "</annotation>"
                )
            written.append("</passage>")
        written.append("</document>")
    return "".join(written) + "</collection>"


def pubtator(number, text, spans):
    title, _, abstract = text.partition("\n")
    marks = "".join(f"{number}\t{start}\t{end}\t{text[start:end]}\t{kind}\tD1\n" for start, end, kind in spans)
    return f"{number}|t|{title}\n{number}|a|{abstract}\n{marks}\n"


def as_dicts(spans, start="start", end="end", kind="label"):
    return [{start: one[0], end: one[1], kind: one[2]} for one in spans]


def argilla_2(number, text, spans):
    answer = {"value": as_dicts(spans), "user_id": "a", "status": "submitted"}
    return {"id": str(number), "fields": {"text": text}, "responses": {"ner": [answer]}, "metadata": {}}


def argilla_1(number, text, spans):
    annotation = [[kind, start, end] for start, end, kind in spans]
    return {
        "text": text,
        "tokens": text.split(),
        "prediction": None,
        "annotation": annotation,
        "annotation_agent": "a",
        "id": number,
        "status": "Validated",
    }


def exports_of(data):
    """Write texts with spans as each format has them, by the format's name; with a name for the file."""
    return {
        "doccano": (
            "data.jsonl",
            lines(*({"id": n, "text": t, "label": s, "Comments": []} for n, (t, s) in enumerate(data))),
        ),
        "doccano labels": ("data.jsonl", lines(*({"text": t, "labels": s} for t, s in data))),
        "doccano relations": (
            "data.jsonl",
            lines(
                *(
                    {"text": t, "entities": as_dicts(s, "start_offset", "end_offset"), "relations": [{"id": 1}]}
                    for t, s in data
                )
            ),
        ),
        "plain": ("data.jsonl", lines(*({"text": t, "entities": s} for t, s in data))),
        "plain objects": ("data.json", json.dumps([{"text": t, "entities": as_dicts(s)} for t, s in data], indent=2)),
        "own predictions": (
            "data.jsonl",
            lines(*({"text": t, "entities": as_dicts(s, kind="entity_group")} for t, s in data)),
        ),
        "prodigy": (
            "data.jsonl",
            lines(*({"text": t, "spans": as_dicts(s), "_input_hash": 3, "answer": "accept"} for t, s in data)),
        ),
        "label-studio": ("data.json", json.dumps([label_studio_task(n, *one) for n, one in enumerate(data)])),
        "label-studio-min": ("data.json", json.dumps([label_studio_row(n, *one) for n, one in enumerate(data)])),
        "spacy lines": ("data.jsonl", lines(*([t, {"entities": s}] for t, s in data))),
        "spacy array": ("data.json", json.dumps([[t, {"entities": s}] for t, s in data])),
        "spacy wrapped": (
            "data.json",
            json.dumps({"classes": ["PER", "LOC"], "annotations": [[t, {"entities": s}] for t, s in data]}),
        ),
        "argilla 1": ("data.json", json.dumps([argilla_1(n, *one) for n, one in enumerate(data)])),
        "argilla 2": ("data.json", json.dumps([argilla_2(n, *one) for n, one in enumerate(data)])),
        "pubtator": ("data.txt", "".join(pubtator(n, *one) for n, one in enumerate(data, 1))),
        "bioc json": (
            "data.json",
            json.dumps({"source": "x", "documents": [bioc_document(n, *o) for n, o in enumerate(data)]}),
        ),
        "bioc xml": ("data.xml", bioc_xml([bioc_document(n, *one) for n, one in enumerate(data)])),
    }


def brat(folder, data, place_of=lambda text, place: place):
    """Write texts with spans as a folder of brat's; `place_of` may count in other units."""
    folder.mkdir(exist_ok=True)
    for number, (text, spans) in enumerate(data):
        (folder / f"{number}.txt").write_bytes(text.encode())
        marks = (
            f"T{n}\t{kind} {place_of(text, start)} {place_of(text, end)}\t{' '.join(text[start:end].split())}\n"
            for n, (start, end, kind) in enumerate(spans, 1)
        )
        (folder / f"{number}.ann").write_text("".join(marks), encoding="utf-8")
    return folder


NAMES = {
    "PER": ["Ada", "Zoe\u0308 O'Neill", "Jean-Paul", "\u05e2\u05d3\u05d4 \u05db\u05d4\u05df", "Ann"],
    "LOC": ["Oslo", "\U0001f1f3\U0001f1f4", "St. Ives", "Tr\u00e6l\u00f8y", "\u5317\u4eac"],
    "ORG": ["AT&T", "Foo,\r\nBar & Co.", "\U0001f600 Labs"],
}
FILLERS = [
    "met",
    "in the",
    "Then,",
    "-",
    "(",
    ").",
    "she left.",
    "\n",
    "\r\n",
    "don't",
    "\U0001f469\u200d\U0001f52c",
    "3.5%",
]


def project(documents, seed=0, without=""):
    """Invent texts with spans: emoji, marks, line breaks, writing from right to left, names inside words.

    Args:
        documents: how many.
        seed: of the draws.
        without: characters that no text shall have.
    """
    draw, data = random.Random(seed), []
    while len(data) < documents:
        text, spans = "", []
        for _ in range(draw.randint(3, 25)):
            if draw.random() < 0.4:
                kind = draw.choice(list(NAMES))
                name = draw.choice(NAMES[kind])
                spans.append((len(text), len(text) + len(name), kind))
                text += name + draw.choice(["", " ", " ", "'s ", "-based "])
            else:
                text += draw.choice(FILLERS) + draw.choice([" ", " ", ""])
        if not set(text) & set(without) and text.strip():
            data.append((text, spans))
    return data
