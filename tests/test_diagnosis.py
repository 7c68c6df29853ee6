"""What is wrong with labelled data: each kind of trouble is found where it is, and none where there is none."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from exports import lines
from typer.testing import CliRunner

from bert_crf_command.app import app
from modeling_bert_crf.diagnosis.diagnosis import diagnose, gravest
from modeling_bert_crf.diagnosis.parts import Part
from modeling_bert_crf.diagnosis.reading import How, read_part
from modeling_bert_crf.diagnosis.subtokens import Encoder
from modeling_bert_crf.readers.partial import UNKNOWN_TAG, PartialTag
from modeling_bert_crf.readers.spans import SpanRules

ADA = (
    ["Ada", "Stone", "met", "Bo", "in", "Port", "Linden", "yesterday", "."],
    "B-PER I-PER O B-PER O B-LOC I-LOC O O",
)
RAIN = (["the", "rain", "stopped", "near", "the", "harbour", "before", "noon", "."], "O " * 9)
PLACES = {"train": 0, "validation": 200, "test": 300}
SIZES = {"train": 60, "validation": 24, "test": 28}


def clean():
    """Make sentences without any fault: no two are alike, and half of them have entities."""
    data = {}
    for name, first in PLACES.items():
        data[name] = []
        for number in range(first, first + SIZES[name]):
            words, tags = RAIN if number % 2 else ADA
            words = [f"{word}{number}" if word in ("Stone", "Linden", "harbour") else word for word in words]
            words[words.index("Bo") if "Bo" in words else 0] = f"Bo{number}" if "Bo" in words else "the"
            data[name].append([list(pair) for pair in zip(words, tags.split(), strict=True)])
    return data


def written(sentences):
    return "\n".join("".join("\t".join(row) + "\n" for row in rows) for rows in sentences)


def tagged(words, tags):
    return [list(pair) for pair in zip(words.split(), tags.split(), strict=True)]


def found_in(folder, data, encoder=None, **how):
    """Write data, given as rows or as the text of a file, and look for what is wrong with them."""
    parts, found = [], []
    for name, content in data.items():
        is_json = isinstance(content, str) and content.startswith("{")
        path = folder / f"{name}.{'jsonl' if is_json else 'conll'}"
        path.write_text(content if isinstance(content, str) else written(content), encoding="utf-8", newline="\n")
        part, findings = read_part(name, [path], How(**how))
        parts.append(part)
        found += findings
    return diagnose(parts, found, encoder)


def illegal(data):
    data["train"][1][3][1] = "I-LOC"


def missing(data):
    data["test"][0][3][1] = "B-ORG"


def rare(data):
    for number in range(19):
        data["train"][2 * number][3][1] = "B-ORG" if number < 9 else "B-DAY"


def similar(data):
    for rows in data["validation"]:
        for row in rows:
            row[1] = row[1].replace("LOC", "Loc")
    for rows in data["train"][:30]:
        for row in rows:
            row[1] = row[1].replace("LOC", "Loc")


def without(data):
    data["test"] = [[[word, "O"] for word, _ in rows] for rows in data["test"]]


def in_bilou(data):
    data["test"] = [tagged("Cyan sleeps", "U-PER O"), tagged("Dana Hill in Oslo", "B-PER L-PER O U-LOC")] * 3


def without_prefixes(data):
    data["test"] = [[[word, tag.rpartition("-")[2]] for word, tag in rows] for rows in data["test"]]


def copied(data):
    data["test"][1] = [[word.upper(), tag] for word, tag in data["train"][1]]


def much_copied(data):
    data["test"][:8] = data["train"][:8]


def document(data):
    data["train"].insert(4, [["-DOCSTART-", "O"]])
    data["train"].insert(8, [["-DOCSTART-", "O"]])
    data["test"] = [[["-DOCSTART-", "O"]], *data["test"], [["-DOCSTART-", "O"]], *data["train"][5:8]]


def doubled(data):
    data["train"] += data["train"][:6]


def contradiction(data):
    data["train"].append([[word, "O"] for word, _ in data["train"][2]])


def retyped(data):
    for number in range(10):
        data["train"][2 * number][3][0] = "Fynn"
    data["train"][4][3][1] = "B-LOC"


def unmarked(data):
    for number in range(10):
        data["train"][2 * number][3][0] = "Fynn"
    data["train"][4][3][1] = "O"


def marked(data):
    for number in range(30):
        data["train"][2 * number][2][0] = data["train"][2 * number + 1][4][0] = "met"
    data["train"] += [tagged(f"w{number} met met met v{number}", "O O O O O") for number in range(20)]
    data["train"][6][2][1] = data["train"][1][3][1] = "B-LOC"  # of 56 times that "near" is there, one is not so few


def comma(data):
    data["train"][0][7:7] = [[",", "I-LOC"]]


def emoji(data):
    data["train"][0][3][0] = ":)"


def bracket(data):
    data["train"][0][1][0] = "Stone)"


def long_one(data):
    data["train"][0][3:4] = [["Bo", "B-PER"], *([f"v{number}", "I-PER"] for number in range(12))]


def pieces(data):
    for rows in data["train"]:
        if rows[1][1] == "I-PER":
            rows[1][1] = "B-PER"


def no_borders(data):
    data["validation"] = [[row for _ in range(20) for rows in data["validation"] for row in rows]]


def a_word_each(data):
    data["validation"] = [[row] for rows in data["validation"] for row in rows]


def half_done(data):
    data["train"] += [tagged(f"Ada{n} came home to Bo{n} again", "O O O O O O") for n in range(60)]


def changed(word):
    def plant(data):
        data["train"][1][5][0] = word

    return plant


def ragged(data):
    data["validation"] = written(data["validation"]) + "\nAda\n"


def numbers(data):
    data["train"] = [[[word, str(int(tag != "O"))] for word, tag in rows] for rows in data["train"]]


def mixed(data):
    data["train"][1][5][1] = "harbour"


def columns(data):
    data["train"] = [[[word, tag, "O"] for word, tag in rows] for rows in data["train"]]


def underlined(data):
    data["train"] = [[[word, tag.replace("-", "_")] for word, tag in rows] for rows in data["train"]]


def texts(*records):
    def plant(data):
        data["train"] = lines(*({"text": text, "entities": entities} for text, entities in records))

    return plant


PLANTED = [
    ("error", "illegal_tags", illegal, r"1 tag breaks .* 'I-LOC' after 'O' \(1\)", "train.conll:14"),
    ("error", "type_missing_in_train", missing, r"type ORG is missing in train: 1 entity cannot", "test.conll:4"),
    ("warning", "rare_type", rare, r"type ORG is rare: 9 entities", "train.conll:4"),
    ("warning", "similar_types", similar, r"the types Loc and LOC differ in how", "train.conll:6"),
    ("error", "no_entities", without, r"no entity in 28 sentences", "test.conll:1"),
    ("note", "schemes_differ", in_bilou, r"train in IOB2, validation in IOB2, test in BILOU", None),
    ("error", "schemes_differ", without_prefixes, r"others have none: .*, test in no scheme", None),
    (
        "warning",
        "sentence_in_two_parts",
        copied,
        r"1 sentence \(3.6 %\) of 5 or more words stands in train, too",
        "11",
    ),
    ("error", "sentence_in_two_parts", much_copied, r"8 sentences \(29 %\) of 5 or more words stand in train", "1"),
    ("warning", "document_in_two_parts", document, r"1 document stands in train, too", "test.conll:285 and "),
    ("warning", "copies", doubled, r"6 sentences \(9.1 %\) are copies of another one", "train.conll:601"),
    ("warning", "contradiction", contradiction, r"1 sentence is tagged differently", "train.conll:21"),
    ("warning", "retyped", retyped, r"have another one in 1 place", "train.conll:44"),
    ("warning", "missed", unmarked, r"are none in 1 place", "train.conll:44"),
    ("note", "strange", marked, r"no entity in more than 99 % .* one in 1 place", "train.conll:63"),
    ("warning", "entity_punctuation", comma, r"1 entity with punctuation at an end", "train.conll:6"),
    ("warning", "entity_no_letters", emoji, r"1 entity without a letter", "train.conll:4"),
    ("warning", "entity_brackets", bracket, r"1 entity with half a pair of brackets", "train.conll:1"),
    ("warning", "entity_very_long", long_one, r"1 entity is longer than 8 words, .* at most 2", "train.conll:4"),
    ("warning", "entity_in_pieces", pieces, r"30 entities \(33 %\) of type PER stand right behind", "train.conll:1"),
    ("warning", "very_long_sentence", no_borders, r"1 sentence has more than 300 words", "validation.conll:1"),
    ("warning", "one_word_sentences", a_word_each, r"216 sentences \(100 %\) of one word", "validation.conll:1"),
    ("warning", "bare_stretch", half_done, r"no entity in 61 sentences on end, though 51 % of", "train.conll:591"),
    ("warning", "invisible", changed("har\u200bbour"), r"1 word with characters that show nothing", "train.conll:16"),
    ("warning", "mojibake", changed("Caf\xc3\xa9"), r"1 word that seems? to have been read in a wrong", "16"),
    ("warning", "markup", changed("R&amp;D"), r"1 word with markup", "train.conll:16"),
    ("note", "blank_in_word", changed("New York"), r"1 word with a blank inside", "train.conll:16"),
    ("note", "not_composed", changed("Cafe\u0301"), r"1 word whose letters and accents", "train.conll:16"),
    ("error", "unreadable", ragged, r"validation.conll:241: must have", None),
    ("error", "numeric_tags", numbers, r"the tags are numbers, '1', '0'", "train.conll:1"),
    ("error", "tags", mixed, r"train.conll:16: labels must all have a scheme prefix .* 'harbour' without", None),
    ("warning", "columns", columns, r"3 columns: .* the tags from the last, 2; column 1 holds tags, too", None),
    ("note", "spelling", underlined, r"tags such as 'B_PER' are read as 'B-PER'", None),
    (
        "warning",
        "half_words",
        texts(("Osloward Ann ran", [[0, 4, "LOC"], [9, 12, "PER"]])),
        r"1 annotation ends",
        "jsonl:1",
    ),
    ("warning", "blanks_at_ends", texts(("Oslo and Ann ran", [[0, 5, "LOC"]])), r"1 annotation is moved", "jsonl:1"),
    (
        "error",
        "overlapping_spans",
        texts(("Port Oslo", [[0, 9, "LOC"], [5, 9, "LOC"]])),
        r"1 annotation overlaps",
        "jsonl:1",
    ),
    ("note", "splitter", texts(("Oslo", [[0, 4, "LOC"]])), r"split into words by 'unicode_words'", None),
]


@pytest.mark.parametrize(
    ("severity", "code", "plant", "text", "place"), PLANTED, ids=[f"{one[1]}-{one[0]}" for one in PLANTED]
)
def test_a_planted_fault_is_found_where_it_is(severity, code, plant, text, place, tmp_path):
    data = clean()
    plant(data)

    found = [one for one in found_in(tmp_path, data).findings if one.code == code]

    assert len(found) == 1, found
    assert found[0].severity == severity
    assert re.search(text, found[0].text), found[0].text
    if place is not None:
        assert place in found[0].examples[0].place


def test_there_are_more_than_twenty_kinds_of_planted_faults():
    assert len({code for _, code, *_ in PLANTED}) > 30


def test_nothing_is_found_where_nothing_is_wrong(tmp_path):
    diagnosis = found_in(tmp_path, clean())

    assert diagnosis.findings == []
    assert [part.types for part in diagnosis.parts] == [
        {"PER": 60, "LOC": 30},
        {"PER": 24, "LOC": 12},
        {"PER": 28, "LOC": 14},
    ]


def test_sound_entities_are_not_suspected(tmp_path):
    data = clean()
    names = [
        "U . S .",
        "Dr . Ott",
        "Mia ( II )",
        "Fynn Inc .",
        "\u300a Red Flag \u300b",
        "Yes , No",
        "Who ?",
        "H&M",
        "5",
    ]
    data["train"] += [tagged(name, "B-LOC " + "I-LOC " * (len(name.split()) - 1)) for name in names]

    assert found_in(tmp_path, data).findings == []


def test_letters_of_other_scripts_are_not_suspected(tmp_path):
    data = clean()
    words = "\u0645\u06cc\u200c\u0631\u0648\u062f \u0915\u094d\u200d\u0937 \U0001f468\u200d\U0001f469 "
    words += "\U0001f3f4\U000e0067\U000e007f \xc3der na\xefve \xe2ge A&B <3"
    data["train"].append(tagged(words, "O " * 9))

    assert found_in(tmp_path, data).findings == []


def test_a_file_without_borders_is_no_document(tmp_path):
    data = clean()
    data["test"] = data["train"][:20]

    assert {one.code for one in found_in(tmp_path, data).findings} == {"sentence_in_two_parts"}


def test_words_of_which_some_are_an_entity_are_not_missed(tmp_path):
    data = clean()
    data["train"] += [tagged(f"Bo{number} saw Port Oslo", "B-PER O B-LOC I-LOC") for number in range(500, 506)]
    data["train"].append(tagged("Bo507 saw Port Oslo", "B-PER O O B-LOC"))

    assert found_in(tmp_path, data).findings == []


def test_of_annotations_that_overlap_one_is_looked_at(tmp_path):
    data = {"train": lines({"text": "Port Oslo!", "entities": [[0, 9, "LOC"], [5, 9, "LOC"], [9, 10, "LOC"]]})}

    diagnosis = found_in(tmp_path, data)

    assert diagnosis.parts[0].types == {"LOC": 2}
    (found,) = [one for one in diagnosis.findings if one.severity == "error"]
    assert (found.code, found.count) == ("overlapping_spans", 1)
    assert found.examples[0].text == "LOC 'Port Oslo' with LOC 'Oslo'"


def test_what_is_left_open_is_no_fault(tmp_path):
    part = found_in(tmp_path, clean()).parts[0]
    first, second = part.sentences[:2]
    unknown = [replace(first, tags=["B-PER", PartialTag(["I-PER"]), *[UNKNOWN_TAG] * 5, "O", "O"])]
    unknown += [replace(second, tags=[UNKNOWN_TAG] * 9)] * 70
    unknown[1:] = [replace(one, words=[*one.words[:-1], str(number)]) for number, one in enumerate(unknown[1:])]

    diagnosis = diagnose([Part("train", [*part.sentences, *unknown], "IOB2")])

    assert [one.code for one in diagnosis.findings] == ["copies"]
    assert diagnosis.parts[0].types == {"PER": 61, "LOC": 30}
    assert diagnose([Part("test", unknown[1:], "IOB2")]).findings == []


def test_parts_of_speech_are_no_entities(tmp_path):
    data = {"train": [tagged(". it rains , man", "PUNCT PRON VERB PUNCT NOUN") for _ in range(2)]}

    assert [one.code for one in found_in(tmp_path, data).findings] == ["copies"]


def test_what_the_rules_of_a_run_allow_is_no_error(tmp_path):
    data = clean()
    illegal(data)
    texts(("Port Oslo", [[0, 9, "LOC"], [5, 9, "LOC"]]))(data := {**data, "test": data["train"]})
    rules = SpanRules(on_overlap="first", on_misaligned="error")

    found = {one.code: one for one in found_in(tmp_path, data, repair_tags=True, rules=rules).findings}

    assert (found["illegal_tags"].severity, found["overlapping_spans"].severity) == ("warning", "warning")
    assert "dropped_spans" in found
    data["train"] = lines({"text": "Osloward", "entities": [[0, 4, "LOC"]]})
    found = {one.code: one for one in found_in(tmp_path, data, repair_tags=True, rules=rules).findings}
    assert found["half_words"].severity == "error"


def of_tokens(tmp_path, tokenizer, words, room=48, types=None, tags="B-PER"):
    data = {"train": [tagged(words, f"{tags} " + "O " * (len(words.split()) - 1))]}
    found = found_in(tmp_path, data, Encoder("mine", tokenizer, room, types)).findings
    return {one.code: one for one in found if one.code != "rare_type"}


def test_a_tokenizer_is_held_against_the_words(tokenizer, tmp_path):
    known = of_tokens(tmp_path, tokenizer, "Ada visited Paris yesterday")
    assert {code: one.severity for code, one in known.items()} == {"subtokens": "note"}
    assert known["subtokens"].text == (
        "1.00 sub-tokens a word, 100 % of the words are one; the longest sentence has 6 sub-tokens, and the encoder "
        "reads 48"
    )
    foreign = of_tokens(
        tmp_path, tokenizer, "Ada visited Lyon \xe6\xf8", room=9
    )  # Lyon is 4 sub-tokens, the last is unknown
    assert {code: one.severity for code, one in foreign.items()} == {"subtokens": "note", "unknown_words": "error"}
    assert foreign["unknown_words"].text == "1 word (25 %) is unknown to the tokenizer, such as \xe6\xf8 (1)"
    assert (foreign["unknown_words"].examples[0].before, foreign["unknown_words"].examples[0].words) == (
        "Ada visited Lyon",
        "\xe6\xf8",
    )
    letters = of_tokens(tmp_path, tokenizer, "Ada visited Lyon \u200b Bern", room=12, types=["LOC"])
    assert letters.keys() == {"many_subtokens", "over_length", "deleted_words", "invisible", "type_unknown_to_model"}
    assert letters["many_subtokens"].text.startswith("2.20 sub-tokens a word, 60 % of the words are one; ")
    assert letters["over_length"].text.startswith("1 sentence is too long to be read at once")
    assert letters["deleted_words"].text.startswith(r"1 word without a sub-token ('\u200b')")
    assert letters["type_unknown_to_model"].text == "type PER is none of mine: 1 entity cannot be found"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run the command in a folder with clean data, and return what it writes."""
    monkeypatch.chdir(tmp_path)
    for name, sentences in clean().items():
        (tmp_path / f"{name}.conll").write_text(written(sentences))

    def run(*argv, code=0):
        result = CliRunner().invoke(app, ["diagnose", *map(str, argv)])
        assert result.exit_code == code, result.output
        return result.stdout if code < 2 else result.stderr

    return run


