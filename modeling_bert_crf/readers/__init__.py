"""From files and data sets to labelled sentences. Knows no model.

sentences.py    a sentence with its tags, and the error of data that cannot be read
documents.py    a text with entities by their characters
files.py        a file as sentences: columns, CoNLL-U, JSON lines
columns.py      the lines of a column file
rows.py         a row of a data set, or a JSON object
datasets.py     data sets of the `datasets` library
spelling.py     tags in another spelling than `B-PER`
conversion.py   a sequence of tags written otherwise: from entities, in another scheme, repaired
units.py        tags of words for a chain that runs over sub-tokens, and back
tags.py         the scheme of the tags, whether they obey it, the same tags in another scheme
labelled.py     all of this for sentences that were read: from spellings to legal tags of a known scheme
"""
