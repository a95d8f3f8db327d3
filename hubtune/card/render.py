"""Renders the card: front matter from the metadata, then the page template with one rendered text per section."""

import dataclasses
import functools
import re
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import ValidationError

from hubtune.card import markdown, numbers
from hubtune.card.check import check_card
from hubtune.card.frontmatter import dump_front_matter, explain_metadata
from hubtune.card.inputs import CardInputs
from hubtune.card.markdown import Markdown
from hubtune.card.metadata import build_metadata, card_title
from hubtune.card.placeholders import check_statements
from hubtune.card.sections.evaluation import evaluation
from hubtune.card.sections.licensing import licensing
from hubtune.card.sections.provenance import making, provenance
from hubtune.card.sections.statements import bias, privacy, risks, uses
from hubtune.card.sections.summary import summary
from hubtune.card.sections.training import training_data, training_procedure
from hubtune.card.sections.usage import usage
from hubtune.errors import CardError
from hubtune.resources import templates_dir

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import DataclassInstance

    Builder = Callable[[CardInputs], DataclassInstance]

_PAGE = "card.md.j2"
# Name of each section's template, which is its name in the page template too, and what builds its context.
_SECTIONS: dict[str, "Builder"] = {
    "summary": summary,
    "uses": uses,
    "usage": usage,
    "training_data": training_data,
    "training_procedure": training_procedure,
    "evaluation": evaluation,
    "bias": bias,
    "risks": risks,
    "privacy": privacy,
    "licensing": licensing,
    "provenance": provenance,
    "making": making,
}


def render_card(inputs: CardInputs, templates: Path | None = None) -> str:
    """Returns the whole README.md of the release. Equal inputs give equal text.

    Args:
        inputs: The run's records.
        templates: Folder of the templates; None for the ones that ship with hubtune.

    Raises:
        CardError: The card would be incomplete or not valid, or a template is at fault; the details name every fault.
    """
    check_statements(inputs.config, inputs.target.repo if inputs.target else None)
    try:
        front = dump_front_matter(build_metadata(inputs))
    except ValidationError as error:
        raise CardError("The records hold what a card's metadata cannot.", details=explain_metadata(error)) from error
    environment = _environment(templates or templates_dir())
    sections = {
        name: Markdown(_render(environment, f"sections/{name}.md.j2", _fields(build(inputs))))
        for name, build in _SECTIONS.items()
    }
    page = _render(environment, _PAGE, {"title": card_title(inputs), **sections})
    card = f"{front}\n{page}\n"
    check_card(card)
    return card


@functools.cache
def _environment(templates: Path) -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        loader=jinja2.FileSystemLoader(templates),
        undefined=jinja2.StrictUndefined,
        finalize=markdown.to_markdown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for module, names in (
        (markdown, ("code", "cell", "fenced", "statement")),
        (numbers, ("thousands", "plain", "measure", "signed", "percent", "signed_percent")),
    ):
        environment.filters.update({name: getattr(module, name) for name in names})
    return environment


def _render(environment: ImmutableSandboxedEnvironment, template: str, context: dict[str, object]) -> str:
    try:
        rendered = environment.get_template(template).render(context)
    except jinja2.TemplateNotFound as error:
        raise CardError(f"The card's template {error.name} is missing.") from error
    except jinja2.TemplateSyntaxError as error:
        raise CardError(f"The card's template {error.name}, line {error.lineno}: {error.message}.") from error
    except jinja2.TemplateError as error:
        raise CardError(f"The card's template {template} cannot be rendered: {error}.") from error
    return re.sub(r"\n{3,}", "\n\n", rendered).strip()


def _fields(context: "DataclassInstance") -> dict[str, object]:
    return {field.name: getattr(context, field.name) for field in dataclasses.fields(context)}
