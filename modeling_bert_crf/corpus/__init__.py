"""A corpus tagged shard by shard, so that a job which was killed goes on where it stood.

job.py        a job from its first look at the inputs to its last file
ledger.py     what an output folder says of its job: what decides it, which shards are there, which rows were bad
shards.py     a corpus cut into shards, and one shard from its rows to its file
engines.py    who tags the shards: this process, or several on this machine
on_ray.py     the shards on a Ray cluster
on_spark.py   a data frame of Spark's, with a column more
progress.py   how far a job is, how fast it goes, and how long it will take
sources.py    inputs, by their names, as sources of rows
lines.py      files of lines as rows: JSON, texts, CSV
tables.py     Arrow tables as rows: parquet files, and data sets of the `datasets` library
rows.py       rows on their way to the tagger; what is wrong with one
writing.py    rows with their entities as parquet or JSON lines
places.py     files here and elsewhere, wherever Arrow or fsspec can read and write
"""
