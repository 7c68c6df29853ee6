"""Reading, checking and converting labelled sentences."""

import json

import datasets
import pytest

from modeling_bert_crf.readers.datasets import class_names, read_dataset
from modeling_bert_crf.readers.files import read_conll, read_file
from modeling_bert_crf.readers.sentences import DataError, Sentence
from modeling_bert_crf.readers.spelling import find_spelling, respell
from modeling_bert_crf.readers.tags import (
    convert_tags,
    count_repairs,
    find_labels,
    find_scheme,
    tag_places,
    with_legal_tags,
)


@pytest.fixture
def write(tmp_path):
    def write(text, name="data.conll"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def sentence(words, tags):
    return Sentence(words.split(), tags.split(), "data.conll", list(range(7, 7 + len(words.split()))))


@pytest.mark.parametrize(
    "text",
    [
        "Ada\tB-PER\nsang\tO\n\nParis\tB-LOC\n",
        "Ada B-PER\nsang O\n\nParis B-LOC",
        "Ada\tNNP\tB-PER\nsang\tVB\tO\n \t\nParis\tNNP\tB-LOC\n\n\n",
        "-DOCSTART- -X- -X- O\n\nAda NNP B-NP B-PER\nsang VB  B-VP O\n\nParis NNP B-NP B-LOC\n",
        "# a comment\nAda\tB-PER\nsang\tO\n\n# sent_id = 2\nParis\tB-LOC\n",
        "\ufeffAda\tB-PER\r\nsang\tO\r\n\r\nParis\tB-LOC\r\n",
    ],
    ids=["tabs", "blanks", "three columns", "CoNLL-2003", "comments", "Windows"],
)
def test_column_files(write, text):
    sentences = read_conll(write(text))

    assert [one.words for one in sentences] == [["Ada", "sang"], ["Paris"]]
    assert [one.tags for one in sentences] == [["B-PER", "O"], ["B-LOC"]]


def test_odd_words_are_words(write):
    words = ["#", "#tag", "\ufe0f", "\u200b", "a b", "\u2028", "\u00a0", "-DOCSTART", '"', "\\t"]
    (read,) = read_conll(write("".join(f"{word}\tO\n" for word in words)))
    assert read.words == words

    (read,) = read_conll(write("# O\nx O\n#tag B-X\n"))
    assert read.words == ["#", "x", "#tag"]


def test_line_numbers_count_what_is_skipped(write):
    sentences = read_conll(write("-DOCSTART-\tO\n\n# c\na\tO\n# d\nb\tO\n\n\nc\tO\n"))

    assert [one.lines for one in sentences] == [[4, 6], [9]]


def lines_of(write, text):
    return [list(zip(one.words, one.tags, strict=True)) for one in read_conll(write(text))]


def test_comments_with_tabs_are_comments(write):
    germeval = "#\thttp://a.example\t[2009-10-17]\n1\tAda\tB-PER\tO\n2\tsang\tO\tO\n"
    (read,) = read_file(write(germeval), word_column="1", tag_column="2")
    assert (read.words, read.tags, read.lines) == (["Ada", "sang"], ["B-PER", "O"], [2, 3])

    by_line = "## 12\tAda sang\nAda\tB-PER\nsang\tO\n\n## 13\tParis\n# source:\tmine\nParis\tB-LOC\n"
    assert lines_of(write, by_line) == [[("Ada", "B-PER"), ("sang", "O")], [("Paris", "B-LOC")]]

    # In a file with tabs a line without one is a comment, whatever its last word.
    assert lines_of(write, "# Vitamin O\nAda\tB-PER\n# O\n") == [[("Ada", "B-PER")]]


def test_a_word_that_begins_with_a_hash_and_has_a_tag_is_a_word(write):
    assert lines_of(write, "#\tSYM\nAda\tNOUN\n#\tPUNCT\n") == [[("#", "SYM"), ("Ada", "NOUN"), ("#", "PUNCT")]]
    assert lines_of(write, "Ada NOUN\n# NOUN\n# a comment\n") == [[("Ada", "NOUN"), ("#", "NOUN")]]
    assert lines_of(write, "#\tB\n#tag\tI\nx\tO\n") == [[("#", "B"), ("#tag", "I"), ("x", "O")]]
    assert lines_of(write, "#\tO\n##\tB-X\n") == [[("#", "O"), ("##", "B-X")]]


COUNTED = "# a\n0\tAda\tB-PER\n1\tsang\tO\n\n0\tParis\tB-LOC\n\n0\tin\tO\n1\tit\tO\n2\trains\tO\n"


@pytest.mark.parametrize(
    "text",
    [
        COUNTED,
        COUNTED.replace("\t", " "),
        "1\tAda\tB-PER\t-\n2\tsang\tO\t-\n\n1\tParis\tB-LOC\t-\n",
        "1\tAda\tB-PER\n2\tsang\tO\n\n3\tParis\tB-LOC\n",
        "".join(f"1\tword{number}\tO\n2\tsang\tO\n\n" for number in range(300)) + "not\ta\tcounter\n",
    ],
    ids=["from 0", "blanks", "from 1", "through the file", "read no further"],
)
def test_a_first_column_that_counts_is_not_the_words(write, text):
    with pytest.raises(
        DataError, match=r"data.conll: the first column counts the words \([01], .*--text_column_name 1"
    ):
        read_conll(write(text))

    (first, second, *_) = read_file(write(text), word_column="1", tag_column="2")
    assert (first.words[1], second.tags) == ("sang", ["B-LOC"] if "Paris" in text else ["O", "O"])


@pytest.mark.parametrize(
    "text",
    [
        "1\tNUM\tO\n2\tNUM\tO\n\n4\tNUM\tO\n",  # not from 1, and not where the last sentence ended
        "1\tNUM\tO\n\n1\tNUM\tO\n",
        "1\tO\n2\tO\n",
        "1\tNUM\tO\n3\tNUM\tO\n",
        "1\tNUM\tO\n" * 2 + "\n" + "01\tNUM\tO\n02\tNUM\tO\n",
    ],
)
def test_numbers_are_words(write, text):
    words = [line.split("\t")[0] for line in text.splitlines() if line]
    assert [word for one in read_conll(write(text)) for word in one.words] == words


CONLLU = """# newdoc id = a
# sent_id = a-1
# text = Du vin à Zoë
1-2\tDu\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No
1\tDe\tde\tADP\t_\t_\t3\tcase\t_\tname=O
2\tle\tle\tDET\t_\t_\t3\tdet\t_\tname=O
3\tvin\tvin\tNOUN\t_\t_\t0\troot\t_\tSpaceAfter=No|name=O
3.1\tbu\t_\tVERB\t_\t_\t_\t_\t0:root\t_
4\tà\tà\tADP\t_\t_\t5\tcase\t_\t_
5\tZoë\tZoë\tPROPN\t_\t_\t3\tnmod\t_\tname=B-PER|SpaceAfter=No

# newdoc id = b
# sent_id = b-1
1\t10 000\t_\tNUM\t_\t_\t0\troot\t_\tname=O
2\t#\t_\tSYM\t_\t_\t1\tdep\t_\tname=I-LOC

"""


def test_conllu_is_read_by_its_columns(write):
    sentences = list(read_file(write(CONLLU, "data.conllu")))
    spelling = find_spelling(tag_places(sentences))

    assert [one.words for one in sentences] == [["De", "le", "vin", "à", "Zoë"], ["10 000", "#"]]
    assert [respell(one, spelling).tags for one in sentences] == [["O", "O", "O", "O", "B-PER"], ["O", "I-LOC"]]
    assert [(one.lines[0], one.document) for one in sentences] == [(5, "1"), (14, "2")]
    tagged = list(read_file(write(CONLLU, "data.conllu"), tag_column="3"))
    assert [one.tags for one in tagged] == [["ADP", "DET", "NOUN", "ADP", "PROPN"], ["NUM", "SYM"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "1\tAda\tB-PER\n",
            r"data.conllu:1: a word of CoNLL-U must be its number and nine other cells, .* got '1\\tAda",
        ),
        ("x" + "\t_" * 9 + "\n", r"data.conllu:1: a word of CoNLL-U must be its number"),
        (
            "1\tAda" + "\t_" * 7 + "\tSpaceAfter=No\n2\t." + "\t_" * 8 + "\n",
            r"data.conllu: MISC must hold tags, as in name=B-PER, got 'SpaceAfter=No', '_': name the column of tags",
        ),
    ],
)
def test_what_is_not_conllu_is_refused(write, text, message):
    with pytest.raises(DataError, match=message):
        list(read_file(write(text, "data.conllu")))


