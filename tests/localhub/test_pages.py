"""Pages for browsers: where they are, what they show to whom, and that clients notice nothing of them."""

import hashlib
import html
import re

import pytest

from hubtune.localhub import EmbeddedHub

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}

FILES = {"notes/a.txt": b"one\ntwo <b>\n", "w.bin": b"\1" * 2000, "x.dat": b"\0\1"}


@pytest.fixture
def get(served, raw_client):
    """Asks as a browser does, without a token; gives the answer and its text without tags."""
    client = raw_client(served.url)

    def ask(path, **headers):
        answer = client("GET", path, token=None, **{**BROWSER, **headers})
        text = re.sub(r"<style.*?</style>|<[^>]*>", " ", answer.body.decode(), flags=re.DOTALL)
        return answer, " ".join(html.unescape(text).split())

    return ask


@pytest.fixture
def lora(served):
    card = (
        "---\nlicense: apache-2.0\nbase_model: [org/base, far/base]\ndatasets: org/quotes\ntags: [lora]\n"
        "model-index:\n- name: x\n  results:\n  - task: {type: t, name: Task}\n    dataset: {type: d, name: Quotes}\n"
        "    metrics: [{type: perplexity, name: Perplexity, value: 16.666001}]\n---\n# The card\n\n"
        "See [it](notes/a.txt).\n"
    )
    served.commit("org/base", {"README.md": b"# Base"})
    served.commit("org/quotes", {"README.md": b"# Data"}, "dataset")
    served.commit("org/lora", {"README.md": card.encode(), **FILES})
    served.api.create_tag("org/lora", tag="v1.0.0")
    served.api.create_branch("org/lora", branch="feature/x")
    return "org/lora"


def test_the_first_page_lists_models_and_data_sets_and_searches_by_name(get, lora):
    assert all(name in get("/")[1] for name in ("org/ lora", "org/ base", "org/ quotes", "apache-2.0"))
    models, data = get("/models")[1], get("/datasets")[1]
    assert ("org/ quotes" in models, "org/ lora" in models) == (False, True)
    assert ("org/ quotes" in data, "org/ lora" in data) == (True, False)
    found = get("/?search=LOR")[1]
    assert ("org/ lora" in found, "org/ base" in found) == (True, False)
    assert b"<script>" not in get("/?search=%22%3E%3Cscript%3E")[0].body


def test_lists_are_paged(get, served):
    for n in range(31):
        served.api.create_repo(f"org/m{n}")
    first, second = get("/models")[0].body.decode(), get("/models?p=1")[0].body.decode()
    assert (first.count("<li>"), second.count("<li>")) == (30, 1)
    assert 'href="/models?p=1"' in first
    assert get("/models?p=999999999999999")[0].body == second.encode()


def test_the_page_of_a_repository_shows_its_card_and_what_the_front_matter_says(get, lora, served):
    answer, text = get("/org/lora")
    body = answer.body.decode()
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert '<h1 id="the-card">The card</h1>' in body
    assert 'href="/org/lora/blob/main/notes/a.txt"' in body
    assert "license:" not in text
    for part in ("apache-2.0", "far/base", "Perplexity Task, Quotes 16.666", "v1.0.0", "feature/x", "2 commits"):
        assert part in text, part
    assert 'href="/org/base"' in body
    assert 'href="/datasets/org/quotes"' in body
    assert 'href="/far/base"' not in body
    assert served.head("org/lora")[:8] in text
    assert f"export HF_ENDPOINT={served.url} export HF_HUB_DISABLE_XET=1 hf download org/lora" in text


def test_a_data_set_has_its_own_pages(get, lora):
    assert "Data" in get("/datasets/org/quotes")[1]
    assert "--repo-type dataset" in get("/datasets/org/quotes")[1]
    assert "README.md" in get("/datasets/org/quotes/tree/main")[1]
    assert get("/datasets/org/quotes/blob/main/README.md")[0].status == 200
    assert get("/datasets/org/quotes/commits/main")[0].status == 200


def test_a_repository_without_a_card_says_so(get, served):
    served.api.create_repo("org/bare")
    assert "No card yet." in get("/org/bare")[1]


