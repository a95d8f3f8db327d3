"""What splits a training's memory: what is understood of it, and what contradicts the config is refused at once."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from hubtune.config.training import TrainConfig
from hubtune.errors import ConfigError, MissingExtraError
from hubtune.train.sharding import require_batches, require_possible, sharding_of
from tests.sample_runs import sample_config

EWC = ("earlier.data=[{repo: org/before, text: quote}]", "earlier.ewc=10")


@pytest.fixture
def zero(tmp_path: Path):
    """Writes a DeepSpeed config of a stage, with more keys; returns its path."""

    def write(stage: object, **more: object) -> str:
        path = tmp_path / "zero.json"
        path.write_text(json.dumps({"zero_optimization": {"stage": stage}, **more}))
        return str(path)

    return write


def refusal(*options: str) -> str:
    config = sample_config(*options)
    with pytest.raises((ConfigError, MissingExtraError)) as refused:
        require_possible(config, sharding_of(config.train, {}), cuda=False)
    assert refused.value.hint
    return " ".join([refused.value.message, *refused.value.details])


def test_the_config_says_what_splits_the_memory(zero):
    assert sharding_of(TrainConfig(), {}) is None
    fsdp = sharding_of(TrainConfig(fsdp=True), {})
    assert fsdp is not None
    assert (fsdp.name, fsdp.stage, fsdp.partitions_weights, fsdp.empties_weights) == ("FSDP", None, True, False)
    for stage, whole in ((0, True), (1, True), (2, True), (3, False)):
        found = sharding_of(TrainConfig(deepspeed=zero(stage)), {})
        assert found is not None
        assert (found.name, found.stage) == (f"DeepSpeed ZeRO {stage}", stage)
        assert found.partitions_weights is found.empties_weights is not whole


def test_so_does_the_environment_of_accelerate_s_launcher(zero):
    named = sharding_of(
        TrainConfig(), {"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_CONFIG_FILE": zero(3)}
    )
    told = sharding_of(TrainConfig(), {"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_ZERO_STAGE": "1"})
    fsdp = sharding_of(TrainConfig(), {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"})

    assert [each and each.name for each in (named, told, fsdp)] == ["DeepSpeed ZeRO 3", "DeepSpeed ZeRO 1", "FSDP"]
    with pytest.raises(ConfigError, match="the first version of FSDP"):
        sharding_of(TrainConfig(), {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "1"})


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"zero_optimization": {"stage": 4}}', '{"zero_optimization": {"stage": "2"}}']
)
def test_a_file_that_is_no_deepspeed_config_is_refused(tmp_path: Path, content: str):
    path = tmp_path / "zero.json"
    path.write_text(content)

    with pytest.raises(ConfigError) as refused:
        sharding_of(TrainConfig(deepspeed=str(path)), {})

    assert str(path) in refused.value.message
    with pytest.raises(ConfigError, match="There is no DeepSpeed config"):
        sharding_of(TrainConfig(deepspeed=str(tmp_path / "other.json")), {})


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"train_batch_size": 32}, "train_batch_size: 32 there, 8 by the config"),
        ({"gradient_clipping": 0.5}, "gradient_clipping: 0.5 there, 1.0 by the config"),
        ({"optimizer": {"type": "Adam"}}, "optimizer: hubtune's own is used"),
        ({"scheduler": {"type": "WarmupLR"}}, "scheduler: hubtune's own is used"),
        ({"bf16": {"enabled": True}}, "bf16.enabled: train.precision decides"),
    ],
)
def test_a_deepspeed_config_that_contradicts_the_config_is_refused(zero, more: dict[str, object], named: str):
    assert named in refusal(f"train.deepspeed={zero(2, **more)}", "train.batch_size=4", "train.gradient_accumulation=2")


def test_the_batch_size_of_a_process_is_the_config_s_share(zero):
    settings = TrainConfig(batch_size=4, gradient_accumulation=2)
    share = {"train_micro_batch_size_per_gpu": 4, "gradient_accumulation_steps": 1}
    require_batches(settings, sharding_of(TrainConfig(deepspeed=zero(2, **share, train_batch_size=8)), {}), share)
    require_batches(settings, sharding_of(TrainConfig(deepspeed=zero(2, train_batch_size="auto")), {}), share)

    other = sharding_of(TrainConfig(deepspeed=zero(2, train_micro_batch_size_per_gpu=8)), {})
    with pytest.raises(ConfigError) as refused:
        require_batches(settings, other, share)

    assert refused.value.details == ("train_micro_batch_size_per_gpu: 8 there, 4 by the config",)


def test_4_bit_weights_are_not_split(zero):
    said = refusal(f"train.deepspeed={zero(3)}", "train.method=qlora")
    assert "train.method is qlora, and DeepSpeed ZeRO 3 would split" in said
    assert "on a CPU" in said
    assert "FSDP would split" in refusal("train.fsdp=true", "train.method=qlora")


def test_what_needs_whole_gradients_is_not_split(zero):
    assert "earlier.ewc" in refusal("train.fsdp=true", *EWC)
    assert "fp16" in refusal(f"train.deepspeed={zero(2)}", "train.precision=fp16")


@pytest.mark.skipif(find_spec("deepspeed") is not None, reason="DeepSpeed is installed")
def test_deepspeed_that_is_not_installed_is_named(zero):
    assert "needs a package that is not installed: deepspeed" in refusal(f"train.deepspeed={zero(2)}")
