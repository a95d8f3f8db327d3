"""Reads the marks of a labeled text: what stands between ⟦ and ⟧ is to be found."""

from tests.data.screening.labelled import addresses, cards, emails, ibans, phones, secrets

SETS = {
    "email": emails,
    "phone": phones,
    "card_number": cards,
    "iban": ibans,
    "ip_address": addresses,
    "secret": secrets,
}


def unmarked(marked: str) -> tuple[str, set[tuple[int, int]]]:
    """Returns the text without marks, and from where to where the marked values stand in it."""
    text = ""
    places = set()
    for piece in marked.split("⟦"):
        value, closed, rest = piece.partition("⟧")
        if closed:
            places.add((len(text), len(text) + len(value)))
        text += value + rest
    return text, places
