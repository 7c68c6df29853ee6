"""What is wrong with labelled data, found before anything is trained on them. Knows no model but its tokenizer.

findings.py    a finding: how grave it is, what it says, and where the first examples stand
parts.py       a part of the data (train, validation, test): its sentences, entities and counts
reading.py     files to parts; what cannot be read or is illegal is a finding, and the rest is read on

Each of these looks for one kind of trouble, and yields findings:

types.py       types of entities: missing in training, rare, spelt in two ways; parts without entities
copies.py      sentences and documents that stand in two parts, or twice
agreement.py   the same words tagged differently
spans.py       entities with odd ends, brackets, lengths or neighbours
layout.py      sentences as long as files, stretches that nobody has annotated
characters.py  words with characters that nobody sees, or of a wrong encoding
subtokens.py   what a tokenizer makes of the words, and what an encoder has room for

diagnosis.py   all of these, one after the other; the result, and the gravest of it in lines
as_lines.py    the result for a terminal
as_page.py     the result as a page of HTML
"""
