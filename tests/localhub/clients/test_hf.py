import json

CARD = "---\nlicense: mit\n---\n# Card\n"


def test_hf_creates_uploads_downloads_and_shows(hf, api, tmp_path):
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "README.md").write_text(CARD)
    (folder / "sub/w.bin").write_bytes(bytes(range(256)) * 32)
    assert "demo" in hf("auth", "whoami")
    hf("repos", "create", "org/model", "--private")
    hf("upload", "org/model", str(folder), ".", "--commit-message", "Upload it")
    assert api.list_repo_commits("org/model")[0].title == "Upload it"
    hf("repos", "tag", "create", "org/model", "v1", "-m", "First")
    hf("upload", "org/model", str(folder / "README.md"), "copy.md", "--create-pr")
    assert api.get_discussion_details("org/model", 1).status == "open"
    hf("discussions", "merge", "org/model", "1", "--yes")
    hf("download", "org/model", "--revision", "v1", "--local-dir", str(tmp_path / "v1"))
    got = {path.name for path in (tmp_path / "v1").rglob("*") if path.is_file() and ".cache" not in path.parts}
    assert got == {".gitattributes", "README.md", "w.bin"}
    path = hf("download", "org/model", "copy.md", "--quiet").strip()
    assert open(path, encoding="utf-8").read() == CARD  # noqa: SIM115
    assert "# Card" in hf("models", "card", "org/model")
    assert json.loads(hf("models", "card", "org/model", "--metadata", "--format", "json"))["license"] == "mit"


def test_hf_lists_moves_and_deletes(hf, api):
    api.create_repo("demo/model")
    api.upload_file(path_or_fileobj=b"1", path_in_repo="a.log", repo_id="demo/model")
    api.create_repo("demo/data", repo_type="dataset")
    assert hf("models", "ls", "--author", "demo", "--quiet").split() == ["demo/model"]
    assert json.loads(hf("models", "info", "demo/model", "--format", "json"))["id"] == "demo/model"
    assert set(hf("repos", "ls", "--quiet").split()) == {"demo/model", "demo/data"}
    hf("repos", "settings", "demo/model", "--gated", "auto")
    assert api.model_info("demo/model").gated == "auto"
    hf("repos", "branch", "create", "demo/model", "dev")
    hf("repos", "move", "demo/model", "org/model")
    assert [ref.name for ref in api.list_repo_refs("org/model").branches] == ["dev", "main"]
    hf("repos", "delete-files", "org/model", "*.log")
    assert api.list_repo_files("org/model") == [".gitattributes"]
    hf("repos", "delete", "org/model", "--yes")
    assert not api.repo_exists("org/model")
