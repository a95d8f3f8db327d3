"""The main job: from inputs on a Hub to a tagged release that others load with unchanged clients."""

import json
import re
from pathlib import Path

import pytest

from tests.end_to_end.worlds import TARGET, digests

# Goes on where the card's snippet ends, with the names that the snippet gave.
AFTER_THE_SNIPPET = """
import json, sys
import torch
from peft import AutoPeftModelForCausalLM

base_repo, commit, repo, tag = sys.argv[1:]
ids = inputs.input_ids
auto = AutoPeftModelForCausalLM.from_pretrained(repo, revision=tag)
pinned = AutoModelForCausalLM.from_pretrained(base_repo, revision=commit)
moved = AutoModelForCausalLM.from_pretrained(base_repo)
direct = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base_repo, revision=commit), repo, revision=tag)
with torch.no_grad():
    plain, tuned = pinned(ids).logits, direct(ids).logits

    def distance(one, other):
        return (one(ids).logits - other).abs().max().item()

    print(json.dumps({
        "tuned from base": distance(direct, plain),
        "snippet from tuned": distance(model, tuned),
        "auto from tuned": distance(auto, tuned),
        "main from pinned base": distance(moved, plain),
        "chat": tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False),
    }))
"""


@pytest.fixture(scope="module", params=["gpt2", pytest.param("llama", marks=pytest.mark.full_trial)])
def consumed(request, once, sources, released_on):
    """What a consumer's fresh process shows, who runs the published card's snippet after the base's main moved on."""
    kind = request.param
    released = released_on(kind)

    def make(folder):
        world = released.copy(folder)
        pinned = world.record("pins.json")["base"]["commit"]
        with world.served() as api:
            head = api.upload_file(
                path_or_fileobj=_other_weights(sources / kind), path_in_repo="model.safetensors", repo_id=f"lab/{kind}"
            ).oid
            assert head != pinned
            card = Path(api.hf_hub_download(TARGET, "README.md", revision="v1.0.0", cache_dir=folder / "cache"))
            snippets = re.findall(r"^```python\n(.*?)^```$", card.read_text(), re.DOTALL | re.MULTILINE)
            assert ["peft" in snippet for snippet in snippets] == [True, False]
            shown = world.python(
                'print("-")\n'.join(snippets) + AFTER_THE_SNIPPET,
                f"lab/{kind}",
                pinned,
                TARGET,
                "v1.0.0",
                HF_ENDPOINT=api.endpoint,
            )
        assert shown.code == 0, shown.err
        (folder / "shown").write_text(shown.out)

    *written, seen = (once(f"consumed-{kind}", make) / "shown").read_text().splitlines()
    return "\n".join(written), json.loads(seen)


def test_an_import_is_one_commit_that_holds_the_folder(sources, bare):
    shown = bare.done(
        "--json", "hub", "import", sources / "quotes", "lab/new", "--type", "dataset", "--hub", bare.hub
    ).document
    with bare.served() as api:
        commits = api.list_repo_commits("lab/new", repo_type="dataset")
        assert [commit.title for commit in commits] == ["Import quotes", "initial commit"]
        assert shown["commit"] == commits[0].commit_id
        folder = api.snapshot_download("lab/new", repo_type="dataset", cache_dir=bare.root / "c")
    assert shown["files"] == digests(sources / "quotes")
    assert digests(Path(folder), leave_out=(".gitattributes",)) == shown["files"]


@pytest.mark.parametrize("kind", ["gpt2", pytest.param("llama", marks=pytest.mark.full_trial)])
def test_a_run_names_repo_tag_and_commit_and_the_hub_has_them(kind, released_on):
    released = released_on(kind)
    release = json.loads((released.root / "stdout").read_text())
    assert release["repo"] == "lab/quotes-lora"
    assert release["tag"] == "v1.0.0"
    assert release["run_dir"] == str(released.run_dir)
    assert released.record("release.json") == release
    git = released.hub / "repos/models/lab/quotes-lora.git/refs"
    assert (git / "tags/v1.0.0").read_text().strip() == release["commit"]
    assert (git / "heads/main").read_text().strip() == release["commit"]


@pytest.mark.parametrize("kind", ["gpt2", pytest.param("llama", marks=pytest.mark.full_trial)])
def test_tuning_lowers_the_perplexity_on_held_out_rows(kind, released_on):
    released = released_on(kind)
    (measure,) = released.record("evaluation.json")["measures"]
    assert (measure["name"], measure["split"], measure["status"]) == ("perplexity", "held-out", "measured")
    assert measure["tuned"] < 0.9 * measure["base"]


def test_the_snippet_of_the_published_card_runs_as_printed(consumed):
    written, seen = consumed
    program, _, pipeline = written.partition("\n-\n")
    assert program.startswith("Quote by the ")
    assert pipeline == program
    assert seen["snippet from tuned"] == 0


def test_the_adapter_changes_the_logits(consumed):
    assert consumed[1]["tuned from base"] > 1e-3


def test_a_release_loads_the_same_by_itself_after_its_base_moved_on(consumed):
    _, seen = consumed
    assert seen["main from pinned base"] > 1e-3
    assert seen["auto from tuned"] < 1e-5


def test_the_published_tokenizer_has_the_chat_template(consumed):
    assert consumed[1]["chat"] == "user: hi\n"


def _other_weights(folder):
    from safetensors.torch import load_file, save

    weights = load_file(folder / "model.safetensors")
    return save({name: weight * 1.5 for name, weight in weights.items()}, metadata={"format": "pt"})
