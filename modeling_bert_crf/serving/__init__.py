"""`bert-crf serve`: a tagger behind HTTP. Nothing here imports torch, so that an export is served without it.

limits.py       how much the service takes on
metrics.py      its figures, as Prometheus reads them
gate.py         what a request has to pass: room, size, time
batches.py      requests that wait, and the batches that they share
taggers.py      a tagger, or an export of one, as something that answers batches of requests
requests.py     what a request may say
app.py          the addresses, and what they answer
server.py       the process: its port, and how it stops
"""
