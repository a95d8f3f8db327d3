"""Texts with and without secrets. Nothing here is one: values are drawn by a seed and put together when this is read.

So no scanner that looks at this file finds a token in it.
"""

import base64
import random
import string

_ALNUM = string.ascii_letters + string.digits
_UPPER = string.ascii_uppercase + string.digits
_HEX = "0123456789abcdef"
_URL = _ALNUM + "-_"


def _drawn(length: int, alphabet: str = _ALNUM, seed: int = 0) -> str:
    return "".join(random.Random(seed * 1000 + length).choices(alphabet, k=length))


def _encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _pem(kind: str, lines: int, seed: int) -> str:
    body = "\n".join(_drawn(64, _ALNUM + "+/", seed + line) for line in range(lines))
    return f"-----BEGIN {kind}-----\n{body}\n-----END {kind}-----"


_JWT = ".".join(
    (_encoded('{"alg":"HS256","typ":"JWT"}'), _encoded('{"sub":"1234567890","name":"A"}'), _drawn(43, _URL))
)

PRESENT = (
    f"HF_TOKEN=⟦{'hf' + '_' + _drawn(34, string.ascii_letters, 1)}⟧",
    f"login(token='⟦{'hf' + '_' + _drawn(34, string.ascii_letters, 2)}⟧')",
    f"export AWS_ACCESS_KEY_ID=⟦{'AK' + 'IA' + _drawn(16, _UPPER, 3)}⟧",
    f"temporary ⟦{'AS' + 'IA' + _drawn(16, _UPPER, 4)}⟧ expires soon",
    f"aws_secret_access_key = ⟦{_drawn(40, _ALNUM + '/+', 5)}⟧",
    f"⟦{'gh' + 'p_' + _drawn(36, seed=6)}⟧ is my GitHub token",
    f"token ⟦{'gh' + 's_' + _drawn(36, seed=7)}⟧",
    f"⟦{'github' + '_pat_' + _drawn(22, seed=8) + '_' + _drawn(59, seed=9)}⟧",
    f"⟦{'gl' + 'pat-' + _drawn(20, _URL, 10)}⟧",
    f"SLACK=⟦{'xo' + 'xb-' + _drawn(12, string.digits, 11) + '-' + _drawn(13, string.digits, 12) + '-' + _drawn(24)}⟧",
    f"⟦{'https://hooks.slack' + '.com/services/T' + _drawn(8, _UPPER) + '/B' + _drawn(8, _UPPER) + '/' + _drawn(24)}⟧",
    f"stripe.api_key = '⟦{'sk' + '_live_' + _drawn(24, seed=13)}⟧'",
    f"⟦{'rk' + '_live_' + _drawn(24, seed=14)}⟧",
    f"key=⟦{'AI' + 'za' + _drawn(35, _URL, 15)}⟧&q=x",
    f"OPENAI_API_KEY=⟦{'sk-' + _drawn(20, seed=16) + 'T3Blbk' + 'FJ' + _drawn(20, seed=17)}⟧",
    f"⟦{'sk-' + 'proj-' + _drawn(48, seed=18)}⟧",
    f"⟦{'sk-' + 'ant-api03-' + _drawn(93, _URL, 19) + 'AA'}⟧",
    f"//registry.npmjs.org/:_authToken=⟦{'np' + 'm_' + _drawn(36, seed=20)}⟧",
    f"⟦{'pypi-' + 'AgEIcHlwaS5vcmc' + _drawn(80, _URL, 21)}⟧",
    f"⟦{'S' + 'G.' + _drawn(22, _URL, 22) + '.' + _drawn(43, _URL, 23)}⟧",
    f"Authorization: Bearer ⟦{_JWT}⟧",
    f"⟦{_pem('RSA PRIVATE ' + 'KEY', 5, 24)}⟧",
    f"key:\n⟦{_pem('OPENSSH PRIVATE ' + 'KEY', 4, 34)}⟧\nthat was it",
    f"⟦{_pem('PRIVATE ' + 'KEY', 3, 44)}⟧",
    f"⟦{_pem('EC PRIVATE ' + 'KEY', 2, 54)}⟧",
    f"postgres://app:⟦{_drawn(14, seed=25)}⟧@db.example.com/main",
    f"https://bob:⟦{_drawn(12, seed=26)}⟧@example.com/repo.git",
    f'password = "⟦{_drawn(16, seed=27)}⟧"',
    f"DB_PASSWORD=⟦{_drawn(20, _ALNUM + '!$%', 28)}⟧",
    f'"client_secret": "⟦{_drawn(32, seed=29)}⟧"',
    f"api_key: '⟦{_drawn(32, _HEX, 30)}⟧'",
    f"TELEGRAM=⟦{'7' + _drawn(9, string.digits, 31) + ':AA' + _drawn(33, _URL, 31)}⟧",
    f"AccountName=a;AccountKey=⟦{_drawn(86, _ALNUM + '+/', 32) + '=='}⟧",
    f"auth_token=⟦{_drawn(40, _HEX, 33)}⟧",
    f"⟦{'dop' + '_v1_' + _drawn(64, _HEX, 35)}⟧",
    f"secret: ⟦{_drawn(24, seed=36)}⟧",
    f"my password is ⟦{_drawn(12, seed=37)}⟧, do not tell",
    f"the code ⟦{_drawn(10, seed=38)}⟧ opens the door",
)

