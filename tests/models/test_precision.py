"""The precision is the one asked for where the machine has it, and `auto` never asks for what it lacks."""

import pytest
import torch

from hubtune.errors import ModelError
from hubtune.models.precision import choose_precision, dtype_of


@pytest.fixture
def cpu(monkeypatch):
    """A machine with a CPU alone, which computes in bf16 or not."""

    def have(**capabilities: bool) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)

    return have


@pytest.mark.parametrize("asked", ["fp16", "fp32"])
def test_fp32_and_fp16_are_given_where_they_are_asked_for(cpu, asked: str):
    cpu(avx512_bf16=True)

    assert choose_precision(asked) == asked


@pytest.mark.parametrize("capability", ["avx512_bf16", "amx_bf16", "arm_bf16"])
def test_hardware_with_bf16_is_used(cpu, capability: str):
    cpu(**{capability: True})

    assert choose_precision("auto") == choose_precision("bf16") == "bf16"


def test_hardware_without_bf16_falls_back_for_auto_and_refuses_bf16(cpu):
    cpu(avx2=True, avx512_bf16=False)

    assert choose_precision("auto") == "fp32"
    with pytest.raises(ModelError, match="does not compute in bf16"):
        choose_precision("bf16")


@pytest.mark.parametrize(("native", "chosen"), [(True, "bf16"), (False, "fp32")])
def test_an_accelerator_that_only_emulates_bf16_does_not_count(monkeypatch, native: bool, chosen: str):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or native)

    assert choose_precision("auto") == chosen


def test_this_machine_gives_a_precision_that_it_can_compute_in():
    weight = torch.ones(4, 4, dtype=dtype_of(choose_precision("auto")))

    assert (weight @ weight).float().sum() == 64
