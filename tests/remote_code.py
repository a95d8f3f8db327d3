"""A tiny model whose architecture is Python code in its repository, and which notes that its code was run."""

import json
from pathlib import Path

from tests.tiny_models import make_llama

_CONFIGURATION = """
from pathlib import Path

from transformers import LlamaConfig

Path({ran!r}).touch()


class LanternConfig(LlamaConfig):
    model_type = "lantern"
"""
# Its logits are not a Llama's, so that one who loads it as a Llama is found out.
_MODELING = """
from transformers import LlamaForCausalLM

from .configuration_lantern import LanternConfig


class LanternForCausalLM(LlamaForCausalLM):
    config_class = LanternConfig

    def forward(self, *args, **options):
        output = super().forward(*args, **options)
        output.logits = 0.5 * output.logits
        return output
"""
AUTO_MAP = {
    "AutoConfig": "configuration_lantern.LanternConfig",
    "AutoModelForCausalLM": "modeling_lantern.LanternForCausalLM",
}


def make_lantern(folder: Path, ran: Path) -> Path:
    """Saves such a model in `folder` and returns it.

    Args:
        folder: A folder that is not there yet.
        ran: A file that its code makes when it is run.
    """
    make_llama(folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "lantern", "architectures": ["LanternForCausalLM"], "auto_map": AUTO_MAP}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "configuration_lantern.py").write_text(_CONFIGURATION.format(ran=str(ran)))
    (folder / "modeling_lantern.py").write_text(_MODELING)
    return folder
