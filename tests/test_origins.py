"""What a run says it started from: names, and the licences that are stated beside data and encoder."""

import pytest

from modeling_bert_crf.training.origins import encoder_name, stated_licence


@pytest.mark.parametrize(
    ("folder", "card", "name"),
    [
        ("encoder", None, "encoder"),
        ("encoder", "---\nmodel_name:  BERT of  letters\n---\n# A\n", "BERT of letters"),
        ("encoder", "---\nmodel_name: 5\n---\n", "encoder"),
        ("models--google-bert--bert-base-cased/snapshots/cd5ef92a", None, "google-bert/bert-base-cased"),
        ("models--bert-base-cased/snapshots/cd5ef92a", None, "bert-base-cased"),
    ],
    ids=["a folder", "its card", "an odd card", "the cache", "the cache, without owner"],
)
def test_an_encoder_is_called_by_its_name(tmp_path, folder, card, name):
    place = tmp_path / folder
    place.mkdir(parents=True)
    if card is not None:
        (place / "README.md").write_text(card)
    assert encoder_name(str(place)) == name


def test_a_name_of_the_hub_stays_as_it_is():
    assert encoder_name("owner/encoder") == "owner/encoder"


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        (None, None),
        ("# No metadata", None),
        ("---\nlicense: [\n---\n", None),
        ("---\n- license\n---\n", None),
        ("---\nlicense: 3\n---\n", None),
        ("---\nlicense: apache-2.0\n---\n", "apache-2.0"),
        ("---\nlicense: [cc-by-4.0, mit]\n---\n", "cc-by-4.0, mit"),
        ("---\nlicense: other\nlicense_name: letters-1.0\n---\n", "letters-1.0"),
        ("---\nlicense: other\n---\n", "other"),
    ],
    ids=["no card", "bare", "broken", "a list", "a number", "one", "two", "its own", "other"],
)
def test_a_licence_is_what_the_card_states(tmp_path, card, licence):
    if card is not None:
        (tmp_path / "README.md").write_text(card)
    assert stated_licence(tmp_path) == licence


def test_a_hub_out_of_reach_states_nothing():
    assert stated_licence("owner/encoder") is None
    assert stated_licence("owner/data", repo_type="dataset") is None