ABSENT = (
    "commit " + _drawn(40, _HEX, 50),
    "sha256:" + _drawn(64, _HEX, 51),
    "md5 " + _drawn(32, _HEX, 52),
    "UUID 123e4567-e89b-12d3-a456-426614174000",
    "data:image/png;base64," + _drawn(200, _ALNUM + "+/", 53),
    "integrity: sha512-" + _drawn(86, _ALNUM + "+/", 54) + "==",
    "ssh-rsa AAAAB3NzaC1yc2E" + _drawn(300, _ALNUM + "+/", 55) + " bob@host",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5" + _drawn(48, _ALNUM + "+/", 56),
    _pem("PUBLIC KEY", 4, 57),
    _pem("CERTIFICATE", 6, 67),
    "-----BEGIN PGP SIGNATURE-----\n\n" + _drawn(64, seed=77) + "\n-----END PGP SIGNATURE-----",
    "password: required",
    "password = os.environ['DB_PASSWORD']",
    "token = get_token()",
    "api_key=YOUR_API_KEY",
    "api_key: <your-api-key-here>",
    "password: ${DB_PASSWORD}",
    "password = '********'",
    "secret: {{ secrets.HF_TOKEN }}",
    "PASSWORD=changeme",
    "password=None, token=None",
    "max_tokens=4096, eos_token='</s>'",
    "tokenizer.pad_token = tokenizer.eos_token",
    "hf_hub_download(repo_id='org/model', filename='a.bin')",
    "from sklearn import svm  # sk-learn",
    "the sk-learn-contrib-lightning-estimators package",
    "gh" + "p_" + "x" * 36,
    "hf" + "_" + "x" * 34,
    "AK" + "IAIOSFODNN7" + "EXAMPLE",
    "AKIA is how such keys begin",
    "Tokens begin with hf_ and ghp_ and sk_live_.",
    "The secret of success is hard work.",
    "My password is the name of my first cat.",
    "The password: he whispered it twice.",
    "Secret: never give up",
    "https://user:password@example.com/",
    "https://example.com/a:b@c",
    "postgres://user@localhost/db",
    'etag: "' + _drawn(32, _HEX, 58) + '"',
    "DOI:10.1038/s41586-021-03819-2",
    "serial " + _drawn(20, _UPPER, 59),
    "ipfs://Qm" + _drawn(44, seed=60),
    "https://youtu.be/" + _drawn(11, _URL, 61),
    "https://docs.example.com/d/" + _drawn(44, _URL, 62) + "/edit",
    "token: 50256",
    "secret_santa = 'Christopher Robin'",
    "token_type: bearer",
    "next_page_token: null",
    "password_hash_algorithm: pbkdf2_sha256",
    "key=value; key2=value2",
)
