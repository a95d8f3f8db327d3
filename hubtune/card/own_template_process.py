"""Renders one template from standard input, in a process that may use little memory and little time."""

import json
import resource
import sys

import jinja2

from hubtune.card.engine import card_engine
from hubtune.resources import templates_dir

_MEMORY = 512 * 1024 * 1024
_CPU_SECONDS = 8


def main() -> None:
    """Reads `{"template", "context"}` as JSON and prints the rendered text; a fault goes to standard error."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
    request = json.loads(sys.stdin.buffer.read())
    # Without a loader, so that a template can read no file, its own folder's included.
    engine = card_engine(templates_dir()).overlay(loader=jinja2.DictLoader({}))
    try:
        text = engine.from_string(request["template"]).render(request["context"])
    except (jinja2.TemplateError, ValueError, TypeError, LookupError, ArithmeticError) as error:
        sys.stderr.write(f"{type(error).__name__}: {error}")
        sys.exit(1)
    sys.stdout.buffer.write(text.encode())
