"""Scores: how good predicted tags are, and how sure one can be of that. They know no model.

metrics.py      precision, recall and F1
mistakes.py     which kinds of mistakes a tagger makes
judged.py       mistakes in their sentences
overlaps.py     entities that are found in part
intervals.py    confidence intervals of F1, and of its difference between two systems
calibration.py  how far probabilities can be believed
comparison.py   two taggers on the same sentences
measures.py     all that is measured of tags beside their F1
known.py        what of all this counts where gold tags are known in part only
"""
