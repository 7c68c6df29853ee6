"""Which sentences are worth an annotator's time: what to label next, and what is probably labelled wrong.

uncertainty.py  how unsure a tagger is of a text
variety.py      a ranking in which near-copies do not lead together
reading.py      labelled sentences as the chains of a tagger
doubts.py       what is doubtful of them, entity by entity
recipe.py       the settings of the run that has made a tagger, to train others like it
folds.py        taggers that have not seen the sentences that they read
"""
