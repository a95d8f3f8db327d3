"""Whatever a request says: nothing outside the Hub's folder is read or written, nothing half, and no bug is hit."""

import base64
import hashlib
import json
import subprocess
from itertools import product
from urllib.parse import quote

import pytest

from hubtune.localhub.api.connection import Bodies
from hubtune.localhub.api_errors import ApiError

SECRET = "the secret beside the hub"
NAMES = [
    "..",
    "../secret",
    "../../secret.txt",
    "....//secret.txt",
    "/etc/passwd",
    "//etc/passwd",
    "..\\..\\secret.txt",
    "C:\\secret.txt",
    "C:/secret.txt",
    "secret\0.txt",
    "\0",
    ".",
    ".git",
    ".git/config",
    "x.git/../../../../secret.txt",
    "a/../../../../../secret.txt",
    "refs/heads/../../../../../../secret.txt",
    "refs/../config",
    "HEAD",
    "main.lock",
    "@{-1}",
    "main~1",
    ":/secret",
    "x" * 300,
    "/".join("y" * 300),
    "\ud800",
    "\ufffd",
    "é\n",
    "-rf",
    "~root",
    "%2e%2e%2fsecret.txt",
    "file:///etc/passwd",
    "",
]
TREES = [
    "/api/models/{id}",
    "/api/models/{id}/revision/{name}",
    "/api/models/{id}/tree/{name}",
    "/api/models/{id}/tree/main/{name}",
    "/api/models/{id}/commits/{name}",
    "/api/models/{id}/refs",
    "/{id}/resolve/{name}/a.txt",
    "/{id}/resolve/main/{name}",
    "/{id}/raw/main/{name}",
    "/datasets/{id}/resolve/{name}/{name}",
    "/{name}/{name}/resolve/main/a.txt",
    "/{name}",
    "/api/{name}",
    "/api/models/{name}",
    "/api/models/{name}/{name}/tree/main",
    "/api/large-files/{name}",
    "/api/models?search={name}&author={name}&filter={name}&sort={name}&limit={name}&cursor={name}&expand={name}",
    "/api/organizations/{name}/settings/repositories",
    "/api/models/{id}/discussions/{name}",
    "/api/models/{id}/discussions?p={name}&status={name}&author={name}&type={name}",
    "/api/models/{id}/user-access-request/{name}",
    "/api/models/{id}/super-squash/{name}",
    "/api/models/{id}/lfs-files?cursor={name}&limit={name}",
    "/{id}.git/info/refs?service={name}",
    "/{name}.git/info/refs?service=git-upload-pack",
    "/{id}/git-upload-pack?{name}",
]
VALUES = [
    None,
    True,
    7,
    -1,
    10**30,
    1.5,
    "",
    "x",
    "\ud800",
    "../..",
    "x" * 10_000,
    [],
    [None],
    [[7]],
    ["x"],
    {},
    {"x": None},
]
# Every key that some request has.
KEYS = [
    "author", "branch", "comment", "content", "description", "discussion", "emptyBranch", "expand", "files",
    "fromRepo", "gated", "gitIgnore", "hash_algo", "message", "name", "newContent", "oid", "objects", "operation",
    "organization", "overwrite", "paths", "private", "pullRequest", "ref", "rejectionReason", "requestId",
    "rewriteHistory", "sdk", "startingPoint", "status", "summary", "tag", "target", "title", "toRepo", "transfers",
    "type", "user", "visibility",
]  # fmt: skip
WRITES = [
    "POST /api/validate-yaml",
    "POST /api/repos/create",
    "DELETE /api/repos/delete",
    "POST /api/repos/move",
    "PUT /api/models/{id}/settings",
    "POST /api/models/{id}/user-access-request/handle",
    "POST /api/models/{id}/user-access-request/grant",
    "POST /api/models/{id}/user-access-request/cancel",
    "POST /{id}/ask-access",
    "POST /api/models/{id}/discussions",
    "POST /api/models/{id}/discussions/1/comment",
    "POST /api/models/{id}/discussions/1/comment/1/edit",
    "POST /api/models/{id}/discussions/1/title",
    "POST /api/models/{id}/discussions/1/status",
    "POST /api/models/{id}/discussions/1/merge",
    "POST /api/models/{id}/super-squash/main",
    "POST /api/models/{id}/lfs-files/batch",
    "POST /api/models/{id}/lfs-files/duplicate",
    "POST /api/models/{id}/tag/main",
    "POST /api/models/{id}/branch/next",
    "POST /api/models/{id}/preupload/main",
    "POST /api/models/{id}/commit/main",
    "POST /api/models/{id}/paths-info/main",
    "POST /{id}.git/info/lfs/objects/batch",
    "POST /{id}.git/git-upload-pack",
]


