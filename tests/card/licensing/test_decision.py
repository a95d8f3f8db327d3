"""The license decision: the whole matrix of pairs, and what holds for any inputs."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubtune.card.licensing.decision import LicenseDecision, decide
from hubtune.card.licensing.rules import license_table
from hubtune.config.schema import AcceptedLicense
from hubtune.records.base import LicensedInput

MATRIX = Path(__file__).parents[2] / "golden" / "licenses" / "matrix.txt"
IDS = [*license_table().licenses, *license_table().families, "other", "unknown"]
WORSE = {"allowed": 0, "duties": 1, "refused": 2}
SIGNED = (AcceptedLicense(repo="org/unclear", reason="The owner wrote that it may be used.", by="A. Lawyer"),)

identifiers = st.sampled_from([*IDS, "mpl-2.0", "made up", "MIT OR GPL-3.0-only", "Apache-2.0"])
stated = st.lists(identifiers, max_size=3)
wanted = st.sampled_from(["auto", *IDS])


def base(*licenses: str, **values: str) -> LicensedInput:
    return LicensedInput(kind="base", licenses=list(licenses), **values)


def data(*licenses: str, **values: str) -> LicensedInput:
    return LicensedInput(kind="data", licenses=list(licenses), **values)


def told(decision: LicenseDecision) -> tuple[object, ...]:
    return decision.verdict, decision.license, sorted(d.text for d in decision.duties), sorted(decision.reasons)


def test_every_base_with_every_data_set_gives_what_the_golden_matrix_says():
    lines = [
        f"{one} + {two}: {decision.verdict}{f' {decision.license}' if decision.license else ''}"
        for one in IDS
        for two in IDS
        for decision in [decide([base(one), data(two)])]
    ]
    found = "\n".join(lines) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        MATRIX.parent.mkdir(exist_ok=True)
        MATRIX.write_text(found, encoding="utf-8")

    assert found == MATRIX.read_text(encoding="utf-8")


@given(first=stated, others=st.lists(stated, max_size=4), wish=wanted, order=st.randoms(use_true_random=False))
@settings(max_examples=300)
def test_order_never_matters(first: list[str], others: list[list[str]], wish: str, order):
    inputs = [base(*first), *(data(*licenses) for licenses in others)]
    shuffled = [
        item.model_copy(update={"licenses": order.sample(item.licenses, len(item.licenses))}) for item in inputs
    ]
    order.shuffle(shuffled)

    assert told(decide(shuffled, wish)) == told(decide(inputs, wish))


@given(inputs=st.lists(stated, min_size=1, max_size=4), more=stated, wish=wanted, kind=st.sampled_from([base, data]))
@settings(max_examples=500)
def test_adding_an_input_never_loosens(inputs: list[list[str]], more: list[str], wish: str, kind):
    few = [base(*inputs[0]), *(data(*licenses) for licenses in inputs[1:])]

    before, after = decide(few, wish), decide([*few, kind(*more)], wish)

    assert WORSE[after.verdict] >= WORSE[before.verdict]


@given(inputs=st.lists(stated, min_size=1, max_size=3), more=stated, position=st.integers(0, 2))
@settings(max_examples=200)
def test_a_further_licence_of_an_input_never_loosens(inputs: list[list[str]], more: list[str], position: int):
    def made(extra: list[str]) -> list[LicensedInput]:
        return [
            (data if number else base)(*licenses, *(extra if number == position % len(inputs) else []))
            for number, licenses in enumerate(inputs)
            if licenses or more
        ]

    # An input that states nothing is refused already, and naming its license is what it lacked.
    if all(inputs):
        assert WORSE[decide(made(more)).verdict] >= WORSE[decide(made([])).verdict]


@pytest.mark.parametrize(
    ("inputs", "license"),
    [
        (["apache-2.0", "mit", "cc-by-4.0"], "apache-2.0"),
        (["apache-2.0", "cc-by-nc-4.0"], "cc-by-nc-4.0"),
        (["mit", "cc-by-nc-4.0", "cc-by-nc-sa-4.0"], "cc-by-nc-sa-4.0"),
        (["mit", "cc-by-sa-3.0", "cc-by-sa-4.0"], "cc-by-sa-4.0"),
        (["gpl-3.0", "cc-by-sa-4.0"], "gpl-3.0"),
        (["gpl-3.0", "agpl-3.0"], "agpl-3.0"),
        (["lgpl-3.0", "gpl-3.0"], "gpl-3.0"),
        (["llama3.1", "cc-by-4.0"], "llama3.1"),
        (["llama3.1", "cc-by-nc-4.0"], "other"),
        (["gemma", "llama3"], "other"),
        (["mit", "openrail"], "openrail"),
        (["Apache-2.0", "GPL-3.0-or-later"], "gpl-3.0"),
        (["mit", "bsd"], "mit"),
    ],
)
def test_the_release_gets_the_licence_that_holds_all_terms(inputs: list[str], license: str):
    decision = decide([base(inputs[0]), *(data(item) for item in inputs[1:])])

    assert (decision.verdict != "refused", decision.license) == (True, license)


@pytest.mark.parametrize(
    ("inputs", "wish", "word"),
    [
        (["mit", "cc-by-nd-4.0"], "auto", "derivatives"),
        (["cc-by-nd-4.0", "mit"], "auto", "derivatives"),
        (["mit", "cc"], "auto", "derivatives"),
        (["mit", "cc-by-nc-4.0"], "mit", "forbids commercial use"),
        (["mit", "cc-by-sa-4.0"], "apache-2.0", "same license"),
        (["llama3.1", "mit"], "apache-2.0", "use restrictions"),
        (["llama3.1", "mit"], "openrail", "does not include"),
        (["mit", "cc-by-sa-4.0", "cc-by-nc-4.0"], "auto", "forbids commercial use"),
        (["llama3.1", "cc-by-sa-4.0"], "auto", "no further restrictions"),
        (["gemma", "gpl-3.0"], "auto", "no further restrictions"),
        (["mit", "cc-by-sa-4.0", "agpl-3.0"], "auto", "each require their own"),
        (["mit", "cc-by-sa-4.0"], "agpl-3.0", "same license"),
        (["gpl-3.0", "mit"], "cc-by-sa-4.0", "same license"),
        (["apache-2.0", "gpl-2.0"], "auto", "are incompatible"),
        (["apache-2.0", "gpl"], "auto", "are incompatible"),
        (["apache-2.0", "mit"], "gpl-2.0", "are incompatible"),
        (["mit", "mpl-2.0"], "auto", "no license grant is known"),
        (["unknown", "mit"], "auto", "no license grant is known"),
        (["mit", "mit"], "unknown", "cannot state"),
        (["mit", "cc-by-sa-4.0"], "other", "same license"),
    ],
)
def test_what_cannot_be_released_is_refused_with_the_reason(inputs: list[str], wish: str, word: str):
    decision = decide([base(inputs[0]), *(data(item) for item in inputs[1:])], wish)

    assert (decision.verdict, decision.license) == ("refused", None)
    assert any(word in reason for reason in decision.reasons)


@pytest.mark.parametrize(
    ("license", "name", "verdict"),
    [
        ("llama3", None, "duties"),
        ("llama3", "Llama-3-quotes", "duties"),
        ("llama3", "Llama3-quotes", "duties"),
        ("llama3", "Llama-quotes", "refused"),
        ("llama3.2", "Llama-quotes", "duties"),
        ("llama3.2", "quotes-llama", "refused"),
        ("llama2", "quotes", "duties"),
        ("gemma", "quotes", "duties"),
    ],
)
def test_a_known_name_has_to_begin_as_the_licence_says(license: str, name: str | None, verdict: str):
    assert decide([base(license), data("mit")], name=name).verdict == verdict


def test_a_missing_licence_needs_a_signed_reason_which_becomes_a_duty():
    unclear = LicensedInput(kind="data", repo="org/unclear", licenses=[])

    decision = decide([base("mit"), unclear], accepted=SIGNED)

    assert decide([base("mit"), unclear]).verdict == "refused"
    assert (decision.verdict, decision.license, decision.accepted) == ("duties", "mit", SIGNED)
    assert any("A. Lawyer" in duty.text for duty in decision.duties)


def test_a_signed_reason_does_not_lift_what_a_known_licence_forbids():
    forbidding = LicensedInput(kind="data", repo="org/unclear", licenses=["cc-by-nd-4.0"])

    assert decide([base("mit"), forbidding], accepted=SIGNED).verdict == "refused"


def test_a_licence_of_its_own_needs_its_text_as_well():
    bare = LicensedInput(kind="base", repo="org/unclear", licenses=["other"], license_name="house-terms")
    linked = bare.model_copy(update={"license_link": "https://example.org/terms"})

    decision = decide([linked, data("mit")], accepted=SIGNED)

    assert decide([bare, data("mit")], accepted=SIGNED).verdict == "refused"
    assert (decision.license, decision.license_name, decision.license_link) == ("other", "house-terms", "LICENSE")


def test_duties_of_a_llama_base_name_notice_policy_clause_display_and_name():
    kinds = {duty.kind for duty in decide([base("llama3.2"), data("cc-by-4.0")]).duties}

    assert kinds == {
        *("license_text", "notice", "use_restrictions", "clause", "display", "name_prefix", "attribution"),
    }


def test_attribution_names_the_pinned_revision():
    pinned = LicensedInput(kind="data", repo="org/sayings", commit="a" * 40, licenses=["cc-by-4.0"])

    texts = [duty.text for duty in decide([base("cc0-1.0"), pinned]).duties]

    assert len(texts) == 1
    assert all(part in texts[0] for part in ("org/sayings", "a" * 40, "creativecommons.org/licenses/by/4.0"))


def test_the_text_of_every_licence_that_hubtune_ships_reads_as_that_licence():
    table = license_table()
    for license in table.licenses.values():
        text = table.text_of(license)
        assert (text is not None) == (license.text == "texts")
        if text is not None:
            assert len(text) > 300


@pytest.mark.parametrize(
    ("data_license", "wish"), [("cc-by-sa-4.0", "auto"), ("mit", "mit"), ("mit", "gpl-3.0")], ids=["SA", "mit", "gpl"]
)
def test_terms_of_a_base_that_nobody_knows_are_not_replaced(data_license: str, wish: str):
    unclear = LicensedInput(kind="base", repo="org/unclear", licenses=[])

    assert decide([unclear, data(data_license)], wish, accepted=SIGNED).verdict == "refused"
    assert decide([unclear, data("mit")], accepted=SIGNED).license == "unknown"


def test_a_stated_licence_whose_text_is_not_at_hand_is_refused_for_a_real_release():
    real = LicensedInput(kind="base", repo="org/base", licenses=["mit"])

    assert decide([real, data("mit")], "mpl-2.0").verdict == "refused"
    assert decide([real, data("mit")], "apache-2.0").verdict == "allowed"


def test_a_notice_alone_is_no_copy_of_the_licence():
    noticed = LicensedInput(kind="base", repo="org/llama", licenses=["llama3.2"], files={"NOTICE": "0" * 64})

    assert decide([noticed, data("mit")]).verdict == "refused"


def test_a_signed_reason_for_a_known_licence_is_not_shown():
    known = LicensedInput(kind="data", repo="org/unclear", licenses=["cc-by-4.0"])

    assert decide([base("mit"), known], accepted=SIGNED).accepted == ()


@pytest.mark.parametrize("stated", ["()", "( )", "AND", "a\nb", "\x00"])
def test_nonsense_is_an_unknown_licence(stated: str):
    assert decide([base(stated), data("mit")]).verdict == "refused"