def test_conllu_under_another_name_is_recognised_by_its_counters(write):
    for numbers in ("1 2", "1-2 1 2 2.1 3"):
        with pytest.raises(
            DataError, match=r"--text_column_name 1; or is it CoNLL-U\? Then its name must end in .con"
        ):
            read_conll(write("\n".join(f"{number}\tw" + "\t_" * 8 for number in numbers.split()) + "\n"))


@pytest.mark.parametrize(
    "text",
    [
        b"Ada\tB-PER\rsang\tO\r\rParis\tB-LOC\r",
        b"Ada\tB-PER\rsang\tO\r\rParis\tB-LOC",
        b"\xef\xbb\xbfAda\tB-PER\rsang\tO\r\rParis\tB-LOC\r",
        b"Ada\tB-PER\r\nsang\tO\r\n\r\nParis\tB-LOC\r\n\x1a",
        b"Ada\tB-PER\nsang\tO\n\nParis\tB-LOC\x1a",
    ],
    ids=["CR", "CR, no last one", "CR and mark", "end of file on a line", "end of file"],
)
def test_files_of_old_machines_are_read(write, text):
    sentences = read_conll(write(text))
    assert [(one.words, one.tags, one.lines) for one in sentences] == [
        (["Ada", "sang"], ["B-PER", "O"], [1, 2]),
        (["Paris"], ["B-LOC"], [4]),
    ]


