"""A token, key or password in a file stops the release, and is named by file and line without being shown."""

from pathlib import Path

import pytest

from hubtune.errors import SecretFoundError
from hubtune.publish.preflight import refuse_secrets

# Put together here, so that no scanner takes this file for a leak.
LETTERS = "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCdEfGhIjKlMnOpQrStUvWxYz0123456789"
SECRETS = {
    "hugging face": "hf_" + LETTERS[:34],
    "hugging face oauth": "hf_oauth_" + LETTERS[:40],
    "hugging face organisation": "api_org_" + LETTERS[:34],
    "aws key id": "AKIA" + "IOSFODNN7EXAMPLE"[:16],
    "aws secret": 'aws_secret_access_key = "' + LETTERS[:40] + '"',
    "private key": "-----BEGIN " + "OPENSSH PRIVATE KEY-----",
    "private key of no kind": "-----BEGIN " + "PRIVATE KEY-----",
    "pgp": "-----BEGIN PGP " + "PRIVATE KEY BLOCK-----",
    "github": "ghp_" + LETTERS[:36],
    "github fine-grained": "github_pat_" + LETTERS + LETTERS[:20],
    "gitlab": "glpat-" + LETTERS[:20],
    "slack": "xoxb-" + "123456789012-" + LETTERS[:24],
    "google": "AIza" + LETTERS[:35],
    "openai": "sk-proj-" + LETTERS[:20] + "T3BlbkFJ" + LETTERS[:20],
    "anthropic": "sk-ant-" + "api03-" + LETTERS[:40],
    "stripe": "sk_live_" + LETTERS[:24],
    "pypi": "pypi-" + "AgEIcHlwaS5vcmc" + LETTERS,
    "npm": "npm_" + LETTERS[:36],
    "json web token": ".".join(["eyJ" + LETTERS[:20], "eyJ" + LETTERS[:30], LETTERS[:43]]),
    "address": "https://ann:" + "letmein@example.org/data",
}


# What is said of it: its kind, and how it begins.
SAID = {
    "hugging face": "a Hugging Face token (hf_A…)",
    "hugging face oauth": "a Hugging Face token (hf_o…)",
    "hugging face organisation": "a Hugging Face token (api_…)",
    "aws key id": "an AWS access key (AKIA…)",
    "aws secret": "an AWS secret key (secr…)",
    "private key": "a private key (----…)",
    "private key of no kind": "a private key (----…)",
    "pgp": "a private key (----…)",
    "github": "a GitHub token (ghp_…)",
    "github fine-grained": "a GitHub token (gith…)",
    "gitlab": "a GitLab token (glpa…)",
    "slack": "a Slack token (xoxb…)",
    "google": "a Google API key (AIza…)",
    "openai": "an OpenAI key (sk-p…)",
    "anthropic": "an Anthropic key (sk-a…)",
    "stripe": "a Stripe key (sk_l…)",
    "pypi": "a PyPI token (pypi…)",
    "npm": "an npm token (npm_…)",
    "json web token": "a JSON web token (eyJA…)",
    "address": "a password in an address (ann:…)",
}


@pytest.mark.parametrize("name", SECRETS)
def test_each_kind_is_found_with_its_line_and_not_shown(name: str):
    with pytest.raises(SecretFoundError, match="holds 1 secret;") as caught:
        refuse_secrets({"README.md": f"# Card\n\nUse {SECRETS[name]} here.\n".encode(), "a.txt": b"fine"}, None)

    assert caught.value.details == (f"README.md, line 3: {SAID[name]}",)


@pytest.mark.parametrize(
    ("secret", "prefixes"),
    [
        (SECRETS["hugging face"], ("hf_", "hf_oauth_", "api_org_")),
        (SECRETS["aws key id"], ("AKIA", "ASIA")),
        (SECRETS["github"], ("ghp_", "gho_", "ghu_", "ghs_", "ghr_")),
        (SECRETS["slack"], ("xoxb-", "xoxa-", "xoxp-", "xoxo-", "xoxs-", "xoxr-")),
        (SECRETS["stripe"], ("sk_live_", "rk_live_")),
        (SECRETS["aws secret"], ("aws_secret_access_key", "AWS_SECRET_ACCESS_KEY", "secretAccessKey")),
    ],
    ids=["hugging face", "aws key id", "github", "slack", "stripe", "aws secret"],
)
def test_each_prefix_of_a_kind_is_found(secret: str, prefixes: tuple[str, ...]):
    text = "".join(f"{prefix}{secret.removeprefix(prefixes[0])}\n" for prefix in prefixes)
    with pytest.raises(SecretFoundError) as caught:
        refuse_secrets({"a.txt": text.encode()}, None)

    assert len(caught.value.details) == len(prefixes)


def test_the_token_in_use_is_found_whatever_its_form(tmp_path: Path):
    file = tmp_path / "config.json"
    file.write_text('{\n "a": 1,\n "b": "odd-secret/with+signs"}\n')

    with pytest.raises(SecretFoundError) as caught:
        refuse_secrets({"config.json": file}, "odd-secret/with+signs")

    assert caught.value.details == ("config.json, line 3: the token in use",)


def test_every_secret_of_every_file_is_named_once():
    token = SECRETS["hugging face"]
    with pytest.raises(SecretFoundError, match="holds 3 secrets;") as caught:
        refuse_secrets({"b.txt": f"{token}\n{token}".encode(), "a.txt": SECRETS["github"].encode()}, token)

    assert caught.value.details == (
        "a.txt, line 1: a GitHub token (ghp_…)",
        "b.txt, line 1: the token in use",
        "b.txt, line 2: the token in use",
    )


@pytest.mark.parametrize(
    "text",
    [
        "sha256 9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c",
        "hf_hub_download, hf_token and HF_TOKEN; hf_model_with_a_rather_long_name_of_words",
        "https://huggingface.co/org/name@v1.0.0 and mailto://ann@example.org",
        "git+https://example.org:8080/a@b",
        "-----BEGIN PUBLIC KEY-----",
        "the tokens sk-ant and ghp_ and eyJ.eyJ are prefixes",
        '"Ġaws_secret_access_key": 4711',
    ],
)
def test_what_only_looks_like_one_is_let_through(text: str):
    refuse_secrets({"README.md": text.encode()}, None)


def test_weights_are_not_read_as_text(tmp_path: Path):
    file = tmp_path / "w.safetensors"
    file.write_bytes(b"\x08\0\0\0\0\0\0\0{}" + SECRETS["hugging face"].encode())

    refuse_secrets({"w.safetensors": file}, None)


@pytest.mark.parametrize("token", ["any", "embedded", "t"])
def test_a_word_that_an_embedded_hub_takes_for_a_token_is_none(token: str):
    refuse_secrets({"README.md": b"Any word, such as an embedded one, may stand here: any embedded t."}, token)


def test_lines_are_counted_through_a_file_that_is_read_in_parts(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("hubtune.publish.preflight._BLOCK", 64)
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "some words"}\n' * 99 + SECRETS["github"] + "\n" + "x\n" * 40)
    with pytest.raises(SecretFoundError) as caught:
        refuse_secrets({"rows.jsonl": path}, None, source="the folder")
    assert list(caught.value.details) == ["rows.jsonl, line 100: a GitHub token (ghp_…)"]
    assert "Take them out of the folder," in str(caught.value.hint)
