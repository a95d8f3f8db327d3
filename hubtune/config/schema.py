"""The config of a run: closed, frozen models of the contents of `hubtune.yaml`, with the defaults."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from hubtune.config import fields
from hubtune.config.data import MOST_DATA, DataConfig, RowsConfig, ScreenConfig
from hubtune.config.evaluation import BUILT_IN, DEFAULT, BiasConfig
from hubtune.config.sweep import SweepOriginConfig, value_text
from hubtune.config.training import WHOLE_METHODS, EarlierConfig, TrainConfig


def _check_visible(value: str) -> str:
    if not any(character.isprintable() and not character.isspace() for character in value):
        raise ValueError("there is no text in it; leave the key out if there is nothing to say")
    return value


_VISIBLE = fields.matching(r"\S", "There is no text in it; leave the key out if there is nothing to say.")
Line = Annotated[
    str, Field(min_length=1, max_length=65_536, json_schema_extra=_VISIBLE), AfterValidator(_check_visible)
]
Statement = Annotated[Line, fields.Also(fields.TEXT_FILE)]


class BaseAdapterConfig(fields.ConfigSection):
    """A published LoRA adapter to train further."""

    repo: fields.RepoId
    """The adapter's repository on the Hub, as `namespace/name`."""
    revision: fields.Revision = "main"
    """The branch, tag or commit of the adapter. `hubtune.lock` records its commit."""


class BaseModelConfig(fields.ConfigSection):
    """The base model to fine-tune."""

    repo: fields.RepoId
    """The model's repository on the Hub, as `namespace/name`. It needs safetensors weights."""
    revision: fields.Revision = "main"
    """The branch, tag or commit of the model. `hubtune.lock` records its commit."""
    adapter: BaseAdapterConfig | None = None
    """A published adapter to train further, instead of a new one. The release needs only the base model."""
    allow_remote_code: fields.CommitId | None = None
    """The commit of the base model, as all 40 digits, whose Python code may run. Set it only if transformers does not
    have the architecture. Code of any other commit is refused. A release contains no code, so this is only for adapters
    of models that generate text."""


MetricName = Annotated[
    str,
    Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64, title="name"),
    fields.Also({"enum": list(BUILT_IN), "title": "name"}),
]


class EvaluateConfig(fields.ConfigSection):
    """What is measured, and on which held-out rows.

    `load` checks whether a metric is installed, so that a release's config can be read without its author's plugins.
    """

    holdout: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """The share of the distinct rows that is held out for evaluation."""
    validation: Annotated[float, Field(gt=0, lt=1)] | None = None
    """The share of the distinct rows that is set aside as a validation set, which is neither trained on nor evaluated
    on. If it is set, the held-out loss during training is measured on the validation set, so early stopping and sweeps
    choose by it and not by the rows of the evaluation."""
    metrics: Literal["all"] | list[MetricName] = Field(default_factory=lambda: list(DEFAULT))
    """The metrics to measure, by name, or `all` for every metric that fits the data."""
    batch_size: Annotated[int, Field(ge=1)] = 8
    """Rows per batch when evaluating. It changes speed, not results."""
    max_items: Annotated[int, Field(ge=1)] | None = None
    """The maximum number of held-out rows to evaluate on. If it is not set, all of them are used."""
    generations: Annotated[int, Field(ge=1)] = 100
    """The maximum number of held-out rows for which the models generate text."""
    max_new_tokens: Annotated[int, Field(ge=1, le=4096)] = 48
    """The maximum number of tokens that a model generates for a row."""
    canaries: Annotated[int, Field(ge=0, le=10_000)] = 0
    """How many random secrets to add to the training set to measure memorization. A result needs at least 10. A run
    with canaries is never published."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 42
    """The seed that decides which rows are held out."""
    bias: BiasConfig = BiasConfig()
    """Files of your own for the bias metrics, instead of hubtune's sentences, words and prompts."""

    @model_validator(mode="after")
    def _something_to_train_on(self) -> Self:
        if self.validation is not None and self.holdout + self.validation >= 1:
            raise ValueError(
                f"holdout ({self.holdout}) and validation ({self.validation}) leave no training rows; "
                "their sum has to be below 1"
            )
        return self