@pytest.fixture
def surroundings(tmp_path, model, root):
    """All files around the Hub and in its repository, to be the same afterwards."""
    (tmp_path / "secret.txt").write_text(SECRET)

    def look() -> dict[str, bytes]:
        files = (path for path in tmp_path.rglob("*") if path.is_file() and path.name != "requests.jsonl")
        return {str(path): path.read_bytes() for path in files}

    return look


def quotings(name: str) -> set[str]:
    encoded = name.encode(errors="surrogatepass")
    return {quote(encoded, safe=""), quote(encoded, safe="/.~:@\\"), quote(quote(encoded, safe=""), safe="")}


@pytest.mark.parametrize("path", TREES)
def test_no_path_leads_out_of_the_hub(raw, surroundings, path, picked):
    before = surroundings()
    for name in NAMES:
        ways = list(product(sorted(quotings(name)), ("GET", "POST", "DELETE")))
        for quoted, method in picked(ways, 2):
            asked = path.format(id="org/model", name=quoted).replace("\\", "%5C")
            answer = raw(method, asked, b"{}" if method == "POST" else None)
            assert answer.status < 500, (method, asked, answer.body)
            assert SECRET.encode() not in answer.body
            assert b"root:" not in answer.body
    assert surroundings() == before


@pytest.mark.parametrize("name", NAMES)
def test_no_name_in_a_body_leads_out_of_the_hub(raw, surroundings, tmp_path, name):
    inside = {path for path in surroundings() if path.startswith(str(tmp_path / "hub"))}
    value = {"name": name, "organization": "org", "tag": name, "startingPoint": name, "paths": [name], "fromRepo": name}
    for path in ("/api/repos/create", "/api/repos/move", "/api/models/org/model/paths-info/main"):
        answer = raw("POST", path, json.dumps(value).encode(), Content_Type="application/json")
        assert answer.status < 500, (path, answer.body)
    for path in ("tag/main", "branch/next", "branch/" + quote(name.encode(errors="replace"), safe="")):
        answer = raw("POST", f"/api/models/org/model/{path}", json.dumps(value).encode())
        assert answer.status < 500, (path, answer.body)
    body = {"files": [{"path": name, "size": 1, "sample": name}], "gitIgnore": name}
    assert raw("POST", "/api/models/org/model/preupload/main", json.dumps(body).encode()).status < 500
    for change in (
        {"key": "file", "value": {"path": name, "content": "x"}},
        {"key": "file", "value": {"path": f"a/{name}/b", "content": "x"}},
        {"key": "copyFile", "value": {"path": "b", "srcPath": name, "srcRevision": name}},
        {"key": "deletedFile", "value": {"path": name}},
        {"key": "deletedFolder", "value": {"path": name}},
        {"key": "lfsFile", "value": {"path": "w", "oid": name}},
    ):
        answer = commit(raw, change)
        assert answer.status < 500, (change, answer.body)
    after = surroundings()
    assert {path for path in after if not path.startswith(str(tmp_path / "hub"))} == {str(tmp_path / "secret.txt")}
    assert inside <= set(after)
    assert sound(tmp_path)


@pytest.mark.parametrize("request_line", WRITES)
def test_values_of_other_kinds_than_expected_hit_no_bug(raw, model, api, request_line, picked):
    raw("POST", f"/api/models/{model}/discussions", b'{"title": "one", "description": "text", "pullRequest": true}')
    method, path = request_line.format(id=model).split()
    texts = [json.dumps(value) for value in VALUES] + [json.dumps(dict.fromkeys(KEYS, value)) for value in VALUES]
    one_key = [
        json.dumps({"name": "org/other", "type": "model", "title": "t", key: v}) for key in KEYS for v in ([], {}, 7)
    ]
    for text in [*texts, *picked(one_key, 12)]:
        answer = raw(method, path, text.encode(), Content_Type="application/json")
        assert answer.status < 500, (text, answer.body)
    assert raw("GET", f"/api/models/{model}").status == 200


