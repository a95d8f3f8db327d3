"""What `hubtune hub fsck` finds, each time after one deliberate change to a Hub's files."""

import hashlib
import json
import random
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from huggingface_hub import CommitOperationAdd, HfApi

from hubtune.cli.app import app
from hubtune.errors import HubDamagedError, HubError
from hubtune.localhub import EmbeddedHub
from hubtune.localhub.fsck import HubReport, check_hub, large_files
from hubtune.localhub.git_objects import read_objects
from hubtune.localhub.hub_folder import take_folder

WEIGHTS = bytes(range(256)) * 400
SHA = hashlib.sha256(WEIGHTS).hexdigest()


@pytest.fixture(scope="module")
def filled(tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """A Hub with two repositories that share a large file, one with a tag and a pack; and its commits by name."""
    root = tmp_path_factory.mktemp("filled") / "hub"
    with EmbeddedHub(root) as hub:
        api = HfApi(endpoint=hub.url, token="t")
        api.create_repo("org/model")
        api.create_repo("org/data", repo_type="dataset")
        commits = {"first": api.list_repo_commits("org/model")[0].commit_id}
        commits["model"] = commit(api, "org/model", {"sub/w.bin": WEIGHTS, "a.txt": b"a"})
        commits["later"] = commit(api, "org/model", {"a.txt": b"b"})
        api.create_repo("org/gated")
        api.update_repo_settings("org/gated", gated="manual")
        api.grant_access("org/gated", "ann")
        api.create_discussion("org/gated", title="A question", description="Why?")
        api.create_pull_request("org/gated", title="A proposal")
        api.move_repo("org/gated", "org/restricted")
        api.create_tag("org/model", tag="v1", tag_message="one", revision=commits["model"])
        many = {f"d/{n}.txt": str(n).encode() for n in range(120)}
        commits["data"] = commit(api, "org/data", {"w.bin": WEIGHTS, **many}, repo_type="dataset")
    return root, commits


def commit(api: HfApi, repo: str, files: dict[str, bytes], **options: str) -> str:
    operations = [CommitOperationAdd(path, content) for path, content in files.items()]
    return api.create_commit(repo, operations, commit_message="m", **options).oid


@pytest.fixture
def hub_copy(filled, tmp_path) -> Path:
    return Path(shutil.copytree(filled[0], tmp_path / "copy"))


def check(root: Path) -> HubReport:
    with take_folder(root, make=False) as folder:
        return check_hub(folder, large_files(folder), lambda _: None)


def blob_path(repo: Path, content: bytes) -> Path:
    oid = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    return repo / "objects" / oid[:2] / oid[2:]


def flip(path: Path, position: int = -1) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 0xFF
    path.chmod(0o644)
    path.write_bytes(content)


def test_a_sound_hub_has_no_damage(hub_copy):
    report = check(hub_copy)
    assert report.damage == ()
    assert report.leftovers == ()
    assert (report.repos, report.large_files, report.large_bytes, report.unreferenced) == (3, 1, len(WEIGHTS), 0)
    # A first commit of 3 objects each; then 6 (two blobs, two trees, a commit, a tag), 3, and 124.
    assert report.git_objects == 3 * 3 + 6 + 3 + 124


def test_a_damaged_large_file_is_named_with_every_repo_commit_and_path(hub_copy, filled):
    flip(hub_copy / "objects" / SHA[:2] / SHA[2:4] / SHA)
    (damage,) = check(hub_copy).damage
    commits = filled[1]
    assert (damage.kind, damage.name, damage.problem) == ("large file", SHA, "damaged")
    assert {(place.repo, place.commit, place.path) for place in damage.places} == {
        ("models/org/model", commits["model"], "sub/w.bin"),
        ("models/org/model", commits["later"], "sub/w.bin"),
        ("datasets/org/data", commits["data"], "w.bin"),
    }


def test_a_large_file_that_is_missing_or_cut_short_is_named(hub_copy):
    path = hub_copy / "objects" / SHA[:2] / SHA[2:4] / SHA
    path.write_bytes(WEIGHTS[:-1])
    (damage,) = check(hub_copy).damage
    assert (damage.name, damage.problem, len(damage.places)) == (SHA, "damaged", 3)
    path.unlink()
    (damage,) = check(hub_copy).damage
    assert (damage.name, damage.problem, len(damage.places)) == (SHA, "missing", 3)


@pytest.mark.parametrize("how", ["flip", "cut", "swap", "gone"])
def test_a_loose_object_that_is_not_what_its_name_says_is_named_with_its_places(hub_copy, filled, how):
    repo = hub_copy / "repos/models/org/model.git"
    path = blob_path(repo, b"a")
    path.chmod(0o644)
    if how == "flip":
        flip(path, 5)
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:-2])
    elif how == "swap":
        path.write_bytes(blob_path(repo, b"b").read_bytes())
    else:
        path.unlink()
    (damage,) = check(hub_copy).damage
    assert (damage.kind, damage.name) == ("git object", path.parent.name + path.name)
    assert damage.problem == ("missing" if how == "gone" else "damaged")
    assert [(place.repo, place.commit, place.path) for place in damage.places] == [
        ("models/org/model", filled[1]["model"], "a.txt")
    ]