class AcceptedLicense(fields.ConfigSection):
    """A signed-off reason to use an input for which no license grant is known."""

    repo: fields.RepoId
    """The input's repository on the Hub, as `namespace/name`."""
    reason: Line
    """Why the input may be used anyway. The card quotes it."""
    by: Line
    """Who takes responsibility for this. The card names them."""


STATEMENTS = (
    *("intended_use", "misuse", "consent", "privacy", "bias", "safeguards", "risks", "ethics", "environment"),
    *("citation", "contact"),
)
"""Keys of `card` that hold the author's words, in Markdown."""


class CardConfig(fields.ConfigSection):
    """What the author states. The card marks missing statements as not assessed."""

    license: fields.LicenseChoice = "auto"
    """The license of the release, as a license id of the Hub. `auto` selects the license that the inputs require. A
    license that the inputs do not allow is refused."""
    license_name: Line | None = None
    """The name of the license, if `license` is `other`."""
    license_link: (
        Annotated[
            Line, Field(json_schema_extra=fields.matching("^https?://", "This is not an address; write https://…"))
        ]
        | None
    ) = None
    """The address of the license text, if `license` is `other`."""
    accept_license: Annotated[list[AcceptedLicense], fields.OneOrSeveral()] = Field(default_factory=list)
    """Signed-off reasons to use inputs for which no license grant is known: one entry or a list. The card shows
    them."""
    intended_use: Statement | None = None
    """What the model is for. Each statement is Markdown text or `{file: PATH}`. The card marks a missing statement as
    "not assessed"."""
    misuse: Statement | None = None
    """What the model must not be used for."""
    consent: Statement | None = None
    """Whether the people in the data agreed to its use."""
    privacy: Statement | None = None
    """What is known about personal data in the training set."""
    bias: Statement | None = None
    """Which groups or views the model may treat unfairly."""
    safeguards: Statement | None = None
    """What limits harm, such as filters or access rules."""
    risks: Statement | None = None
    """What can go wrong when the model is used."""
    ethics: Statement | None = None
    """Ethical considerations beyond the other statements."""
    environment: Statement | None = None
    """The environmental impact, beyond what the run measured."""
    citation: Statement | None = None
    """How to cite the model."""
    contact: Statement | None = None
    """Whom to contact about the model."""
    templates: Annotated[str, Field(min_length=1, title="folder")] | None = None
    """A folder with section templates of your own: `bias.md.j2` replaces that section of the card, `data_sheet.md.j2`
    adds one."""

    @field_validator("accept_license", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return [value] if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _named_other(self) -> Self:
        given = (self.license_name is not None, self.license_link is not None)
        if self.license != "other" and any(given):
            raise ValueError("license_name and license_link are for `license: other`; leave them out")
        if any(given) and not all(given):
            raise ValueError("license_name and license_link are given together or not at all")
        if self.license_link is not None and not self.license_link.startswith(("https://", "http://")):
            raise ValueError("license_link is the address of the license's text, https://…")
        return self


class PublishConfig(fields.ConfigSection):
    """Where the release goes, and what it is called."""

    repo: fields.TargetRepoId | None = None
    """The repository to publish to, as `namespace/name`. `--push` can name it too."""
    artifact: Literal["adapter", "merged"] = "adapter"
    """What is published: the `adapter`, or complete weights with the adapter `merged` into them. `full` and `freeze`
    always publish complete weights. A repository holds one kind."""
    counterpart: fields.TargetRepoId | None = None
    """The repository that holds the other kind of artifact of the same run. The two cards link to each other."""
    tag: fields.Tag = "v1.0.0"
    """The release's version, which becomes a git tag. A tag is never moved."""
    private: bool = False
    """Whether to create the repository as private."""
    branch: fields.Branch = "main"
    """The branch to commit to, created from main if it does not exist."""
    message: Annotated[str, Field(min_length=1, json_schema_extra=_VISIBLE), AfterValidator(_check_visible)] | None = (
        None
    )
    """The message of the release's commit. If it is not set, hubtune writes one."""

    @model_validator(mode="after")
    def _branch_is_no_tag(self) -> Self:
        if self.branch == self.tag:
            raise ValueError(f"branch and tag are both {self.tag!r}; a client could not tell them apart; rename one")
        return self

    @model_validator(mode="after")
    def _two_repositories(self) -> Self:
        if self.counterpart is not None and self.counterpart == self.repo:
            raise ValueError("counterpart is the same repository as repo; an adapter and merged weights need one each")
        return self


def _may_be_chat(entry: Mapping[str, object]) -> bool:
    return entry.get("format") in (None, "chat") and entry.get("template") is None and entry.get("text") is None


def _with_template(entry: dict[str, object], template: object) -> dict[str, object]:
    return {**entry, "chat_template": template} if _may_be_chat(entry) and not entry.get("chat_template") else entry


class TuneConfig(fields.ConfigSection):
    """A whole run, from pinned inputs to a tagged release."""

    base: BaseModelConfig
    """The base model to fine-tune."""
    data: Annotated[list[DataConfig], Field(min_length=1, max_length=MOST_DATA)]
    """The datasets to train on."""
    rows: RowsConfig = RowsConfig()
    """How the rows of all datasets come together."""
    screen: ScreenConfig = ScreenConfig()
    """What to do with rows that contain personal data or secrets, or that repeat other rows. `report` counts them,
    `redact` replaces what was found with a placeholder, `drop` drops the rows, and `refuse` stops the run."""
    train: TrainConfig = TrainConfig()
    """How the base model is fine-tuned."""
    evaluate: EvaluateConfig = EvaluateConfig()
    """What is measured, and on which rows."""
    earlier: EarlierConfig | None = None
    """A task that the model learned before and should not forget."""
    sweep: SweepOriginConfig | None = None
    """The sweep that chose this config's values; `hubtune sweep --best` writes it, and the card reports it."""
    card: CardConfig = CardConfig()
    """The model card: its license, and what its author states."""
    publish: PublishConfig = PublishConfig()
    """Where the release goes, and what it is called."""

    @model_validator(mode="before")
    @classmethod
    def _artifact_of_the_method(cls, values: object) -> object:
        train, publish = _section(values, "train"), _section(values, "publish")
        if isinstance(values, dict) and train.get("method") in WHOLE_METHODS and "artifact" not in publish:
            return {**values, "publish": {**publish, "artifact": "merged"}}
        return values

    @model_validator(mode="after")
    def _complete_weights(self) -> Self:
        if self.train.whole and self.publish.artifact != "merged":
            raise ValueError(
                f"publish.artifact is 'adapter', and the method {self.train.method!r} makes complete weights; write "
                "'merged'"
            )
        if self.train.whole and self.publish.counterpart is not None:
            raise ValueError(
                f"publish.counterpart is for an adapter, and the method {self.train.method!r} makes none; leave it out"
            )
        return self

    @model_validator(mode="after")
    def _an_adapter_s_method(self) -> Self:
        if self.base.adapter is not None and self.train.whole:
            raise ValueError(
                f"base.adapter needs the method 'lora' or 'qlora', and the method is {self.train.method!r}"
            )
        if self.base.adapter is not None and self.train.added_tokens:
            raise ValueError(
                "train.added_tokens are for a new adapter, and base.adapter is trained further; leave one out"
            )
        return self

    @model_validator(mode="after")
    def _no_code_in_a_release(self) -> Self:
        if self.base.allow_remote_code is None:
            return self
        if self.publish.artifact == "merged" or self.publish.counterpart is not None:
            raise ValueError(
                "base.allow_remote_code is for adapters: complete weights would need the base's code beside them, and "
                "a release holds no code"
            )
        if any(entry.stated_format == "classification" for entry in self.data):
            raise ValueError(
                "base.allow_remote_code is for models that write text, and the format of `data` is 'classification'"
            )
        return self

    @model_validator(mode="before")
    @classmethod
    def _template_for_all(cls, given: object) -> object:
        """Gives a chat template to the other conversations too: the model is published with that one alone."""
        if not isinstance(given, dict):
            return given
        parts = [given, _section(given, "earlier")]
        lists = [part["data"] for part in parts if isinstance(part.get("data"), list)]
        entries = [entry for entries in lists for entry in entries]
        if not all(isinstance(entry, dict) for entry in entries):
            return given
        template = next((entry["chat_template"] for entry in entries if entry.get("chat_template") is not None), None)
        if template is None:
            return given
        filled = [
            {**part, "data": [_with_template(entry, template) for entry in part["data"]]}
            if isinstance(part.get("data"), list)
            else part
            for part in parts
        ]
        return {**filled[0], **({"earlier": filled[1]} if filled[1] else {})}

    @model_validator(mode="after")
    def _one_chat_template(self) -> Self:
        if len({entry.chat_template for entry in self.all_data if entry.chat_template is not None}) > 1:
            raise ValueError(
                "two datasets have different chat templates, and a model is published with one; give both the same"
            )
        return self

    @model_validator(mode="after")
    def _earlier_text(self) -> Self:
        if self.earlier is not None and any(entry.stated_format == "classification" for entry in self.data):
            raise ValueError("earlier is for models that write text, and the format of `data` is 'classification'")
        return self

    @model_validator(mode="after")
    def _values_of_the_sweep(self) -> Self:
        values = self.model_dump(mode="json") if self.sweep is not None else {}
        for swept in self.sweep.fields if self.sweep is not None else []:
            now = value_text(values, swept.field)
            if now != swept.chosen:
                raise ValueError(
                    f"sweep says that a sweep chose {swept.chosen} for {swept.field}, and it is {now}; take the change "
                    "back, or leave the section `sweep` out"
                )
        if self.sweep is not None and self.sweep.rows == "validation" and self.evaluate.validation is None:
            raise ValueError(
                "sweep says that validation rows chose the values, and evaluate.validation is not set; take the change "
                "back, or leave the section `sweep` out"
            )
        return self

    @property
    def pinned(self) -> "list[Input]":
        """The inputs that are repositories, and so have a pin each, in this order."""
        adapter = [] if self.base.adapter is None else [self.base.adapter]
        return [self.base, *adapter, *self.pinned_data, *self.pinned_earlier]

    @property
    def pinned_data(self) -> list[DataConfig]:
        """The datasets that are repositories, and so have a pin each, in this order."""
        return [entry for entry in self.data if entry.repo is not None]

    @property
    def pinned_earlier(self) -> list[DataConfig]:
        """Those of the earlier task."""
        return [entry for entry in self.earlier_data if entry.repo is not None]

    @property
    def earlier_data(self) -> list[DataConfig]:
        """The datasets of the earlier task."""
        return [] if self.earlier is None else self.earlier.data

    @property
    def consolidated(self) -> bool:
        """Whether elastic weight consolidation holds the weights to where they start."""
        return self.earlier is not None and self.earlier.ewc > 0

    @property
    def all_data(self) -> list[DataConfig]:
        """The datasets to train on, and then those of the earlier task."""
        return [*self.data, *self.earlier_data]

    @property
    def chat_template(self) -> str | None:
        """The chat template that the config gives in place of the tokenizer's."""
        return next((entry.chat_template for entry in self.all_data if entry.chat_template is not None), None)


Input = BaseModelConfig | BaseAdapterConfig | DataConfig
"""An entry of the config that names a repository."""


def _section(values: object, name: str) -> dict[str, object]:
    found = values.get(name) if isinstance(values, dict) else None
    return found if isinstance(found, dict) else {}
