"""The data record: which rows were used, which were dropped and why, and how they were split.

The internal records of a cache entry and of the rows that `hubtune data show` prints are here too.
"""

from typing import Literal

from pydantic import Field

from hubtune.config.data import FormatName, LossOn, PersonalKind, PersonalPolicy, ScreenKind
from hubtune.records.base import Commit, Record


class FindingRecord(Record):
    """One kind of finding.

    Attributes:
        rows: Rows where it was found. For contamination: held-out rows that training rows repeat.
        hits: Findings; a row can have several. For contamination: training rows that repeat held-out ones.
        per_thousand: Hits for each 1,000 rows that were screened.
        dropped: Rows that were left out for it.
        redacted: Hits that a placeholder took the place of.
        precision: Share of right findings on labeled texts written after the detector; null if there is none, but
            a definition.
        recall: Share of the labeled values that it finds there.
        labelled: Values in that set.
    """

    kind: ScreenKind
    policy: PersonalPolicy
    rows: int
    hits: int
    per_thousand: float
    dropped: int
    redacted: int = 0
    precision: float | None = None
    recall: float | None = None
    labelled: int | None = None


class ScreenRecord(Record):
    """The screening of a run's rows.

    Attributes:
        rows: Rows that were looked at: all that could be used.
        held_out: Those of them that are held out and were compared with the training rows.
        phone_regions: Whose national telephone numbers were looked for.
        findings: One for each kind that was looked for, even if nothing was found.
    """

    rows: int
    held_out: int | None = None
    phone_regions: list[str]
    findings: list[FindingRecord]


class SourceRecord(Record):
    """One dataset as it was read.

    Attributes:
        repo: The repository; null for a local file.
        file: The local file's name, without its folder; null for a repository.
        sha256: Of the local file.
        files: The sha256 of each file of a repository whose rows were read, by its path; null for a local file, and in
            records of versions that did not note it.
        held_out_split: The split whose rows are held out; null if rows of `split` are.
        group_by: The column whose values are held out together.
        separator: What separates the cells of CSV files, given or recognized; null for others.
        format: How a row became what the model sees.
        inferred: Whether the columns decided on the format, not the config.
        template: The config's template for a row; null if none writes it.
        columns: The column of each part of a row, if no template names them.
        chat_template: sha256 of the chat template that wrote the rows.
        loss_on: Which tokens are targets: the whole row, the completion, or what the assistant says.
        rows: Rows read. It equals the kept rows and all the dropped ones.
        dropped: Number of rows left out, by reason.
        first_dropped: Number of the first row left out, by reason, counted from 1.
        trained: Rows of it in the training part; a row that is drawn twice counts twice. Null if rows are not mixed.
        languages: Language codes that the dataset's card states, as it states them.
        prompt: The first kept row's text up to its last field, its prompt, or the user's first message: what to ask the
            tuned model. Null if a row has no such part.
        fingerprint: sha256 over the kept rows' texts in order, so that a later stage knows that it reads the same.
        warnings: What was said of it while it was read.
    """

    repo: str | None
    commit: Commit | None
    file: str | None = None
    sha256: str | None = None
    files: dict[str, str] | None = None
    name: str | None
    split: str
    held_out_split: str | None = None
    group_by: str | None = None
    separator: str | None = None
    format: FormatName
    inferred: bool = False
    template: str | None
    columns: dict[str, str] = Field(default_factory=dict)
    chat_template: str | None = None
    loss_on: LossOn = "all"
    rows: int
    kept: int
    dropped: dict[str, int]
    first_dropped: dict[str, int] = Field(default_factory=dict)
    trained: int | None = None
    languages: list[str]
    prompt: str | None
    fingerprint: str
    warnings: list[str] = Field(default_factory=list)

    @property
    def label(self) -> str:
        """What to call the dataset: its repository, or the local file's name."""
        return self.repo or self.file or "the dataset"


class SplitRecord(Record):
    """The rows of the training or the held-out part.

    Attributes:
        rows: Rows that are used; one that is drawn twice counts twice.
        tokens: Their tokens, end-of-sequence tokens included.
        learnt: The number of target tokens; null for rows to classify.
        truncated: How many of them were cut to the length limit.
        left_out: Rows of the part that are not used for anything: beyond `evaluate.max_items`, or never drawn if
            datasets are interleaved.
        classes: Rows of each class, if the rows are to be classified.
    """

    rows: int
    tokens: int
    learnt: int | None = None
    truncated: int
    left_out: int = 0
    classes: dict[str, int] = Field(default_factory=dict)


