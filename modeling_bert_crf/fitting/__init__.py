"""A chain over a classifier that is trained already: fitted to labelled sentences that the encoder reads once.

chains.py       labelled sentences, read by the encoder once
likelihood.py   its scores and its temperature, by likelihood
paths.py        entities of its best paths, with biases: counted, and how probable they are
places.py       entities by their characters
choice.py       what of a fit gains on sentences that it was not made of
comparison.py   other ways to decode the same classifier, beside it
evidence.py     what is found at one operating point or another, sentence by sentence
promises.py     operating points that keep a promise on other sentences
judging.py      what is found beside what is there, and how probable either is
costs.py        what an operating point costs, by type, as a table
"""
