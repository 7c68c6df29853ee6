"""What a finished run says about itself. Reads `metrics.json`; knows neither models nor training.

figures.py      `metrics.json`, laid out for templates
terminal.py     tables for the terminal
plots.py        the plots
card.py         the model card
page.py         the HTML report
"""
