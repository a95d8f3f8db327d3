"""The estimate counts what a model has, and what a step was seen to keep."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
import transformers

from hubtune.config.training import LoraConfig, TrainConfig
from hubtune.errors import MemoryNeededError
from hubtune.models.architecture import Shape, shape_of
from hubtune.models.memory import Memory, Workload, estimate, fitting, judge
from hubtune.train.fast_lora import fast_adapters
from hubtune.train.loss import SummedLoss, places_and_targets, summed_loss
from hubtune.train.methods.lora import add_lora
from hubtune.train.setup import memory_errors
from tests.architectures import make_model
from tests.sample_runs import sample_pins

KINDS = ("gpt2", "llama", "qwen2", "neox", "mistral")


def _estimated(kind: str, **train: object):
    model = make_model(kind)
    shape = shape_of(model.config.to_dict())
    settings = TrainConfig.model_validate({"batch_size": 4, **train})
    return model, shape, settings, estimate(shape, Workload(settings, width=4, length=32), "cpu")


def _trainable(model: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in model.parameters() if weight.requires_grad)


@contextmanager
def _keeping(model: torch.nn.Module) -> Iterator[dict[int, int]]:
    """Gives the bytes of each storage that is kept for the backward meanwhile, but for the model's own."""
    own = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        yield kept


def _loss_of_a_batch(model: torch.nn.Module) -> tuple[SummedLoss, dict[int, int]]:
    """Makes the loss of 4 rows of 32 labels; returns what makes it, and what was kept for the backward."""
    labels = torch.ones(4, 32, dtype=torch.long)
    places, targets = places_and_targets(labels)
    batch = {"input_ids": labels, "labels": labels, "places": places, "targets": targets}
    loss = summed_loss(model, batch)
    with fast_adapters(model), _keeping(model) as kept:
        loss(**batch)
    return loss, kept


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_counted_from_the_config(kind: str):
    model, shape, _, found = _estimated(kind, method="full")

    counted = sum(weight.numel() for weight in model.parameters())
    assert shape.parameters == pytest.approx(counted, rel=0.03)
    assert (found.weights, found.gradients, found.optimizer) == tuple(n * shape.parameters for n in (4, 4, 8))


@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_s_weights_are_counted_from_the_config(kind: str):
    model, _, _, found = _estimated(kind, lora={"r": 4})

    adapted = add_lora(model, LoraConfig(r=4), sample_pins().base)
    trained = _trainable(adapted)
    assert (found.gradients, found.optimizer) == (4 * trained, 8 * trained)


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        *[(kind, names) for kind in ("llama", "gpt2", "neox") for names in (["lm_head"], ["head", "lm_head"])],
        *[
            ("llama", names)
            for names in (["embed_tokens", "lm_head"], ["model.embed_tokens"], ["norm"], ["model.norm"])
        ],
        *[
            ("llama", names)
            for names in (["q_proj", "up_proj"], ["layers.1.self_attn.q_proj"], ["layers.1.mlp.up_proj"])
        ],
        *[("gpt2", names) for names in (["wte", "wpe"], ["ln_f", "ln_1"], ["c_fc"], ["c_proj"])],
        *[("neox", names) for names in (["embed_in"], ["final_layer_norm", "input_layernorm"], ["dense_h_to_4h"])],
    ],
)
def test_modules_that_are_trained_whole_are_counted_from_the_config(kind: str, names: list[str]):
    lora = {"r": 4, "modules_to_save": names}
    model, _, settings, found = _estimated(kind, lora=lora)
    frozen = sum(weight.numel() for weight in model.parameters())

    trained = _trainable(add_lora(model, settings.lora, sample_pins().base))
    assert (found.gradients, found.optimizer, found.notes) == (4 * trained, 8 * trained, ())
    # The frozen originals stay.
    assert found.weights == pytest.approx(4 * (frozen + trained), rel=0.03)


