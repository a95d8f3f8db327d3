"""Repositories, commits, branches, tags, trees and downloads with huggingface_hub's own functions."""

import tempfile
from pathlib import Path

import huggingface_hub as hub
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, ModelCard, ModelCardData
from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

REPO = "org/model"
WEIGHTS = bytes(range(256)) * 64


def fails(error, function, *arguments, **options):
    try:
        function(*arguments, **options)
    except error:
        return True
    return False


folder = Path(tempfile.mkdtemp())
assert hub.create_repo(REPO).repo_id == REPO
assert hub.create_repo(REPO, exist_ok=True).repo_id == REPO
first = hub.create_commit(
    REPO, [CommitOperationAdd("config.json", b"{}"), CommitOperationAdd("w.bin", WEIGHTS)], commit_message="first"
)
hub.upload_file(path_or_fileobj=b"text", path_in_repo="notes/a.txt", repo_id=REPO)
for name in ("b.txt", "deep/c.txt", "skip.log"):
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(name)
hub.upload_folder(folder_path=folder, path_in_repo="up", repo_id=REPO, ignore_patterns="*.log")
hub.create_commit(REPO, [CommitOperationDelete("notes/")], commit_message="tidy")
hub.delete_file("up/b.txt", REPO)
files = [".gitattributes", "config.json", "up/deep/c.txt", "w.bin"]
assert sorted(hub.list_repo_files(REPO)) == files

hub.create_branch(REPO, branch="dev", revision=first.oid)
hub.create_tag(REPO, tag="v1", tag_message="First", revision="dev")
hub.create_tag(REPO, tag="v2")
hub.delete_tag(REPO, tag="v2")
refs = hub.list_repo_refs(REPO)
assert [(ref.name, ref.target_commit) for ref in refs.tags] == [("v1", first.oid)]
assert sorted(ref.name for ref in refs.branches) == ["dev", "main"]
assert hub.resolve_revision(REPO, revision="v1").resolved == first.oid
assert fails(RevisionNotFoundError, hub.model_info, REPO, revision="v2")
hub.delete_branch(REPO, branch="dev")

titles = [commit.title for commit in hub.list_repo_commits(REPO)]
assert titles[-2:] == ["first", "initial commit"]
assert len(titles) == 6
tree = {entry.path: entry for entry in hub.list_repo_tree(REPO, recursive=True, expand=True)}
assert tree["w.bin"].lfs.size == len(WEIGHTS)
assert tree["up/deep"].last_commit.title == "Upload folder using huggingface_hub"
assert [entry.path for entry in hub.get_paths_info(REPO, ["up", "none", "w.bin"])] == ["up", "w.bin"]

assert Path(hub.hf_hub_download(REPO, "w.bin", revision="v1")).read_bytes() == WEIGHTS
assert fails(EntryNotFoundError, hub.hf_hub_download, REPO, "none.bin")
snapshot = Path(hub.snapshot_download(REPO, revision="v1"))
assert snapshot.name == first.oid
assert sorted(path.name for path in snapshot.iterdir()) == [".gitattributes", "config.json", "w.bin"]
local = Path(hub.snapshot_download(REPO, local_dir=folder / "local", allow_patterns="up/*"))
assert (local / "up/deep/c.txt").read_text() == "deep/c.txt"
assert hub.file_exists(REPO, "w.bin")
assert not hub.file_exists(REPO, "none")
assert hub.repo_exists(REPO)
assert not hub.revision_exists(REPO, "none")

card = ModelCard("---\n" + ModelCardData(license="mit", tags=["quotes"]).to_yaml() + "\n---\n# Card\n")
card.validate()
card.push_to_hub(REPO)
assert ModelCard.load(REPO).data.license == "mit"
hub.metadata_update(REPO, {"pipeline_tag": "text-generation"})
assert hub.model_info(REPO).pipeline_tag == "text-generation"
assert fails(ValueError, ModelCard("---\nlicense: nope\n---\n").validate)

assert [model.id for model in hub.list_models(author="org", search="mod")] == [REPO]
hub.update_repo_settings(REPO, private=True)
assert hub.model_info(REPO).private
hub.move_repo(REPO, "org/renamed")
assert hub.model_info("org/renamed").sha == hub.model_info(REPO).sha
hub.super_squash_history("org/renamed")
assert len(hub.list_repo_commits("org/renamed")) == 1
hub.permanently_delete_lfs_files("org/renamed", list(hub.list_lfs_files("org/renamed")))
assert "w.bin" not in hub.list_repo_files("org/renamed")
hub.auth_check("org/renamed", write=True)
hub.delete_repo("org/renamed")
assert fails(RepositoryNotFoundError, hub.model_info, REPO)
hub.delete_repo("org/renamed", missing_ok=True)
assert hub.whoami()["name"] == "demo"
print("done")
