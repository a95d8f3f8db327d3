"""What splits a training's memory over its processes: FSDP or DeepSpeed, and whether the config can be trained so.

Nothing here needs torch, so that what cannot work is refused before a launcher starts anything. The user names FSDP and
DeepSpeed in the config, or to `accelerate launch`, which tells its processes by environment variables.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from hubtune.config.schema import TuneConfig
from hubtune.config.training import TrainConfig
from hubtune.documents import read_json_object
from hubtune.errors import ConfigError, MissingExtraError

_PARTITIONED = 3
# What hubtune's own keys decide, and the record says.
_OWN_SECTIONS = {"optimizer": "train.learning_rate and train.weight_decay", "scheduler": "train.schedule"}
_OWN_PRECISION = ("bf16", "fp16", "amp")


@dataclass(frozen=True)
class Sharding:
    """What splits weights, gradients or the optimizer's state over the processes.

    Attributes:
        name: What to call it: `FSDP`, or `DeepSpeed ZeRO 2`.
        stage: ZeRO's stage; None for FSDP.
        file: DeepSpeed's JSON; None if there is none.
        values: What it holds.
    """

    name: str
    stage: int | None = None
    file: Path | None = None
    values: Mapping[str, object] = field(default_factory=dict, repr=False)

    @property
    def partitions_weights(self) -> bool:
        """Whether a process holds a part of each weight alone."""
        return self.stage is None or self.stage == _PARTITIONED

    @property
    def empties_weights(self) -> bool:
        """Whether weights are there only while their own layer computes, as with ZeRO 3."""
        return self.stage == _PARTITIONED


def sharding_of(settings: TrainConfig, environment: Mapping[str, str] = os.environ) -> Sharding | None:
    """Returns what the config or the launcher asks for; None if each process holds all.

    Raises:
        ConfigError: DeepSpeed's file cannot be read, or FSDP is of the first version.
    """
    if settings.deepspeed is not None:
        return _deepspeed(Path(settings.deepspeed))
    if settings.fsdp:
        return Sharding("FSDP")
    if environment.get("ACCELERATE_USE_DEEPSPEED") == "true":
        named = environment.get("ACCELERATE_DEEPSPEED_CONFIG_FILE", "")
        if named not in ("", "none"):
            return _deepspeed(Path(named).absolute())
        stage = int(environment.get("ACCELERATE_DEEPSPEED_ZERO_STAGE", "2"))
        return Sharding(f"DeepSpeed ZeRO {stage}", stage)
    if environment.get("ACCELERATE_USE_FSDP") == "true":
        if environment.get("FSDP_VERSION", "1") != "2":
            raise ConfigError(
                "The launcher asks for the first version of FSDP, which transformers is about to drop.",
                hint="Choose the second: --fsdp_version 2, or fsdp_version: 2 in accelerate's config.",
            )
        return Sharding("FSDP")
    return None


def _deepspeed(path: Path) -> Sharding:
    # A config of the user's own names it from its folder, by `load_config`; a release's has the name alone.
    if not path.is_absolute() or not path.is_file():
        raise ConfigError(
            f"There is no DeepSpeed config {path}.", hint="Correct train.deepspeed; its path begins beside the config."
        )
    hint = "See https://www.deepspeed.ai/docs/config-json/ for its keys."
    values = read_json_object(path, error=ConfigError, hint=hint)
    zero = values.get("zero_optimization")
    stage = zero.get("stage", 0) if isinstance(zero, dict) else 0
    if not isinstance(stage, int) or stage not in range(_PARTITIONED + 1):
        raise ConfigError(
            f"The DeepSpeed config {path} has zero_optimization.stage {stage!r}; the stages are 0 to 3.",
            hint="Set it to 2, or to 3 if the weights are to be split too.",
        )
    return Sharding(f"DeepSpeed ZeRO {stage}", stage, path, values)


def require_possible(config: TuneConfig, sharding: Sharding | None, *, cuda: bool) -> None:
    """Refuses what cannot be trained with what splits its memory.

    Args:
        config: The run's config.
        sharding: What splits it; None if nothing does.
        cuda: Whether there is a GPU.

    Raises:
        ConfigError: A key of the config, or of DeepSpeed's file, contradicts it.
        MissingExtraError: DeepSpeed is not installed.
    """
    if sharding is None:
        return
    settings = config.train
    if settings.method == "qlora" and sharding.partitions_weights:
        where = "" if cuda else ", and on a CPU there is no way to hold them split"
        raise ConfigError(
            f"train.method is qlora, and {sharding.name} would split the base's 4-bit weights, which lose their "
            f"scales then{where}.",
            hint="Use ZeRO 2, which leaves the weights whole, or train.method: lora.",
        )
    if config.consolidated:
        raise ConfigError(
            f"earlier.ewc holds each weight to its start, and with {sharding.name} no process has all of a weight and "
            "its gradient.",
            hint="Set earlier.ewc: 0, or train without splitting the memory.",
        )
    if settings.precision == "fp16":
        raise ConfigError(
            f"train.precision fp16 scales the loss, which does not work with {sharding.name}.",
            hint="Set train.precision: bf16 or fp32.",
        )
    faults = [*_sections(sharding.values), *_batches(settings, sharding.values, None)]
    _refuse(faults, sharding)
    if sharding.stage is not None and find_spec("deepspeed") is None:
        raise MissingExtraError(
            f"{sharding.name} needs a package that is not installed: deepspeed.",
            hint="Install it: pip install deepspeed",
        )


def require_batches(settings: TrainConfig, sharding: Sharding | None, share: Mapping[str, int]) -> None:
    """Refuses a DeepSpeed file whose batch sizes are others than the config's.

    Args:
        settings: The config's section.
        sharding: What splits the memory.
        share: What one process does of a step, by DeepSpeed's names.

    Raises:
        ConfigError: A batch size contradicts.
    """
    if sharding is not None:
        _refuse([*_batches(settings, sharding.values, share)], sharding)


def _refuse(faults: list[str], sharding: Sharding) -> None:
    if faults:
        raise ConfigError(
            f"{sharding.file} contradicts the config of this run.",
            details=faults,
            hint='Take these keys out of the file, or set each to "auto": the config decides.',
        )


def _sections(values: Mapping[str, object]) -> Iterator[str]:
    for name, keys in _OWN_SECTIONS.items():
        if name in values:
            yield f"{name}: hubtune's own is used, with {keys}"
    for name in _OWN_PRECISION:
        section = values.get(name)
        if isinstance(section, dict) and section.get("enabled", False) not in (False, "auto"):
            yield f"{name}.enabled: train.precision decides what is computed in, and trained weights are held in fp32"


def _batches(settings: TrainConfig, values: Mapping[str, object], share: Mapping[str, int] | None) -> Iterator[str]:
    effective = settings.batch_size * settings.gradient_accumulation
    expected = {"train_batch_size": effective, "gradient_clipping": settings.max_grad_norm, **(share or {})}
    for name, value in expected.items():
        given = values.get(name, "auto")
        if given != "auto" and given != value:
            yield f"{name}: {given!r} there, {value} by the config"
