"""`hubtune hub serve`: a Hub for unchanged clients, until a signal ends it."""

import json
import re
import shutil
import signal
import socket
from contextlib import contextmanager

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError

from hubtune.errors import ConfigError, HubError
from tests.end_to_end.worlds import CONFIG


@contextmanager
def serving(world, *arguments):
    """Runs `hubtune hub serve` on a free port; gives the process and the address that it printed."""
    with world.start("hub", "serve", world.hub, "--port", "0", *arguments) as process:
        try:
            line = process.stderr.readline()
            address = re.search(r"http://127\.0\.0\.1:\d+", line)
            assert address, line + process.stderr.read()
            yield process, address[0]
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_tells_its_address_serves_a_client_and_ends_cleanly(world, number):
    with serving(world) as (process, address):
        told = process.stderr.readline()
        assert f"HF_ENDPOINT={address}" in told
        assert "HF_HUB_DISABLE_XET=1" in told
        api = HfApi(endpoint=address, token="any")
        assert api.model_info("lab/gpt2").card_data.license == "apache-2.0"
        api.create_repo("me/new")
        process.send_signal(number)
        rest = process.stderr.read()
        assert process.wait(30) == 0
        assert "Traceback" not in rest
    with world.served() as api:
        assert api.repo_exists("me/new")


def test_a_folder_is_served_once_at_a_time(bare):
    with serving(bare):
        again = bare.hubtune("hub", "serve", bare.hub, "--port", "0")
        again.refused(HubError, str(bare.hub), "already being served")
        run = bare.hubtune("hub", "import", bare.work, "lab/new", "--hub", bare.hub)
        run.refused(HubError, str(bare.hub), "already being served")


@pytest.mark.parametrize(
    "command",
    [
        ("hub", "serve", "hub", "--port", "0"),
        pytest.param(("hub", "fsck", "hub"), marks=pytest.mark.full_trial),
        pytest.param(("hub", "import", "work", "lab/new", "--hub", "hub"), marks=pytest.mark.full_trial),
        pytest.param(("run", "hubtune.yaml", "--hub", "hub"), marks=pytest.mark.full_trial),
        ("quickstart", "--dir", "work"),
    ],
)
def test_a_link_in_a_hubs_folder_is_refused_by_every_command(bare, command):
    with serving(bare):
        pass
    (bare.work / "hubtune.yaml").write_text(json.dumps(CONFIG))
    diary = bare.root / "diary"
    diary.mkdir()
    (diary / "monday").write_text("rain")
    (bare.hub / "tmp").rmdir()
    (bare.hub / "tmp").symlink_to(diary)
    if command[0] == "quickstart":
        shutil.rmtree(bare.work)
        bare.hub.rename(bare.work)
    places = {"hub": bare.hub, "work": bare.work}
    arguments = [
        places.get(word, word) if index > 1 or command[0] != "hub" else word for index, word in enumerate(command)
    ]
    bare.hubtune(*arguments).refused(HubError, "tmp", "symbolic link")
    assert (diary / "monday").read_text() == "rain"


def test_a_taken_port_is_refused_with_what_to_do(bare):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        bare.hubtune("hub", "serve", bare.hub, "--port", port).refused(HubError, port, "--port")


def test_other_machines_are_refused_unless_it_is_said(bare):
    refused = bare.hubtune("hub", "serve", bare.hub, "--port", "0", "--host", "0.0.0.0")
    refused.refused(ConfigError, "other machines", "--auth", "--open")
    assert not (bare.hub / "hub.json").exists()
    with bare.start("hub", "serve", bare.hub, "--port", "0", "--host", "0.0.0.0", "--open") as process:
        told = [process.stderr.readline() for _ in range(3)]
        process.kill()
    assert "0.0.0.0" not in "".join(told)
    assert "can read, change and delete everything" in told[2]


def test_with_an_auth_file_only_its_tokens_may_write(bare, auth):
    with serving(bare, "--auth", auth) as (_, address):
        assert HfApi(endpoint=address, token="hf_annannann").create_repo("lab/new").repo_id == "lab/new"
        for token, status in [("hf_robrobrob", 403), ("hf_eveeveeve", 403), ("hf_wrongwrong", 401), (False, 401)]:
            with pytest.raises(HfHubHTTPError) as caught:
                HfApi(endpoint=address, token=token).create_repo("lab/other")
            assert caught.value.response.status_code == status


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, ["auth.yaml"]),
        ("users: [{name: ann}]", ["users[0].token", "missing"]),
        ("users: [{name: ann, tokn: hf_secretsecret}]", ["users[0].tokn"]),
    ],
    ids=["no file", "no token", "misspelt key"],
)
def test_a_faulty_auth_file_is_refused_without_telling_a_token(bare, text, words):
    path = bare.root / "auth.yaml"
    if text is not None:
        path.write_text(text)
    shown = bare.hubtune("hub", "serve", bare.hub, "--port", "0", "--auth", path)
    assert shown.code == ConfigError.exit_code
    assert "Traceback" not in shown.err
    assert "secret" not in shown.err
    for word in words:
        assert word in shown.err
