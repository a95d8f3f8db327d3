"""Where prompts end and responses begin: what often goes wrong there, and the first prompt as an example."""

from dataclasses import dataclass

from hubtune.data.pieces import Written


@dataclass
class Glue:
    """Looks at where prompts end and responses begin, and keeps the first prompt."""

    prompt: str | None = None
    spaces: int = 0
    touching: int = 0

    def look(self, row: Written, *, showable: bool) -> None:
        """Looks at one row."""
        if showable:
            self.prompt = self.prompt or row.prompt
        if row.turns:
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
        return found
