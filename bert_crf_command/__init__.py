"""The command `bert-crf`. A package of its own: importing `modeling_bert_crf` imports torch, which takes seconds."""
