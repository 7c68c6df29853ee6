"""The page of `bert-crf demo`.

app.py          the page
examples.py     the texts that it opens with
space.py        the page as a Space on the Hub
"""