def test_a_damaged_tree_is_named_with_its_folder_and_a_damaged_commit_with_its_ref(hub_copy, filled):
    repo = hub_copy / "repos/models/org/model.git"
    tree = git(repo, "rev-parse", f"{filled[1]['model']}:sub")
    flip(repo / "objects" / tree[:2] / tree[2:], 3)
    (damage,) = check(hub_copy).damage
    assert damage.name == tree
    assert {place.path for place in damage.places} == {"sub"}
    head = filled[1]["later"]
    (repo / "objects" / head[:2] / head[2:]).unlink()
    found = {damage.name: damage for damage in check(hub_copy).damage}
    assert found[head].problem == "missing"
    assert found[head].places[0].commit == head
    assert found["repos/models/org/model.git/refs/heads/main"].kind == "ref"
    # What the tag still leads to is checked all the same.
    assert [place.commit for place in found[tree].places] == [filled[1]["model"]]


def test_a_missing_parent_is_named(hub_copy, filled):
    repo = hub_copy / "repos/models/org/model.git"
    first = filled[1]["first"]
    (repo / "objects" / first[:2] / first[2:]).unlink()
    (damage,) = check(hub_copy).damage
    assert (damage.name, damage.problem, damage.places[0].commit) == (first, "missing", first)


def test_every_changed_byte_of_a_pack_or_its_index_is_found(hub_copy):
    (pack,) = (hub_copy / "repos/datasets/org/data.git/objects/pack").glob("*.pack")
    for path in (pack, pack.with_suffix(".idx")):
        content = path.read_bytes()
        for position in random.Random(7).sample(range(len(content)), 30):
            flip(path, position)
            names = [damage.name for damage in check(hub_copy).damage]
            assert f"repos/datasets/org/data.git/objects/pack/{path.name}" in names
            path.write_bytes(content)
    assert check(hub_copy).damage == ()


def test_one_damaged_object_of_a_pack_is_told_from_the_sound_ones(hub_copy, filled):
    (pack,) = (hub_copy / "repos/datasets/org/data.git/objects/pack").glob("*.pack")
    lines = git(pack.parents[2], "verify-pack", "-v", str(pack)).splitlines()
    oid = git(pack.parents[2], "rev-parse", "main:d/17.txt")
    offset = next(int(line.split()[4]) for line in lines if line.startswith(oid))
    flip(pack, offset + 5)
    found = [damage for damage in check(hub_copy).damage if damage.kind == "git object"]
    assert [damage.name for damage in found] == [oid]
    assert [(place.commit, place.path) for place in found[0].places] == [(filled[1]["data"], "d/17.txt")]