def test_the_command_shows_what_was_read_and_found(run, tmp_path):
    assert run("train.conll", "test.conll").splitlines() == [
        "part   documents  sentences  words  entities  scheme  format  files",
        "train          1         60    540        90  IOB2    conll   train.conll",
        "test           1         28    252        42  IOB2    conll   test.conll",
        "",
        "type  train  test",
        "LOC      30    14",
        "PER      60    28",
        "",
        "0 errors, 0 warnings, 0 notes",
    ]
    data = clean()
    illegal(data)
    Path("my-dev.conll").write_text(written(data["train"]))
    said = run("my-dev.conll", code=1).splitlines()
    assert said[1].startswith("validation ")
    assert said[7:9] == [
        "error [illegal_tags] validation: 1 tag breaks the rules of IOB2: 'I-LOC' after 'O' (1); --repair_tags reads "
        "a tag that continues nothing as the opening of an entity",
        "  my-dev.conll:14: the rain stopped [near I-LOC] the harbour1 before noon .",
    ]
    assert "1 warning" in run("my-dev.conll", "--repair_tags")


def test_a_program_reads_the_same_as_json(run):
    told = json.loads(run("--test_file", "train.conll", "other.conll", "--json", code=1))

    assert [part["name"] for part in told["parts"]] == ["test", "other"]
    assert told["parts"][0]["files"] == [{"path": "train.conll", "format": "conll"}]
    assert told["parts"][0]["types"] == {"LOC": 30, "PER": 60}
    assert told["counts"] == {"error": 1, "warning": 0, "note": 0}
    assert told["findings"][0]["text"] == "other.conll: no such file"


