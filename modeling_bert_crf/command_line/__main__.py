"""`python -m modeling_bert_crf.command_line` is `bert-crf`."""

from .app import app

app(prog_name="bert-crf")
