"""The licences of the inputs as their owners state them, and the release's with where it comes from."""

from dataclasses import dataclass

from hubtune.card.inputs import SHORT_COMMIT, CardInputs
from hubtune.card.licenses import Source, choose_license, stated_licenses


@dataclass(frozen=True)
class InputLicense:
    """What one input's repository states at a commit, shortened; `licenses` is empty where it states none."""

    kind: str
    repo: str
    commit: str
    licenses: list[str]


@dataclass(frozen=True)
class Licensing:
    """Context of `sections/licensing.md.j2`."""

    license: str
    source: Source
    base: str
    base_licenses: list[str]
    inputs: list[InputLicense]
    silent_data: list[str]


def licensing(inputs: CardInputs) -> Licensing:
    """Builds the section's context."""
    choice = choose_license(inputs.config, inputs.pins)
    base = inputs.pins.base
    rows = [InputLicense("Base model", base.repo, base.commit[:SHORT_COMMIT], stated_licenses(base.license))]
    for pin in inputs.pins.data:
        row = InputLicense("Data set", pin.repo, pin.commit[:SHORT_COMMIT], stated_licenses(pin.license))
        if row not in rows:
            rows.append(row)
    return Licensing(
        license=choice.id,
        source=choice.source,
        base=base.repo,
        base_licenses=rows[0].licenses,
        inputs=rows,
        silent_data=[row.repo for row in rows[1:] if not row.licenses],
    )