def test_a_file_is_of_the_split_that_it_is_called_after_and_may_be_named_otherwise(run, tmp_path):
    for name in ("latest", "corpus_dev", "b", "mytrain"):
        (tmp_path / f"{name}.conll").write_text("Ada\tB-PER\nsat\tO\n")
    (tmp_path / "eng.testa").write_text("Cyan\tB-PER\nsat\tO\n")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.conll").write_text("Bo\tB-PER\nsat\tO\n")
    names = ["latest.conll", "eng.testa", "b.conll", "a/b.conll", "test.conll", "corpus_dev.conll", "mytrain.conll"]

    told = json.loads(run("--train_file", "train.conll", *names, "--json"))

    assert {part["name"]: [file["path"] for file in part["files"]] for part in told["parts"]} == {
        "train": ["train.conll"],
        "validation": ["eng.testa", "corpus_dev.conll"],
        "test": ["test.conll"],
        "latest": ["latest.conll"],
        "b": ["b.conll"],
        "a/b.conll": ["a/b.conll"],
        "mytrain": ["mytrain.conll"],
    }


def test_tags_that_are_numbers_may_be_given_names(run):
    Path("numbers.conll").write_text("Ada 1\nStone 2\nsat 0\n")

    assert "error [numeric_tags] numbers: the tags are numbers" in run("numbers.conll", code=1)
    names = [word for name in ("O", "B-PER", "I-PER") for word in ("--label_list", name)]
    assert "PER         1" in run("numbers.conll", *names)


