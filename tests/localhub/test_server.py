import os
import signal
import socket
import subprocess
import sys
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest
from huggingface_hub import CommitOperationAdd, HfApi

from hubtune.errors import ConfigError, HubError
from hubtune.localhub import EmbeddedHub, HubOptions
from hubtune.localhub.api.admission import reachable

SERVE = """
import sys
from pathlib import Path
from hubtune.localhub import HubOptions, serve
serve(Path(sys.argv[1]), HubOptions(), on_ready=lambda url: print(url, flush=True))
print("ended", flush=True)
"""


def test_a_restart_keeps_everything(root):
    with EmbeddedHub(root) as hub:
        api = HfApi(endpoint=hub.url, token="t")
        api.create_repo("org/model", private=True)
        operations = [CommitOperationAdd("w.bin", b"\1" * 999), CommitOperationAdd("a.txt", b"a")]
        commit = api.create_commit("org/model", operations, commit_message="m").oid
        api.create_tag("org/model", tag="v1")
        before = api.model_info("org/model", files_metadata=True)
    with EmbeddedHub(root) as hub:
        api = HfApi(endpoint=hub.url, token="t")
        after = api.model_info("org/model", revision="v1", files_metadata=True)
        assert after.sha == commit
        assert after.private is True
        assert after.siblings == before.siblings
        assert after.created_at == before.created_at


def test_one_folder_is_served_once_at_a_time(hub, root):
    with pytest.raises(HubError, match="already being served"):
        EmbeddedHub(root).start()
    hub.stop()
    with EmbeddedHub(root):
        pass


def test_a_taken_port_is_named(root):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(HubError, match=f"port {port}") as caught:
            EmbeddedHub(root, HubOptions(port=port)).start()
    assert "--port" in caught.value.hint
    with EmbeddedHub(root, HubOptions(port=port)) as hub:
        assert hub.url == f"http://127.0.0.1:{port}"


def test_stopping_can_be_repeated_and_frees_the_folder(root):
    hub = EmbeddedHub(root)
    hub.start()
    HfApi(endpoint=hub.url, token="t").create_repo("org/model")
    hub.stop()
    hub.stop()
    with EmbeddedHub(root) as again:
        assert HfApi(endpoint=again.url).repo_exists("org/model")


def test_what_an_earlier_run_left_unfinished_is_cleared_away(root):
    with EmbeddedHub(root):
        pass
    (root / "tmp/half").write_text("x")
    with EmbeddedHub(root):
        assert list((root / "tmp").iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serving_in_the_foreground_ends_cleanly_on_a_signal(root, number):
    with subprocess.Popen([sys.executable, "-c", SERVE, str(root)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("http://127.0.0.1:")
        process.send_signal(number)
        assert process.stdout.read() == "ended\n"
        assert process.wait(10) == 0


def test_starting_a_hub_does_not_import_the_client():
    code = "import sys, hubtune.localhub; print('huggingface_hub' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert shown.stdout.strip() == "False"


def test_a_process_can_import_the_client_after_the_server_has_started(root):
    code = """
import os, sys
from pathlib import Path
from hubtune.localhub import EmbeddedHub
with EmbeddedHub(Path(sys.argv[1])) as hub:
    os.environ["HF_ENDPOINT"] = hub.url
    from huggingface_hub import HfApi
    print(HfApi(token="t").create_repo("org/model") == hub.url + "/org/model")
"""
    shown = subprocess.run(
        [sys.executable, "-c", code, str(root)], check=True, capture_output=True, text=True, env=dict(os.environ)
    )
    assert shown.stdout.strip() == "True"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "0", "::ffff:0.0.0.0"])
def test_other_machines_are_let_in_only_by_users_or_on_purpose(root, auth, host):
    with pytest.raises(ConfigError, match="other machines") as refused:
        EmbeddedHub(root, HubOptions(host=host)).start()
    assert "--auth" in refused.value.hint
    assert "--open" in refused.value.hint
    assert not root.exists()
    for options in ({"auth": auth}, {"open_to_all": True}):
        with EmbeddedHub(root, HubOptions(host=host, **options)) as hub:
            named = urlsplit(hub.url).hostname
            assert named not in {"0.0.0.0", "::", "0", "::ffff:0.0.0.0", "", None}
            with urlopen(f"http://127.0.0.1:{urlsplit(hub.url).port}/api/models") as answer:
                assert answer.status == 200
            # The address that is told is one that the Hub goes by.
            with urlopen(
                Request(f"http://127.0.0.1:{urlsplit(hub.url).port}/api/models", headers={"Host": named})
            ) as answer:
                assert answer.status == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.3.2.1", "::1", "::ffff:127.0.0.1", "127.1"])
def test_loopback_in_every_spelling_needs_no_users(root, host):
    with EmbeddedHub(root, HubOptions(host=host)) as hub:
        assert urlsplit(hub.url).hostname in {host, "127.0.0.1"}


def test_without_a_network_the_machine_s_name_is_told(monkeypatch):
    monkeypatch.setattr(socket, "if_nameindex", lambda: [(1, "lo"), (2, "none0")])
    assert reachable("0.0.0.0") == reachable("::") == socket.gethostname()


@pytest.mark.parametrize("host", ["", "no such host", "x" * 300, "a..b", "\ud800"])
def test_a_host_that_is_none_is_refused(root, host):
    with pytest.raises(HubError, match="Cannot listen on"):
        EmbeddedHub(root, HubOptions(host=host)).start()