class CanaryRecord(Record):
    """Secrets planted among the training rows; they are not rows of a dataset, and the split does not count them.

    Attributes:
        rows: How many, one row each.
        tokens: Their tokens, end-of-sequence tokens included.
        format: The text of a row, with `{word}` and `{secret}` in it.
        digits: Decimal digits of a secret.
        seed: What the words and the secrets follow from.
    """

    rows: int
    tokens: int
    format: str
    digits: int
    seed: int


class MixRecord(Record):
    """How rows of several datasets were drawn; `weights` are in the order of the sources."""

    strategy: Literal["interleave"] = "interleave"
    stop: Literal["first_exhausted", "all_exhausted"]
    seed: int
    weights: list[float]


class EarlierDataRecord(Record):
    """What the model learned before, and what a run takes of it.

    Attributes:
        sources: Its datasets.
        train: Rows that are not held out.
        held_out: Rows that forgetting is measured on.
        replayed: Rows that were put among those to train on; one that is drawn twice counts twice.
        matter: Rows that told how much each weight matters to the earlier task.
        left_out: Rows that are not used, since the new data has their text on the other side of its split.
        split_method: What decides on which side a row falls.
        screen: What was looked for in the rows, and found.
    """

    sources: list[SourceRecord]
    train: SplitRecord
    held_out: SplitRecord
    replayed: SplitRecord
    matter: int
    left_out: int
    split_method: str
    screen: ScreenRecord | None = None


class DataRecord(Record):
    """What the data stage did; `upstream` holds the digests of the config's sections and of the pins it used.

    Attributes:
        max_length: Tokens that a row was cut to, EOS included: the config's limit, or the model's if that is less.
        labels: The class names in the order of their ids; null if rows are not to be classified.
        several_labels: Whether a row may be of several classes.
        mix: How rows were drawn; null if one dataset follows the other.
        screen: What was looked for in the rows, and found; null if it was not.
        canaries: Secrets that were trained on besides; null if none were planted. Such a run is never published.
        earlier: What the model learned before; null if nothing is said of it. `train` counts nothing of it.
        validation: The rows on which the held-out loss is measured during training; null if those of `held_out` are.
    """

    upstream: dict[str, str]
    sources: list[SourceRecord]
    train: SplitRecord
    held_out: SplitRecord
    split_method: str
    max_length: int
    labels: list[str] | None = None
    several_labels: bool = False
    mix: MixRecord | None = None
    screen: ScreenRecord | None = None
    canaries: CanaryRecord | None = None
    earlier: EarlierDataRecord | None = None
    validation: SplitRecord | None = None


class LeftOutRecord(Record):
    """Rows that were dropped for one reason.

    Attributes:
        reason: The name of the reason in the code.
        first: The number of the first of them, from 1.
        detail: What is known of that one beyond the reason.
    """

    reason: str
    count: int
    first: int
    detail: str


class ScreenedRecord(Record):
    """What was found of one kind of personal data; `first` is the number of the first row with it, or 0."""

    kind: PersonalKind
    rows: int
    hits: int
    dropped: int
    redacted: int
    first: int


class EncodedRecord(Record):
    """One dataset, encoded.

    Attributes:
        rows: Rows read. It equals the kept rows and those left out.
        files: The sha256 of each file that was read, by its path in the dataset.
        columns: The column of each part of a row.
        labels: The class names in the order of their ids; null if rows are not to be classified.
        chat_template: The template that wrote the rows, if one did.
        prompt: An example of what to ask the tuned model.
        separator: What separates the cells of CSV files; null for others.
        screened_rows: Rows that were counted in `screened`.
        size: Bytes of the file with the rows.
        sha256: Of that file.
    """

    rows: int
    kept: int
    files: dict[str, str]
    format: FormatName
    columns: dict[str, str]
    template: str | None
    loss_on: LossOn
    inferred: bool
    labels: list[str] | None
    several_labels: bool
    chat_template: str | None
    prompt: str | None
    separator: str | None = None
    warnings: list[str]
    left_out: list[LeftOutRecord]
    screened_rows: int
    screened: list[ScreenedRecord]
    size: int = Field(ge=0)
    sha256: str


class ShownRow(Record):
    """One row.

    Attributes:
        part: Whether the row is trained on or held out.
        input_ids: Its token ids.
        labels: The ids of target tokens, and -100 elsewhere; of a row to classify, the ids of its classes.
        text: Its text.
        tokens: The text of each token.
        truncated: Whether it was cut to the length limit.
    """

    part: Literal["train", "held-out"]
    input_ids: list[int]
    labels: list[int]
    text: str
    tokens: list[str]
    truncated: bool


class ShownRows(Record):
    """The first rows of a run's data, and what the data record would say of all."""

    rows: list[ShownRow]
    data: DataRecord
