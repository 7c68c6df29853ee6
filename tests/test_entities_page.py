"""The page of entities that `bert-crf tag` writes, looked at in a browser."""

import re

import pytest

from bert_crf_command.inputs import Item
from bert_crf_command.page import write_page

HOSTILE = (
    "<script>window.ran = 1; alert(1)</script>",
    '"><img src=x onerror="window.ran = 2; alert(2)">',
    "'><svg onload=alert(3)>",
    "{{7*7}} {% raw %} ${7*7}",
    "</p></article></main></body></style><style>mark { display: none }</style>",
    "&amp; &lt;b&gt; &#65; <!-- --> ]]> \\",
)
KINDS = ['"><img src=x onerror=alert(4)>', "PER", "LOC", "ORG", "DATE", "EVENT", "WORK", "LAW"]  # one for each colour


class Tagger:
    """What the page asks of a pipeline."""

    class model:
        name_or_path = "</title><script>alert(5)</script>"

        class config:
            labels = ("O", *(f"{prefix}-{kind}" for kind in KINDS for prefix in "BI"))
            span_scheme = "IOB2"


def entity(text, words, kind=KINDS[1], score=0.9):
    start = text.index(words)
    return {"entity_group": kind, "score": score, "word": words, "start": start, "end": start + len(words)}


@pytest.fixture
def open_page(browser, tmp_path):
    """Write results as a page, open it in a new window, and record all that it does beside being there."""
    contexts = []

    def open_page(results, **window):
        path = tmp_path / "page.html"
        with path.open("w", encoding="utf-8", newline="\n") as file:
            write_page(results, Tagger, file)
        context = browser.new_context(**window)
        contexts.append(context)
        page, done = context.new_page(), []
        page.on("request", lambda request: done.append(request.url))
        page.on("dialog", lambda dialog: (done.append(dialog.message), dialog.dismiss()))
        page.on("console", lambda message: done.append(message.text))
        page.on("pageerror", lambda error: done.append(str(error)))
        page.goto(path.as_uri())
        page.wait_for_load_state("networkidle")
        assert done.pop(0) == path.as_uri()
        page.done = done
        return page

    yield open_page
    for context in contexts:
        context.close()


def test_markup_in_texts_words_types_and_names_stays_text(open_page):
    texts = [f"{markup} and Ada\tin  two\r\nlines\n{markup}" for markup in HOSTILE]
    results = [
        (Item(text, f"{text}:1"), [entity(text, markup, KINDS[0], 0.25), entity(text, "Ada")])
        for text, markup in zip(texts, HOSTILE, strict=True)
    ]

    page = open_page(results)

    assert page.done == []
    assert page.evaluate("window.ran") is None
    assert page.locator("script, img, svg, b, article article").count() == 0
    assert page.locator("style").count() == 1
    assert page.locator("article p").evaluate_all("all => all.map(one => one.textContent)") == texts
    shown = [text.replace("\r\n", "\n\n") for text in texts]  # each of the two is a break in preformatted text
    lines = page.locator("article p").evaluate_all("all => all.map(one => one.innerText)")
    assert [re.sub(r"[\r\n]+", "\n", text) for text in lines] == [re.sub(r"\n+", "\n", text) for text in shown]
    assert page.locator("mark").evaluate_all("all => all.map(one => one.textContent)") == [
        words for markup in HOSTILE for words in (markup, "Ada")
    ]
    assert page.locator("mark").first.get_attribute("title") == f"{KINDS[0]}, probability 0.2500"
    assert [" ".join(text.split()) for text in page.locator("fieldset label").all_inner_texts()] == [
        f"{KINDS[0]} {len(HOSTILE)}",
        f"{KINDS[1]} {len(HOSTILE)}",
    ]
    assert Tagger.model.name_or_path in page.locator("body").inner_text()


LUMINANCE = """(element) => {
    const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
    const colours = [getComputedStyle(document.body).backgroundColor, getComputedStyle(element).backgroundColor];
    const shade = () => {
        const part = (value) => (value /= 255) <= .04045 ? value / 12.92 : ((value + .055) / 1.055) ** 2.4;
        const [red, green, blue] = [...canvas.getImageData(0, 0, 1, 1).data].map(part);
        return .2126 * red + .7152 * green + .0722 * blue;
    };
    const fill = (colour) => { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); return shade(); };
    const [paper, ground] = colours.map(fill);
    const inks = [getComputedStyle(element).color, getComputedStyle(element, "::after").color].map(fill);
    return [paper, ground, ...inks];
}"""


