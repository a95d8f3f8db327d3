"""What often goes wrong in rows that can be used: where prompts end, and what a chat template leaves out."""

from collections import Counter
from dataclasses import dataclass, field

from hubtune.data.pieces import Written

_MOST_FIELDS, _LONGEST_FIELD = 10, 40


@dataclass
class Glue:
    """Looks at rows as they are written, and keeps the first prompt as an example."""

    prompt: str | None = None
    spaces: int = 0
    touching: int = 0
    hidden: Counter[str] = field(default_factory=Counter)
    fields: Counter[str] = field(default_factory=Counter)

    def look(self, row: Written, *, showable: bool) -> None:
        """Looks at one row."""
        if showable:
            self.prompt = self.prompt or row.prompt
        if row.turns:
            self.hidden.update(row.hidden)
            self.fields.update(row.fields)
            return
        for before, after in zip(row.pieces, row.pieces[1:], strict=False):
            if after.response and not before.response:
                self.spaces += before.text.endswith(" ")
                self.touching += before.text[-1].isalnum() and after.text[0].isalnum()

    def add(self, later: "Glue") -> None:
        """Adds what was seen in rows that follow."""
        self.prompt = self.prompt or later.prompt
        self.spaces += later.spaces
        self.touching += later.touching
        self.hidden += later.hidden
        self.fields += later.fields

    def warnings(self, name: str) -> list[str]:
        """Returns what to look at."""
        found = []
        if self.spaces:
            found.append(
                f"{name}: in {self.spaces:,} rows the prompt ends with a space, which most tokenizers make part of the "
                "response's first token; let the response begin with it, and ask without it"
            )
        if self.touching:
            found.append(
                f"{name}: in {self.touching:,} rows nothing stands between prompt and completion; "
                'a `template` such as "{prompt}\\n{completion}" puts something there'
            )
        found += [
            f"{name}: the chat template leaves out {what} in {count:,} row{'' if count == 1 else 's'}, so the model is "
            "trained without"
            for what, count in sorted(self.hidden.items())
        ]
        if self.fields:
            most = ", ".join(f"`{key[:_LONGEST_FIELD]}`" for key, _ in self.fields.most_common(_MOST_FIELDS))
            more = f" and {len(self.fields) - _MOST_FIELDS:,} more" if len(self.fields) > _MOST_FIELDS else ""
            found.append(
                f"{name}: the chat template does not write these fields of the assistant's messages, so the model does "
                f"not learn them: {most}{more}"
            )
        return found