@pytest.mark.parametrize("own_head", [False, True])
@pytest.mark.parametrize("family", ["Llama", "GPT2", "Bert", "Roberta"])
def test_the_head_of_a_classifier_is_counted_from_the_config(family: str, own_head: bool):
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 96, "num_labels": 3}
    config = getattr(transformers, f"{family}Config")(**sizes, intermediate_size=64, pad_token_id=0)
    model = getattr(transformers, f"{family}ForSequenceClassification")(config)
    facts = config.to_dict() | {"architectures": [type(model).__name__ if own_head else f"{family}Model"]}
    settings = TrainConfig(lora=LoraConfig(r=4, target_modules=r".*(layer|layers|h)\.[01]\..*"))
    everything = sum(weight.numel() for weight in model.parameters())

    found, whole = (
        estimate(shape_of(facts), Workload(train, width=4, length=32, classes=3), "cpu")
        for train in (settings, TrainConfig(method="full"))
    )

    head = [name for name in ("pooler", "classifier", "score") if not own_head and name in str(model)]
    trained = _trainable(add_lora(model, settings.lora, sample_pins().base, head))
    assert found.gradients == 4 * trained
    assert whole.gradients == pytest.approx(4 * everything, rel=0.03)


def test_a_head_that_is_trained_whole_takes_all_logits():
    model, shape, settings, found = _estimated("llama", lora={"r": 2, "modules_to_save": ["lm_head"]})
    _, _, _, without = _estimated("llama", lora={"r": 2})
    _, _, _, tokens = _estimated("llama", added_tokens=["<|new|>"], lora={"r": 2, "modules_to_save": ["lm_head"]})
    model = add_lora(model, settings.lora, sample_pins().base)

    loss, kept = _loss_of_a_batch(model)

    logits = 4 * 4 * 32 * shape.vocabulary
    assert (loss.own, found.logits, found.activations) == (True, 3 * logits, without.activations)
    assert 0.75 < (found.activations + logits) / sum(kept.values()) < 1.3
    # Rows of the embedding alone: the head is not made anew of some.
    assert (tokens.activations, tokens.gradients - found.gradients) == (found.activations, 4 * shape.hidden)


def test_what_cannot_be_counted_is_named():
    _, _, _, found = _estimated("llama", lora={"modules_to_save": ["lm_head", "rotary", "score"]})
    _, _, _, frozen = _estimated("llama", method="freeze", trainable=["model.norm.*"])

    assert "; without rotary, score, of a size that the config does not tell)" in str(found)
    assert "since what `train.trainable` fits is not known" in str(frozen)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["lora", "full"])
def test_activations_are_near_what_a_forward_keeps(kind: str, method: str):
    model, _, settings, found = _estimated(kind, method=method)
    if method == "lora":
        model = add_lora(model, settings.lora, sample_pins().base)

    with fast_adapters(model), _keeping(model) as kept:
        decoder = getattr(model, "get_base_model", lambda: model)()
        hidden = getattr(decoder, decoder.base_model_prefix)(torch.zeros(4, 32, dtype=torch.long)).last_hidden_state

    assert hidden.requires_grad
    assert 0.75 < found.activations / sum(kept.values()) < 1.3


@pytest.mark.parametrize("kind", ["gpt2", "llama", "neox"])
def test_rows_for_new_tokens_take_all_logits_and_a_head_that_is_made_anew(kind: str):
    model, shape, settings, found = _estimated(kind, added_tokens=["<|new|>"], lora={"r": 2})
    _, _, _, without = _estimated(kind, lora={"r": 2})
    _, _, _, whole = _estimated(kind, added_tokens=["<|new|>"], method="full")
    model = add_lora(model, settings.lora, sample_pins().base, tokens=[shape.vocabulary - 1])

    loss, kept = _loss_of_a_batch(model)

    assert loss.own
    head, logits = 4 * shape.vocabulary * shape.hidden, 4 * 4 * 32 * shape.vocabulary
    assert (found.logits, found.activations - without.activations) == (3 * logits, 2 * head)
    assert 0.75 < (found.activations - head + logits) / sum(kept.values()) < 1.3
    trained = _trainable(model)
    assert found.gradients == 4 * trained
    # No peft is in the way of a whole model, and a classifier has logits of its classes.
    assert whole.logits < logits * 3
    classes = estimate(shape, Workload(settings, width=4, length=32, classes=2), "cpu")
    assert (classes.logits, classes.activations) == (2 * 4 * 4 * 32 * 2, without.activations)


