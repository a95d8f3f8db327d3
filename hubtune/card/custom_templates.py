"""The sections of the card, the template engine, and the author's own section templates, which replace or add sections.

The author's templates are untrusted. Each is rendered in a separate process with little memory and time, and gets only
plain data. Its output is used only if it is Markdown that stays within its section.
"""

import contextlib
import functools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markdown_it import MarkdownIt
from markdown_it.token import Token

from hubtune.card import markdown, wording
from hubtune.card.inputs import CardInputs
from hubtune.card.markdown import Markdown
from hubtune.errors import CardError
from hubtune.resources import templates_dir
from hubtune.templating.process import BoundedProcess, LimitError, ProcessLimits


@functools.cache
def card_engine(templates: Path) -> ImmutableSandboxedEnvironment:
    """Returns the template engine of the card: sandboxed, with undefined names as errors."""
    engine = ImmutableSandboxedEnvironment(
        loader=jinja2.FileSystemLoader(templates),
        undefined=jinja2.StrictUndefined,
        finalize=markdown.to_markdown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for module, names in (
        (markdown, ("code", "cell", "fenced", "statement")),
        (wording, ("thousands", "counted", "plain", "rough", "measure", "signed", "percent", "signed_percent")),
    ):
        engine.filters.update({name: getattr(module, name) for name in names})
    return engine


# Who could replace these could leave out what the licenses of the inputs demand of a release.
_OURS = ("licensing",)
_SUFFIX = ".md.j2"
_LARGEST_TEMPLATE = 64 * 1024
LIMITS = ProcessLimits(seconds=8, memory=512 * 2**20, output=256 * 1024)
"""What rendering one template may use."""
_HANDLER = "hubtune.card.custom_template_worker:handle"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")
_MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable("table")


def own_templates(folder: str | None) -> dict[str, str]:
    """Returns name and text of each template in the author's folder, in the order of their names.

    Raises:
        CardError: The folder is missing, or a file in it cannot be used.
    """
    if folder is None:
        return {}
    path = Path(folder)
    if not path.is_dir():
        raise CardError(f"There is no folder {folder}, which card.templates names.", hint="Correct card.templates.")
    found = {}
    for file in sorted(path.iterdir()):
        name = file.name.removesuffix(_SUFFIX)
        if not file.name.endswith(_SUFFIX) or not file.is_file():
            continue
        if name in _OURS:
            raise CardError(
                f"The card template {file.name} would replace the section that shows what licenses demand.",
                hint="Give it another name, such as terms.md.j2: it is then added as a section of its own.",
            )
        if not _NAME.fullmatch(name):
            raise CardError(
                f"The card template {file.name} has a name that cannot be used.",
                hint="Rename it to small letters, digits and underscores, such as data_sheet.md.j2.",
            )
        content = file.read_bytes()[: _LARGEST_TEMPLATE + 1]
        if len(content) > _LARGEST_TEMPLATE:
            raise CardError(
                f"The card template {file.name} is longer than {_LARGEST_TEMPLATE // 1024} KiB.", hint="Shorten it."
            )
        try:
            found[name] = content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise CardError(f"The card template {file.name} is not text in UTF-8.", hint="Save it as UTF-8.") from error
        _check_syntax(file.name, found[name])
    return found


def _check_syntax(name: str, text: str) -> None:
    try:
        card_engine(templates_dir()).parse(text)
    except jinja2.TemplateSyntaxError as error:
        reason = str(error.message).rstrip(".")
        raise CardError(f"The card template {name}, line {error.lineno}: {reason}.", hint="Correct it.") from error
    except RecursionError:
        raise CardError(f"The card template {name} is nested too deeply.", hint="Write it with fewer levels.") from None


def title_of(name: str) -> str:
    """Returns the title of an added section, from its template's name: data_sheet as "Data sheet"."""
    words = name.replace("_", " ")
    return words[:1].upper() + words[1:]


def records_context(inputs: CardInputs) -> dict[str, object]:
    """Returns the records as plain data, for an added section."""
    paths = {"__all__": {"path"}}
    return {
        "config": inputs.config.model_dump(mode="json", exclude={"data": paths, "earlier": {"data": paths}}),
        "pins": inputs.pins.model_dump(mode="json"),
        "data": inputs.data.model_dump(mode="json"),
        "training": inputs.training.model_dump(mode="json"),
        "evaluation": inputs.evaluation.model_dump(mode="json"),
    }


def render_own(name: str, template: str, context: dict[str, object]) -> Markdown:
    """Renders one of the author's templates.

    Args:
        name: As `own_templates` gives it, for messages.
        template: Its text.
        context: What it may print.

    Raises:
        CardError: It has a fault, takes too long or too much memory, or prints what would leave its section.
    """
    named = f"The card template {name}{_SUFFIX}"
    request = json.dumps({"template": template, "context": context}).encode()
    try:
        with contextlib.closing(BoundedProcess(_HANDLER, LIMITS)) as process:
            (answer,) = process.ask([request])
    except LimitError as error:
        raise CardError(f"{named} {error.words}.", hint="Make it simpler.") from error
    text = answer[1:].decode(errors="replace").strip()
    if not answer.startswith(b"+"):
        reason = text.rpartition("\n")[2].rstrip(".")
        raise CardError(f"{named} cannot be rendered: {reason}.", hint="Correct it.")
    tokens = _MARKDOWN.parse(text)
    if any(token.type == "heading_open" and token.tag in ("h1", "h2") for token in tokens):
        raise CardError(
            f"{named} prints a heading of level 1 or 2, or a line that makes one.",
            hint="Its section has a title already; begin with ###, and rule tables with | --- |.",
        )
    if any(token.type.startswith("html_") for token in [*tokens, *_inner(tokens)]):
        raise CardError(f"{named} prints raw HTML.", hint="Write Markdown instead.")
    return Markdown(text)


def _inner(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield from token.children or ()


@dataclass(frozen=True)
class SectionTitle:
    """One section: the name of its template, and the title that readers see."""

    name: str
    title: str


SECTIONS = (
    SectionTitle("uses", "Intended use and misuse"),
    SectionTitle("usage", "How to use"),
    SectionTitle("training_data", "Training data"),
    SectionTitle("training_procedure", "Training procedure"),
    SectionTitle("evaluation", "Evaluation"),
    SectionTitle("bias", "Bias"),
    SectionTitle("risks", "Risks and limitations"),
    SectionTitle("privacy", "Privacy"),
    SectionTitle("ethics", "Ethics"),
    SectionTitle("environment", "Environmental impact"),
    SectionTitle("licensing", "Licensing"),
    SectionTitle("provenance", "Provenance"),
    SectionTitle("verify", "How to verify"),
    SectionTitle("citation", "Citation"),
    SectionTitle("contact", "Contact"),
)
"""After Mitchell et al., "Model Cards for Model Reporting" (2019), with what a pinned release can say besides."""
