"""Claims about the model: its files load as they do for users, it repeats the probe, and its evaluation repeats."""

import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hubtune.config.evaluation import BiasConfig
from hubtune.config.load import require_none_of_release
from hubtune.errors import HubtuneError, ReleaseError, RemoteCodeError
from hubtune.hub.read import resolve
from hubtune.hub.snapshot import download_size, fetch
from hubtune.models.remote_code import permitted
from hubtune.pin import check_safetensors
from hubtune.pipeline.context import RunContext, require_train
from hubtune.pipeline.published import fetch_base
from hubtune.pipeline.stages import run_evaluate
from hubtune.records.base import Pin, PinSet, Progress
from hubtune.records.data import DataRecord
from hubtune.records.release import CONFIG, PLACES, Claim, MergeRecord
from hubtune.records.results import EvaluationRecord, Measure, ProbePrompt, ProbeRecord, TrainingRecord
from hubtune.records.rundir import RunDirectory
from hubtune.verify.input_claims import ADAPTER_CONFIG, adapter_settings, pins_of
from hubtune.verify.release_documents import ContradictedError, Subject, UncheckedError, judged, listed, refuse

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


# More tokens than any probe has, and few enough to feed to a model.
_MOST_PROMPTS, _MOST_TOKENS = 64, 4096
_WEIGHTS = "adapter_model.safetensors"


@dataclass(frozen=True)
class ConsumerModel:
    """A release that was loaded into memory.

    Attributes:
        base: The base model's snapshot; None for merged weights.
        precision: The number format of the weights.
    """

    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"
    base: Path | None
    precision: str


def check_model(subject: Subject, progress: Progress, allow_remote_code: str | None) -> list[Claim]:
    """Loads the release and replays its probe: the claims `model` and `probe`."""
    loaded: list[ConsumerModel] = []

    def load() -> str:
        require_train("Loading a model")
        loaded.append(_load(subject, progress, allow_remote_code))
        return f"it loads {_on(subject)} in {loaded[0].precision}"

    def ask() -> str:
        if not loaded:
            raise UncheckedError("the model could not be loaded")
        with progress.task("Running the probe's prompts again", 1) as task:
            answer = _asked(subject, loaded[0])
            task.advance()
        return answer

    return [judged("model", load), judged("probe", ask)]


def _asked(subject: Subject, loaded: ConsumerModel) -> str:
    try:
        return check_probe(subject, loaded)
    except HubtuneError:
        raise
    except Exception as error:
        if loaded.base is not None and permitted(loaded.base):
            raise RemoteCodeError(f"The base model's own code fails: {type(error).__name__}: {error}") from error
        raise


def _load(subject: Subject, progress: Progress, allow_remote_code: str | None) -> ConsumerModel:
    from hubtune.models.release_model import load_release

    if subject.documents.has_no_manifest:
        raise UncheckedError("no manifest lists the files to load")
    missing = [path for path in subject.lost if path.endswith((".safetensors", ".json", ".model", ".txt", ".jinja"))]
    if missing:
        raise UncheckedError(listed([subject.lost[path] for path in sorted(missing)]))
    base = None
    if subject.documents.manifest.artifact == "adapter":
        check_adapter(subject)
        base = fetch_base_model(subject, progress, allow_remote_code)
    else:
        check_safetensors(subject.repo, subject.commit, subject.digests)
        if ADAPTER_CONFIG in subject.digests:
            raise ContradictedError(f"transformers would load the adapter that {ADAPTER_CONFIG} names over the weights")
    precision = _precision(subject)
    with progress.task(f"Loading {subject.repo}", 1) as task:
        data = subject.documents.need(DataRecord)
        labels = None if data.labels is None else (data.labels, data.several_labels)
        model, tokenizer = load_release(subject.folder, base, precision, f"{subject.repo}@{subject.commit}", labels)
        task.advance()
    return ConsumerModel(model, tokenizer, base, precision)


def _precision(subject: Subject) -> str:
    from hubtune.models.release_model import TOLERANCES

    documents = subject.documents
    training = documents.need(TrainingRecord)
    merged = documents.manifest.artifact == "merged" and not training.whole
    recorded = documents.need(MergeRecord).dtype if merged else training.precision
    if recorded not in TOLERANCES:
        raise ContradictedError(f"its weights are recorded to be {recorded}, which no release of hubtune has")
    return recorded


def _on(subject: Subject) -> str:
    if subject.documents.manifest.artifact != "adapter":
        return "by itself"
    pin = pins_of(subject).base
    return f"on {pin.repo} at {pin.commit}"