@pytest.mark.parametrize(
    ("encoding", "name"),
    [("utf-16", "UTF-16"), ("utf-16-be", "UTF-16"), ("utf-16-le", "UTF-16"), ("utf-32", "UTF-32")],
)
@pytest.mark.parametrize("file", ["data.conll", "data.jsonl"])
def test_other_encodings_are_named(write, encoding, name, file):
    text = "Ada\tB-PER\nsang\tO\n" if file.endswith("conll") else '{"tokens": ["Ada"], "tags": ["O"]}'
    with pytest.raises(DataError, match=rf"{file}: must be UTF-8, got {name}: convert it, as with iconv -f {name}"):
        list(read_file(write(text.encode(encoding), file)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Ada\nsang\n", r"data.conll:1: must have a word and a tag column, got one column: 'Ada'"),
        ("Ada\tO\nsang\tVB\tO\n", r"data.conll:2: must have 2 columns as line 1, got 3: 'sang\\tVB\\tO'"),
        ("Ada\tO\n\tO\n", r"data.conll:2: the word must not be empty, got '\\tO'"),
        ("Ada\tO\nsang\t\n", r"data.conll:2: the tag must not be empty"),
        ("\n\n", r"data.conll: must hold at least one sentence, got none"),
        (b"Ada\tO\ncaf\xe9\tO\n", r"data.conll:2: must be UTF-8, got byte 0xe9"),
        (
            "Ada\tO\nA\0da\tO\n",
            r"data.conll:2: must be lines of text, got a NUL or a carriage return inside one: 'A\\x00da\\tO'",
        ),
        (
            "Ada\tO\nsang\tO\rx\tO\n",
            r"data.conll:2: must be lines of text, got a NUL or a carriage return inside one: 'sang",
        ),
        ("Ada\u00a0O\n", r"got one column: 'Ada\\xa0O'; tabs or blanks separate columns, not '\\xa0'"),
        ("# cells = JSON\nAda\tO\n", r"data.conll:2: must hold JSON strings, as '# cells = JSON' says, got 'Ada\\tO'"),
        ('# cells = JSON\n"Ada"\t1\n', r"data.conll:2: must hold JSON strings"),
        ('# cells = JSON\n"Ada \\ud800"\t"O"\n', r"data.conll:2: must be Unicode text, got half a character"),
    ],
)
def test_unreadable_files_are_refused(write, text, message):
    with pytest.raises(DataError, match=message):
        read_conll(write(text))


def test_missing_files_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"nowhere.conll: no such file"):
        read_conll(tmp_path / "nowhere.conll")


