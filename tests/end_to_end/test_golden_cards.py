"""The programs on every golden card, run as printed by a consumer's fresh process: each finds the adapter at work."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from hubtune.card.inputs import CardInputs
from hubtune.card.render import render_card
from tests.sample_cards import CARDS

AUTH = """
users:
  - name: ann
    token: hf_annannann
    orgs: [{name: org}, {name: openai-community}, {name: meta-llama}]
"""
# Runs each card's programs, then compares the model that they left with the base model at its commit.
RUN = """
import contextlib, io, json, os, sys, torch
from transformers import AutoModelForCausalLM

here, seen = os.getcwd(), {}
for kind, card in json.load(open(sys.argv[1])).items():
    os.chdir(card["folder"])
    names, said = {}, []
    for program in card["programs"]:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(program, names)
        said.append(out.getvalue())
    base = AutoModelForCausalLM.from_pretrained(card["base"], revision=card["commit"])
    ids = torch.tensor([[5, 7, 11, 13]])
    with torch.no_grad():
        difference = (names["model"](ids).logits - base(ids).logits).abs().max().item()
    seen[kind] = {"difference": difference, "said": said}
    os.chdir(here)
print(json.dumps(seen))
"""


@pytest.fixture(scope="module")
def seen(once, sources) -> dict[str, dict]:
    """What the programs of each card said, and how far their model is from its base."""
    from tests.end_to_end.worlds import World

    def make(folder: Path) -> None:
        world = World(folder)
        world.work.mkdir()
        adapter, whole = make_artifacts(sources / "gpt2", folder)
        (folder / "auth.yaml").write_text(AUTH)
        with world.served(folder / "auth.yaml") as api:
            client = HfApi(endpoint=api.endpoint, token="hf_annannann")
            cards = {}
            for kind, build in CARDS.items():
                inputs = published(build(), client, sources / "gpt2", adapter, whole)
                here = folder / kind
                shutil.copytree(adapter, here / "adapter")
                programs = re.findall(r"^```python\n(.*?)^```$", render_card(inputs), re.DOTALL | re.MULTILINE)
                base = inputs.pins.base
                cards[kind] = {"programs": programs, "base": base.repo, "commit": base.commit, "folder": str(here)}
            (folder / "cards.json").write_text(json.dumps(cards))
            done = world.python(RUN, str(folder / "cards.json"), HF_ENDPOINT=api.endpoint, HF_TOKEN="hf_annannann")
        assert done.code == 0, done.err
        (folder / "seen.json").write_text(done.out)

    return json.loads((once("golden-cards", make) / "seen.json").read_text())


def make_artifacts(base: Path, folder: Path) -> tuple[Path, Path]:
    """Makes an adapter of the tiny base whose weights do something, and the model with it merged."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(3)
    model = get_peft_model(
        AutoModelForCausalLM.from_pretrained(base),
        LoraConfig(r=4, target_modules=["c_attn"], fan_in_fan_out=True, init_lora_weights=False),
    )
    tokenizer = AutoTokenizer.from_pretrained(base)
    adapter, whole = folder / "made-adapter", folder / "made-model"
    model.save_pretrained(adapter)
    model.merge_and_unload().save_pretrained(whole)
    for target in (adapter, whole):
        tokenizer.save_pretrained(target)
    return adapter, whole


def published(inputs: CardInputs, api: HfApi, base: Path, adapter: Path, whole: Path) -> CardInputs:
    """Brings what a card names onto the Hub; returns its inputs with the commit that the base got there."""
    pin = inputs.pins.base
    api.create_repo(pin.repo, exist_ok=True)
    api.upload_folder(repo_id=pin.repo, folder_path=base, ignore_patterns="README.md")
    if pin.gated:
        api.update_repo_settings(pin.repo, gated=pin.gated)
    commit = api.model_info(pin.repo).sha
    if inputs.target is not None:
        api.create_repo(inputs.target.repo, exist_ok=True)
        folder = whole if inputs.target.artifact == "merged" else adapter
        api.upload_folder(repo_id=inputs.target.repo, folder_path=folder, ignore_patterns="README.md")
        api.create_tag(inputs.target.repo, tag=inputs.target.tag, exist_ok=True)
    return replace(inputs, pins=inputs.pins.model_copy(update={"base": pin.model_copy(update={"commit": commit})}))


@pytest.mark.parametrize("kind", CARDS)
def test_the_programs_of_each_golden_card_find_the_adapter_at_work(kind: str, seen) -> None:
    assert seen[kind]["difference"] > 1e-3


@pytest.mark.parametrize("kind", CARDS)
def test_both_programs_of_a_card_write_the_same_text(kind: str, seen) -> None:
    program, pipeline = seen[kind]["said"]
    if CARDS[kind]().data.sources[0].format == "chat":
        # The pipeline leaves out what was asked.
        assert len(pipeline.strip()) > 1
        assert program.endswith(pipeline)
    else:
        assert program == pipeline
        assert len(program) > 1
