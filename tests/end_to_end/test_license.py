"""The license decision where users meet it: by itself, before training, on the card, in the release."""

import json

import pytest

from hubtune.errors import ConfigError, LicenseRefusedError
from tests.end_to_end.worlds import DATA_CARD, TARGET, quote_rows, write_rows

PUSH = ("run", "--push", "--run-dir", "run", "-s", "train.epochs=0.1")


@pytest.fixture
def with_data(world):
    """Imports a dataset under a name, with its card and other files."""

    def bring(card: str | None, **files: str) -> None:
        folder = world.root / "brought"
        write_rows(folder / "train.jsonl", quote_rows(40))
        if card is not None:
            (folder / "README.md").write_text(card)
        for name, text in files.items():
            (folder / name).write_text(text)
        world.done("hub", "import", folder, "lab/brought", "--type", "dataset", "--hub", world.hub)
        world.forget_requests()

    return bring


@pytest.mark.parametrize(
    ("args", "verdict", "license"),
    [
        (["--base", "apache-2.0", "--data", "mit"], "allowed", "apache-2.0"),
        (["--base", "apache-2.0", "--data", "cc-by-nc-4.0"], "duties", "cc-by-nc-4.0"),
        (["--base", "llama3.1", "--data", "cc-by-nc-4.0"], "duties", "other"),
        (["--base", "mit", "--data", "cc-by-sa-3.0", "--data", "cc-by-sa-4.0"], "duties", "cc-by-sa-4.0"),
        (["--base", "mit", "--data", "cc-by-nd-4.0"], "refused", None),
        (["--base", "mit", "--data", "cc-by-nc-4.0", "--want", "mit"], "refused", None),
        (["--base", "llama3", "--data", "mit", "--name", "quotes"], "refused", None),
    ],
)
def test_licences_alone_are_decided_on_without_any_hub(bare, args, verdict, license):
    shown = bare.hubtune("--json", "license", *args)

    assert shown.code == (LicenseRefusedError.exit_code if verdict == "refused" else 0)
    assert (shown.document["verdict"], shown.document["license"]) == (verdict, license)
    assert shown.document["reasons"]


def test_repositories_are_decided_on_at_their_commits(world):
    shown = world.done("--json", "license", "lab/gpt2", "lab/quotes@main", "--hub", world.hub).document

    assert (shown["verdict"], shown["license"]) == ("allowed", "apache-2.0")
    assert [(item["kind"], item["repo"], item["licenses"]) for item in shown["inputs"]] == [
        ("base", "lab/gpt2", ["apache-2.0"]),
        ("data", "lab/quotes", ["cc0-1.0"]),
    ]
    assert all(len(item["commit"]) == 40 for item in shown["inputs"])


def test_a_person_reads_the_verdict_the_reasons_and_the_duties(bare):
    shown = bare.installed("license", "--base", "mit", "--data", "cc-by-sa-4.0").out

    assert shown.startswith("Allowed with duties: the release may state cc-by-sa-4.0.\n")
    assert "\nWhy:\n  - " in shown
    assert "\nDuties:\n  - " in shown
    assert shown.endswith("This is not legal advice.\n")


@pytest.mark.parametrize("args", [[], ["lab/gpt2", "--base", "mit"], ["--base", "mit", "--want", "mitt"]])
def test_what_cannot_be_asked_is_a_mistake_of_the_arguments(bare, args):
    bare.hubtune("license", *args).refused(ConfigError)


@pytest.mark.parametrize(
    ("card", "override", "words"),
    [
        (DATA_CARD.replace("cc0-1.0", "cc-by-nd-4.0"), None, ["lab/brought", "no derivatives"]),
        (DATA_CARD.replace("cc0-1.0", "cc-by-nc-4.0"), "card.license=mit", ["mit cannot be", "commercial"]),
        (DATA_CARD.replace("cc0-1.0", "llama3.2"), None, ["lab/brought", "LICENSE"]),
        (None, None, ["lab/brought", "card.accept_license"]),
    ],
    ids=["no derivatives", "stated license", "missing text", "no license"],
)
def test_a_refused_release_is_refused_before_anything_is_fetched_or_trained(world, with_data, card, override, words):
    with_data(card)
    world.config(data__repo="lab/brought")
    shown = world.hubtune(*PUSH, "--hub", world.hub, *(["-s", override] if override else []))

    shown.refused(LicenseRefusedError, *words)
    assert not world.run_dir.exists()
    assert world.writes() == []
    # The check reads the header of the weights, and no more of them.
    weights = [line for line in world.requests() if "model.safetensors" in line["path"]]
    assert {line["status"] for line in weights} <= {206}


def test_a_name_that_a_licence_demands_is_checked_before_training(world, sources):
    folder = world.root / "base"
    folder.mkdir()
    for path in (sources / "llama").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "README.md").write_text("---\nlicense: llama3.2\n---\n# A tiny model\n")
    (folder / "LICENSE.txt").write_text("LLAMA 3.2 COMMUNITY LICENSE AGREEMENT\n")
    world.done("hub", "import", folder, "lab/Llama-3.2-tiny", "--hub", world.hub)
    world.config(base__repo="lab/Llama-3.2-tiny")

    world.hubtune(*PUSH, "--hub", world.hub).refused(LicenseRefusedError, "begins with", "Llama", "quotes-lora")
    done = world.done(
        "--json", "run", "--push", "lab/Llama-quotes", "--run-dir", "run", "-s", "train.epochs=0.1", "--hub", world.hub
    ).document

    base = world.record("pins.json")["base"]["commit"]
    with world.served() as api:
        files = {
            name: (world.root / "pulled" / name).read_text()
            for name in ("LICENSE", "NOTICE", "README.md", f"LICENSES/models/lab/Llama-3.2-tiny/{base[:7]}/LICENSE.txt")
            if api.hf_hub_download(done["repo"], name, revision="v1.0.0", local_dir=world.root / "pulled")
        }
    assert files["LICENSE"] == "LLAMA 3.2 COMMUNITY LICENSE AGREEMENT\n"
    assert "Built with Llama" in files["NOTICE"]
    assert "**Built with Llama**" in files["README.md"]
    assert "license: llama3.2\n" in files["README.md"]


def test_without_a_push_it_is_a_warning_and_the_card_says_so(world, with_data):
    with_data(None)
    world.config(data__repo="lab/brought")
    done = world.done("run", "--run-dir", "run", "-s", "train.epochs=0.1", "--hub", world.hub)

    assert "a release would be refused" in done.err
    assert "**These weights may not be published.**" in (world.run_dir / "README.md").read_text()
    world.hubtune("publish", "run", "--hub", world.hub).refused(LicenseRefusedError, "lab/brought")


def test_a_signed_reason_lets_an_unclear_input_through_and_stands_in_card_and_notice(world, with_data):
    with_data(None)
    world.config(
        data__repo="lab/brought",
        card__accept_license={
            "repo": "lab/brought",
            "reason": "Its owner allowed it by letter.",
            "by": "the legal desk",
        },
    )
    world.done(*PUSH, "--hub", world.hub)

    with world.served() as api:
        pulled = world.root / "pulled"
        for name in ("README.md", "NOTICE"):
            api.hf_hub_download(TARGET, name, revision="v1.0.0", local_dir=pulled)
    assert "> Its owner allowed it by letter." in (pulled / "README.md").read_text()
    assert "by the legal desk: Its owner allowed it by letter." in (pulled / "NOTICE").read_text()
    inputs = json.loads((world.run_dir / "licenses.json").read_text())["inputs"]
    assert [item["licenses"] for item in inputs] == [["apache-2.0"], []]
