"""A tagger as a recogniser of Presidio, which finds and masks personal data.

python examples/presidio_recognizer.py MODEL TEXT
"""

import sys

from presidio_analyzer import EntityRecognizer, RecognizerResult
from presidio_analyzer.nlp_engine import NlpArtifacts

from modeling_bert_crf.opening.tagger import open_tagger
from modeling_bert_crf.schemes import entity_types


class CRFRecognizer(EntityRecognizer):
    """Finds the entity types of a tagger; a result's score is the exact probability of the entity."""

    def __init__(self, model: str, language: str = "en"):
        self.tagger = open_tagger(model)
        types = entity_types(self.tagger.model.config.labels, self.tagger.model.config.span_scheme)
        super().__init__(supported_entities=sorted(types), supported_language=language, name="bert_crf")

    def load(self) -> None:
        """Do nothing: the model is loaded already."""

    def analyze(
        self, text: str, entities: list[str], nlp_artifacts: NlpArtifacts | None = None
    ) -> list[RecognizerResult]:
        """Return what the tagger finds of the wanted types."""
        return [
            RecognizerResult(one["entity_group"], one["start"], one["end"], one["score"])
            for one in self.tagger(text)
            if not entities or one["entity_group"] in entities
        ]


if __name__ == "__main__":
    recognizer = CRFRecognizer(sys.argv[1])
    for result in recognizer.analyze(sys.argv[2], []):
        print(result.entity_type, sys.argv[2][result.start : result.end], round(result.score, 2))
