"""The parts of the config about data: which datasets, in which format, and how their rows come together."""

from pathlib import PurePath
from typing import Annotated, Literal, Self, get_args

from pydantic import AfterValidator, ConfigDict, Field, JsonValue, field_validator, model_validator

from hubtune.config import fields

FormatName = Literal["text", "template", "prompt_completion", "instruction", "chat", "classification"]
LossOn = Literal["all", "completion", "assistant"]

MOST_DATA = 500
"""Datasets that a config may name for one task: each is a request to the Hub, and may be a stranger's wish."""
ROLES: dict[FormatName, dict[str, tuple[str, ...]]] = {
    "text": {"text": ("text",)},
    "template": {},
    "prompt_completion": {"prompt": ("prompt",), "completion": ("completion",)},
    "instruction": {"instruction": ("instruction",), "input": ("input", "context"), "response": ("response", "output")},
    "chat": {"messages": ("messages", "conversations", "conversation"), "tools": ("tools",)},
    "classification": {"text": ("text",), "text_pair": (), "label": ("label", "labels")},
}
"""The parts of a row of each format, and the usual columns, for parts that `data[].columns` does not name."""
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
    """Returns which tokens of a row are targets, by its format, unless `data[].loss_on` says otherwise."""
    return _LOSSES[kind][0] if _LOSSES[kind] else "all"


class DataColumns(fields.ConfigSection):
    """Which column holds which part of a row, if the columns do not have the usual names."""

    text: fields.Column | None = None
    """The column with the text, in rows of format `text` and `classification`."""
    text_pair: fields.Column | None = None
    """The column with the second text of a row to classify, such as the hypothesis of a premise."""
    label: fields.Column | None = None
    """The column with the class of a row: its name, its id, or a list of them if a row has several."""
    prompt: fields.Column | None = None
    """The column with the prompt."""
    completion: fields.Column | None = None
    """The column with the text that follows the prompt."""
    instruction: fields.Column | None = None
    """The column with the instruction."""
    input: fields.Column | None = None
    """The column with the instruction's input, which may be empty."""
    response: fields.Column | None = None
    """The column with the answer to the instruction."""
    messages: fields.Column | None = None
    """The column with the conversation: a list of messages, each with a role and its content."""
    tools: fields.Column | None = None
    """The column with the tools that the assistant may call: a list of JSON schemas, or that list as text."""

    def named(self) -> dict[str, str]:
        """Returns the columns that are named, by the part that they hold."""
        return self.model_dump(exclude_none=True)


def _one_source(key: str, other: str) -> JsonValue:
    """Returns what the JSON schema says of a dataset that is named by one key and not by the other."""
    fault = "Name a dataset's repository on the Hub as `repo`, or a local file as `path`."
    kinds: dict[str, JsonValue] = {
        name: {"type": kind, "errorMessage": fault} for name, kind in ((key, "string"), (other, "null"))
    }
    return {"required": [key], "properties": kinds, "errorMessage": fault}


class DataConfig(fields.ConfigSection):
    """One dataset, and how its rows become model input.

    If `format`, `template` and `text` are not set, the columns decide the format.
    """

    model_config = ConfigDict(json_schema_extra={"anyOf": [_one_source("repo", "path"), _one_source("path", "repo")]})

    repo: fields.RepoId | None = None
    """The dataset's repository on the Hub, as `namespace/name`. It must be readable without a loading script."""
    path: Annotated[str, Field(min_length=1, title="file")] | None = None
    """A local file instead of a repository: JSON Lines, CSV, Parquet or Arrow. It has one split, `train`. The card
    names the file and its sha256, never its folder."""
    license: fields.DataLicense | None = None
    """The license of the local file, as a license id of the Hub. If it is not set, the license is unknown. The license
    of a repository is read from its card."""
    separator: fields.Separator | None = None
    """The character between the cells of a CSV file. If it is not set, a comma, a semicolon or a tab is detected; set
    any other character here."""
    encoding: fields.Encoding | None = None
    """The encoding of CSV, JSON and text files, as Python names it, such as `latin-1`, `gbk` or `utf-16`. If it is not
    set, it is the encoding that the dataset's card names, or UTF-8. It is never guessed: invalid bytes are refused with
    their position."""
    revision: fields.Revision = "main"
    """The branch, tag or commit to read. `hubtune.lock` records its commit."""
    name: str | None = None
    """The dataset's configuration (subset), if it has several."""
    split: fields.Split = "train"
    """The split to train on, or part of one, such as `train[:10%]`."""
    held_out_split: fields.Split | None = None
    """A split to evaluate on. If it is not set, a share of the rows (`evaluate.holdout`) is held out."""
    group_by: fields.Column | None = None
    """A column such as `author`. All rows with the same value in it are either trained on or held out."""
    format: FormatName | None = None
    """How a row becomes text. If it is not set, `template`, `text` or the columns decide."""
    template: fields.Template | None = None
    """The text of a row, with columns in braces, such as `"Quote by {author}: {quote}"`."""
    text: fields.Column | None = None
    """The column that is the text of a row."""
    columns: DataColumns = DataColumns()
    """Which column holds which part of a row, such as `{prompt: question, completion: answer}`. For parts that are not
    named, the usual column names are tried."""
    chat_template: Annotated[str, Field(min_length=1, max_length=262_144), fields.Also(fields.TEXT_FILE)] | None = None
    """A Jinja chat template to use instead of the tokenizer's, as text or as `{file: chat.jinja}`. It is published with
    the model."""
    loss_on: LossOn | None = None
    """The target tokens, which the model learns to predict: `all`, the `completion` (in a chat, the last answer), or
    everything that the `assistant` says. If it is not set, the format decides."""
    labels: (
        Annotated[
            list[Annotated[str, Field(min_length=1)]], Field(min_length=2, json_schema_extra={"uniqueItems": True})
        ]
        | None
    ) = None
    """The class names in the order of their ids. If it is not set, they are read from the dataset."""
    weight: Annotated[float, Field(gt=0)] = 1
    """How often rows of this dataset are drawn if `rows.mix` is `interleave`, relative to the other datasets."""
    streaming: bool = False
    """Whether to read rows from the Hub one by one, at the pinned commit, instead of downloading the files. Use it for
    data that does not fit on the disk. The text and tokens of each row are still kept, with about 700 bytes to find
    duplicates, so limit the rows with a split such as `train[:100000]`. A CSV, JSON or text file that is read to its
    end is compared with the commit's digest, and so is a Parquet or Arrow file of at most 64 MiB. Larger Parquet and
    Arrow files are not compared."""

    @field_validator("labels")
    @classmethod
    def _distinct(cls, value: list[str] | None) -> list[str] | None:
        if value is not None and len(set(value)) != len(value):
            raise ValueError("a label is listed twice")
        return value

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.repo is None) == (self.path is None):
            raise ValueError("name a dataset's repository on the Hub as `repo`, or a local file as `path`")
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
            able = " or ".join(_LOSSES[kind]) or "none: a label is learned, not text"
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
        """What to call the dataset: its repository, or the local file's name without its folder."""
        return self.repo or PurePath(self.path or "").name

    @property
    def stated_format(self) -> FormatName | None:
        """The format that the config states, outright or by `template` or `text`; None if the columns decide."""
        if self.format is not None:
            return self.format
        if self.template is not None:
            return "template"
        return "text" if self.text is not None else None


