"""The demo: a text in, its entities highlighted, with their probabilities, other readings, and JSON.

The page stays on this machine: it has no analytics, no share link, and no font or script from elsewhere. It needs
gradio, which the extra `[demo]` brings.
"""

import os
from collections.abc import Sequence
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

from .. import BiLSTMCRFPipeline
from ..doors.terminal import visible
from ..pages.palette import HUES
from ..pages.render import render
from ..schemes import entity_types

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when gradio is imported, and by what it starts

import gradio as gr
from gradio.themes import Default

__all__ = ["build_demo", "serve"]

MOST_CHARACTERS = 20_000
"""A longer text would keep others waiting where many share one machine."""
MOST_READINGS = 10
MOST_NAMED = 4
MOST_SHOWN = 80
"""So many types stand in the title, and so many characters of an example on its button."""
_SAVE = """(found) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(found, null, 2)], {type: "application/json"}));
  link.download = "entities.json";
  link.click();
  URL.revokeObjectURL(link.href);
}"""


def build_demo(pipeline: BiLSTMCRFPipeline, examples: Sequence[str] = ()) -> gr.Blocks:
    """Build the page; `serve` shows it.

    Args:
        pipeline: of any tagger. The page's JSON holds what it returns for the text: its entities above the threshold,
            and its most probable taggings.
        examples: texts to choose from; the page opens with the first.
    """
    config = pipeline.model.config
    hues = dict(zip(entity_types(config.labels, config.span_scheme), cycle(HUES), strict=False))
    title = f"Find {_listed(list(hues), 'and')}"
    empty: dict[str, Any] = {"text": "", "entities": [], "readings": []}

    def tag(text: str, threshold: float, readings: int) -> tuple[dict[str, Any], str, str, dict[str, Any]]:
        if len(text) > MOST_CHARACTERS:
            raise gr.Error(f"A text must be at most {MOST_CHARACTERS:,} characters long, got {len(text):,}.")
        found = dict(empty)
        if text.strip():
            found = {"text": text, "entities": pipeline(text), "readings": pipeline(text, num_paths=int(readings))}
        return found, *show(found, threshold)

    def show(found: dict[str, Any] | None, threshold: float) -> tuple[str, str, dict[str, Any]]:
        found = found or empty
        kept = [entity for entity in found["entities"] if entity["score"] >= threshold]
        best = render("demo/entities.html", hues=hues, found=found, entities=kept, examples=len(examples))
        others = render("demo/readings.html", hues=hues, found=found)
        return best, others, found | {"threshold": threshold, "entities": kept}

    with gr.Blocks(title=title, analytics_enabled=False) as demo:
        found = gr.State()
        gr.HTML(render("demo/heading.html", title=title, model=Path(config.name_or_path or "").name, hues=hues))
        with gr.Row():
            with gr.Column():
                text = gr.Textbox(
                    value=examples[0] if examples else "",
                    label="Text",
                    lines=8,
                    max_lines=20,
                    placeholder=f"A text in which there may be {_listed(list(hues), 'or')}.",
                )
                go = gr.Button("Find entities", variant="primary")
                if examples:
                    gr.HTML('<p class="dim">Examples</p>', padding=False)
                choices = [gr.Button(_short(example), size="sm", elem_classes="example") for example in examples]
                threshold = gr.Slider(0, 1, value=0, step=0.01, label="Least probability")
            with gr.Column():
                best = gr.HTML(label="Entities", show_label=True, container=True, elem_id="entities")
        with gr.Accordion("Other readings", open=False, elem_id="more"):
            readings = gr.Slider(1, MOST_READINGS, value=5, step=1, label="Readings of each sentence")
            others = gr.HTML(elem_id="readings")
        with gr.Accordion("JSON", open=False, elem_id="json"):
            values = gr.JSON(show_label=False)
            save = gr.Button("Download")
        shown = [best, others, values]
        inputs = [text, threshold, readings]
        outputs = [found, *shown]
        gr.on([go.click, text.submit, readings.release], tag, inputs, outputs, api_name="tag")
        demo.load(tag, inputs, outputs, api_visibility="private")
        for choice, example in zip(choices, examples, strict=True):
            choice.click(partial(lambda one: one, example), None, text, api_visibility="private").then(
                tag, inputs, outputs, api_visibility="private"
            )
        threshold.change(show, [found, threshold], shown, show_progress="hidden", trigger_mode="always_last")
        save.click(None, values, js=_SAVE)
    return demo


def _listed(types: list[str], last: str) -> str:
    """Name types in a row, the first few of them.

    >>> _listed(["LOC", "ORG", "PER"], "and"), _listed(list("ABCDEF"), "or"), _listed(["_"], "and")
    ('LOC, ORG and PER', 'A, B, C, D or 2 others', 'entities')
    """
    if types in ([], ["_"]):
        return "entities"
    names = [visible(name, alone=True) for name in types]
    if len(names) > MOST_NAMED + 1:
        names[MOST_NAMED:] = [f"{len(names) - MOST_NAMED} others"]
    return f" {last} ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _short(text: str) -> str:
    """Return a text's beginning, on one line."""
    line = visible(" ".join(text.split()), alone=True)
    return line if len(line) <= MOST_SHOWN else line[: MOST_SHOWN - 1].rstrip() + "…"


def serve(demo: gr.Blocks, port: int | None = None, **options: Any) -> tuple[Any, str, str]:
    """Show the page on this machine alone (a Space's own settings open it there).

    Args:
        demo: as `build_demo` returns it.
        port: the first free one from 7860 by default.
        options: of gradio's `launch`.
    """
    return demo.launch(
        server_port=port,
        share=False,
        theme=Default(primary_hue="blue", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
        css_paths=[Path(__file__).with_name("page.css"), Path(__file__).parents[1] / "pages" / "entity.css"],
        footer_links=[],
        ssr_mode=False,
        mcp_server=False,
        **options,
    )
