"""The config of a run: closed, frozen models of what `hubtune.yaml` may say, with the defaults."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from hubtune.config.bias import BiasConfig
from hubtune.config.data import DataConfig, RowsConfig
from hubtune.config.earlier import EarlierConfig
from hubtune.config.fields import Branch, CommitId, LicenseChoice, RepoId, Revision, Tag, TargetRepoId
from hubtune.config.metrics import DEFAULT
from hubtune.config.screening import ScreenConfig
from hubtune.config.section import Section
from hubtune.config.training import WHOLE_METHODS, TrainConfig


def _check_visible(value: str) -> str:
    if not any(character.isprintable() and not character.isspace() for character in value):
        raise ValueError("there is no text in it; leave the key out if there is nothing to say")
    return value


Statement = Annotated[str, Field(min_length=1, max_length=65_536), AfterValidator(_check_visible)]


class BaseAdapterConfig(Section):
    """A published LoRA adapter that is trained further."""

    repo: RepoId
    revision: Revision = "main"


class BaseModelConfig(Section):
    """The base model to fine-tune.

    Attributes:
        adapter: An adapter for it to go on from; None to begin with a new one. The release holds the further trained
            adapter, which needs the base alone.
        allow_remote_code: The commit of the base whose Python code may be run, for an architecture that transformers
            has not; None runs none.
    """

    repo: RepoId
    revision: Revision = "main"
    adapter: BaseAdapterConfig | None = None
    allow_remote_code: CommitId | None = None


MetricName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]


class EvaluateConfig(Section):
    """What is measured, and on which held-out rows.

    `generations` is the most held-out rows that the models are made to go on from, and `max_new_tokens` the most that
    they write there. Whether metrics of these names are installed is for `load` to say: a release's config can be read
    without the plugins of those who made it. `canaries` is how many random secrets are trained on besides the data, to
    measure how well the model knows them; a run with any is never published, and ten are the least to rely on.
    """

    holdout: Annotated[float, Field(gt=0, lt=1)] = 0.1
    metrics: Literal["all"] | list[MetricName] = Field(default_factory=lambda: list(DEFAULT))
    batch_size: Annotated[int, Field(ge=1)] = 8
    max_items: Annotated[int, Field(ge=1)] | None = None
    generations: Annotated[int, Field(ge=1)] = 100
    max_new_tokens: Annotated[int, Field(ge=1, le=4096)] = 48
    canaries: Annotated[int, Field(ge=0, le=10_000)] = 0
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 42
    bias: BiasConfig = BiasConfig()


class AcceptedLicense(Section):
    """A signed-off reason to use an input whose licence grants nothing that is known."""

    repo: RepoId
    reason: Statement
    by: Statement


STATEMENTS = (
    *("intended_use", "misuse", "consent", "privacy", "bias", "safeguards", "risks", "ethics", "environment"),
    *("citation", "contact"),
)
"""Keys of `card` that hold the author's words, in Markdown."""


class CardConfig(Section):
    """What the author states; what is left out stands on the card as not assessed.

    `license_name` and `license_link` go with a `license` of `other`, which has no identifier on the Hub. `templates` is
    a folder with section templates of the author's own.
    """

    license: LicenseChoice = "auto"
    license_name: Statement | None = None
    license_link: Statement | None = None
    accept_license: list[AcceptedLicense] = Field(default_factory=list)
    intended_use: Statement | None = None
    misuse: Statement | None = None
    consent: Statement | None = None
    privacy: Statement | None = None
    bias: Statement | None = None
    safeguards: Statement | None = None
    risks: Statement | None = None
    ethics: Statement | None = None
    environment: Statement | None = None
    citation: Statement | None = None
    contact: Statement | None = None
    templates: Annotated[str, Field(min_length=1)] | None = None

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
            raise ValueError("license_link is the address of the licence's text, https://…")
        return self


class PublishConfig(Section):
    """Where the release goes, and what it is called.

    A repository holds one kind of artifact: the adapter, or complete weights: the base's with the adapter merged into
    them, or those that full fine-tuning or that of some layers made, which have no other kind.
    `counterpart` is the repository that holds the other kind of the same run; the two cards name each other.
    """

    repo: TargetRepoId | None = None
    artifact: Literal["adapter", "merged"] = "adapter"
    counterpart: TargetRepoId | None = None
    tag: Tag = "v1.0.0"
    private: bool = False
    branch: Branch = "main"
    message: Annotated[str, Field(min_length=1), AfterValidator(_check_visible)] | None = None

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


class TuneConfig(Section):
    """A whole run, from pinned inputs to a tagged release.

    Attributes:
        earlier: What the model learnt before and is not to forget; None where nobody asks.
    """

    base: BaseModelConfig
    data: Annotated[list[DataConfig], Field(min_length=1)]
    rows: RowsConfig = RowsConfig()
    screen: ScreenConfig = ScreenConfig()
    train: TrainConfig = TrainConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    earlier: EarlierConfig | None = None
    card: CardConfig = CardConfig()
    publish: PublishConfig = PublishConfig()

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
                "two data sets have different chat templates, and a model is published with one; give both the same"
            )
        return self

    @model_validator(mode="after")
    def _earlier_text(self) -> Self:
        if self.earlier is not None and any(entry.stated_format == "classification" for entry in self.data):
            raise ValueError("earlier is for models that write text, and the format of `data` is 'classification'")
        return self

    @property
    def pinned(self) -> "list[Input]":
        """The inputs that are repositories, and so have a pin each, in this order."""
        adapter = [] if self.base.adapter is None else [self.base.adapter]
        return [self.base, *adapter, *self.pinned_data, *self.pinned_earlier]

    @property
    def pinned_data(self) -> list[DataConfig]:
        """The data sets that are repositories, and so have a pin each, in this order."""
        return [entry for entry in self.data if entry.repo is not None]

    @property
    def pinned_earlier(self) -> list[DataConfig]:
        """Those of the earlier task."""
        return [entry for entry in self.earlier_data if entry.repo is not None]

    @property
    def earlier_data(self) -> list[DataConfig]:
        """The data sets of the earlier task."""
        return [] if self.earlier is None else self.earlier.data

    @property
    def consolidated(self) -> bool:
        """Whether elastic weight consolidation holds the weights to where they start."""
        return self.earlier is not None and self.earlier.ewc > 0

    @property
    def all_data(self) -> list[DataConfig]:
        """The data sets to train on, and then those of the earlier task."""
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
