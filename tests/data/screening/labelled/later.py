"""Texts that were written after the detectors were finished. Cards tell what is measured here.

The detectors were made with the other labelled texts in view, so figures on those flatter them. They must not be
changed for a text that stands here: then it belongs to the others, and a new one takes its place.
"""

import base64
import random
import string

_ALNUM = string.ascii_letters + string.digits
_HEX = "0123456789abcdef"


def _drawn(length: int, alphabet: str, seed: int) -> str:
    return "".join(random.Random(seed * 77 + length).choices(alphabet, k=length))


PRESENT = {
    "email": [
        "Hi, this is Maria (⟦maria.lopez@example.com⟧) from accounting.",
        "cc ⟦hr@example.org⟧, ⟦legal@example.org⟧",
        "⟦m.o'neil@example.ie⟧",
        "You can find me at ⟦some_one@example.co.jp⟧...",
        "E-Mail:⟦buero@firma.example⟧|Tel",
        "[mail](mailto:⟦hello@example.com⟧)",
        '"⟦quoted@example.com⟧" is his',
        "⟦a.b+c-d@example.com⟧,",
        "user:⟦user1@example.net⟧:pass",
        "From ⟦list-owner@lists.example.org⟧ Tue",
        "contacto → ⟦ventas@example.mx⟧",
        "my address is ⟦bob@example.com⟧/⟦bob@example.org⟧",
        "⟦pat at example.com⟧ works too",
        "drop me a line @ ⟦zed@example.io⟧",
        "⟦first_last@example.travel⟧\n-- \nSent from my phone",
    ],
    "phone": [
        "Give us a call: ⟦(312) 555-0147⟧ or visit",
        "⟦+1-212-555-0198⟧ is the front desk",
        "cell ⟦646-555-0122⟧",
        "⟦+44 161 496 0777⟧",
        "fon ⟦+49 (0)30 23125 200⟧",
        "You can reach her at ⟦305.555.0133⟧ after 5",
        "tel. ⟦020 7946 0777⟧",
        "⟦+1 (888) 555-0111⟧ toll free",
        "⟦+41 44 555 01 23⟧ (Zürich)",
        "⟦+7 495 555-01-23⟧",
        "WhatsApp: ⟦+52 55 5550 1234⟧",
        "Phone (home): ⟦(503) 555-0188⟧",
        "⟦+27 21 555 0123⟧",
        "⟦0044 20 7946 0444⟧",
        "⟦+65 6555 0123⟧ Singapore",
        "⟦1 (800) 555-0100⟧",
        "#⟦702-555-0155⟧",
    ],
    "card_number": [
        "Card ending... full: ⟦4000 0000 0000 0077⟧",
        "⟦4000000000000002⟧ declines",
        "visa:⟦4242424242424242⟧;",
        "⟦5200 8282 8282 8210⟧/12/27",
        "mc ⟦5105-1051-0510-5100⟧ ok",
        "⟦6011000990139424⟧",
        "amex=⟦371449635398431⟧",
        "⟦3782 822463 10005⟧",
        "charge ⟦4000003800000446⟧ twice",
        "'⟦2223003122003222⟧'",
        "no ⟦6555900000604105⟧ here",
        "⟦36227206271667⟧ diners",
        "⟦3056 9309 0259 04⟧ in fours",
    ],
    "iban": [
        "Konto: ⟦DE75512108001245126199⟧",
        "⟦FR7630006000011234567890189⟧ svp",
        "Transfer → ⟦GB33BUKB20201555555555⟧ today",
        "⟦NL02 ABNA 0123 4567 89⟧",
        "⟦ES79 2100 0813 6101 2345 6789⟧",
        "⟦CH56 0483 5012 3456 7800 9⟧",
        "⟦IT60X0542811101000000123456⟧,",
        "'⟦BE71 0961 2345 6769⟧'",
        "⟦PL10105000997603123456789123⟧",
        "<iban>⟦AT48 3200 0000 1234 5864⟧</iban>",
        "⟦IE64IRCE92050112345678⟧ ok?",
        "⟦SE72 8000 0810 3400 0978 3242⟧",
        "IBAN⟦DE75512108001245126199⟧",
    ],
    "ip_address": [
        "Failed password for root from ⟦203.0.113.42⟧ port 22",
        "⟦192.0.2.200⟧ > ⟦198.51.100.44⟧: ICMP",
        "Server: ⟦198.51.100.10⟧#53",
        "nmap -sS ⟦203.0.113.17⟧",
        "'remote_addr': '⟦192.0.2.71⟧'",
        "https://⟦203.0.113.80⟧/login",
        "IP=⟦198.51.100.61⟧, UA=Mozilla/5.0",
        "user ⟦203.0.113.90⟧ edited the page",
        "route add ⟦198.51.100.0⟧/24",
        "[⟦2001:db8:0:42::7⟧]:443",
        "inet6 ⟦2001:db8:abcd:12::1⟧/64",
        "⟦2001:db8:0:0:8:800:200c:417a⟧",
        "traceroute to ⟦192.0.2.240⟧ (⟦192.0.2.240⟧), 30 hops",
        "⟦198.51.100.77⟧ | DE",
        "My home IP is ⟦203.0.113.199⟧",
    ],
    "secret": [
        "token: ⟦" + "hf" + "_" + _drawn(34, string.ascii_letters, 1) + "⟧",
        "os.environ['OPENAI_API_KEY'] = '⟦" + "sk-" + "proj-" + _drawn(60, _ALNUM, 2) + "⟧'",
        "curl -H 'Authorization: token ⟦" + "gh" + "p_" + _drawn(36, _ALNUM, 3) + "⟧'",
        "AWS_SECRET_ACCESS_KEY=⟦" + _drawn(40, _ALNUM + "/+", 4) + "⟧",
        "aws_access_key_id=⟦" + "AK" + "IA" + _drawn(16, string.ascii_uppercase + "234567", 5) + "⟧",
        "mysql://root:⟦" + _drawn(10, _ALNUM, 6) + "⟧@db:3306/x",
        "password: ⟦" + _drawn(14, _ALNUM + "!#%", 7) + "⟧",
        "PGPASSWORD=⟦" + _drawn(12, _ALNUM, 8) + "⟧ psql",
        '{"apiKey": "⟦' + _drawn(39, _ALNUM, 9) + '⟧"}',
        "mongodb+srv://admin:⟦" + _drawn(16, _ALNUM, 10) + "⟧@cluster.example.net",
        "slack ⟦"
        + "xox"
        + "p-"
        + _drawn(11, string.digits, 11)
        + "-"
        + _drawn(11, string.digits, 12)
        + "-"
        + _drawn(12, string.digits, 13)
        + "-"
        + _drawn(32, _HEX, 14)
        + "⟧",
        "Bearer ⟦"
        + ".".join(
            (
                base64.urlsafe_b64encode(b'{"alg":"RS256"}').decode().rstrip("="),
                base64.urlsafe_b64encode(b'{"iss":"me","exp":1}').decode().rstrip("="),
                _drawn(86, _ALNUM + "-_", 15),
            )
        )
        + "⟧",
        "set SECRET_KEY '⟦" + _drawn(50, _ALNUM + "!@#$%^&*(-_=+)", 16).replace("(", "a").replace(")", "b") + "⟧'",
        "pwd=⟦" + _drawn(9, _ALNUM, 17) + "⟧;",
        "wandb login ⟦" + _drawn(40, _HEX, 18) + "⟧",
        "login: admin / ⟦" + _drawn(11, _ALNUM, 19) + "⟧",
    ],
}
ABSENT = [
    "The 1990-1991 season ended 3-1, 2-2, 0-0.",
    "Tel Aviv 1948 1967 1973",
    "ISBN 0-19-853453-1 and 978-3-16-148410-0",
    "phone number 42",
    "call 911 or 112",
    "(555) is not a code",
    "Einstein, A. (1905). Annalen 322, 891-921.",
    "SKU 300-555-0100-B",
    "800-53 Rev. 5",
    "order 702-5550155-1234567",
    "1 555 000 items, 2 000 000 users",
    "Windows 10.0.22621.2715",
    "IPv4 127.0.0.53",
    "Version: 5.15.0.91",
    "nginx/1.25.3",
    "kernel 6.1.0.13",
    "255.255.255.255",
    "192.168.0.10/24",
    "1.1.1.1",
    "chapter 3.2.1.1 says",
    "2001: A Space Odyssey",
    "3:45:2001",
    "std::map<int,int>::iterator",
    "@user on X",
    "me@work",
    "foo@1.2.3",
    "git@gitlab.com:group/proj.git",
    "a@b.c",
    "name@@example.com",
    "@Test @Override",
    "vue@next",
    "<img src='a@2x.webp'>",
    "4024 0071 1234 5678",
    "4111111111111112",
    "16 digits 1111222233334444",
    "id 6011 0000 0000 0001",
    "DE44 5001 0517 5407 3249 32",
    "GB00 WEST 1234 5698 7654 32",
    "FR12 3456",
    "PO Box 1234 5678 9012 3456",
    "sha1 " + _drawn(40, _HEX, 30),
    'etag W/"' + _drawn(27, _ALNUM, 31) + '"',
    "id=" + _drawn(22, _ALNUM, 32),
    "token_count: 123456789",
    "tokens: 15000000000",
    "password must contain 8 characters",
    "Password1 is weak",
    "api_key=None",
    "secret_key = config['SECRET_KEY']",
    "auth: oauth2",
    "token is invalid2",
    "pass: 100%, fail: 0",
    "the token <|endoftext|> ends",
    "secret: s3cret?",
    "password=password123",
    "credentials: include",
    "data:font/woff2;base64,d09GMgABAAAAA" + _drawn(200, _ALNUM + "+/", 33),
    "public key: ssh-rsa AAAA" + _drawn(200, _ALNUM + "+/", 34),
    "<your_token_here>",
    "uuid=6ba7b810-9dad-11d1-80b4-00c04fd430c8",
    "transformers.AutoTokenizer.from_pretrained('gpt2')",
    "0x" + _drawn(40, _HEX, 35),
    "bitcoin 1" + _drawn(33, _ALNUM, 36),
    "https://t.co/" + _drawn(10, _ALNUM, 37),
    "GitHub token: see settings",
    "password: hunter2 (a famous joke)",
]