@pytest.mark.parametrize(
    ("tags", "scheme", "labels"),
    [
        ("B-X O", "IOB2", ["O", "B-X", "I-X"]),
        ("S-Y O", "BIOES", ["O", "B-Y", "I-Y", "E-Y", "S-Y"]),
        ("NOUN VERB", None, ["NOUN", "VERB"]),
        ("O O", None, ["O"]),
        ("I-Y O", "IO", ["O", "I-Y"]),
        ("B O", "IOB2", ["O", "B", "I"]),
        ("S O", "BIOES", ["O", "B", "I", "E", "S"]),
        ("NOUN B", None, ["B", "NOUN"]),
    ],
)
def test_scheme_and_labels_of_the_data(tags, scheme, labels):
    data = [sentence("a b", tags)]

    assert find_scheme(data) == scheme
    assert find_labels(data, scheme) == labels


def test_a_mixture_of_schemes_is_refused():
    with pytest.raises(DataError, match=r"data.conll:7: labels must use the prefixes of one scheme"):
        find_scheme([sentence("a b", "S-X U-X")])


@pytest.mark.parametrize(
    ("tags", "scheme", "message"),
    [
        ("O I-X O", "IOB2", r"data.conll:8: the tags must obey IOB2, got 'I-X' after 'O'; --repair_tags reads"),
        ("I-X O O", "IOB2", r"data.conll:7: the tags must obey IOB2, got 'I-X' after the sentence's start"),
        ("O O B-X", "BIOES", r"data.conll:9: the tags must obey BIOES, got 'B-X' at the sentence's end"),
        ("O E-X O", "IOB2", r"data.conll:8: the tag must be O or one of IOB2, got 'E-X'"),
    ],
)
def test_illegal_gold_is_refused_by_file_and_line(tags, scheme, message):
    with pytest.raises(DataError, match=message):
        with_legal_tags(sentence("a b c", tags), scheme)


def test_illegal_gold_is_repaired_on_request():
    data = [sentence("a b c", "I-X I-X I-Y"), sentence("a b c", "B-X I-X O"), sentence("a b c", "O I-X O")]

    repaired = [with_legal_tags(one, "IOB2", repair_tags=True) for one in data]

    assert [one.tags for one in repaired] == [["B-X", "I-X", "B-Y"], ["B-X", "I-X", "O"], ["O", "B-X", "O"]]
    assert count_repairs(data, repaired) == {"I-X -> B-X": 2, "I-Y -> B-Y": 1}
    assert data[0].tags == ["I-X", "I-X", "I-Y"]


def test_iob1_is_found_and_converted():
    data = [sentence("a b c", "I-X I-X B-X"), sentence("a b c", "O I-Y O")]

    assert find_scheme(data) == "IOB1"
    assert [convert_tags(one, "IOB1", "IOB2").tags for one in data] == [["B-X", "I-X", "B-X"], ["O", "B-Y", "O"]]
    assert convert_tags(data[0], "IOB1", "BIOES").tags == ["B-X", "E-X", "S-X"]


def test_data_without_a_b_are_io_and_converted_by_their_entities():
    data = [sentence("a b c", "I-X I-X I-Y"), sentence("a b c", "O I-Y O")]

    assert find_scheme(data) == "IO"
    assert [with_legal_tags(one, "IO") for one in data] == data
    assert [convert_tags(one, "IO", "IO") for one in data] == data
    assert [convert_tags(one, "IO", "IOB2").tags for one in data] == [["B-X", "I-X", "B-Y"], ["O", "B-Y", "O"]]
    assert convert_tags(sentence("a b c", "S-X B-X E-X"), "BIOES", "IO").tags == ["I-X", "I-X", "I-X"]


