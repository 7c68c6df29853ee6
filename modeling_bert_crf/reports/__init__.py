"""Reports on finished runs, made from their `metrics.json`. They know neither models nor training.

figures.py      `metrics.json`, laid out for templates
tables.py       what a run shows on the terminal
plots.py        the plots
card.py         the model card; its template is card.md
page.py         the HTML report
"""
