"""`hubtune data`: rows of a config's data as the model sees them."""

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hubtune.cli.options import WholeNumber, config_argument, hub_option, on_hub, set_option
from hubtune.cli.output import Output, one_line
from hubtune.config.load import load_config

if TYPE_CHECKING:
    from hubtune.records.data import ShownRow, ShownRows

_IGNORED = -100
_MOST_CLASSES = 12


@click.group(short_help="Inspect the data of a config.")
def data() -> None:
    """Inspect the data of a config."""


@data.command(short_help="Show rows as the model sees them.")
@config_argument
@click.option("-n", "count", type=WholeNumber(min=1), default=5, show_default=True, help="Number of rows.")
@hub_option
@set_option
@click.pass_obj
def show(output: Output, config: Path, count: int, hub: Path | None, overrides: tuple[str, ...]) -> None:
    """Print rows of CONFIG's data token by token. Target tokens are green, or [in brackets] without color."""
    settings = load_config(config, overrides)
    with on_hub(hub):
        from hubtune.pipeline.init import show_rows

        shown = show_rows(settings, config, count, output.progress)
        color = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        output.result(shown, list(shown_lines(shown, color=color)), verbatim=True)


def shown_lines(shown: "ShownRows", *, color: bool) -> Iterator[str]:
    """Returns the rows for a person, then a summary of all."""
    classes = shown.data.labels
    for number, row in enumerate(shown.rows, 1):
        cut = ", truncated" if row.truncated else ""
        if classes is None:
            targets = sum(label != _IGNORED for label in row.labels[1:])
            yield f"Row {number} ({row.part}): {len(row.input_ids)} tokens{cut}, {targets} target tokens"
        else:
            named = ", ".join(f"{classes[label]} ({label})" for label in row.labels) or "none"
            yield f"Row {number} ({row.part}): {len(row.input_ids)} tokens{cut}, label {one_line(named)}"
        yield _tokens(row, classified=classes is not None, color=color)
        yield ""
    for source in shown.data.sources:
        dropped = "".join(
            f"; {count:,} dropped: {reason} (first: row {source.first_dropped[reason]:,})"
            for reason, count in source.dropped.items()
        )
        inferred = ", inferred from its columns" if source.inferred else ""
        loss = f", loss on {source.loss_on}" if classes is None else ""
        yield one_line(
            f"{source.label}: format {source.format}{inferred}{loss}; "
            f"{source.kept:,} of {source.rows:,} rows kept{dropped}"
        )
    for name, part in (("train", shown.data.train), ("held-out", shown.data.held_out)):
        yield one_line(f"{name}: {part.rows:,} rows, {part.tokens:,} tokens{_balance(part.classes)}")


def _balance(classes: Mapping[str, int]) -> str:
    most = sorted(classes.items(), key=lambda entry: -entry[1])
    more = f"; {len(most) - _MOST_CLASSES} more labels" if len(most) > _MOST_CLASSES else ""
    return "".join(f", {rows:,} {label}" for label, rows in most[:_MOST_CLASSES]) + more


def _tokens(row: "ShownRow", *, classified: bool, color: bool) -> str:
    parts = []
    for place, token in enumerate(row.tokens):
        text = "".join(
            character if character.isprintable() else character.encode("unicode_escape").decode() for character in token
        )
        target = not classified and row.labels[place] != _IGNORED
        if color:
            parts.append(click.style(text, fg="green", bold=True) if target else click.style(text, dim=True))
        else:
            parts.append(f"[{text}]" if target else text)
    return (click.style("|", dim=True) if color else "|").join(parts)
