"""Export: a tagger that runs without torch and transformers.

writing.py      writes the folder of an export
quantization.py an encoder with weights of 8 bits
parity.py       compares an export with its model
card.py         what the folder says of itself
runtime.py      tags texts with an export; travels with it
numpy_crf.py    the CRF of an export; travels with it
handler.py      the entry of an Inference Endpoint; travels with it
"""
