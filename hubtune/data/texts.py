"""Turns rows into texts, and counts the rows that give none, by reason."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hubtune.config.fields import template_columns


@dataclass(frozen=True)
class Texts:
    """The texts of one data set in order, how many rows were dropped for which reason, and an example of a prompt."""

    kept: list[str]
    dropped: dict[str, int]
    rows: int
    prompt: str | None

    @property
    def fingerprint(self) -> str:
        """The sha256 over the kept texts, each with its length in bytes before it."""
        digest = hashlib.sha256()
        for text in self.kept:
            content = text.encode()
            digest.update(b"%d:" % len(content))
            digest.update(content)
        return digest.hexdigest()


def render_rows(rows: Iterable[Mapping[str, object]], template: str) -> Texts:
    """Writes each row into `template`; a row with a null or blank field is dropped.

    The number of rows equals that of the kept texts and all the dropped rows.
    """
    columns = template_columns(template)
    kept: list[str] = []
    dropped: Counter[str] = Counter()
    count = 0
    prompt: str | None = None
    for row in rows:
        count += 1
        values = {column: row[column] for column in columns}
        if any(value is None for value in values.values()):
            dropped["a field is null"] += 1
        elif any(not str(value).strip() for value in values.values()):
            dropped["a field is blank"] += 1
        else:
            kept.append(template.format_map(values))
            if prompt is None and len(columns) > 1:
                prompt = _before_last_field(template).format_map(values).rstrip()
    return Texts(kept=kept, dropped=dict(dropped), rows=count, prompt=prompt or None)


def _before_last_field(template: str) -> str:
    return template[: template.rindex("{")]
