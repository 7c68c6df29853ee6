"""Opening: folders and repositories become taggers. No code of a checkpoint runs.

tagger.py                finished taggers, their tokenizers, and what is wrong with those that cannot be opened
building.py              a new head on a pretrained encoder; finds its way into the core by its name
taking_over.py           a chain on a stock token classifier; finds its way into the core by its name
hand_made.py             the weights of an encoder with a linear layer and a CRF of another library
records.py               what makes two models, tokenizers and configurations the same
upgrading.py             a tagger of an older version with today's code and configuration
viterbi_calibration.py   the operating points beside a stock classifier of the Privacy Filter's kind
"""
