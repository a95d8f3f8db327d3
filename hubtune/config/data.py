"""The parts of the config about data: which data sets, in which format, and how their rows come together."""

from pathlib import PurePath
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from hubtune.config.fields import Column, DataLicense, Encoding, RepoId, Revision, Separator, Split, Template
from hubtune.config.section import Section

FormatName = Literal["text", "template", "prompt_completion", "instruction", "chat", "classification"]
LossOn = Literal["all", "completion", "assistant"]

ROLES: dict[FormatName, dict[str, tuple[str, ...]]] = {
    "text": {"text": ("text",)},
    "template": {},
    "prompt_completion": {"prompt": ("prompt",), "completion": ("completion",)},
    "instruction": {"instruction": ("instruction",), "input": ("input", "context"), "response": ("response", "output")},
    "chat": {"messages": ("messages", "conversations", "conversation"), "tools": ("tools",)},
    "classification": {"text": ("text",), "text_pair": (), "label": ("label", "labels")},
}
"""What a row of each format holds, and the columns that are looked for where `data[].columns` names none."""
OPTIONAL_ROLES = frozenset({"input", "tools", "text_pair"})
_LOSSES: dict[FormatName, tuple[LossOn, ...]] = {
    # The first is the default.
    "text": ("all",),
    "template": ("all", "completion"),
    "prompt_completion": ("completion", "all"),
    "instruction": ("completion", "all"),
    "chat": ("assistant", "completion", "all"),
    "classification": (),
}
_WITH_TEMPLATE: tuple[FormatName, ...] = ("template", "prompt_completion", "instruction")
_WITH_TEXT: tuple[FormatName, ...] = ("text", "classification")


def default_loss(kind: FormatName) -> LossOn:
    """Returns what carries loss in rows of a format unless `data[].loss_on` says otherwise."""
    return _LOSSES[kind][0] if _LOSSES[kind] else "all"


class DataColumns(Section):
    """The columns that hold the parts of a row, where they have other names than the usual ones."""

    text: Column | None = None
    text_pair: Column | None = None
    label: Column | None = None
    prompt: Column | None = None
    completion: Column | None = None
    instruction: Column | None = None
    input: Column | None = None
    response: Column | None = None
    messages: Column | None = None
    tools: Column | None = None

    def named(self) -> dict[str, str]:
        """Returns the columns that are named, by the part that they hold."""
        return self.model_dump(exclude_none=True)