def test_folders_list_files_with_size_and_last_commit(get, lora):
    answer, text = get("/org/lora/tree/main")
    assert 'href="/org/lora/tree/main/notes"' in answer.body.decode()
    assert 'href="/org/lora/blob/main/w.bin"' in answer.body.decode()
    assert re.search(r"w\.bin Add .{5,20} LFS 2 kB", text)
    assert "initial commit" in text
    answer, text = get("/org/lora/tree/feature%2Fx/notes")
    assert "a.txt" in text
    assert 'href="/org/lora/blob/feature%2Fx/notes/a.txt"' in answer.body.decode()


def test_a_folder_asked_for_as_a_file_is_shown_as_a_folder(get, lora):
    answer, _ = get("/org/lora/blob/main/notes")
    assert (answer.status, answer.headers["location"]) == (302, "/org/lora/tree/main/notes")


def test_files_are_shown_by_kind(get, lora):
    body = get("/org/lora/blob/v1.0.0/notes/a.txt")[0].body.decode()
    assert '<span class="line" id="L2">two &lt;b&gt;\n</span>' in body
    assert '<h1 id="the-card">' in get("/org/lora/blob/main/README.md")[0].body.decode()
    assert "license: apache-2.0" in get("/org/lora/blob/main/README.md?plain=1")[1]
    large = get("/org/lora/blob/main/w.bin")[1]
    assert f"SHA-256 {hashlib.sha256(FILES['w.bin']).hexdigest()}" in large
    assert "2 kB" in large
    assert "This is not a text file." in get("/org/lora/blob/main/x.dat")[1]
    assert 'href="/org/lora/resolve/main/x.dat" download' in get("/org/lora/blob/main/x.dat")[0].body.decode()


def test_a_long_text_is_cut_with_a_note(get, served):
    served.commit("org/m", {"a.txt": b"x\n" * 10_001, "b.txt": b"x" * (600 * 1024)})
    assert "1 further line not shown" in get("/org/m/blob/main/a.txt")[1]
    assert "too large to show here" in get("/org/m/blob/main/b.txt")[1]


def test_history_is_paged_and_each_commit_tells_what_it_changed(get, served):
    for n in range(51):
        served.commit("org/m", {f"{n}.txt": b"x", "a.txt": str(n).encode()})
    answer, text = get("/org/m/commits/main")
    assert "52 commits" in text
    assert answer.body.count(b"<li>") == 50
    assert get("/org/m/commits/main?p=1")[0].body.count(b"<li>") == 2
    text = get(f"/org/m/commit/{served.head('org/m')}")[1]
    assert "2 files changed added 50.txt changed a.txt" in text


