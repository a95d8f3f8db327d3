"""The wheel, installed without extras as the `hf` command line installs an extension."""

import json
import subprocess
import zipfile
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
CONFIG = """
base: {repo: org/base}
data: [{repo: org/data, text: quote}]
"""
_BIAS = ("templates.yaml", "pairs.csv", "prompts.txt", "words.txt")


def run(command: list[str | Path], env: dict[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=env, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)


def test_the_wheel_ships_every_template_and_the_quickstart(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    templates = {f"hubtune/{path.relative_to(CHECKOUT)}" for path in (CHECKOUT / "templates").rglob("*.j2")}
    quickstart = {f"hubtune/quickstart/{path.name}" for path in (CHECKOUT / "examples/quickstart").iterdir()}
    material = {f"hubtune/evaluate/bias/material/{name}" for name in _BIAS}
    assert templates
    assert templates | quickstart | material | {"hubtune/py.typed"} <= names
    assert not any(name.startswith(("tests/", "hubtune/tests")) for name in names)


def test_an_installed_wheel_finds_its_own_templates(bare: Path, clean_env: dict[str, str], tmp_path: Path) -> None:
    code = (
        "from hubtune.resources import templates_dir, quickstart_dir;"
        "print(templates_dir()); print(quickstart_dir());"
        "assert (templates_dir() / 'card.md.j2').is_file() and (quickstart_dir() / 'hubtune.yaml').is_file()"
    )
    done = run([bare / "python", "-c", code], clean_env, tmp_path)
    assert done.returncode == 0, done.stderr
    assert all(line.startswith(str(bare.parent)) for line in done.stdout.splitlines())


def test_the_bare_install_has_no_torch(bare: Path, clean_env: dict[str, str], tmp_path: Path) -> None:
    done = run([bare / "python", "-c", "import torch"], clean_env, tmp_path)
    assert "No module named 'torch'" in done.stderr


def test_hf_hubtune_runs_as_an_extension(bare: Path, clean_env: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / ".local/share/hf/extensions/hf-hubtune"
    folder.mkdir(parents=True)
    manifest = {
        "owner": "org",
        "repo": "hf-hubtune",
        "repo_id": "org/hf-hubtune",
        "short_name": "hubtune",
        "executable_path": str(bare / "hf-hubtune"),
        "type": "python",
        "installed_at": "2026-01-31T12:00:00+00:00",
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    done = run([bare / "hf", "hubtune", "--help"], clean_env, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Turn a config file into a trustworthy fine-tuning release" in done.stdout


def test_a_command_that_trains_says_what_to_install(bare: Path, clean_env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "hubtune.yaml").write_text(CONFIG)
    done = run([bare / "hubtune", "run"], clean_env, tmp_path)
    assert done.returncode == 3
    assert 'pip install "hubtune[train]"' in done.stderr
    assert "Traceback" not in done.stderr


def test_a_sweep_says_what_to_install(bare: Path, clean_env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "hubtune.yaml").write_text(CONFIG)
    (tmp_path / "sweep.yaml").write_text("sweep: {parameters: {train.lora.r: [4, 8]}}\n")
    done = run([bare / "hubtune", "sweep"], clean_env, tmp_path)
    assert done.returncode == 3
    assert 'pip install "hubtune[sweep,train]"' in done.stderr
    assert "Traceback" not in done.stderr


def test_hub_commands_work_without_the_extra(bare: Path, clean_env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "rows.jsonl").write_text('{"quote": "Salt first."}\n')
    command = [bare / "hubtune", "--json", "hub", "import", "data", "org/data", "--type", "dataset", "--hub", "hub"]
    done = run(command, clean_env, tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["commit"]) == 40


def test_check_works_without_the_extra_and_names_what_is_missing(
    bare: Path, clean_env: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "hubtune.yaml").write_text(CONFIG)
    done = run([bare / "hubtune", "check", "--hub", "hub"], clean_env, tmp_path)
    assert done.returncode == 6
    assert "org/base" in done.stderr
    assert "org/data" in done.stderr