@pytest.mark.parametrize("content", ["", "no digest", "0" * 40, "ref: refs/heads/main"])
def test_a_ref_that_leads_nowhere_is_named(hub_copy, content):
    (hub_copy / "repos/models/org/model.git/refs/heads/main").write_text(content)
    assert "repos/models/org/model.git/refs/heads/main" in [damage.name for damage in check(hub_copy).damage]


def test_settings_that_cannot_be_read_are_named(hub_copy):
    (hub_copy / "repos/models/org/model.git/hub.json").write_text("{}")
    (damage,) = check(hub_copy).damage
    assert (damage.kind, damage.places[0].repo) == ("settings", "models/org/model")


@pytest.mark.parametrize("content", [b"", b"[1", b"[1]", b'{"a": {}}', b"\xff\0", b'{"num": 7}'])
@pytest.mark.parametrize(
    "name",
    [
        "moves.json",
        "models/org/restricted.git/access.json",
        "models/org/restricted.git/hub.json",
        "models/org/restricted.git/discussions/1.json",
    ],
)
def test_a_record_of_the_hub_that_cannot_be_read_is_named(hub_copy, name, content):
    (hub_copy / "repos" / name).write_bytes(content)
    (damage,) = check(hub_copy).damage
    assert (damage.kind in {"record", "settings"}, damage.name) == (True, f"repos/{name}")
    repo = name.partition(".git")[0]
    assert [place.repo for place in damage.places] == ([] if name == "moves.json" else [repo])


def test_a_discussion_under_another_number_and_a_file_that_is_none_are_named(hub_copy):
    folder = hub_copy / "repos/models/org/restricted.git/discussions"
    shutil.copy(folder / "1.json", folder / "3.json")
    (folder / "notes.json").write_text("{}")
    found = {Path(damage.name).name: damage.detail for damage in check(hub_copy).damage}
    assert found == {"3.json": "it holds discussion 1", "notes.json": "its name is not a discussion's number"}


@pytest.mark.parametrize("ref", ["refs/heads/main", "refs/pr/2"])
def test_a_branch_that_is_lost_is_missed(hub_copy, ref):
    path = hub_copy / "repos/models/org/restricted.git" / ref
    path.unlink()
    (damage,) = check(hub_copy).damage
    assert (damage.kind, damage.problem, damage.name) == ("ref", "missing", f"repos/models/org/restricted.git/{ref}")


@pytest.mark.parametrize(
    ("name", "content"),
    [("HEAD", None), ("HEAD", b""), ("config", None), ("config", b"\0" * 80), ("packed-refs", b"\xff\0 x")],
)
def test_a_file_of_git_s_own_that_cannot_be_used_is_named(hub_copy, name, content):
    path = hub_copy / "repos/models/org/model.git" / name
    path.unlink(missing_ok=True)
    if content is not None:
        path.write_bytes(content)
    found = {damage.name: damage.kind for damage in check(hub_copy).damage}
    assert found[f"repos/models/org/model.git/{name}"] == "git file"


def test_a_large_file_that_lies_where_nobody_looks_for_it_is_missing(hub_copy):
    path = hub_copy / "objects" / SHA[:2] / SHA[2:4] / SHA
    path.rename(hub_copy / "objects" / SHA)
    found = {damage.name: damage for damage in check(hub_copy).damage}
    assert set(found) == {SHA, f"objects/{SHA}"}
    assert (found[SHA].problem, len(found[SHA].places)) == ("missing", 3)


def test_equal_entries_of_many_folders_are_held_once(hub_copy):
    with EmbeddedHub(hub_copy) as hub:
        api = HfApi(endpoint=hub.url, token="t")
        for n in range(3):
            commit(api, "org/data", {"d/0.txt": b"again %d" % n}, repo_type="dataset")
    contents = read_objects(hub_copy / "repos/datasets/org/data.git")
    folders = [items for items in contents.trees.values() if len(items) == 120]
    assert len(folders) == 4
    assert len({id(item) for items in folders for item in items}) == 119 + 4


