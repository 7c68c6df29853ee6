"""A run, from its options to its last file. The files stand in the order in which a run comes by them.

arguments.py            the options, in three parts
training_arguments.py   the third part: the host's arguments, with other defaults and a few more
settings.py             the settings that the program makes where the user leaves something open
recipe.py               learning rate and epochs for encoders of a size
checks.py               what is refused before anything is loaded
errors.py               the errors that a run can end with

splits.py               the splits of the data: read, in one spelling, their tags legal
span_reading.py         how texts with spans are read: with which words, by which rules
labels.py               the labels of a new model
splitter_choice.py      how a new model splits texts into words
opened_tokenizer.py     the tokenizer of the model that the run starts from
starting_model.py       the model that the run starts from
split_datasets.py       the splits as data sets for that model
dataset.py              a data set: rows, batches, and back from paths to tags
overview.py             what the run begins with, for the terminal
run_record.py           what decides the run's result, to be compared when it is resumed

trainer.py              the Trainer; it inherits the next three
staged_trainer.py         learning rates by part, the head first
restartable_trainer.py    checkpoints that are whole or known to be damaged
hub_trainer.py            pushes once, at the end
batch_order.py          batches of rows of like length, and of few enough sub-tokens
log_lines.py            what a run says while it trains
crf_statistics.py       what the CRF has learnt
reading.py              what the encoder says of a split, read once for all that is measured
calibration.py          the temperature
checkpoints.py          whether training can go on from a checkpoint

output_folder.py        what a run leaves, and how far it has come
evaluation.py           everything that is measured on a split
origins.py              what it starts from: the encoder's name, and the licences that cards state
facts.py                what `metrics.json` says of the run beside the scores
stock_results.py        the same as the host's example script writes it
push_step.py            the last step
machine_faults.py       what the machine or the user does to a run, in one sentence
example.py              a corpus and an encoder to try all this on
"""