@pytest.mark.parametrize(
    ("tags", "usual"),
    [
        ("B_PER I_PER O", "B-PER I-PER O"),
        ("B_creative_work I_creative_work O", "B-creative_work I-creative_work O"),
        ("B:PER I:PER O", "B-PER I-PER O"),
        ("PER-B PER-I O", "B-PER I-PER O"),
        ("PER_B PER_E LOC_S O", "B-PER E-PER S-LOC O"),
        ("b-per i-per o", "B-per I-per O"),
        ("B-PER I-PER o", "B-PER I-PER O"),
        ("b i o", "B I O"),
        ("o o", "O O"),
        ("B- I- O", "B I O"),
        ("B-_ I-_ O", "B I O"),
        ("name=B-PER SpaceAfter=No|name=I-PER _ name=O", "B-PER I-PER O O"),
        ("NE=B|Gloss=a NE=I Gloss=b NE=O", "B I O O"),
        ("Entity=B_PER Entity=I_PER SpaceAfter=No", "B-PER I-PER O"),
        ("name=O Gloss=b _", "O O O"),
        # Left as they are: usual, or free labels.
        ("B-PER I-PER O", "B-PER I-PER O"),
        ("B I O", "B I O"),
        ("NOUN VERB B I O", "NOUN VERB B I O"),
        ("noun_s noun_m adj_s", "noun_s noun_m adj_s"),
        ("s v o", "s v o"),
        ("LABEL_0 LABEL_1", "LABEL_0 LABEL_1"),
        ("Case=Nom|Number=Sing _ Mood=Imp", "Case=Nom|Number=Sing _ Mood=Imp"),
        ("S-PER B_PER", "S-PER B_PER"),
    ],
)
def test_tags_in_another_spelling_are_read_where_all_of_them_agree(tags, usual):
    one = sentence(" ".join("a" for _ in tags.split()), tags)
    assert respell(one, find_spelling(tag_places([one]))).tags == usual.split()


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        (
            "B_X I_X LOC O",
            r"data.conll:9: the tags must be like 'B-PER', 'I-PER' and 'O'; some are spelt as 'B_X', but 'LOC' is not",
        ),
        ("O I_B B_B B_I I_I", r"data.conll:8: .* got 'I_B', which could mean 'I-B' or 'B-I'"),
        (
            "(PER* *) * (LOC*)",
            r"data.conll:7: the tags must be like 'B-PER', got '\(PER\*', a bracket as in CoNLL-2012",
        ),
        ("a=B-X|b=B-Y a=O", r"data.conll:7: one item at most must hold tags, as in name=B-PER, got a, b: leave one"),
    ],
)
def test_tags_that_do_not_agree_on_a_spelling_are_refused(tags, message):
    with pytest.raises(DataError, match=message):
        find_spelling(tag_places([sentence(" ".join("a" for _ in tags.split()), tags)]))


def test_a_scheme_is_not_guessed_from_another_spelling():
    with pytest.raises(DataError, match=r"data.conll:7: the tags must be spelt like 'B-PER', got 'B_PER': `respell`"):
        find_scheme([sentence("a b", "B_PER O")])
    with pytest.raises(
        DataError, match=r"data.conll:8: labels must all have .* got '-' without; words outside of ent"
    ):
        find_scheme([sentence("a b", "B-PER -")])


def test_tags_without_prefixes_cannot_be_converted():
    with pytest.raises(DataError, match=r"data.conll:7: tags without prefixes cannot be written IOB2, got \['NOUN'\]"):
        convert_tags(sentence("a", "NOUN"), None, "IOB2")
    assert convert_tags(sentence("a", "O"), None, "IOB2").tags == ["O"]


@pytest.mark.parametrize(
    ("text", "columns"),
    [("1 Ada B-PER - -\n2 sang O - -\n", ("1", "2")), ("B-PER\tAda\nO\tsang\n", ("-1", "0"))],
    ids=["numbered", "reversed"],
)
def test_column_numbers_can_be_given(write, text, columns):
    (read,) = read_file(write(text), *columns)

    assert (read.words, read.tags) == (["Ada", "sang"], ["B-PER", "O"])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (("5", None), r"data.conll:1: must have a column 5, got 2 columns: 'a\\tO'"),
        (("tokens", None), "the column of the words in a column file must be a number from 0, got 'tokens'"),
    ],
)
def test_wrong_column_numbers_are_refused(write, columns, message):
    with pytest.raises(DataError, match=message):
        list(read_file(write("a\tO\n"), *columns))


def test_swapped_columns_are_recognised():
    with pytest.raises(
        DataError, match=r"data\.conll: the columns of words and tags seem swapped: the words are B-X, O"
    ):
        find_scheme([sentence("B-X O", "Ada sang")])
    with pytest.raises(DataError, match=r"the columns of words and tags seem swapped: the words are B, I, O"):
        find_scheme([sentence("B I O", "Ada Lovelace sang")])
    assert find_scheme([sentence("I O", "PRON INTJ")]) is None
    assert find_scheme([sentence("B O S-Bahn sang", "O B-X O O")]) == "IOB2"


