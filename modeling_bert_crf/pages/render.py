"""Self-contained HTML pages, filled in from the templates beside this file."""

import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..doors.terminal import visible
from .palette import probability

__all__ = ["render"]

# HTML has no way to write a NUL, and UTF-8 none for half a character.
_UNWRITABLE = {0: "\u2400"} | dict.fromkeys(range(0xD800, 0xE000), "\ufffd")
_DIRECTIONS = re.compile("[\u202a-\u202e\u2066-\u2069]")


def render(template: str, **values: Any) -> str:
    """Fill in a template. Whatever a value holds is text: markup in it is escaped.

    Templates have filters `visible`, for names, and `probability`, and a test `directed` for a text that sets a
    direction of writing, and would set it for what follows as well.
    """
    folder = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=folder, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["visible"] = lambda name: visible(str(name), breaks=True)
    environment.filters["probability"] = probability
    environment.tests["directed"] = lambda text: _DIRECTIONS.search(text) is not None
    return environment.get_template(template).render(**values).translate(_UNWRITABLE)
