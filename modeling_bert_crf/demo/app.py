"""The demo: a text in, its entities highlighted, with their probabilities, other readings, and JSON.

The page stays on this machine: it has no analytics, no share link, and no font or script from elsewhere. It needs
gradio, which the extra `[demo]` brings.
"""

import os
from pathlib import Path
from typing import Any

from .. import BiLSTMCRFPipeline
from ..pages.render import render
from ..schemes import entity_types

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when gradio is imported, and by what it starts

import gradio as gr
from gradio.themes import Default

__all__ = ["build_demo", "serve"]

MOST_CHARACTERS = 20_000
"""A longer text would keep others waiting where many share one machine."""
MOST_READINGS = 10
_SAVE = """(found) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(found, null, 2)], {type: "application/json"}));
  link.download = "entities.json";
  link.click();
  URL.revokeObjectURL(link.href);
}"""


def build_demo(pipeline: BiLSTMCRFPipeline) -> gr.Blocks:
    """Build the page; `serve` shows it.

    Args:
        pipeline: of any tagger. The page's JSON holds what it returns for the text: its entities above the threshold,
            and its most probable taggings.
    """
    config = pipeline.model.config
    types = sorted(entity_types(config.labels, config.span_scheme))

    def tag(text: str, threshold: float, readings: int) -> tuple[dict[str, Any], str, str, dict[str, Any]]:
        if len(text) > MOST_CHARACTERS:
            raise gr.Error(f"A text must be at most {MOST_CHARACTERS:,} characters long, got {len(text):,}.")
        found = {"text": text, "entities": pipeline(text), "readings": pipeline(text, num_paths=int(readings))}
        return found, *show(found, threshold)

    def show(found: dict[str, Any] | None, threshold: float) -> tuple[str, str, dict[str, Any]]:
        found = found or {"text": "", "entities": [], "readings": []}
        kept = [entity for entity in found["entities"] if entity["score"] >= threshold]
        best = render("demo/entities.html", types=types, found=found, entities=kept)
        others = render("demo/readings.html", types=types, found=found)
        return best, others, found | {"threshold": threshold, "entities": kept}

    with gr.Blocks(title="Named entities", analytics_enabled=False) as demo:
        found = gr.State()
        gr.HTML(render("demo/heading.html", model=Path(config.name_or_path or "").name, types=types))
        with gr.Row():
            with gr.Column():
                text = gr.Textbox(label="Text", lines=8, max_lines=20, placeholder="A text that names somebody.")
                go = gr.Button("Find entities", variant="primary")
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
        gr.on([go.click, text.submit, readings.release], tag, inputs, [found, *shown], api_name="tag")
        threshold.change(show, [found, threshold], shown, show_progress="hidden", trigger_mode="always_last")
        save.click(None, values, js=_SAVE)
    return demo


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
        css_paths=Path(__file__).with_name("page.css"),
        footer_links=[],
        ssr_mode=False,
        mcp_server=False,
        **options,
    )