def test_a_column_without_tags_is_recognised():
    with pytest.raises(
        DataError, match=r"the column of tags must hold tags, got 600 different ones: 'w0', 'w1', 'w2'"
    ):
        find_scheme([sentence("x", f"w{number}") for number in range(600)])


JSON_ROWS = [{"tokens": ["Ada", "sang"], "ner_tags": ["B-PER", "O"]}, {"tokens": ["Paris"], "ner_tags": ["B-LOC"]}]
NAMES = ["O", "B-PER", "B-LOC"]


def json_lines(rows):
    return "\n\n".join(json.dumps(row) for row in rows)


@pytest.mark.parametrize("names", [("tokens", "ner_tags"), ("words", "labels"), ("Wörter", "x")])
@pytest.mark.parametrize("integers", [False, True])
def test_json_lines(write, names, integers):
    rows = [
        {
            names[1]: [NAMES.index(tag) if integers else tag for tag in row["ner_tags"]],
            names[0]: row["tokens"],
            "id": 1,
        }
        for row in JSON_ROWS
    ]
    given = names if names[1] == "x" else (None, None)

    read = list(read_file(write(json_lines(rows), "data.jsonl"), *given, labels=NAMES if integers else None))

    assert [(one.words, one.tags) for one in read] == [(row["tokens"], row["ner_tags"]) for row in JSON_ROWS]
    assert [one.where(0).rsplit(":")[-1] for one in read] == ["1", "3"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"tokens": ["a"]', r"data.jsonl:1: must hold one JSON object a line, got Expecting"),
        ("[1]", r"data.jsonl:1: must hold one JSON object a line, got '1'"),
        (
            '{"text": "a b", "tags": []}',
            r"data.jsonl:1: must have a column of words named tokens or words, got text, tags; name it with --text",
        ),
        (
            '{"tokens": ["a"], "x": []}',
            r"a column of tags named ner_tags or tags .*; name it with --label_column_name",
        ),
        ('{"tokens": "a b", "tags": []}', r"data.jsonl:1: 'tokens' must be a list of words, got 'a b'"),
        ('{"tokens": ["a"], "tags": ["O", "O"]}', r"data.jsonl:1: 'tags' must hold 1 tags, one per word, got 2"),
        ('{"tokens": ["a"], "tags": [0]}', r"data.jsonl:1: integer tags need their names: .*--label_list"),
        ('{"tokens": ["a"], "tags": [""]}', r"data.jsonl:1: 'tags' must hold tags or their ids, got \[''\]"),
        (
            '{"tokens": ["a", "b"], "tags": [0, "O"]}',
            r"data.jsonl:1: 'tags' must hold tags or their ids, got \[0, 'O'\]",
        ),
        ('{"tokens": ["", "a"], "tags": ["O", "O"]}', r"data.jsonl:1: a word must not be empty"),
        ('{"tokens": ["a"], "tags": [true]}', r"data.jsonl:1: 'tags' must hold tags or their ids, got \[True\]"),
        (
            '{"tokens": ["a"], "tags": ["X"], "ner": ["O"]}',
            r"data.jsonl:1: must have one column of tags, got tags and ner; name it with --label_column_name",
        ),
        (
            '{"tokens": ["a"], "words": ["b"], "tags": ["O"]}',
            r"data.jsonl:1: must have one column of words, got tokens and words; name it with --text_column_name",
        ),
        (
            '{"tokens": ["a"], "tags": ["O"]}\n{"tokens": ["a"], "ner": ["O"]}',
            r"data.jsonl:2: must have the columns 'tokens' and 'tags' as the first line, got 'tokens' and 'ner'",
        ),
    ],
)
def test_bad_json_lines_are_refused(write, row, message):
    with pytest.raises(DataError, match=message):
        list(read_file(write(row, "data.jsonl")))


