"""The command `bert-crf`. It is a package of its own, since importing `modeling_bert_crf` imports torch, which takes
seconds, and `--help` should not.

app.py          the program: its verbs, each imported when it is used
frame.py        what all verbs share: how a mistake ends, and the arguments that several of them have
train.py        the verb `train`, which `run_ner.py` calls too: what can be answered without torch
options.py      its command line, help and files of options, read by `options.json`
program.py      what it then does, step by step
diagnose.py     the verb `diagnose`, which looks at labelled data before a run
tag.py          the verb `tag`: inputs.py reads for it; outputs.py, page.py and terminal.py write
formats.py      what it and others like it read and write: the options, and which format a file's ending names
labelled.py     labelled data of `wrap`, `threshold`, `export`, `suggest` and the next ones
judged.py       such data with what a tagger finds in them, for `evaluate.py`, `errors.py` and `compare.py`
suggest.py      the verb `suggest`, which ranks what `tag` or `labelled.py` reads
job.py          what `tag` does with a corpus, and the options of that
convert.py      the verb `convert`, which writes as `tag` does
wrap.py, threshold.py, upgrade.py, export.py, serve.py, report.py, demo.py      the other verbs
"""
