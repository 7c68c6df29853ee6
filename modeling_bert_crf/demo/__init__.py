"""The page of `bert-crf demo`.

app.py          the page
space.py        the page as a Space on the Hub
"""