def check_adapter(subject: Subject) -> None:
    """Refuses an adapter that peft would read as pickle, and settings that no release of hubtune has.

    Raises:
        ContradictedError: It is one, or has some.
    """
    if _WEIGHTS not in subject.digests:
        raise ContradictedError(f"the manifest lists no {_WEIGHTS} that is there; other formats are not loaded")
    named = adapter_settings(subject)
    lora = subject.documents.need_config().train.lora
    expected = {"peft_type": "LORA", "r": lora.r, "lora_alpha": lora.alpha}
    differing = [
        f"{key} {named.get(key)!r}, not {value!r}" for key, value in expected.items() if named.get(key) != value
    ]
    targets = named.get("target_modules")
    # A text would be a pattern, which can be made to take forever.
    if not isinstance(targets, list):
        differing.append("target_modules that are not a list")
    if differing:
        raise ContradictedError(f"adapter_config.json has {listed(differing)}")


def fetch_base_model(subject: Subject, progress: Progress, allow_remote_code: str | None) -> Path:
    """Fetches the snapshot of the base, with its code if that is needed and allowed.

    Raises:
        HubError: It is not available.
        RemoteCodeError: It needs code that is not allowed.
    """
    return fetch_base(pins_of(subject).base, progress, allow_remote_code)


def fetch_input(pin: Pin, progress: Progress, label: str) -> Path:
    """Fetches the snapshot of an input, at its commit.

    Raises:
        HubError: It is not available.
    """
    size = download_size(pin.type, resolve(pin.repo, pin.type, pin.commit).files)
    with progress.task(f"Fetching {label} {pin.repo}", size, unit="bytes") as task:
        return fetch(pin, lambda count: task.advance(count))


def check_probe(subject: Subject, loaded: ConsumerModel) -> str:
    """Replays the probe on the release, and on its base model, which must differ as recorded."""
    from hubtune.models.pretrained import context_length
    from hubtune.models.release_model import TOLERANCES, replay

    record = subject.documents.need(ProbeRecord)
    if record.precision not in TOLERANCES:
        raise ContradictedError(f"it is of the precision {record.precision}, which no release of hubtune has")
    prompts = record.prompts
    if len(prompts) > _MOST_PROMPTS:
        raise ContradictedError(f"it has {len(prompts)} prompts, more than any release of hubtune")
    refuse([fault for prompt in prompts if (fault := _malformed(prompt))])
    context = context_length(loaded.base or subject.folder, subject.repo)
    refuse(
        [f"the tokenizer reads {prompt.text!r} otherwise" for prompt in prompts if not _same(loaded, prompt, context)]
    )
    limit = TOLERANCES[record.precision]
    if 0 < record.tolerance < limit:
        limit = record.tolerance
    found = replay(loaded.model, prompts)
    if not max(found.difference, found.shortfall) <= limit:
        raise ContradictedError(
            f"logits are up to {found.difference:.4g} away from the recorded ones, and {limit:g} is what arithmetic in "
            f"{record.precision} explains; recorded tokens are up to {found.shortfall:.4g} from being the likeliest"
        )
    answer = f"{len(prompts)} prompts, logits at most {found.difference:.2g} apart ({limit:g} allowed)"
    return f"{answer}; {_tuning(record, loaded, limit)}"


def _tuning(record: ProbeRecord, loaded: ConsumerModel, limit: float) -> str:
    """Says what the adapter does to the answers, measured."""
    from hubtune.models.classifier import classifies
    from hubtune.models.release_model import replay

    if classifies(loaded.model):
        return "what tuning changed cannot be seen, since the base has no head that classifies"
    if loaded.base is None:
        return "what tuning changed cannot be seen from merged weights"
    with loaded.model.disable_adapter():
        acts = replay(loaded.model, record.prompts).difference
    if record.difference is None or not abs(acts - record.difference) <= 2 * limit:
        raise ContradictedError(
            f"without the adapter the logits are {acts:.4g} away, and the record says {record.difference}"
        )
    if acts <= limit:
        return f"the adapter changes them by {acts:.2g} only, so they cannot tell the release from its base model"
    return f"without the adapter they are {acts:.2g} away"


def _malformed(prompt: ProbePrompt) -> str | None:
    rows = len(prompt.tokens)
    shapes = [len(ids) == len(values) > 0 for ids, values in zip(prompt.likeliest, prompt.logits, strict=False)]
    ids = [*prompt.input_ids, *prompt.tokens, *(one for row in prompt.likeliest for one in row)]
    if len(prompt.likeliest) != rows or len(prompt.logits) != rows or not all(shapes):
        return f"the answer to {prompt.text!r} has tokens without logits"
    if min(ids) < 0 or len(prompt.input_ids) + rows > _MOST_TOKENS:
        return f"the answer to {prompt.text!r} has ids that no tokenizer gives"
    if not all(math.isfinite(value) for row in prompt.logits for value in row):
        return f"the answer to {prompt.text!r} has logits that are not numbers"
    return None


def _same(loaded: ConsumerModel, prompt: ProbePrompt, context: int | None) -> bool:
    from hubtune.models.release_model import encode_prompt

    tokenizer: PreTrainedTokenizerBase = loaded.tokenizer
    return encode_prompt(tokenizer, prompt.text, context) == prompt.input_ids