def test_packed_by_git_itself_the_hub_is_sound_and_its_damage_found(hub_copy):
    repo = hub_copy / "repos/models/org/model.git"
    git(repo, "gc", "--quiet")
    assert check(hub_copy).damage == ()
    (pack,) = (repo / "objects/pack").glob("*.pack")
    flip(pack, 40)
    assert check(hub_copy).damage != ()


def test_a_pack_without_its_index_is_told_and_gets_one_at_the_next_start(hub_copy, filled):
    (index,) = (hub_copy / "repos/datasets/org/data.git/objects/pack").glob("*.idx")
    before = index.read_bytes()
    index.unlink()
    report = check(hub_copy)
    assert report.leftovers == (index.with_suffix(".pack").relative_to(hub_copy).as_posix(),)
    assert {damage.problem for damage in report.damage} == {"missing", "damaged"}
    with EmbeddedHub(hub_copy) as hub:
        assert len(HfApi(endpoint=hub.url).list_repo_files("org/data", repo_type="dataset")) == 122
    assert index.read_bytes() == before
    report = check(hub_copy)
    assert (report.damage, report.leftovers) == ((), ())


def test_a_damaged_pack_without_its_index_is_left_for_whoever_can_mend_it(hub_copy):
    (index,) = (hub_copy / "repos/datasets/org/data.git/objects/pack").glob("*.idx")
    index.unlink()
    pack = index.with_suffix(".pack")
    flip(pack, 500)
    content = pack.read_bytes()
    with EmbeddedHub(hub_copy):
        pass
    assert pack.read_bytes() == content
    assert not index.exists()


def test_leftovers_and_unreferenced_files_are_told_and_are_no_damage(hub_copy):
    repo = hub_copy / "repos/models/org/model.git"
    for path in (hub_copy / "tmp/half", repo / "refs/heads/main.lock", repo / "objects/ab/x.lock", repo / ".new-1"):
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    other = hashlib.sha256(b"x").hexdigest()
    path = hub_copy / "objects" / other[:2] / other[2:4] / other
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")
    report = check(hub_copy)
    assert report.damage == ()
    assert report.unreferenced == 1
    assert {Path(name).name for name in report.leftovers} == {"half", "main.lock", "x.lock", ".new-1"}
    with EmbeddedHub(hub_copy) as hub:
        HfApi(endpoint=hub.url, token="t").upload_file(path_or_fileobj=b"c", path_in_repo="a.txt", repo_id="org/model")
    assert check(hub_copy).leftovers == ()


def test_the_command_prints_the_record_and_ends_with_its_own_code(hub_copy):
    run = CliRunner().invoke(app, ["hub", "fsck", str(hub_copy)], standalone_mode=False)
    assert (run.exit_code, run.return_value) == (0, 0)
    assert "Nothing is damaged" in run.stdout
    flip(hub_copy / "objects" / SHA[:2] / SHA[2:4] / SHA)
    run = CliRunner().invoke(app, ["--json", "hub", "fsck", str(hub_copy)], standalone_mode=False)
    assert run.return_value == HubDamagedError.exit_code
    record = json.loads(run.stdout)
    assert [damage["name"] for damage in record["damage"]] == [SHA]
    run = CliRunner().invoke(app, ["hub", "fsck", str(hub_copy)], standalone_mode=False)
    assert isinstance(run.exception, HubDamagedError)
    assert "in datasets/org/data, commit" in run.stdout
    assert "file w.bin" in run.stdout


def test_a_folder_that_is_not_a_hubs_or_is_served_is_not_checked(tmp_path, root):
    with pytest.raises(HubError, match="No such file"):
        check(tmp_path / "none")
    with pytest.raises(HubError, match="is not an embedded Hub's"):
        check(tmp_path)
    with EmbeddedHub(root) as hub, pytest.raises(HubError, match=f"served at {hub.url}"):
        check(root)


def git(repo: Path, *args: str) -> str:
    command = ["git", "-c", "safe.directory=*", "-C", str(repo), *args]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