@pytest.mark.parametrize(
    "row",
    [
        {"tokens": ["Ada", "in \ud800"], "ner_tags": ["O", "O"]},
        {"tokens": ["Ada", "in"], "ner_tags": ["O", "B-\ud800"]},
        {"tokens": ["Ada", "in"], "ner_tags": [0, 1]},
    ],
    ids=["word", "tag", "name of a tag"],
)
def test_half_a_character_is_refused_by_file_and_line(write, row):
    path = write(json.dumps({"tokens": ["Ada"], "ner_tags": ["O"]}) + "\n" + json.dumps(row), "data.jsonl")
    with pytest.raises(DataError, match=r"data.jsonl:2: must be Unicode text, got half a character, '\\ud800'$"):
        list(read_file(path, labels=["O", "B-\ud800"]))


def test_integer_tags_out_of_range_are_refused(write):
    with pytest.raises(DataError, match=r"data.jsonl:1: a tag must be in \[0, 3\), the labels' ids, got 3"):
        list(read_file(write('{"tokens": ["a"], "tags": [3]}', "data.jsonl"), labels=NAMES))
    with pytest.raises(DataError, match=r"data.jsonl:1: a tag must be in \[0, 3\), the labels' ids, got 3"):
        list(read_file(write('{"tokens": ["a"], "tags": ["3"]}', "data.jsonl"), labels=NAMES))


def test_a_column_of_tags_is_chosen_among_lists(write):
    conll2003 = {"id": 1, "tokens": ["a"], "pos_tags": [7], "chunk_tags": [2], "ner_tags": ["B-X"], "labels": "news"}
    (read,) = read_file(write(json.dumps(conll2003), "data.jsonl"))
    assert read.tags == ["B-X"]
    classes = datasets.Features(
        {"labels": datasets.ClassLabel(names=["news"]), "ner": datasets.List(datasets.ClassLabel(names=NAMES))}
    )
    assert class_names(datasets.Dataset.from_dict({"labels": [0], "ner": [[1]]}, features=classes)) == NAMES


def test_numbers_written_as_text_are_ids_where_they_have_names(write):
    row = '{"tokens": ["Ada", "sang"], "tags": ["1", "0"]}'
    (read,) = read_file(write(row, "data.jsonl"), labels=NAMES)
    assert read.tags == ["B-PER", "O"]
    (read,) = read_file(write("Ada\t1\nsang\t0\n"), labels=NAMES)
    assert read.tags == ["B-PER", "O"]
    (read,) = read_file(write(row, "data.jsonl"), labels=["1", "0"])  # names themselves
    assert read.tags == ["1", "0"]


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("kind", ["classes", "integers", "strings"])
def test_datasets(kind, streaming):
    tags = [[NAMES.index(tag) if kind != "strings" else tag for tag in row["ner_tags"]] for row in JSON_ROWS]
    data = datasets.Dataset.from_dict({"tokens": [row["tokens"] for row in JSON_ROWS], "ner_tags": tags})
    if kind == "classes":
        data = data.cast_column("ner_tags", datasets.List(datasets.ClassLabel(names=NAMES)))
    if streaming:
        data = data.to_iterable_dataset()

    read = list(read_dataset(data, "mine (train)", labels=NAMES if kind == "integers" else None))

    assert [(one.words, one.tags) for one in read] == [(row["tokens"], row["ner_tags"]) for row in JSON_ROWS]
    assert read[1].where(0) == "mine (train):1"
    assert class_names(data) == (NAMES if kind == "classes" else None)


def test_documents_begin_where_the_file_says_so(write):
    sentences = read_conll(write("a\tO\n\nb\tO\n-DOCSTART-\tO\nc\tO\n\n# newdoc id = 7\nd\tO\n\n# other\ne\tO\n"))
    assert [(one.words[0], one.document) for one in sentences] == [
        ("a", "0"),
        ("b", "0"),
        ("c", "1"),
        ("d", "2"),
        ("e", "2"),
    ]


def test_documents_of_json_lines_are_a_column(write):
    rows = [{"tokens": [word], "ner_tags": ["O"], "doc": doc} for word, doc in (("a", 1), ("b", 1), ("c", "x"))]
    path = write("".join(json.dumps(row) + "\n" for row in rows), "data.jsonl")
    assert [one.document for one in read_file(path, document_column="doc")] == ["1", "1", "x"]
    with pytest.raises(DataError, match="must have a column of documents named page, got tokens, ner_tags, doc"):
        list(read_file(path, document_column="page"))
