"""Renders the card: front matter from the metadata, then the page template with one rendered text per section."""

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import ValidationError

from hubtune.card import markdown
from hubtune.card.check import check_card, check_statements
from hubtune.card.custom_templates import SECTIONS, card_engine, own_templates, records_context, render_own, title_of
from hubtune.card.inputs import CardInputs
from hubtune.card.markdown import Markdown
from hubtune.card.metadata import build_metadata, card_title, dump_front_matter, explain_metadata
from hubtune.card.sections.bias import bias
from hubtune.card.sections.evaluation import evaluation
from hubtune.card.sections.licensing import displays, ethics, licensing, risks, uses
from hubtune.card.sections.privacy import privacy
from hubtune.card.sections.release import citation, contact, environment, making, provenance, verify
from hubtune.card.sections.summary import summary, usage
from hubtune.card.sections.training import training_data, training_procedure
from hubtune.errors import CardError
from hubtune.resources import templates_dir

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import DataclassInstance

    Builder = Callable[[CardInputs], DataclassInstance]

_PAGE = "card.md.j2"
_DAMAGED = "It is one of hubtune's own templates: install hubtune again."
_BUILDERS: dict[str, "Builder"] = {
    "summary": summary,
    "uses": uses,
    "usage": usage,
    "training_data": training_data,
    "training_procedure": training_procedure,
    "evaluation": evaluation,
    "bias": bias,
    "risks": risks,
    "privacy": privacy,
    "ethics": ethics,
    "environment": environment,
    "licensing": licensing,
    "provenance": provenance,
    "verify": verify,
    "citation": citation,
    "contact": contact,
    "making": making,
}


@dataclass(frozen=True)
class Section:
    """One rendered section of the page."""

    title: str
    body: Markdown


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
        raise CardError(
            "The records of the run hold what the card's metadata cannot.",
            details=explain_metadata(error),
            hint="Correct what the config states of it, or the names that the datasets use; then run again.",
        ) from error
    engine = card_engine(templates or templates_dir())
    own = own_templates(inputs.config.card.templates)

    def body(name: str) -> Markdown:
        context = _BUILDERS[name](inputs)
        if name in own:
            return render_own(name, own[name], dataclasses.asdict(context))
        return Markdown(_render(engine, f"sections/{name}.md.j2", _fields(context)))

    sections = [Section(section.title, body(section.name)) for section in SECTIONS]
    added = [name for name in own if name not in _BUILDERS]
    sections += [Section(title_of(name), render_own(name, own[name], records_context(inputs))) for name in added]
    page = _render(
        engine,
        _PAGE,
        {"title": card_title(inputs), "summary": body("summary"), "sections": sections, "making": body("making")},
    )
    card = f"{front}\n{page}\n"
    check_card(card)
    _check_displays(card, inputs)
    return card


def _check_displays(card: str, inputs: CardInputs) -> None:
    visible = markdown.without_code(card)
    missing = [text for text in displays(inputs.licenses) if text not in visible]
    if missing:
        raise CardError(
            "The card lacks a text that a license of the inputs demands.",
            details=missing,
            hint="Your card template (card.templates) replaces the section that shows it; print the text there too.",
        )


def _render(environment: ImmutableSandboxedEnvironment, template: str, context: dict[str, object]) -> str:
    try:
        rendered = environment.get_template(template).render(context)
    except jinja2.TemplateNotFound as error:
        raise CardError(f"The card's template {error.name} is missing.", hint=_DAMAGED) from error
    except jinja2.TemplateSyntaxError as error:
        raise CardError(
            f"The card's template {error.name}, line {error.lineno}: {error.message}.", hint=_DAMAGED
        ) from error
    except jinja2.TemplateError as error:
        raise CardError(f"The card's template {template} cannot be rendered: {error}.", hint=_DAMAGED) from error
    return re.sub(r"\n{3,}", "\n\n", rendered).strip()


def _fields(context: "DataclassInstance") -> dict[str, object]:
    return {field.name: getattr(context, field.name) for field in dataclasses.fields(context)}
