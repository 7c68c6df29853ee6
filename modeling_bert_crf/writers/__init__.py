"""From texts with entities to the files of annotation tools. Knows no model.

formats.py      the table of formats, and the way of documents through it
records.py      JSON: jsonl, doccano, Prodigy, GLiNER, spaCy's offsets, Label Studio
columns.py      words and tags in columns
standoff.py     a brat folder, PubTator: entities apart from their text
docbin.py       spaCy's binary files
redacted.py     texts with types in the place of entities
layout.py       the words of a text, cut where entities end; entities that do not overlap
merging.py      words and sentences of one document as one text

This is a room of its own, beside the readers, since no reader needs it: what a reader refuses is a fault of the user's
data, and what a writer refuses is more than a format can hold.
"""
