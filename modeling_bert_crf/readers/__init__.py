"""From files and data sets to labelled sentences. Knows no model.

sentences.py    a sentence with its tags, and the error of data that cannot be read
documents.py    a text with entities by their characters
files.py        a file as sentences: the door for all formats
formats.py      the table of formats of texts with spans: by what each is known, and what reads it
span_json.py    JSON records of texts with spans: doccano, Prodigy, spaCy, GLiNER, Argilla
label_studio.py Label Studio's exports
brat.py         brat's folders
pubtator.py     PubTator's files
bioc.py         BioC, as XML and as JSON
spacy_docs.py   spaCy's binary files
json_files.py   JSON values one by one, of lines or of an array
marks.py        spans as files write them, checked and brought to characters
spans.py        spans over text to words and tags
account.py      what became of the spans
columns.py      the lines of a column file
rows.py         a row of a data set, or a JSON object
datasets.py     data sets of the `datasets` library
spelling.py     tags in another spelling than `B-PER`
conversion.py   a sequence of tags written otherwise: from entities, in another scheme, repaired
partial.py      tags that are not known, or not all of them
units.py        tags of words for a chain that runs over sub-tokens, and back
tags.py         the scheme of the tags, whether they obey it, the same tags in another scheme
labelled.py     all of this for sentences that were read: from spellings to legal tags of a known scheme
"""