@pytest.mark.parametrize(
    "path",
    [
        ".git",
        ".GIT/config",
        "a/.git/hooks/post-checkout",
        ".git ",
        ".git.",
        ".git::$INDEX_ALLOCATION",
        "git~1",
        "GIT~1/x",
        "a\\.git\\config",
        ".g\u200cit",
        ".Gi\u200dT/config",
        "..\\x",
        "a\\..\\..\\x",
        "x" * 256,
        "/".join(["d"] * 201),
        "\ud800",
        "a\x7fb",
        "a\x85b",
        "photo\u202egpj.exe",
        "C:\\x.json",
        "C:x.json",
        "d/C:/x.json",
        "\\\\srv\\x.json",
        "\\x",
        "a\\b",
        "CON",
        "nul.tar.gz",
        "a/aux.txt/b",
        "Com1 .log",
        "lpt\u00b9",
        "conin$:x",
        "dot.",
        "a /b",
    ],
)
def test_names_that_git_refuses_are_refused_and_leave_nothing(raw, model, root, path):
    before = objects(root)
    answer = commit(raw, {"key": "file", "value": {"path": path, "content": "x"}})
    assert answer.status == 400
    assert answer.json["error"]
    assert objects(root) == before


@pytest.mark.parametrize(
    "path", ["con1.txt", "auxiliary", "a?:b", "ab:c", "*", ".gitignore", ".github/x", "git~2", "..a", "x" * 255]
)
def test_names_that_git_takes_are_taken_and_can_be_cloned(raw, model, root, tmp_path, path):
    assert commit(raw, {"key": "file", "value": {"path": path, "content": "x"}}).status == 200
    repo = root / "repos/models/org/model.git"
    git = ["git", "-c", "safe.directory=*"]
    subprocess.run([*git, "-C", str(repo), "fsck", "--strict"], check=True, capture_output=True)
    subprocess.run([*git, "clone", "--quiet", str(repo), str(tmp_path / "clone")], check=True, capture_output=True)
    assert (tmp_path / "clone" / path).read_text() == "x"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a/Data.txt", "a/data.txt"),
        ("Docs/x", "docs/y"),
        ("Stra\u00dfe", "STRASSE"),
        ("caf\u00e9", "cafe\u0301"),
        ("a", "A/b"),
    ],
)
def test_names_that_are_one_on_some_system_are_refused(raw, model, root, first, second):
    def put(path: str) -> dict:
        return {"key": "file", "value": {"path": path, "content": "x"}}

    assert commit(raw, put(first), put(second)).status == 400
    assert commit(raw, put(first)).status == 200
    before = objects(root)
    answer = commit(raw, put(second))
    assert (answer.status, objects(root)) == (400, before)
    assert "has the same name as" in answer.json["error"]
    # To rename it is one commit.
    assert commit(raw, {"key": "deletedFile", "value": {"path": first}}, put(second)).status == 200


def test_what_a_repository_holds_already_can_be_changed_and_deleted(raw, model, root, tmp_path):
    old = ["back\\slash", "aux.txt", "Data/x", "data/x"]
    repo = root / "repos/models/org/model.git"
    entries = "".join(f"100644 blob {git_blob(repo)}\t{path}\n" for path in old)
    git(repo, "update-index", "--index-info", stdin=entries.replace("back\\slash", '"back\\\\slash"'))
    tree = git(repo, "write-tree")
    git(repo, "update-ref", "refs/heads/main", git(repo, "commit-tree", tree, "-m", "old names"))
    assert commit(raw, {"key": "file", "value": {"path": "Data/x", "content": "new"}}).status == 200
    assert commit(raw, {"key": "file", "value": {"path": "Data/y", "content": "new"}}).status == 200
    assert commit(raw, {"key": "file", "value": {"path": "DATA/y", "content": "new"}}).status == 400
    for path in old:
        assert commit(raw, {"key": "deletedFile", "value": {"path": path}}).status == 200


BAD_COMMITS = {
    "no header": [{"key": "file", "value": {"path": "a", "content": "x"}}],
    "half a line": '{"key": "header", "value": {"summary": "s"}}\n{"key": "file", "value": {"path": "a", "cont',
    "a list": [["header"]],
    "a text": ["header"],
    "null": [None],
    "deep": '{"key": "header", "value": ' + "[" * 100_000,
    "not text": b"\xff\xfe\n",
    "a number too long": '{"key": "header", "value": {"summary": ' + "9" * 5000 + "}}",
    "a path that is none": [{"key": "header", "value": {"summary": "s"}}, {"key": "file", "value": {"path": 7}}],
    "no base64": [
        {"key": "header", "value": {"summary": "s"}},
        {"key": "file", "value": {"path": "a", "content": "!", "encoding": "base64"}},
    ],
    "a good file before a bad one": [
        {"key": "header", "value": {"summary": "s"}},
        {"key": "file", "value": {"path": "good", "content": "x"}},
        {"key": "file", "value": {"path": "../bad", "content": "x"}},
    ],
    "an object never uploaded": [
        {"key": "header", "value": {"summary": "s"}},
        {"key": "file", "value": {"path": "good", "content": "x"}},
        {"key": "lfsFile", "value": {"path": "w.bin", "oid": "0" * 64, "size": 1}},
    ],
    "an oid that is none": [
        {"key": "header", "value": {"summary": "s"}},
        {"key": "lfsFile", "value": {"path": "w.bin", "oid": "../../secret", "size": 1}},
    ],
}