def contrast(one, other):
    """The ratio of WCAG 2.2, 1.4.3."""
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_schemes_are_legible_and_what_is_unsure_is_paler(open_page, scheme):
    text = "Ada met Grace and Emmy"
    sure, half, unsure = 0.99, 0.6, 0.1
    scores = {"Ada": sure, "Grace": half, "Emmy": unsure}
    page = open_page(
        [(Item(text), [entity(text, words, kind, score) for words, score in scores.items()]) for kind in KINDS],
        color_scheme=scheme,
        viewport={"width": 320, "height": 600},
    )

    shades = page.locator("mark").evaluate_all(f"all => all.map({LUMINANCE})")
    for paper, ground, ink, figure in shades:
        assert (paper < 0.1) == (scheme == "dark")
        assert contrast(ground, ink) >= 7
        assert contrast(ground, figure) >= 4.5
    steps = [contrast(paper, ground) for paper, ground, *_ in shades]
    for first in range(0, len(steps), 3):
        assert steps[first : first + 3] == sorted(steps[first : first + 3], reverse=True)
        assert steps[first] > steps[first + 2] + 0.1
    borders = page.locator("mark").evaluate_all("all => all.map(one => getComputedStyle(one).borderBottomStyle)")
    assert borders == ["solid", "solid", "dashed"] * len(KINDS)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_type_and_probability_are_seen_read_aloud_and_switched_by_keyboard(open_page):
    text = "Ada met Grace"
    page = open_page([(Item(text), [entity(text, "Ada", score=0.876), entity(text, "Grace", KINDS[0], 0.5)])])

    assert re.search(r"mark: Ada\s+PER\s0\.88", page.locator("main").aria_snapshot())
    widths = "all => all.map(one => one.getBoundingClientRect().width)"
    before = page.locator("mark").evaluate_all(widths)
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")

    after = page.locator("mark").evaluate_all(widths)
    assert page.get_by_role("checkbox", name="PER").is_checked() is False
    assert after[0] < before[0] - 20
    assert after[1] == before[1]
    assert page.locator("article p").inner_text() == text
    assert page.done == []


def test_label_and_score_stand_behind_their_words_whatever_direction_these_set(open_page):
    """Even behind words that end the direction which the page has given them."""
    places = """mark => {
        const range = document.createRange();
        range.selectNodeContents(mark);
        return [mark, range].map(one => one.getBoundingClientRect()).flatMap(one => [one.left, one.right]);
    }"""
    hostile = ("Ada \u202eevil", "Ada \u2069\u2069\u2069\u202eevil", "Ada \u2066\u202b")
    texts = ["Ada evil met Bob", *(f"{words} met Bob" for words in hostile)]
    results = [
        (Item(text), [entity(text, text.removesuffix(" met Bob")), entity(text, "Bob", KINDS[2])]) for text in texts
    ]
    results.append((Item(f"in \u2069\u202eit {texts[0]}"), [entity(f"in \u2069\u202eit {texts[0]}", "Ada evil")]))

    page = open_page(results)

    assert page.locator("article p").evaluate_all("all => all.map(one => one.textContent)")[:4] == texts
    marks = [mark.evaluate(places) for mark in page.locator("mark").all()]
    assert len(marks) == 9
    for left, right, words_left, words_right in marks:
        assert words_left - left < 10  # the padding
        assert right - words_right > 25  # the label
    for first, second in zip(marks[0:8:2], marks[1:8:2], strict=True):
        assert first[1] < second[0]
    assert page.done == []


def test_a_page_without_entities_says_so(open_page):
    page = open_page([(Item("rain\0", "a.txt:3"), [])])
    assert "No entities were found." in page.locator("body").inner_text()
    assert "1 text, tagged by" in page.locator("body").inner_text()
    assert page.locator("article").inner_text() == "a.txt:3\n\nrain\u2400"
