"""Renders one card template of the author in the process that `hubtune.templating.process` starts and limits."""

import json

import jinja2

from hubtune.card.custom_templates import card_engine
from hubtune.resources import templates_dir
from hubtune.templating.process import TooLongError


def handle(request: bytes, most: int) -> bytes:
    """Renders `{"template", "context"}`; returns a mark followed by the text, or another mark followed by the fault."""
    told = json.loads(request)
    # Without a loader, so that a template can read no file, its own folder's included.
    engine = card_engine(templates_dir()).overlay(loader=jinja2.DictLoader({}))
    try:
        text: str = engine.from_string(told["template"]).render(told["context"])
        content = b"+" + text.encode()
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - a template is somebody's program, which may raise anything
        return f"-{type(error).__name__}: {error}".encode(errors="replace")[:most]
    if len(content) > most:
        raise TooLongError
    return content
