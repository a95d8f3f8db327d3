"""The card says what a training cost and where it was tracked, and calls an estimate one."""

import re
from dataclasses import replace

import pytest
from huggingface_hub import ModelCard

from hubtune.card.inputs import CardInputs
from hubtune.card.render import render_card
from hubtune.records.results import CostRecord, TrackerRun
from tests.card.test_card_render import section

METHOD = "codecarbon 3.3.2, of the whole machine: processor estimated from its load; memory estimated from its size"
COST = CostRecord(
    tokens_per_second=1234.5,
    operations=5.5e15,
    operations_method="by a formula",
    peak_memory=2_340_000_000,
    device_peak_memory=70_100_000_000,
    energy=0.04567,
    energy_method=METHOD,
    energy_estimated=True,
    co2=2.55931,
    country="FRA",
)
SPACE = "https://huggingface.co/spaces/org/track_it"


def spent(inputs: CardInputs, cost: CostRecord | None, *trackers: TrackerRun) -> CardInputs:
    return replace(inputs, training=inputs.training.model_copy(update={"cost": cost, "trackers": list(trackers)}))


def test_the_environment_section_has_the_cost_and_says_what_is_an_estimate(inputs: CardInputs) -> None:
    rows = dict(
        re.findall(
            r"^\| ([^|]+) \| ([^|]+) \|$", section(render_card(spent(inputs, COST)), "Environmental impact"), re.M
        )
    )

    assert rows["Speed"] == "1,234 tokens per second"
    assert rows["Peak memory"] == "2.3 GB of the process, 70.1 GB of a GPU"
    assert rows["Estimated compute"].startswith("5,500 TFLOP")
    assert rows["Energy, estimated"] == "0.046 kWh"
    assert rows["Emissions, estimated"] == "2.6 g CO₂ equivalent, with the electricity of FRA"
    assert f"Energy and emissions are from {METHOD}." in render_card(spent(inputs, COST))


def test_what_was_measured_is_not_called_an_estimate(inputs: CardInputs) -> None:
    text = section(
        render_card(spent(inputs, COST.model_copy(update={"energy_estimated": False}))), "Environmental impact"
    )

    assert "| Energy | 0.046 kWh |" in text
    assert "Energy, estimated" not in text


@pytest.mark.parametrize("reason", ["train.country is not set", "codecarbon is not installed"])
def test_energy_that_was_not_metered_is_not_assessed_with_the_reason(inputs: CardInputs, reason: str) -> None:
    cost = COST.model_copy(update={"energy": None, "co2": None, "country": None, "energy_method": reason})

    card = render_card(spent(inputs, cost))

    assert f"| Energy and emissions | not assessed: {reason} |" in card
    assert ModelCard(card).data.to_dict().get("co2_eq_emissions") is None


def test_the_front_matter_has_the_emissions_in_the_hubs_form(inputs: CardInputs) -> None:
    assert ModelCard(render_card(spent(inputs, COST))).data.to_dict()["co2_eq_emissions"] == {
        "emissions": 2.55931,
        "source": METHOD,
        "training_type": "fine-tuning",
        "geographical_location": "FRA",
        "hardware_used": inputs.training.environment.device,
    }


def test_the_card_names_each_tracker_s_run(inputs: CardInputs) -> None:
    remote = TrackerRun(tracker="wandb", project="quotes", run="run-1", address="https://wandb.example/org/quotes")
    local = TrackerRun(
        tracker="tensorboard", project="quotes", run="run-1", address="trackers/tensorboard", failed="no"
    )
    text = section(render_card(spent(inputs, None, remote, local)), "Training procedure")

    assert "| Run in Weights &amp; Biases | run-1 of project quotes, https://wandb.example/org/quotes |" in text
    assert (
        "| Run in TensorBoard | run-1 of project quotes, trackers/tensorboard in the run directory "
        "(not everything was reported) |"
    ) in text


def test_a_space_of_trackio_has_the_tags_by_which_the_hub_shows_it(inputs: CardInputs) -> None:
    space = TrackerRun(tracker="trackio", project="quotes", run="run-1", address=SPACE)
    elsewhere = space.model_copy(update={"address": "https://huggingface.co.example/spaces/org/x"})

    assert ModelCard(render_card(spent(inputs, None, space))).data.tags == [
        "hubtune",
        "lora",
        "trackio",
        f"trackio:{SPACE}",
    ]
    assert ModelCard(render_card(spent(inputs, None, elsewhere))).data.tags == ["hubtune", "lora"]
