"""Pushing to the Hub, and talking to it. Knows no training.

answers.py      the Hub's answers: refusals in one sentence, no endless waiting
folders.py      pushes the folder of a finished model
pushing.py      `push_to_hub` of a model and of its pipeline; finds its way into the core by its name
"""