@pytest.mark.parametrize("case", BAD_COMMITS)
def test_a_malformed_commit_is_a_bad_request_and_leaves_nothing(raw, model, root, case):
    before = objects(root)
    lines = BAD_COMMITS[case]
    body = lines if isinstance(lines, bytes | str) else "\n".join(map(json.dumps, lines))
    answer = raw("POST", f"/api/models/{model}/commit/main", body if isinstance(body, bytes) else body.encode())
    assert answer.status == 400
    assert answer.json["error"]
    assert objects(root) == before


def test_a_large_file_of_another_size_than_the_commit_says_is_refused(raw, model, hub, root):
    content = b"weights"
    oid = hashlib.sha256(content).hexdigest()
    href = batch(raw, [{"oid": oid, "size": 7}]).json["objects"][0]["actions"]["upload"]["href"]
    assert raw("PUT", href.removeprefix(hub.url), content).status == 200
    before = objects(root)
    assert commit(raw, {"key": "lfsFile", "value": {"path": "w", "oid": oid, "size": 8}}).status == 400
    assert objects(root) == before
    assert commit(raw, {"key": "lfsFile", "value": {"path": "w", "oid": oid, "size": 7}}).status == 200


@pytest.mark.parametrize(
    "item", [{}, 7, None, {"oid": "0" * 64}, {"oid": 7, "size": 1}, {"oid": "0" * 64, "size": -1},
             {"oid": "0" * 64, "size": True}, {"oid": "0" * 64, "size": "1"}, {"oid": "../x", "size": 1}]
)  # fmt: skip
def test_a_batch_of_something_else_is_refused(raw, model, item):
    assert batch(raw, [item]).status in {400, 422}


def test_numbers_of_lines_files_and_objects_are_bounded(raw, model):
    assert batch(raw, [{"oid": "0" * 64, "size": 1}] * 1001).status == 413
    files = json.dumps({"files": [{"path": "a", "size": 1}] * 1001}).encode()
    assert raw("POST", f"/api/models/{model}/preupload/main", files).status == 413
    lines = b'{"key": "header", "value": {"summary": "s"}}\n' + b'{"key":"deletedFile","value":{"path":"a"}}\n' * 25_000
    assert raw("POST", f"/api/models/{model}/commit/main", lines).status == 413


def test_an_upload_of_another_length_is_refused_by_its_header(raw, hub, model, root):
    href = batch(raw, [{"oid": "0" * 64, "size": 3}]).json["objects"][0]["actions"]["upload"]["href"]
    assert raw("PUT", href.removeprefix(hub.url), b"four").status == 400
    assert raw("PUT", f"/api/large-files/{'0' * 64}?size=3&signature=%C3%BC", b"xxx").status == 403
    assert list((root / "tmp").iterdir()) == []


def test_an_upload_for_which_there_is_no_room_is_refused_at_once(raw, hub, model, root):
    size = 1 << 59
    href = batch(raw, [{"oid": "0" * 64, "size": size}]).json["objects"][0]["actions"]["upload"]["href"]
    # Announced in full and sent in part, as a client would that is answered before it is done.
    answer = raw("PUT", href.removeprefix(hub.url), b"x", Content_Length=str(size))
    assert answer.status == 507
    assert list((root / "tmp").iterdir()) == []


@pytest.mark.parametrize("number", ["9" * 5000, "-1", "1e9", "٣", ""])
def test_numbers_of_any_size_are_survived(raw, model, number):
    quoted = quote(number)
    for path in (f"tree/main?limit={quoted}", f"tree/main?cursor=main:{quoted}", f"commits/main?p={quoted}"):
        assert raw("GET", f"/api/models/{model}/{path}").status == 200
    assert raw("GET", f"/{model}/resolve/main/.gitattributes", Range=f"bytes={quoted}-").status in {200, 206, 416}
    assert raw("PUT", f"/api/large-files/{'0' * 64}?size={quoted}&signature=x").status in {400, 403}


