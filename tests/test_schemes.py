"""Tag schemes by their definitions, and the package's reading of broken sequences by conlleval's."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling_bert_crf.readers.conversion import convert, first_violation, is_iob1, repair, spans_to_tags
from modeling_bert_crf.schemes import (
    SCHEMES,
    constraints,
    continues,
    detect_scheme,
    entity_types,
    is_allowed,
    resolve_scheme,
    span_scheme,
    split_tag,
    tags_to_spans,
)


def alphabet(scheme):
    return ["O", *(f"{prefix}-{kind}" for kind in ("X", "Y") for prefix in SCHEMES[scheme])]


def all_segmentations(length, start=0):
    """Every way to put X and Y entities on a sentence."""
    if start == length:
        yield []
        return
    yield from all_segmentations(length, start + 1)
    for end, kind in itertools.product(range(start + 1, length + 1), ("X", "Y")):
        for rest in all_segmentations(length, end):
            yield [(start, end, kind), *rest]


def all_entities(length, *schemes):
    """The segmentations that schemes can tell apart: in IO neighbours of one type are one entity."""
    for spans in all_segmentations(length):
        if "IO" not in schemes or joined(spans) == spans:
            yield spans


def joined(spans):
    """Make neighbours of one type one entity."""
    whole = []
    for start, end, kind in spans:
        if whole and whole[-1][1:] == (start, kind):
            start = whole.pop()[0]
        whole.append((start, end, kind))
    return whole


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("length", [0, 1, 2, 3])
def test_legal_sequences_are_exactly_those_that_some_entities_write(scheme, length):
    """The rules of each pair of tags together are neither too strict nor too lax."""
    written = [tuple(spans_to_tags(spans, length, scheme)) for spans in all_entities(length, scheme)]
    legal = {
        tags for tags in itertools.product(alphabet(scheme), repeat=length) if first_violation(tags, scheme) is None
    }

    assert len(set(written)) == len(written)
    assert legal == set(written)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_spans_round_trip(scheme):
    for spans in all_entities(4, scheme):
        assert tags_to_spans(spans_to_tags(spans, 4, scheme), scheme) == spans


def test_io_joins_neighbours_of_one_type_and_forbids_nothing():
    labels = ["O", "I-X", "I-Y"]
    for spans in all_segmentations(4):
        assert tags_to_spans(spans_to_tags(spans, 4, "IO"), "IO") == joined(spans)
        assert convert(spans_to_tags(spans, 4, "IOB2"), "IOB2", "IO") == spans_to_tags(joined(spans), 4, "IO")
    assert constraints(labels, "IO") == ([True] * 3, [True] * 3, [[True] * 3] * 3)
    assert [[continues(one, two, "IO") for two in labels] for one in labels] == [
        [False, False, False],
        [False, True, False],
        [False, False, True],
    ]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_constraints_tabulate_the_rules(scheme):
    labels = alphabet(scheme)
    starts, ends, transitions = constraints(labels, scheme)

    for tags in itertools.product(range(len(labels)), repeat=3):
        by_table = starts[tags[0]] and ends[tags[2]] and all(transitions[i][j] for i, j in itertools.pairwise(tags))
        assert by_table == (first_violation([labels[tag] for tag in tags], scheme) is None)


def test_iob2_rules_written_out():
    allowed = {
        pair: is_allowed(*pair, "IOB2") for pair in itertools.product([None, "O", "B-X", "I-X", "I-Y"], repeat=2)
    }

    assert [pair for pair, legal in allowed.items() if not legal] == [
        (None, "I-X"),
        (None, "I-Y"),
        ("O", "I-X"),
        ("O", "I-Y"),
        ("B-X", "I-Y"),
        ("I-X", "I-Y"),
        ("I-Y", "I-X"),
    ]


@pytest.mark.parametrize(
    ("labels", "scheme"),
    [
        (["O", "B-PER", "I-PER"], "IOB2"),
        (["B-PER", "O"], "IOB2"),
        (["O", "B-PER", "I-PER", "E-PER", "S-PER"], "BIOES"),
        (["O", "B-PER", "I-PER", "L-PER", "U-PER"], "BILOU"),
        (["B-NR", "M-NR", "E-NR", "S-NR", "O"], "BMES"),
        (["O"], None),
        (["LABEL_0", "LABEL_1"], None),
        (["NOUN", "X-WORD"], None),
        (["O", "B-creative-work", "I-creative-work"], "IOB2"),
        (["O", "I-PER", "I-LOC"], "IO"),
        (["O", "B", "I"], "IOB2"),
        (["B", "I"], "IOB2"),
        (["O", "B", "I", "E", "S"], "BIOES"),
        (["B", "M", "E", "S"], "BMES"),
        (["O", "U", "B", "L"], "BILOU"),
        (["O", "I"], "IO"),
        (["S", "O"], "BIOES"),
        (["I"], None),
        (["O", "I", "E"], None),
        (["NOUN", "VERB", "B", "I", "O"], None),
        (["B", "I", "O", "X"], None),
        (["B", "S", "U", "O"], None),
    ],
)
def test_detection(labels, scheme):
    assert detect_scheme(labels) == scheme
    assert resolve_scheme("auto", labels) == scheme
    assert span_scheme("auto", labels) == span_scheme(None, labels) == scheme
    assert span_scheme(scheme or "auto", labels) == scheme


@pytest.mark.parametrize(
    ("labels", "scheme"),
    [
        (["O", "B-X", "I-Y"], "IOB2"),
        (["O", "E-X"], "BIOES"),
        (["O", "B-X", "NOUN"], None),
        (["O", "B-X", "S-X", "U-X"], None),
    ],
)
def test_free_labels_are_read_by_their_prefixes_if_these_go_together(labels, scheme):
    assert resolve_scheme(None, labels) is None
    assert span_scheme(None, labels) == scheme


def test_tags_without_types_are_entities_of_one_type_without_a_name():
    assert tags_to_spans(["B", "I", "O", "B", "B", "I"], "IOB2") == [(0, 2, "_"), (3, 4, "_"), (4, 6, "_")]
    assert spans_to_tags([(0, 2, "_"), (3, 4, "_")], 5, "BIOES") == ["B", "E", "O", "S", "O"]
    assert convert(["I", "I", "B", "O"], "IOB1", "BIOES") == ["B", "E", "S", "O"]
    assert convert(["B", "E", "S", "O"], "BIOES", "IOB1") == ["I", "I", "B", "O"]
    assert first_violation(["O", "I"], "IOB2") == 1
    assert entity_types(["B", "I", "O"], "IOB2") == ["_"]
    assert is_iob1([["O", "I", "I", "B", "I"]])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["O", "B-X", "S-X", "U-X"], r"prefixes of one scheme of IO, IOB2, BIOES, BILOU, BMES, got \['B', 'S', 'U'\]"),
        (["O", "B-X", "I-X", "I-Y"], r"label 'I-Y' can never be reached: no label opens a 'Y' entity in IOB2"),
        (
            ["O", "B-X", "I-X", "B", "I"],
            r"must all have a scheme prefix such as 'B-', or none of them, got 'B' without",
        ),
        (["O", "B-X", "NOUN"], r"must all have a scheme prefix such as 'B-', or none of them, got 'NOUN' without"),
    ],
)
def test_inconsistent_labels_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        detect_scheme(labels)


@pytest.mark.parametrize(
    ("scheme", "message"),
    [
        ("BIOES", None),
        ("IOB2", r"`tag_scheme` 'IOB2' has no tag 'E-X'"),
        ("IO", r"`tag_scheme` 'IO' has no tag 'B-X'"),
        ("BIO", r"`tag_scheme` must be 'IO', 'IOB2', 'BIOES', 'BILOU', 'BMES', 'auto' or None, got 'BIO'"),
    ],
)
def test_explicit_schemes(scheme, message):
    labels = ["O", "B-X", "E-X", "S-X"]
    if message is None:
        assert resolve_scheme(scheme, labels) == scheme
    else:
        with pytest.raises(ValueError, match=message):
            resolve_scheme(scheme, labels)


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ("I-X I-X O", [(0, 2, "X")]),
        ("O I-X I-Y", [(1, 2, "X"), (2, 3, "Y")]),
        ("B-X I-Y I-Y", [(0, 1, "X"), (1, 3, "Y")]),
        ("B-X B-X I-X", [(0, 1, "X"), (1, 3, "X")]),
    ],
)
def test_broken_iob2_is_read_as_conlleval_reads_it(tags, spans):
    assert tags_to_spans(tags.split(), "IOB2") == spans
    assert tags_to_spans(repair(tags.split(), "IOB2"), "IOB2") == spans
    assert first_violation(repair(tags.split(), "IOB2"), "IOB2") is None


def test_tags_without_a_scheme_are_read_as_runs():
    assert tags_to_spans(["A", "A", "O", "B", "A"], None) == [(0, 2, "A"), (3, 4, "B"), (4, 5, "A")]


@pytest.mark.parametrize("span", [(1, 1, "X"), (-1, 1, "X"), (3, 5, "X"), (1, 3, "X")])
def test_spans_that_cannot_be_written_are_refused(span):
    with pytest.raises(ValueError, match=r"must be free and inside a sentence of 4 words"):
        spans_to_tags([(2, 3, "Y"), span], 4, "IOB2")


@pytest.mark.parametrize(("source", "target"), [*itertools.permutations(["IOB1", *SCHEMES], 2)])
def test_conversions_round_trip(source, target):
    for spans in all_entities(4, source, target):
        tags = (
            convert(spans_to_tags(spans, 4, "IOB2"), "IOB2", source)
            if source != "IOB2"
            else spans_to_tags(spans, 4, source)
        )
        assert convert(convert(tags, source, target), target, source) == tags


@st.composite
def sentences_with_spans(draw):
    """A length, and entities of any names that neither overlap nor leave the sentence."""
    gaps = draw(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 5)), max_size=12))
    kinds = st.sampled_from(["X", "creative-work", "B-X", "É", "O", "_"])
    spans, position = [], 0
    for gap, size in gaps:
        spans.append((position + gap, position + gap + size, draw(kinds)))
        position += gap + size
    return spans, position + draw(st.integers(0, 3))


@given(sentences_with_spans(), st.sampled_from([*SCHEMES, "IOB1"]), st.sampled_from([*SCHEMES, "IOB1"]))
def test_any_entities_survive_any_conversion(sentence, source, target):
    spans, length = sentence
    if "IO" in (source, target):
        spans = joined(spans)
    tags = convert(spans_to_tags(spans, length, "IOB2"), "IOB2", source)
    converted = convert(tags, source, target)

    assert tags_to_spans(converted, "IOB2" if target == "IOB1" else target) == spans
    assert convert(converted, target, source) == tags
    if target != "IOB1":
        assert first_violation(converted, target) is None


def test_iob1_is_told_from_broken_iob2():
    for spans in all_segmentations(4):
        iob2 = spans_to_tags(spans, 4, "IOB2")
        assert not is_iob1([iob2])
        assert is_iob1([convert(iob2, "IOB2", "IOB1")]) == bool(spans)
    assert not is_iob1([["B-X", "O"], ["I-X"]])


def test_conversion_refuses_broken_tags():
    with pytest.raises(ValueError, match=r"tags must obey BIOES, got a fault at position 1 of \['B-X', 'O'\]"):
        convert(["B-X", "O"], "BIOES", "IOB2")


def test_a_hyphen_without_a_type_is_part_of_a_label():
    assert split_tag("B-") == ("", "B-")
    assert split_tag("-X") == ("", "-X")


def test_no_entity_goes_on_from_an_outside_word_to_the_next():
    for scheme in (None, *SCHEMES):
        assert not continues("O", "O", scheme)


def test_a_named_scheme_asks_for_labels_that_open_each_type():
    with pytest.raises(ValueError, match="label 'I-Y' can never be reached: no label opens a 'Y' entity in IOB2"):
        resolve_scheme("IOB2", ["O", "B-X", "I-X", "I-Y"])
