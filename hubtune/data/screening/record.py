"""Puts what was found in the rows of all data sets into the record of a run."""

from collections.abc import Mapping, Sequence

from hubtune.config.screening import COPY_KINDS, PERSONAL_KINDS, CopyKind, ScreenConfig
from hubtune.data.screening.accuracy import ACCURACY
from hubtune.data.screening.rows import Count, RowScreen
from hubtune.records.screening import FindingRecord, ScreenRecord


def screen_record(
    config: ScreenConfig, screens: Sequence[RowScreen], copies: Mapping[CopyKind, Count], held_out: int
) -> ScreenRecord:
    """Returns the record; it has an entry for each kind, also where nothing was found."""
    rows = sum(screen.rows for screen in screens)
    findings = []
    for kind in PERSONAL_KINDS:
        accuracy = ACCURACY[kind]
        counts = [screen.counts[kind] for screen in screens]
        hits = sum(count.hits for count in counts)
        findings.append(
            FindingRecord(
                kind=kind,
                policy=config.personal(kind),
                rows=sum(count.rows for count in counts),
                hits=hits,
                per_thousand=_per_thousand(hits, rows),
                dropped=sum(count.dropped for count in counts),
                redacted=sum(count.redacted for count in counts),
                precision=round(accuracy.precision, 3),
                recall=round(accuracy.recall, 3),
                labelled=accuracy.labelled,
            )
        )
    for copy in COPY_KINDS:
        count = copies[copy]
        findings.append(
            FindingRecord(
                kind=copy,
                policy=config.copies(copy),
                rows=count.rows,
                hits=count.hits,
                per_thousand=_per_thousand(count.hits, rows),
                dropped=count.dropped,
            )
        )
    return ScreenRecord(rows=rows, held_out=held_out, phone_regions=list(config.phone_regions), findings=findings)


def _per_thousand(hits: int, rows: int) -> float:
    return round(1000 * hits / rows, 3) if rows else 0.0
