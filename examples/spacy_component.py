"""A tagger as a component of a spaCy pipeline: `nlp.add_pipe("bert_crf", config={"model": "runs/mine"})`.

    python examples/spacy_component.py MODEL TEXT

sets `doc.ents`, and `doc.spans["bert_crf"]` with the exact probability of each entity in `span.id_`'s place, the
attribute `Span._.probability`.
"""

import sys
from typing import Any

import spacy
from spacy.language import Language
from spacy.tokens import Doc, Span

from modeling_bert_crf.opening.tagger import open_tagger

Span.set_extension("probability", default=None, force=True)


@Language.factory("bert_crf", default_config={"model": "", "threshold": 0.0})
def make_component(nlp: Language, name: str, model: str, threshold: float) -> Any:
    """Open the tagger, and return what spaCy calls on each document."""
    tagger = open_tagger(model)

    def tag(doc: Doc) -> Doc:
        entities = []
        for one in tagger(doc.text, threshold=threshold):
            span = doc.char_span(one["start"], one["end"], label=one["entity_group"], alignment_mode="expand")
            span._.probability = one["score"]
            entities.append(span)
        doc.spans[name] = entities
        doc.ents = spacy.util.filter_spans(entities)
        return doc

    return tag


def main(model: str, text: str) -> None:
    """Tag a text, and print its entities."""
    nlp = spacy.blank("xx")
    nlp.add_pipe("bert_crf", config={"model": model})
    for entity in nlp(text).ents:
        print(entity.label_, entity.text, round(entity._.probability, 2))


if __name__ == "__main__":
    main(*sys.argv[1:])