@pytest.mark.parametrize("place", ["in the request", "committed", "attributes"])
def test_a_pattern_of_many_stars_keeps_nobody_waiting(raw, model, place):
    stars = "*a" * 120 + "b"
    files = [{"path": "a" * 250, "size": 1, "sample": ""}]
    if place != "in the request":
        path, content = (".gitignore", stars) if place == "committed" else (".gitattributes", f"{stars} filter=lfs")
        assert commit(raw, {"key": "file", "value": {"path": path, "content": content}}).status == 200
    body = {"files": files} | ({"gitIgnore": stars} if place == "in the request" else {})
    answer = raw("POST", f"/api/models/{model}/preupload/main", json.dumps(body).encode())
    assert (answer.status, answer.json["files"][0]["shouldIgnore"]) == (200, False)


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
)


@pytest.mark.parametrize("text", [BOMB, "a: &a [*a]", "a: " + "[" * 5000, "a: 2024-02-30", "a: " + "x" * 600_000])
def test_yaml_that_would_not_end_is_an_error_of_the_card(raw, model, text):
    card = f"---\n{text}\n---\n"
    answer = raw("POST", "/api/validate-yaml", json.dumps({"content": card}).encode())
    assert answer.status == 400
    assert answer.json["errors"][0]["message"].startswith("Invalid YAML metadata")
    encoded = base64.b64encode(card.encode()).decode()
    assert (
        commit(raw, {"key": "file", "value": {"path": "README.md", "content": encoded, "encoding": "base64"}}).status
        < 500
    )
    assert raw("GET", f"/api/models/{model}").status == 200


@pytest.mark.parametrize("body", ["[" * 100_000, '{"a":' * 100_000, "9" * 5000])
def test_json_that_is_too_deep_or_none_is_a_bad_request(raw, model, body):
    for path in ("/api/validate-yaml", "/api/repos/create", f"/api/models/{model}/tag/main"):
        assert raw("POST", path, body.encode()).status == 400


@pytest.mark.anyio
async def test_bodies_together_are_bounded_and_freed():
    bodies = Bodies(most=10)
    async with bodies.read(_Sent(b"12345", b"678"), 100) as first:
        assert first == b"12345678"
        with pytest.raises(ApiError) as caught:
            async with bodies.read(_Sent(b"123"), 100):
                pass
        assert (caught.value.status, caught.value.headers) == (503, {"Retry-After": "1"})
        with pytest.raises(ApiError) as caught:
            async with bodies.read(_Sent(b"12"), 1):
                pass
        assert caught.value.status == 413
    async with bodies.read(_Sent(b"1234567890"), 100) as whole:
        assert len(whole) == 10


@pytest.mark.anyio
async def test_bodies_on_the_disk_are_bounded_and_freed(tmp_path, monkeypatch):
    bodies = Bodies()
    for most, status in ((6, 413), (100, 503)):
        monkeypatch.setattr("hubtune.localhub.api.connection._MOST_SPOOLED", 6)
        with pytest.raises(ApiError) as caught:
            async with bodies.spool(_Sent(b"1234", b"5678"), most, tmp_path):
                pass
        assert caught.value.status == status
    async with bodies.spool(_Sent(b"123", b"456"), 6, tmp_path) as file:
        assert file.read() == b"123456"
    assert list(tmp_path.iterdir()) == []


class _Sent:
    def __init__(self, *chunks: bytes) -> None:
        self._chunks = chunks

    async def stream(self):
        for chunk in self._chunks:
            yield chunk


def git(repo, *command: str, stdin: str = "") -> str:
    who = ["-c", "safe.directory=*", "-c", "user.name=n", "-c", "user.email=e"]
    done = subprocess.run(
        ["git", *who, "-C", str(repo), *command], input=stdin.encode(), check=True, capture_output=True
    )
    return done.stdout.decode().strip()


def git_blob(repo) -> str:
    return git(repo, "hash-object", "-w", "--stdin", stdin="old")


def commit(raw, *changes):
    lines = [{"key": "header", "value": {"summary": "s"}}, *changes]
    return raw("POST", "/api/models/org/model/commit/main", "\n".join(map(json.dumps, lines)).encode())


def batch(raw, items):
    body = {"operation": "upload", "objects": items}
    return raw("POST", "/org/model.git/info/lfs/objects/batch", json.dumps(body).encode())


def objects(root) -> set[str]:
    return {str(path) for folder in ("repos", "objects", "tmp") for path in (root / folder).rglob("*")}


def sound(tmp_path) -> bool:
    repo = tmp_path / "hub/repos/models/org/model.git"
    command = ["git", "-c", "safe.directory=*", "-C", str(repo), "fsck", "--strict"]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0