REPEATABLE = ("perplexity", "bits_per_byte")
"""The measures that are repeated: means over the probabilities of given tokens.

Generated texts, and shares of most likely tokens or of more likely sentences, depend on which of two tokens is slightly
more likely. With the same model, they can differ on another processor."""
TOLERANCES = {"fp32": 1e-3, "fp16": 5e-3, "bf16": 2e-2}
"""How far a value may be from the recorded one, as a share of it, by precision.

A perplexity is the exponential of a mean over many tokens, so its relative error is the mean's absolute one: logits
that processors and kernels round differently (`hubtune.models.release_model.TOLERANCES`) average out to less."""


def check_evaluation(
    subject: Subject, progress: Progress, folder: Path, *, wanted: bool, allow_remote_code: str | None = None
) -> str:
    """Repeats the evaluation if it is `wanted`, in a run directory in `folder` made from the published files."""
    if not wanted:
        raise UncheckedError("measuring again takes time: add --evaluate")
    require_train("Evaluation")
    recorded = subject.documents.need(EvaluationRecord)
    names = [measure.name for measure in recorded.of_task]
    if not set(REPEATABLE) & {measure.name for measure in recorded.measures}:
        raise UncheckedError(f"none of {', '.join(REPEATABLE)} was recorded, and no other measure is measured again")
    run = _run(subject, [name for name in REPEATABLE if name in names], folder, allow_remote_code)
    pins = run.read(PinSet)
    fetch_base_model(subject, progress, allow_remote_code)
    for pin in [*pins.data, *pins.earlier]:
        fetch_input(pin, progress, "the dataset")
    measured = run_evaluate(RunContext(run, progress))
    refuse(list(_differences(recorded, measured)))
    found = ", ".join(_shown(measure) for measure in measured.measures if measure.name in REPEATABLE)
    said = f"measured again: {found}; within {TOLERANCES[recorded.precision]:.1%} of the recorded values"
    others = [measure.name for measure in recorded.measures if measure.name not in REPEATABLE]
    return f"{said}; not measured again: {', '.join(others)}" if others else said


def _run(subject: Subject, metrics: list[str], folder: Path, allow_remote_code: str | None) -> RunDirectory:
    documents = subject.documents
    if documents.manifest.artifact != "adapter":
        raise UncheckedError("measuring base against tuned needs the adapter, and the release has merged weights")
    config, training = documents.need_config(), documents.need(TrainingRecord)
    try:
        require_none_of_release(config, CONFIG, given=["evaluate.bias="])
    except ReleaseError as error:
        raise UncheckedError(error.message) from error
    # How the card is written has no part in measuring, and its templates are on another disk. Whether code is run is
    # for who verifies to say, not for who published.
    without = config.model_copy(
        update={
            "base": config.base.model_copy(update={"allow_remote_code": allow_remote_code}),
            "card": config.card.model_copy(update={"templates": None}),
            "evaluate": config.evaluate.model_copy(update={"metrics": metrics, "bias": BiasConfig()}),
        }
    )
    check_adapter(subject)
    run = RunDirectory.create(without, path=folder)
    for kind in (PinSet, DataRecord, TrainingRecord):
        documents.need(kind)
        shutil.copyfile(subject.folder / PLACES[kind], run.record_file(kind))
    run.adapter_dir.mkdir()
    for name in sorted(training.files.keys() & subject.digests.keys()):
        if "/" not in name:
            shutil.copyfile(subject.folder / name, run.adapter_dir / name)
    return run


def _differences(recorded: EvaluationRecord, measured: EvaluationRecord) -> Iterator[str]:
    known = {(measure.name, measure.split): measure for measure in recorded.measures if measure.name in REPEATABLE}
    found = {(measure.name, measure.split): measure for measure in measured.measures if measure.name in REPEATABLE}
    for key in sorted(known.keys() ^ found.keys()):
        yield f"{key[0]} on {key[1]} rows is {'recorded' if key in known else 'measured'} only"
    tolerance = TOLERANCES[measured.precision]
    for key in sorted(known.keys() & found.keys()):
        before, now = known[key], found[key]
        if (before.n, before.status) != (now.n, now.status):
            yield f"{key[0]}: {now.n} rows, {now.status}; recorded are {before.n} rows, {before.status}"
        for side in ("base", "tuned"):
            old, new = getattr(before, side), getattr(now, side)
            if (old is None) != (new is None) or (old is not None and not abs(new - old) <= tolerance * abs(old)):
                yield f"{key[0]} of the {side} model is {new}, and {old} is recorded"


def _shown(measure: Measure) -> str:
    sides = [f"{name} {value:.4g}" for name, value in (("base", measure.base), ("tuned", measure.tuned)) if value]
    return f"{measure.name} on {measure.n} {measure.split} rows ({', '.join(sides)})"
