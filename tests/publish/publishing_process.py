"""Publishes a run directory with few of its files: a program for the trials in which it is killed."""

import sys
from dataclasses import replace
from pathlib import Path

from hubtune.publish.plan import ReleasePlan, plan_release
from hubtune.publish.push import push
from hubtune.records.release import CARD
from hubtune.records.rundir import RunDirectory
from tests.listener import Listener

FILES = ("README.md", "adapter_model.safetensors", "hubtune.json")


def small_plan(run_folder: Path, repo: str) -> ReleasePlan:
    """Plans a release of the card, the weights and the manifest alone."""
    run = RunDirectory.open(run_folder)
    plan = plan_release(run, run.config(), repo, run_folder, {CARD: run.card_file.read_bytes()})
    return replace(
        plan,
        files={path: plan.files[path] for path in FILES},
        digests={path: plan.digests[path] for path in FILES},
    )


if __name__ == "__main__":
    push(small_plan(Path(sys.argv[1]), sys.argv[2]), Listener())