class RowsConfig(fields.ConfigSection):
    """How the rows of all datasets come together."""

    mix: Literal["concatenate", "interleave"] = "concatenate"
    """How several datasets become one: `concatenate` them, or `interleave` rows drawn from all of them by
    `data[].weight`."""
    stop: Literal["first_exhausted", "all_exhausted"] = "first_exhausted"
    """When interleaving ends: when the first dataset is exhausted, or when every dataset has been exhausted at least
    once. In the second case, rows of the smaller datasets are repeated."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 42
    """The seed for drawing rows when datasets are interleaved."""
    max_dropped: Annotated[float, Field(ge=0, le=1)] = 0.01
    """The largest share of a dataset's rows that may be unusable. If more are, the run stops."""
    workers: Annotated[int, Field(ge=1, le=64)] | Literal["auto"] = "auto"
    """The number of processes that read rows, at most one per core. If there are 20,000 rows or more, `auto` uses one
    per core, at most 8. It changes speed, not results."""


PersonalKind = Literal["email", "phone", "card_number", "iban", "ip_address", "secret"]
CopyKind = Literal["duplicates", "near_duplicates", "contamination"]
ScreenKind = PersonalKind | CopyKind

PERSONAL_KINDS: tuple[PersonalKind, ...] = get_args(PersonalKind)
COPY_KINDS: tuple[CopyKind, ...] = get_args(CopyKind)

CopyPolicy = Literal["report", "drop", "refuse"]
PersonalPolicy = Literal["report", "redact", "drop", "refuse"]


def _check_region(value: str) -> str:
    if not (len(value) == 2 and value.isascii() and value.isupper()):
        raise ValueError(f"{value!r} is not a region; write the two capital letters of ISO 3166, such as US or DE")
    return value


Region = Annotated[str, AfterValidator(_check_region), fields.text_form("country code", "DE", "^[A-Z]{2}$")]


class ScreenConfig(fields.ConfigSection):
    """What to do with rows in which something is found: report, redact, drop or refuse."""

    duplicates: CopyPolicy = "report"
    """What to do with rows that have the same text as an earlier row, ignoring case, punctuation and spacing.
    Some duplicates are intended, so the default is to report them."""
    near_duplicates: CopyPolicy = "report"
    """What to do with rows that have a Jaccard index of at least 0.8 with an earlier row over 5-word sequences. Which
    rows are too similar depends on the data, so the default is to report them."""
    contamination: CopyPolicy = "drop"
    """What to do with training rows that repeat a held-out row or share a 13-word sequence with one. Training on them
    makes the tuned model look better than it is. Held-out rows are never dropped."""
    email: PersonalPolicy = "report"
    """What to do with rows that contain e-mail addresses. Many are published on purpose, in licenses, signatures and
    manuals, so the default is to report them."""
    phone: PersonalPolicy = "report"
    """What to do with rows that contain telephone numbers."""
    card_number: PersonalPolicy = "redact"
    """What to do with rows that contain payment card numbers. A model does not need them, and few other numbers pass
    the check of their last digit."""
    iban: PersonalPolicy = "redact"
    """What to do with rows that contain bank account numbers (IBANs)."""
    ip_address: PersonalPolicy = "report"
    """What to do with rows that contain IP addresses."""
    secret: PersonalPolicy = "refuse"  # noqa: S105 - what to do with a secret, and none itself
    """What to do with rows that contain tokens, keys or passwords. A secret is almost never meant to be there. Revoke
    it at its issuer: no tool can do that for you."""
    phone_regions: list[Region] = Field(default_factory=lambda: ["US", "GB"])
    """The countries whose national telephone numbers are recognized, as two-letter codes of ISO 3166. International
    numbers are always recognized."""

    def copies(self, kind: CopyKind) -> CopyPolicy:
        """Returns what to do with rows that repeat other rows in this way."""
        policy: CopyPolicy = getattr(self, kind)
        return policy

    def personal(self, kind: PersonalKind) -> PersonalPolicy:
        """Returns what to do with rows that hold personal data or a secret of this kind."""
        policy: PersonalPolicy = getattr(self, kind)
        return policy
