"""HfFileSystem: the file system that pandas, Polars and datasets read through."""

import fsspec
from huggingface_hub import CommitOperationAdd, HfFileSystem, create_commit, create_repo, create_tag

ROWS = b"a,b\n1,2\n"
WEIGHTS = bytes(range(256)) * 64

create_repo("org/data", repo_type="dataset")
create_commit(
    "org/data",
    [CommitOperationAdd("train/x.csv", ROWS), CommitOperationAdd("train/w.bin", WEIGHTS)],
    commit_message="files",
    repo_type="dataset",
)
create_tag("org/data", tag="v1", repo_type="dataset")
root = "datasets/org/data"
fs = HfFileSystem()
assert sorted(fs.ls(root, detail=False)) == [f"{root}/.gitattributes", f"{root}/train"]
assert fs.glob(f"{root}/**/*.csv") == [f"{root}/train/x.csv"]
info = fs.info(f"{root}/train/w.bin")
assert (info["type"], info["size"]) == ("file", len(WEIGHTS))
assert fs.isdir(f"{root}/train")
assert not fs.exists(f"{root}/none")
assert fs.cat(f"{root}/train/x.csv") == ROWS
with fs.open(f"{root}/train/w.bin", "rb") as file:
    file.seek(100)
    assert file.read(50) == WEIGHTS[100:150]
with fs.open(f"{root}/new.txt", "w") as file:
    file.write("new")
fs.cp(f"{root}/train/x.csv", f"{root}/copy.csv")
fs.mv(f"{root}/new.txt", f"{root}/moved.txt")
assert fs.read_text(f"{root}/moved.txt") == "new"
fs.rm(f"{root}/train", recursive=True)
names = {path.rpartition("/")[2] for path in fs.find(root)}
assert names == {".gitattributes", "copy.csv", "moved.txt"}
assert fs.cat(f"{root}@v1/train/x.csv") == ROWS
with fsspec.open("hf://datasets/org/data@v1/train/x.csv") as file:
    assert file.read() == ROWS
print("done")