def test_branches_tags_and_pull_requests_are_listed(get, lora, served):
    served.api.create_pull_request("org/lora", title="Better", token="t")
    answer, text = get("/org/lora/refs/all")
    assert all(name in text for name in ("v1.0.0", "feature/x", "main", "#1"))
    assert 'href="/org/lora/tree/feature%2Fx"' in answer.body.decode()
    assert get("/org/lora/tree/refs%2Fpr%2F1")[0].status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/org/none", "/none", "/org/lora/tree/none", "/org/lora/blob/main/none", "/org/lora/commits/none", "/a/b/c/d",
        "/org/lora/tree/main/w.bin", "/org/lora/commit/0000000000", "/-/none", "/org/lora/resolve/main/none",
    ],
)  # fmt: skip
def test_browsers_get_errors_as_pages(get, lora, path):
    answer, text = get(path)
    assert (answer.status, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "Not found" in text


def test_clients_get_their_errors_as_ever(served, raw_client, lora):
    client = raw_client(served.url)
    for path, headers in [
        ("/api/models/org/none", BROWSER),
        ("/api/models/org/lora/revision/none", BROWSER),
        ("/org/lora/resolve/main/none", {"Accept": "*/*"}),
        ("/org/lora/resolve/main/none", {}),
        ("/org/none/info/refs?service=git-upload-pack", {"Accept": "*/*"}),
    ]:
        answer = client("GET", path, **headers)
        assert answer.status == 404
        assert answer.headers["x-error-code"]
        assert answer.json["error"]


def test_without_a_renderer_there_are_no_pages(tmp_path, raw_client):
    with EmbeddedHub(tmp_path / "hub") as hub:
        for path in ("/", "/org/model", "/-/style.css"):
            answer = raw_client(hub.url)("GET", path, token=None, **BROWSER)
            assert (answer.status, answer.headers["content-type"]) == (404, "application/json")


def test_pages_are_under_a_policy_that_allows_nothing_from_elsewhere_and_no_script(get, lora):
    for path in ("/", "/org/lora", "/org/none"):
        headers = get(path)[0].headers
        policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
        assert policy == {
            "default-src": "'none'",
            "style-src": "'self'",
            "img-src": "'self'",
            "base-uri": "'none'",
            "form-action": "'self'",
            "frame-ancestors": "'none'",
        }
        assert headers["x-content-type-options"] == "nosniff"


def test_downloads_are_neither_guessed_at_nor_run(get, served):
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    served.commit("org/m", {"a.svg": svg, "a.html": b"<script>alert(1)</script>", "a.png": b"x"})
    for name, kind in {"a.svg": "image/svg+xml", "a.html": "text/plain; charset=utf-8", "a.png": "image/png"}.items():
        headers = get(f"/org/m/resolve/main/{name}")[0].headers
        assert headers["content-type"].startswith(kind.partition(";")[0])
        assert headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in headers["content-security-policy"]
        assert "default-src 'none'" in headers["content-security-policy"]


def test_private_repositories_are_not_there_for_a_browser(guarded_hub, raw_client):
    client = raw_client(guarded_hub.url)
    guarded_hub.api.create_repo("org/secret", private=True)
    guarded_hub.api.create_repo("org/public")
    card = b"---\nbase_model: org/secret\n---\n# Card"
    guarded_hub.commit("org/public", {"README.md": card})
    listed = client("GET", "/", token=None, **BROWSER).body.decode()
    assert ("/org/public" in listed, "secret" in listed) == (True, False)
    for path in (
        "",
        "/tree/main",
        "/blob/main/.gitattributes",
        "/commits/main",
        "/refs/all",
        "/discussions/1",
        "/resolve/main/x",
    ):
        hidden = client("GET", f"/org/secret{path}", token=None, **BROWSER)
        missing = client("GET", f"/org/nowhere{path}", token=None, **BROWSER)
        assert (hidden.status, hidden.body) == (404, missing.body)
    assert 'href="/org/secret"' not in client("GET", "/org/public", token=None, **BROWSER).body.decode()
    # Whoever sends the token of a member sees it.
    assert client("GET", "/org/secret", token=guarded_hub.token, **BROWSER).status == 200
    assert client("GET", "/org/secret", token="hf_eveeveeve", **BROWSER).status == 404


def test_gated_repositories_show_their_card_and_list_and_keep_their_files(guarded_hub, raw_client):
    client = raw_client(guarded_hub.url)
    guarded_hub.commit("org/gated", {"README.md": b"# The card", "data.csv": b"secret,row\n"})
    guarded_hub.api.update_repo_settings("org/gated", gated="manual")
    assert b"The card" in client("GET", "/org/gated", token=None, **BROWSER).body
    assert b"data.csv" in client("GET", "/org/gated/tree/main", token=None, **BROWSER).body
    assert client("GET", "/org/gated/blob/main/README.md", token=None, **BROWSER).status == 200
    for path in ("/org/gated/blob/main/data.csv", "/org/gated/resolve/main/data.csv"):
        answer = client("GET", path, token=None, **BROWSER)
        assert answer.status == 403
        assert b"secret,row" not in answer.body
    assert b"secret,row" in client("GET", "/org/gated/blob/main/data.csv", token=guarded_hub.token, **BROWSER).body


def test_pages_answer_under_the_hubs_own_names_alone(get, lora):
    assert get("/org/lora", Host="evil.example")[0].status == 403
    assert get("/org/lora", Origin="https://evil.example")[0].status == 403
    assert get("/org/lora", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors")[0].status == 403
    link = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}
    assert get("/org/lora", **link)[0].status == 200


def test_pages_are_for_reading(served, raw_client, lora):
    client = raw_client(served.url)
    for path in ("/", "/org/lora", "/org/lora/tree/main"):
        assert client("POST", path, b"").status == 404
        head = client("HEAD", path, token=None, **BROWSER)
        assert (head.status, head.body) == (200, b"")


def test_names_of_files_and_refs_are_escaped(get, served):
    served.commit("org/m", {'a "b" <i>&amp;#?%.txt': b"x", "c d/é.md": b"# x\n[y](<../a b>)"})
    served.api.create_branch("org/m", branch='a&b"c')
    body = get("/org/m/tree/main")[0].body.decode()
    assert 'href="/org/m/blob/main/a%20%22b%22%20%3Ci%3E%26amp%3B%23%3F%25.txt"' in body
    assert "<i>" not in body
    for link in re.findall(r'href="(/org/m/[^"]*)"', body + get("/org/m/refs/all")[0].body.decode()):
        assert get(html.unescape(link))[0].status == 200, link
    assert 'href="/org/m/blob/main/a%20b"' in get("/org/m/blob/main/c%20d/%C3%A9.md")[0].body.decode()


def test_requests_for_pages_are_logged_as_those_of_a_repository(get, lora, served):
    get("/org/lora/tree/v1.0.0")
    line = served.requests()[-1]
    assert (line["repo"], line["type"], line["revision"], line["status"]) == ("org/lora", "model", "v1.0.0", 200)


@pytest.mark.parametrize(
    "name",
    [
        "..", "../../hub.json", "%2e%2e%2fhub.json", ".git/config", "%00", "%ff", "%", "x" * 3000, "a%0Ab", "HEAD",
        "@{-1}", "-1", "9" * 40, "refs%2F..%2Fconfig", "%ED%A0%80", "%22%3E%3Cscript%3E",
    ],
)  # fmt: skip
def test_no_name_however_odd_is_a_bug_or_markup(get, lora, name):
    for path in (
        "/{}", "/org/{}", "/org/lora/tree/{}", "/org/lora/tree/main/{}", "/org/lora/blob/main/{}",
        "/org/lora/blob/{}/x", "/org/lora/commits/{}", "/org/lora/commit/{}", "/-/{}", "/?search={}", "/?p={}",
        "/org/lora/commits/main?p={}",
    ):  # fmt: skip
        answer, _ = get(path.format(name))
        assert answer.status in {200, 404}, path
        assert b"<script" not in answer.body, path


@pytest.mark.parametrize("type_", ["model", "dataset"])
def test_a_discussion_has_the_page_that_the_client_is_told_of(get, served, type_):
    api, repo = served.api, {"repo_id": "org/m", "repo_type": type_}
    api.create_repo(**repo)
    made = api.create_discussion(**repo, title="Too <b>many</b> tags", description="See <script>alert(1)</script>")
    api.comment_discussion(**repo, discussion_num=made.num, comment="Two\nlines & more")
    api.rename_discussion(**repo, discussion_num=made.num, new_title="Fewer tags")
    api.change_discussion_status(**repo, discussion_num=made.num, new_status="closed")
    answer, text = get(made.url.removeprefix(served.url))
    assert answer.status == 200
    for told in (
        "Fewer tags #1", "Discussion, closed", "demo commented", "See <script>alert(1)</script>", "Two lines & more",
        "changed the title", "Too <b>many</b> tags → Fewer tags", "changed the status to closed",
    ):  # fmt: skip
        assert told in text, told
    assert b"<script>" not in answer.body


def test_a_pull_request_has_a_page_that_leads_to_its_files(get, served):
    served.commit("org/m", {"README.md": b"# Old"})
    made = served.api.upload_file(
        path_or_fileobj=b"# New", path_in_repo="README.md", repo_id="org/m", create_pr=True, commit_message="Renew"
    )
    address = made.pr_url.removeprefix(served.url)
    answer, text = get(address)
    assert "Renew #1 Pull request, open demo" in text
    assert f"pushed {made.oid[:7]}" in text
    assert 'href="/org/m/tree/refs%2Fpr%2F1"' in answer.body.decode()
    assert f'href="{address}"' in get("/org/m/refs/all")[0].body.decode()
    served.api.merge_pull_request("org/m", 1)
    merged, text = get(address)
    assert "Pull request, merged" in text
    assert f"/org/m/commit/{served.head('org/m')}" in merged.body.decode()


def test_a_discussion_that_is_not_there_has_no_page(get, served):
    served.api.create_repo("org/m")
    answer, text = get("/org/m/discussions/7")
    assert (answer.status, "Discussion not found" in text) == (404, True)


def test_the_discussions_of_a_gated_repository_are_for_its_readers(guarded_hub, raw_client):
    api = guarded_hub.api
    api.create_repo("org/gated")
    api.create_discussion("org/gated", title="Between us")
    api.update_repo_settings("org/gated", gated="manual")
    client = raw_client(guarded_hub.url)
    assert client("GET", "/org/gated/discussions/1", token=None, **BROWSER).status == 403
    assert b"Between us" in client("GET", "/org/gated/discussions/1", token=guarded_hub.token, **BROWSER).body
