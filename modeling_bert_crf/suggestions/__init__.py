"""Which sentences are worth an annotator's time: what to label next, and what is probably labelled wrong.

uncertainty.py  how unsure a tagger is of a chain
variety.py      a ranking in which near-copies do not lead together
doubts.py       labelled sentences by how improbable their entities are
recipe.py       the settings of the run that has made a tagger, to train others like it
folds.py        taggers that have not seen the sentences that they read
"""
