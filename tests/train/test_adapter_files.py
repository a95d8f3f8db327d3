"""An adapter comes back from its files as it was, and a full disk leaves the one before it."""

import errno
import os
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from hubtune.config.training import LoraConfig
from hubtune.errors import DiskFullError
from hubtune.models.pretrained import load_base
from hubtune.train.methods.lora import add_lora
from hubtune.train.methods.method import save_adapter
from tests.sample_runs import BASE_REPO, sample_pins
from tests.tiny_models import make_adapter_act

IDS = torch.tensor([[5, 6, 7, 8, 9]])


@pytest.fixture
def adapted(tiny_model: Path):
    """A model with an adapter that acts."""
    model = add_lora(load_base(tiny_model, BASE_REPO, "fp32"), LoraConfig(r=4), sample_pins().base)
    make_adapter_act(model)
    return model.eval()


def test_the_adapter_reloads_on_its_base_with_equal_logits(adapted, tiny_model: Path, tmp_path: Path):
    save_adapter(adapted, tmp_path / "adapter")

    base = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    with torch.no_grad():
        plain = base(IDS).logits
        tuned = PeftModel.from_pretrained(base, str(tmp_path / "adapter"))(IDS).logits
        assert torch.equal(tuned, adapted(IDS).logits)

    assert not torch.allclose(tuned, plain, atol=1e-2)


def test_anyone_may_read_the_saved_files(adapted, tmp_path: Path):
    save_adapter(adapted, tmp_path / "adapter")

    assert (tmp_path / "adapter").stat().st_mode & 0o777 == 0o755
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "adapter").iterdir()} == {0o644}


def test_a_full_disk_is_named_and_leaves_the_adapter_before_it(adapted, tmp_path: Path, monkeypatch):
    before = save_adapter(adapted, tmp_path / "adapter")

    def no_room(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", no_room)
        with pytest.raises(DiskFullError, match=str(tmp_path)):
            save_adapter(adapted, tmp_path / "adapter")

    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]
    assert save_adapter(adapted, tmp_path / "again") == before