def test_a_model_is_asked_for_its_tokenizer_and_its_room_alone(run, encoder_folder, make_model, tokenizer, tmp_path):
    folder = tmp_path / "encoder"
    tokenizer.save_pretrained(folder)
    (folder / "config.json").write_bytes((encoder_folder / "config.json").read_bytes())
    texts = {"text": "Ada visited Paris.", "entities": [[0, 3, "PER"]]}
    (tmp_path / "texts.jsonl").write_text(lines(*[texts] * 20))

    said = run("train.conll", "texts.jsonl", "--model", folder)

    assert "sub-tokens, and the encoder reads 48" in said
    assert "note [splitter] texts: texts are split into words by 'tokenizer'" in said
    make_model(["O", "B-PER", "I-PER"]).config.save_pretrained(folder)
    assert f"type LOC is none of {folder}: 30 entities cannot be found" in run(
        "train.conll", "--model_name_or_path", folder
    )


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        ([], 2, "FILES must name labelled data, got none"),
        (["train.conll", "--data_format", "xml"], 1, "--data_format must be one of conll, "),
        (["train.conll", "--model", "./none"], 1, "./none: no such folder"),
        (["train.conll", "--label_list", "none.txt"], 1, "--label_list: none.txt: no such file"),
        (["train.conll", "--html", "none/page.html"], 1, "none"),
    ],
)
def test_mistakes_in_the_command_are_said_in_one_sentence(run, argv, code, said):
    result = CliRunner().invoke(app, ["diagnose", *argv])

    assert result.exit_code == code
    assert said in " ".join(result.stderr.split())


