"""Export: a tagger that runs without torch and transformers.

writing.py      writes the folder of an export
quantization.py an encoder with weights of 8 bits
parity.py       compares an export with its model
runtime.py      tags texts with an export; travels with it
numpy_crf.py    the CRF of an export; travels with it
"""
