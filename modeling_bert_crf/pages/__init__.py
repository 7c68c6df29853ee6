"""Pages of HTML: `render.py` fills in the templates that lie beside it.

base.html       what all pages share
entity.css      how an entity looks, in a page and in the demo
palette.py      the colours of types; how a probability is written
entities.html   texts with their entities, as `bert-crf tag` writes them
diagnosis.html  what `bert-crf diagnose` finds in labelled data
report.html     the report on a run
mistakes.html   sentences with mistakes, as `bert-crf errors` writes them
sentence.html   one of these, for both
demo/           the parts of the demo's page
"""
