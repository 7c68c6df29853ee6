"""Scores: how good predicted tags are, and how sure one can be of that. They know no model.

metrics.py      precision, recall and F1
mistakes.py     which kinds of mistakes a tagger makes
intervals.py    confidence intervals of F1
calibration.py  how far probabilities can be believed
"""