def test_the_page_shows_all_findings_and_runs_nothing(run, tmp_path):
    hostile = "<img/src=x/onerror=alert(1)>"
    rows = clean()["test"]
    rows[0][3] = [f"{hostile})", "B-PER"]
    Path("test.conll").write_text(written(rows))

    said = run("train.conll", "test.conll", "--html", "page.html")
    page = Path("page.html").read_text(encoding="utf-8")

    assert said.endswith("page.html\n")
    assert hostile not in page
    assert '<mark>&lt;img/src=x/onerror=alert(1)&gt;)<span class="kind">PER</span></mark>' in page
    assert page.count('<article class="finding warning">') == 1
    assert "<script" not in page


def test_a_run_is_told_all_errors_and_the_first_warnings(tmp_path):
    data = clean()
    data["train"][0][3][1] = "B-ORG"
    for plant in (missing, comma, bracket, contradiction):
        plant(data)
    data["test"][2][3][1] = "B-DAY"
    parts = found_in(tmp_path, data).parts

    assert gravest(parts, most=3) == [
        f"error: test: type DAY is missing in train: 1 entity cannot be found ({tmp_path / 'test.conll'}:24)",
        f"warning: train: type ORG is rare: 1 entity ({tmp_path / 'train.conll'}:4)",
        "warning: 1 sentence is tagged differently from another one of the same words "
        f"({tmp_path / 'train.conll'}:22)",
        "and 2 more; bert-crf diagnose shows all, with examples",
    ]
    assert gravest(parts, most=0)[1:] == ["and 4 more; bert-crf diagnose shows all, with examples"]
    assert gravest(found_in(tmp_path, clean()).parts) == []
