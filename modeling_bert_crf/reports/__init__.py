"""Reports on finished runs, made from what these leave in their folder. They know neither models nor training.

errors.py       why there is no report
runs.py         what a run has left: its figures, and the sentences that it was tested on
figures.py      `metrics.json`, laid out for templates
tables.py       what a run shows on the terminal
plots.py        the plots
card.py         the model card; its template is card.md
mistakes.py     mistakes in their sentences, in words and in HTML
page.py         the HTML report
"""