class DataConfig(Section):
    """One data set, and how its rows become what the model sees.

    Without `format`, `template` or `text` the format is inferred from the columns.

    Attributes:
        path: A local file, in place of a repository: JSON Lines, CSV, Parquet or Arrow. It has one split, `train`.
        separator: What stands between the cells of CSV files; where it is left out, a comma, a semicolon or a tab is
            recognised.
        encoding: Of CSV, JSON and text files, as Python names it. Without it UTF-8, or what the data set's card says.
        license: The local file's licence; that of a repository is on its card.
        split: A split or a part of one in the notation of `datasets`, such as `train[:10%]`.
        held_out_split: Its rows are held out; then none of `split` is.
        group_by: Rows with the same value in this column are held out together.
        chat_template: Jinja text that takes the place of the tokenizer's; `{file: PATH}` in the config file.
        weight: The data set's share where rows are interleaved.
        streaming: Read the rows from the Hub one after the other, at the pinned commit, instead of fetching the files:
            for what does not fit the disk. What is kept of a row are its tokens and its text; a part such as
            `train[:100000]` bounds them.
        labels: The class names in the order of their ids, where the rows hold ids.
    """

    repo: RepoId | None = None
    path: Annotated[str, Field(min_length=1)] | None = None
    license: DataLicense | None = None
    separator: Separator | None = None
    encoding: Encoding | None = None
    revision: Revision = "main"
    name: str | None = None
    split: Split = "train"
    held_out_split: Split | None = None
    group_by: Column | None = None
    format: FormatName | None = None
    template: Template | None = None
    text: Column | None = None
    columns: DataColumns = DataColumns()
    chat_template: Annotated[str, Field(min_length=1, max_length=262_144)] | None = None
    loss_on: LossOn | None = None
    labels: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=2)] | None = None
    weight: Annotated[float, Field(gt=0)] = 1
    streaming: bool = False

    @field_validator("labels")
    @classmethod
    def _distinct(cls, value: list[str] | None) -> list[str] | None:
        if value is not None and len(set(value)) != len(value):
            raise ValueError("a label is listed twice")
        return value

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.repo is None) == (self.path is None):
            raise ValueError("name a data set's repository on the Hub as `repo`, or a local file as `path`")
        if self.path is not None and (self.name is not None or self.revision != "main"):
            raise ValueError("`name` and `revision` are for a repository, and this is a local file; leave them out")
        if self.repo is not None and self.license is not None:
            raise ValueError(
                "`license` is for a local file; leave it out, as that of a repository is read from its card"
            )
        if self.path is not None and self.streaming:
            raise ValueError("`streaming` is for a repository, and this is a local file; leave it out")
        return self

    @model_validator(mode="after")
    def _readable_so(self) -> Self:
        if self.path is None:
            return self
        name = self.path.lower().removesuffix(".gz")
        if self.separator is not None and not name.endswith((".csv", ".tsv")):
            raise ValueError(
                "`separator` is for CSV, and the file is not called .csv or .tsv; rename it or leave `separator` out"
            )
        if self.encoding is not None and name.endswith((".parquet", ".arrow")):
            raise ValueError("`encoding` is for text files, and Parquet and Arrow files are not; leave it out")
        return self

    @model_validator(mode="after")
    def _one_format(self) -> Self:
        kind = self.stated_format
        if self.template is not None and self.text is not None:
            raise ValueError("`template` writes a row and `text` names the column that is the row; keep one")
        if self.template is not None and kind not in _WITH_TEMPLATE:
            raise ValueError(
                f"format is {kind!r}, and `template` is for {', '.join(_WITH_TEMPLATE)}; change one or leave it out"
            )
        if self.text is not None and kind not in _WITH_TEXT:
            raise ValueError(
                f"format is {kind!r}, and `text` is for {', '.join(_WITH_TEXT)}; change one or leave it out"
            )
        if kind == "template" and self.template is None:
            raise ValueError("format is 'template'; write the row as `template`, such as \"{author}: {quote}\"")
        return self

    @model_validator(mode="after")
    def _fitting_keys(self) -> Self:
        kind = self.stated_format
        if self.text is not None and self.columns.text is not None:
            raise ValueError("`text` and `columns.text` name the same thing; keep one")
        if kind is None:
            return self
        odd = sorted(set(self.columns.named()) - set(ROLES[kind]))
        if odd:
            allowed = ", ".join(ROLES[kind]) or "none: its template names the columns"
            raise ValueError(f"columns.{odd[0]} is not part of a row of format {kind!r}; the parts are: {allowed}")
        if self.loss_on is not None and self.loss_on not in _LOSSES[kind]:
            able = " or ".join(_LOSSES[kind]) or "none: a label is learnt, not text"
            raise ValueError(f"loss_on is {self.loss_on!r}; format {kind!r} allows {able}")
        if self.chat_template is not None and kind != "chat":
            raise ValueError(f"chat_template is for format 'chat', and format is {kind!r}; leave it out")
        if self.labels is not None and kind != "classification":
            raise ValueError(f"labels are for format 'classification', and format is {kind!r}; leave them out")
        return self

    @model_validator(mode="after")
    def _other_split(self) -> Self:
        if self.held_out_split == self.split:
            raise ValueError("held_out_split is the split that is trained on; name another")
        return self

    @property
    def label(self) -> str:
        """What to call the data set: its repository, or the local file's name without its folder."""
        return self.repo or PurePath(self.path or "").name

    @property
    def stated_format(self) -> FormatName | None:
        """The format that the config states, outright or by `template` or `text`; None where the columns decide."""
        if self.format is not None:
            return self.format
        if self.template is not None:
            return "template"
        return "text" if self.text is not None else None


class RowsConfig(Section):
    """How the rows of all data sets come together.

    Attributes:
        mix: One data set after the other, or rows drawn from all of them by `data[].weight`.
        stop: Interleaving ends when the first data set runs out, or when each was used up at least once, with rows of
            the shorter ones repeated.
        seed: Of the drawing.
        max_dropped: The largest share of a data set's rows that may be unusable before the run stops.
        workers: Processes that read the rows. `auto` takes one for each core, at most 8, where there are 20,000 rows or
            more. The rows are the same for any number, so this stands in no record.
    """

    mix: Literal["concatenate", "interleave"] = "concatenate"
    stop: Literal["first_exhausted", "all_exhausted"] = "first_exhausted"
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 42
    max_dropped: Annotated[float, Field(ge=0, le=1)] = 0.01
    workers: Annotated[int, Field(ge=1, le=64)] | Literal["auto"] = "auto"
