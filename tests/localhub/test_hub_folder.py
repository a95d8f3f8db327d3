import os

import pytest
from huggingface_hub import HfApi

from hubtune.errors import HubError
from hubtune.localhub import EmbeddedHub
from hubtune.localhub.hub_folder import take_folder


def start_and_stop(root):
    with EmbeddedHub(root):
        pass


@pytest.mark.parametrize("names", [[], ["hubtune.yaml", "hubtune.lock", "runs/1/card.md"], ["lock"]])
def test_a_new_folder_or_one_of_hubtune_s_own_becomes_a_hubs(root, names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("" if name == "lock" else "mine")
    for _ in range(2):
        start_and_stop(root)
    assert (root / "hub.json").is_file()
    assert all((root / name).read_text() == "mine" for name in names if name != "lock")


@pytest.mark.parametrize("text", ["mine", "[1]", "{}", "{" * 5000, "[" * 4000, '{"pid":' * 500, "9" * 4000])
def test_a_lock_of_somebody_else_is_left_as_it_is(root, text):
    root.mkdir()
    (root / "lock").write_text(text)
    with pytest.raises(HubError, match="its file lock is not one of hubtune's"):
        start_and_stop(root)
    assert (root / "lock").read_text() == text


LINKS = [
    "tmp", "repos", "objects", "lock", "requests.jsonl", "hub.json", "tmp/x", "repos/models", "repos/models/org",
    "repos/models/org/model.git", "repos/moves.json", "repos/models/org/model.git/refs", "objects/ab", "objects/ab/cd",
    "repos/models/org/model.git/hub.json", "repos/models/org/model.git/objects/pack",
    "repos/models/org/model.git/large-files", "repos/models/org/model.git/discussions", "repos/x.git",
]  # fmt: skip


@pytest.mark.parametrize("name", LINKS)
def test_a_link_in_a_hub_is_refused_and_its_target_left_alone(root, tmp_path, name):
    with EmbeddedHub(root) as hub:
        HfApi(endpoint=hub.url, token="t").create_repo("org/model")
    target = tmp_path / "target"
    place = root / name
    if place.is_dir():
        place.rename(target)
    elif place.is_file():
        target.write_text("a diary\n")
        place.unlink()
    else:
        target.mkdir()
        place.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir():
        (target / "diary").write_text("a diary\n")
    before = {path: path.read_bytes() for path in [target, *target.rglob("*")] if path.is_file()}
    place.symlink_to(target)
    with pytest.raises(HubError, match=f"{place} is a symbolic link"):
        start_and_stop(root)
    assert place.is_symlink()
    assert {path: path.read_bytes() for path in [target, *target.rglob("*")] if path.is_file()} == before


@pytest.mark.parametrize("name", ["lock", "requests.jsonl"])
def test_a_file_that_has_a_name_elsewhere_too_is_refused(root, tmp_path, name):
    start_and_stop(root)
    (root / name).unlink()
    (tmp_path / "diary").write_text("a diary")
    (root / name).hardlink_to(tmp_path / "diary")
    with pytest.raises(HubError, match=f"{name} is a file with a second name"):
        start_and_stop(root)
    assert (tmp_path / "diary").read_text() == "a diary"


@pytest.mark.parametrize("name", ["lock", "requests.jsonl", "hub.json", "tmp", "objects/fifo"])
def test_a_pipe_in_a_hub_is_refused_rather_than_waited_for(root, name):
    start_and_stop(root)
    if (root / name).is_dir():
        (root / name).rmdir()
    (root / name).unlink(missing_ok=True)
    os.mkfifo(root / name)
    with pytest.raises(HubError, match="is neither a file nor a folder"):
        start_and_stop(root)


@pytest.mark.parametrize("name", ["objects/info/alternates", "objects/info/http-alternates", "commondir"])
def test_a_repository_that_reads_another_of_the_disk_is_refused(root, tmp_path, name):
    with EmbeddedHub(root) as hub:
        HfApi(endpoint=hub.url, token="t").create_repo("org/model")
    place = root / "repos/models/org/model.git" / name
    place.parent.mkdir(exist_ok=True)
    place.write_text(f"{tmp_path}/private.git/objects\n")
    with pytest.raises(HubError, match=f"{name} has git read another repository"):
        start_and_stop(root)


def test_a_hub_may_be_given_by_a_link(root, tmp_path):
    start_and_stop(root)
    (tmp_path / "link").symlink_to(root)
    start_and_stop(tmp_path / "link")


def test_only_its_owner_reads_the_request_log(root):
    start_and_stop(root)
    (root / "requests.jsonl").chmod(0o644)
    start_and_stop(root)
    assert (root / "requests.jsonl").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["thesis.tex", "tmp/thesis.tex", "objects/a", "repos/a", ".git/HEAD"])
