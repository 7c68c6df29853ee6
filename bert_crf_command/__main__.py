"""`python -m bert_crf_command` is `bert-crf`."""

from .app import app

app(prog_name="bert-crf")
