"""Small releases on an embedded Hub, made with the project's own writers and without training."""

import json
from dataclasses import dataclass
from pathlib import Path

from tests.served_hub import ServedHub
from tests.tiny_models import make_adapter_act

BASE = "lab/base"
RELEASE = "lab/tuned"
TAG = "v1.0.0"


@dataclass(frozen=True)
class SampleRelease:
    """A tagged release and its base, which has moved on since.

    Attributes:
        files: Path to content, as published.
    """

    commit: str
    base_commit: str
    files: dict[str, bytes]


def release_adapter(served: ServedHub, base: Path, scratch: Path) -> SampleRelease:
    """Publishes an adapter that acts, on a base that gets another commit afterwards."""
    from hubtune.config.training import LoraConfig
    from hubtune.models.generation import generation_json, safe_generation_config
    from hubtune.models.pretrained import load_base, load_tokenizer
    from hubtune.records.base import Pin
    from hubtune.train.methods.lora import add_lora
    from hubtune.train.methods.method import save_adapter

    base_commit = served.commit_folder(BASE, base)
    pin = Pin(repo=BASE, type="model", requested="main", commit=base_commit)
    model = add_lora(load_base(base, BASE, "fp32"), LoraConfig(r=4), pin)
    make_adapter_act(model)
    settings = generation_json(safe_generation_config(base, load_tokenizer(base, BASE), BASE))
    save_adapter(model, scratch / "adapter", {"generation_config.json": settings})
    files = {path.name: path.read_bytes() for path in (scratch / "adapter").iterdir()}
    files |= {path.name: path.read_bytes() for path in base.iterdir() if path.name.startswith(("tokenizer", "chat_"))}
    commit = tag_release(served, files)
    served.commit(BASE, {"config.json": json.dumps({"model_type": "gone"}).encode()})
    served.commit(RELEASE, {"adapter_model.safetensors": b"a later release"})
    return SampleRelease(commit, base_commit, files)


def tag_release(served: ServedHub, files: dict[str, bytes]) -> str:
    """Commits files to the release's repository, tags the commit and returns it."""
    commit = served.commit(RELEASE, files)
    served.api.create_tag(RELEASE, tag=TAG, revision=commit)
    return commit