def test_a_folder_with_other_files_is_refused_named_and_left_alone(root, name):
    (root / name).parent.mkdir(parents=True)
    (root / name).write_text("mine")
    with pytest.raises(HubError, match=f"{root} is not an embedded Hub's.*such as {name.partition('/')[0]}"):
        start_and_stop(root)
    assert [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()] == [name]


def test_a_hub_that_was_made_before_there_was_a_mark_is_still_one(root):
    start_and_stop(root)
    (root / "hub.json").unlink()
    start_and_stop(root)
    assert (root / "hub.json").is_file()


MARK = '{\n  "kind": "hubtune embedded Hub",\n  "layout": 1\n}\n'


@pytest.mark.parametrize("content", ["", MARK[:20], MARK])
def test_a_first_start_that_was_killed_is_no_obstacle_to_the_next(root, content):
    root.mkdir()
    (root / "lock").write_text("")
    (root / ".new-a1b2c3d4").write_text(content)
    start_and_stop(root)
    assert (root / "hub.json").is_file()
    assert not (root / ".new-a1b2c3d4").exists()


def test_a_file_is_not_taken_for_a_leftover_by_its_name_alone(root):
    root.mkdir()
    (root / ".new-thesis").write_text("mine")
    with pytest.raises(HubError, match=r"such as \.new-thesis"):
        start_and_stop(root)
    assert (root / ".new-thesis").read_text() == "mine"


def test_other_files_may_join_a_hub_later(root):
    start_and_stop(root)
    (root / "notes.txt").write_text("mine")
    start_and_stop(root)
    assert (root / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("mark", ["", "[]", '{"kind": "hubtune embedded Hub", "layout": 2}', '{"name": "other"}'])
def test_a_hub_of_another_layout_is_refused(root, mark):
    root.mkdir()
    (root / "hub.json").write_text(mark)
    with pytest.raises(HubError, match="that this version of hubtune can read"):
        start_and_stop(root)
    assert (root / "hub.json").read_text() == mark


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("mine")
    for root in (tmp_path / "file", tmp_path / "file/hub"):
        with pytest.raises(HubError, match="Cannot use the folder"):
            start_and_stop(root)


def test_whoever_has_the_folder_is_named(hub, root):
    with pytest.raises(HubError, match=f"{root} is already being served at {hub.url} by process {os.getpid()}"):
        start_and_stop(root)


def test_whoever_has_the_folder_without_serving_it_is_not_taken_for_the_last_server(root):
    start_and_stop(root)
    with take_folder(root, make=False), pytest.raises(HubError, match="is already being served") as caught:
        start_and_stop(root)
    assert "http://" not in str(caught.value)


def test_locks_of_a_server_that_was_killed_keep_nothing_from_being_written(root):
    with EmbeddedHub(root) as hub:
        HfApi(endpoint=hub.url, token="t").create_repo("org/model")
    repo = root / "repos/models/org/model.git"
    content = b"x"
    # The loose object of that content, and the places of every other lock that git's protocol has.
    (repo / "objects/c1").mkdir(exist_ok=True)
    locks = [
        "refs/heads/main.lock",
        "packed-refs.lock",
        "HEAD.lock",
        "objects/c1/b0730e0133447badcfd47fd144e254807b06e1.lock",
    ]
    for name in locks:
        (repo / name).write_text("")
    (repo / "refs/heads/was/to/be").mkdir(parents=True)
    with EmbeddedHub(root) as hub:
        api = HfApi(endpoint=hub.url, token="t")
        api.upload_file(path_or_fileobj=content, path_in_repo="a", repo_id="org/model")
        api.create_branch("org/model", branch="was")
    assert not any((repo / name).exists() for name in locks)
