"""Each form of secret is found in the rows before training, and refused in the files before publishing."""

import random
import string

import pytest

from hubtune.data.screening.detectors import Detectors
from hubtune.errors import SecretFoundError
from hubtune.publish.preflight import refuse_secrets
from hubtune.token_forms import FORMS

_ALNUM = string.ascii_letters + string.digits
_UPPER = string.ascii_uppercase + string.digits
_HEX = "0123456789abcdef"
_RANDOM = random.Random(11)


def drawn(length: int, alphabet: str = _ALNUM) -> str:
    return "".join(_RANDOM.choices(alphabet, k=length))


# Put together here, so that no scanner takes this file for a leak. `|` stands for the beginning of what is the secret.
EXAMPLES: dict[str, tuple[str, ...]] = {
    "a Hugging Face token": tuple(f"{prefix}_{drawn(34)}" for prefix in ("hf", "hf_oauth", "api_org")),
    "an AWS access key": tuple(
        f"{prefix}{drawn(15, _UPPER)}7" for prefix in ("AK" + "IA", "AS" + "IA", "AB" + "IA", "AC" + "CA", "A3" + "TX")
    ),
    "an AWS secret key": tuple(
        f"{name}|{drawn(40)}" for name in ("aws_secret_access_key = ", "AWS_SECRET_ACCESS_KEY=", '"secretAccessKey": "')
    ),
    "a private key": tuple(
        f"-----BEGIN {kind}-----\n{drawn(64)}\n-----END {kind}-----"
        for kind in ("PRIVATE " + "KEY", "RSA PRIVATE " + "KEY", "PGP PRIVATE " + "KEY BLOCK")
    ),
    "a GitHub token": (
        *(f"gh{letter}_{drawn(36)}" for letter in "pousr"),
        f"github_{'pat'}_{drawn(22)}_{drawn(59)}",
    ),
    "a GitLab token": (
        *(f"gl{kind}-{drawn(20)}" for kind in ("pat", "dt", "ft", "soat", "rt", "cbt")),
        *(f"gl{kind}-{drawn(length)}" for kind, length in (("imt", 25), ("ptt", 40), ("agent", 50), ("oas", 64))),
        f"GR{1348941}{drawn(20)}",
    ),
    "a Slack token": (
        *(f"xox{letter}-{drawn(12, string.digits)}-{drawn(24)}" for letter in "abeoprs"),
        f"xapp-1-{drawn(40)}",
        f"https://hooks.slack{'.com'}/services/T{drawn(8, _UPPER)}/B{drawn(8, _UPPER)}/{drawn(24)}",
    ),
    "a Google API key": (f"AI{'za'}{drawn(35)}",),
    "a Google OAuth token": (f"ya29{'.'}{drawn(60)}", f"GOC{'SPX'}-{drawn(28)}"),
    "an Anthropic key": (f"sk-ant-{'api03'}-{drawn(93)}AA",),
    "an OpenAI key": (
        f"sk-{drawn(20)}T3Blbk{'FJ'}{drawn(20)}",
        *(f"sk-{kind}-{drawn(48)}" for kind in ("proj", "svcacct")),
    ),
    "an OpenRouter key": (f"sk-or-{'v1'}-{drawn(64, _HEX)}",),
    "an API key": (f"sk-{drawn(48)}",),
    "a Groq key": (f"gs{'k_'}{drawn(52)}",),
    "a Perplexity key": (f"pp{'lx'}-{drawn(48)}",),
    "an xAI key": (f"xa{'i'}-{drawn(80)}",),
    "a Stripe key": tuple(f"{kind}_{drawn(24)}" for kind in ("sk_live", "rk_live", "sk_test", "rk_test", "sk_prod")),
    "a webhook's secret": (f"wh{'sec'}_{drawn(32)}",),
    "a PyPI token": (f"pypi-{'AgEIcHlwaS5vcmc'}{drawn(80)}", f"pypi-{'AgENdGVzdC5weXBpLm9yZw'}{drawn(80)}"),
    "an npm token": (f"np{'m'}_{drawn(36)}",),
    "a Docker Hub token": (f"dckr_{'pat'}_{drawn(27)}",),
    "a HashiCorp Vault token": (f"hv{'s'}.{drawn(90)}",),
    "a DigitalOcean token": (f"dop_{'v1'}_{drawn(64, _HEX)}",),
    "an Atlassian token": (f"ATA{'TT3'}{drawn(100)}",),
    "a Postman key": (f"PM{'AK'}-{drawn(24, _HEX)}-{drawn(34, _HEX)}",),
    "a New Relic key": (f"NR{'AK'}-{drawn(27, _UPPER)}",),
    "a Linear key": (f"lin_{'api'}_{drawn(40)}",),
    "a Shopify token": tuple(f"{kind}_{drawn(32, _HEX)}" for kind in ("shpat", "shpca", "shppa", "shpss")),
    "a SendGrid key": (f"S{'G'}.{drawn(22)}.{drawn(43)}",),
    "a Mailchimp key": (f"{drawn(32, _HEX)}-{'us'}12",),
    "a Square secret": (f"sq0{'csp'}-{drawn(43)}",),
    "a Twilio key": tuple(f"{kind}{drawn(32, _HEX)}" for kind in ("AC", "SK")),
    "a Discord token": tuple(f"{first}{drawn(23)}.{drawn(6)}.{drawn(27)}" for first in "MNO"),
    "a Telegram token": (f"{drawn(9, '123456789')}:AA{drawn(33)}",),
    "an age key": (f"AGE-SECRET-{'KEY'}-1{drawn(58, _UPPER)}",),
    "a JSON web token": (f"ey{'J'}{drawn(20)}.ey{'J'}{drawn(30)}.{drawn(43)}",),
    "a password in an address": ("https://ann:|" + drawn(12) + "@example.org/data",),
}
CASES = [(kind, *example.rpartition("|")[::2]) for kind, examples in EXAMPLES.items() for example in examples]


@pytest.mark.parametrize(("kind", "before", "secret"), CASES, ids=[f"{c[0]} {c[1]}{c[2]}"[:40] for c in CASES])
def test_a_secret_of_each_form_is_found_in_rows_and_refused_in_files(kind: str, before: str, secret: str):
    text = f"Some words, {before}{secret} and more."
    found = [span for span in Detectors.make().find(text) if span.kind == "secret"]
    with pytest.raises(SecretFoundError) as caught:
        refuse_secrets({"README.md": f"# Card\n{text}".encode()}, None)

    value = secret.partition("@")[0]
    assert [text[span.start : span.end] for span in found] == [value]
    (named,) = caught.value.details
    assert named.startswith(f"README.md, line 2: {kind} (")
    assert value[5:] not in named


@pytest.mark.parametrize("secret", [secret for kind, before, secret in CASES if not before and kind != "a private key"])
def test_a_token_within_a_longer_word_is_none(secret: str):
    refuse_secrets({"a.txt": f"longer{secret}".encode()}, None)


def test_every_form_has_an_example():
    assert {form.kind for form in FORMS} == EXAMPLES.keys()
    examples = [before + secret for _, before, secret in CASES]
    assert [m for form in FORMS for m in form.marks if not any(m in example for example in examples)] == []


def test_what_only_begins_like_a_token_is_none():
    text = (
        "See https://example.org/xai-methods-for-interpretable-models, xoxo-with-love-from-all-of-us-here and "
        "ACCATGCATGCATGCATGCA."
    )
    refuse_secrets({"README.md": text.encode()}, None)
    assert Detectors.make().find(text) == []