def test_less_is_estimated_for_less_and_the_advice_names_what_takes_the_most():
    _, _, settings, whole = _estimated("llama", method="full")
    _, _, _, adapter = _estimated("llama", lora={"r": 2})
    _, _, _, four = _estimated("llama", method="qlora", lora={"r": 2})
    _, _, _, checkpointed = _estimated("llama", gradient_checkpointing=True)

    assert whole.total > adapter.total > four.total
    assert checkpointed.activations < adapter.activations
    parts = (adapter.weights, adapter.gradients, adapter.optimizer, adapter.activations, adapter.logits)
    assert (adapter.total, adapter.notes) == (sum(parts), ())
    assert "train.batch_size" in adapter.advice(settings)


def test_a_config_without_sizes_gives_no_estimate():
    assert shape_of({"model_type": "llama"}) is None


@pytest.mark.parametrize(("sizes", "verdict"), [(0.1, "ok"), (0.95, "near"), (1.5, "over")])
def test_an_estimate_is_judged_by_the_memory_that_there_is(sizes: float, verdict: str):
    _, _, _, found = _estimated("llama")

    assert judge(found, round(found.total / sizes)) == verdict


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("can't allocate memory")])
def test_an_allocation_that_failed_says_what_to_lower(llama: Path, error: Exception):
    expected = pytest.raises(MemoryNeededError, match=r"by the estimate it takes about .* \(weights ")
    with expected as raised, memory_errors(_work(TrainConfig(batch_size=64)), llama):
        raise error

    assert "train.batch_size" in str(raised.value.hint)


def test_other_errors_stay_what_they_are(llama: Path):
    with pytest.raises(RuntimeError, match="shapes"), memory_errors(_work(TrainConfig()), llama):
        raise RuntimeError("shapes do not fit")


@pytest.mark.parametrize(("room", "chosen"), [(1.0, (8, 1)), (0.6, (4, 2)), (0.01, (1, 8))])
def test_a_batch_that_fits_has_the_same_rows_a_step(room: float, chosen: tuple[int, int]):
    settings = TrainConfig.model_validate({"batch_size": "auto"})
    shape = shape_of(make_model("llama").config.to_dict())
    whole = estimate(shape, _work(settings), "cpu").total
    memory = Memory("cpu", round(whole * room / 0.8) + 1, "a machine")

    found = fitting(shape, _work(settings), memory)

    assert (settings.batch_size, settings.fit_memory) == (8, True)
    assert (found.batch_size, found.gradient_accumulation) == chosen


def test_what_holds_the_weights_to_where_they_start_takes_two_more_numbers_for_each():
    settings, shape = TrainConfig(method="full"), shape_of(make_model("llama").config.to_dict())

    free, held = (estimate(shape, _work(settings, consolidated=consolidated), "cpu") for consolidated in (False, True))

    assert held.optimizer - free.optimizer == 2 * 4 * shape.parameters == held.total - free.total


def test_a_batch_is_fitted_beside_what_holds_the_weights_which_the_message_counts_too(llama: Path):
    settings, shape = TrainConfig.model_validate({"method": "full", "batch_size": "auto"}), _shape("llama")
    free = estimate(shape, _work(settings), "cpu").total
    memory = Memory("cpu", round(free / 0.8) + 1, "a machine")

    chosen = [
        fitting(shape, _work(settings, consolidated=consolidated), memory).batch_size for consolidated in (False, True)
    ]

    assert (chosen[0], chosen[1] < 8) == (8, True)
    said = []
    for consolidated in (False, True):
        with (
            pytest.raises(MemoryNeededError) as raised,
            memory_errors(_work(settings, consolidated=consolidated), llama),
        ):
            raise MemoryError
        said.append(float(re.search(r"optimizer ([\d.]+)", str(raised.value)).group(1)))
    assert said[1] == pytest.approx(2 * said[0], abs=0.1)


def _work(settings: TrainConfig, *, consolidated: bool = False) -> Workload:
    return Workload(settings, width=4, length=64, consolidated=consolidated)


def _shape(kind: str) -> Shape:
    return shape_of(make_model(kind).config.to_dict())
