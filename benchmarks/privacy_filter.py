"""A long text in one chain, with a checkpoint of the class of OpenAI's Privacy Filter.

    python benchmarks/privacy_filter.py DATA [--tokens 100000]

The Filter itself has 1.5 billion parameters. This is a random checkpoint of its class with a tenth of its widths, the
same layers, experts, window of attention and labels, and a tokenizer of its kind that is trained on the text. DATA is
as for `accuracy.py`; the text is WNUT-17's training part, joined, as often as it takes.

Printed are: the largest difference between emissions of overlapping rows and those of one row, for a text of which one
row can be read at all; the time and the memory that the long text takes; and what the stock pipeline finds in 200
sentences beside what ours does.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    OpenAIPrivacyFilterConfig,
    OpenAIPrivacyFilterForTokenClassification,
    PreTrainedTokenizerFast,
    pipeline,
)

from modeling_bert_crf import BiLSTMCRFForTokenClassification, BiLSTMCRFPipeline
from modeling_bert_crf.readers.files import read_conll

_LETTERS = (
    r"[^\r\n\p{{L}}\p{{N}}]?[\p{{Lu}}\p{{Lt}}\p{{Lm}}\p{{Lo}}\p{{M}}]{0}"
    r"[\p{{Ll}}\p{{Lm}}\p{{Lo}}\p{{M}}]{1}(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
)
O200K = "|".join(
    (
        *(_LETTERS.format(*counts) for counts in ("*+", "+*")),
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    )
)
"""How the Filter's tokenizer splits a text before it looks for sub-tokens."""
ONE_ROW = 8_192
SENTENCES = 200


def make(folder: Path, texts: Sequence[str]) -> None:
    """Write a random checkpoint, and a tokenizer trained on texts."""
    end = "<|endoftext|>"
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(O200K), "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)]
    )
    trained.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trained.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=8_000, special_tokens=[end], initial_alphabet=alphabet)
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=trained, pad_token=end, eos_token=end, model_max_length=131_072
    )
    torch.manual_seed(0)
    config = OpenAIPrivacyFilterConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=64,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
        pad_token_id=0,
        eos_token_id=0,
    )
    model = OpenAIPrivacyFilterForTokenClassification(config)
    with torch.no_grad():  # so that scores are as far apart as those of a trained model
        model.score.weight.normal_(std=0.3)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def against_one_row(tagger: BiLSTMCRFPipeline, text: str) -> None:
    rows, one = tagger.preprocess([text]), tagger.preprocess([text], stride=0)
    (found,), (expected,) = tagger.forward(rows), tagger.forward(one)
    longest = max(len(window.input_ids) for window in rows[0].chains[0])
    print(
        f"{len(expected):,} sub-tokens in {len(rows[0].chains[0])} rows of at most {longest:,}, beside "
        f"{len(one[0].chains[0])} row: emissions differ by {(found - expected).abs().max():.1e} at most, and lie from "
        f"{expected.min():.1f} to {expected.max():.1f}"
    )


def long_text(tagger: BiLSTMCRFPipeline, text: str) -> None:
    before, began = _peak(), time.process_time()
    texts = tagger.preprocess([text])
    emissions = tagger.forward(texts)
    read = time.process_time()
    (entities,) = tagger.postprocess(texts, emissions)
    ended = time.process_time()
    print(
        f"{len(texts[0].words):,} sub-tokens as one chain, on one thread: {read - began:.1f} s for the encoder, "
        f"{ended - read:.1f} s for the chain and {len(entities):,} entities; peak memory {_peak():.0f} MiB, "
        f"{before:.0f} before"
    )


def beside_the_stock_pipeline(folder: Path, tagger: BiLSTMCRFPipeline, sentences: Sequence[str]) -> None:
    stock = pipeline("token-classification", model=str(folder), aggregation_strategy="simple")
    places: dict[str, list[set[tuple[int, int, str]]]] = {}
    for name, found in (("stock", stock(list(sentences))), ("ours", tagger(list(sentences)))):
        places[name] = [{(one["start"], one["end"], one["entity_group"]) for one in text} for text in found]
        entities = [
            (sentence[one["start"]], one) for sentence, text in zip(sentences, found, strict=True) for one in text
        ]
        blanks = sum(first.isspace() for first, _ in entities)
        left = Counter(one["entity_group"][:2] for _, one in entities if one["entity_group"][1] == "-")
        print(
            f"{name}: {len(entities):,} entities in {len(sentences)} sentences; {blanks} begin with a blank; prefixes "
            f"that are taken for a part of the type: {dict(left) or 'none'}"
        )
    equal = sum(len(a & b) for a, b in zip(places["stock"], places["ours"], strict=True))
    print(f"{equal} are the same in both")


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--tokens", type=int, default=100_000)
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    sentences = [" ".join(one.words) for one in read_conll(arguments.data / "wnut17" / "train.conll")]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make(folder, sentences)
        tagger = BiLSTMCRFPipeline(
            model=BiLSTMCRFForTokenClassification.from_tagger(str(folder)),
            tokenizer=PreTrainedTokenizerFast.from_pretrained(folder),
        )
        for tokens, run in ((arguments.tokens, long_text), (ONE_ROW, against_one_row)):
            words = " ".join(islice(cycle(sentences), tokens // 8)).split(" ")
            ids = tagger.tokenizer(" ".join(words), return_offsets_mapping=True, verbose=False)["offset_mapping"]
            run(tagger, " ".join(words)[: ids[tokens - 1][1]])
        beside_the_stock_pipeline(folder, tagger, sentences[:SENTENCES])


if __name__ == "__main__":
    main(sys.argv[1:])
