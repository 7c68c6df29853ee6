"""Pushing to the Hub, and talking to it. Knows no training.

cards.py        what the card of a model or a data set says of it
answers.py      the Hub's answers: refusals in one sentence, no endless waiting
folders.py      pushes the folder of a finished model
pushing.py      `push_to_hub` of a model and of its pipeline; finds its way into the core by its name
"""
