"""Numbers as a reader wants them: enough digits to compare, thousands apart, a real minus sign."""

from datetime import UTC, datetime

_MINUS = "\N{MINUS SIGN}"


def thousands(value: float) -> str:
    """Returns a count: 98765 as 98,765."""
    return _minus(f"{value:,.0f}")


def measure(value: float) -> str:
    """Returns a measured value with about four digits that count: 27.4035 as 27.40, 1234.5 as 1,234."""
    return _minus(f"{value:,.{_decimals(value)}f}")


def signed(value: float, of: float) -> str:
    """Returns a difference of measured values, to as many decimals as `of` shows, with its sign unless it is zero."""
    shown = _minus(f"{value:,.{_decimals(of)}f}")
    if not any(digit in shown for digit in "123456789"):
        return shown.removeprefix(_MINUS)
    return f"+{shown}" if value > 0 else shown


def percent(value: float) -> str:
    """Returns a fraction in per cent, with at least two digits that count: 0.00221 as 0.22 %."""
    scaled = value * 100
    decimals = 1 if abs(scaled) >= 1 or scaled == 0 else 2 if abs(scaled) >= 0.1 else 3
    return _minus(f"{scaled:,.{decimals}f} %")


def signed_percent(value: float) -> str:
    """Returns a relative change in per cent, with its sign."""
    return f"+{percent(value)}" if value > 0 else percent(value)


def plain(value: float) -> str:
    """Returns a setting as short as it can be written: 32.0 as 32, 0.0002 as 0.0002, 0.000002 as 2e-06."""
    return _minus(f"{value:g}")


def rough(value: float) -> str:
    """Returns a value of any size with two digits that count: 0.0000305 as 3.1e-05, 12.34 as 12."""
    return _minus(f"{value:.2g}")


def duration(seconds: float) -> str:
    """Returns a length of time in the units that fit it, such as 2 min 5 s or 3 h 20 min."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min"


def moment(iso: str) -> str:
    """Returns an ISO 8601 time to the minute in UTC; a text that is none is returned as it is."""
    try:
        parsed = datetime.fromisoformat(iso)
    except ValueError:
        return iso
    aware = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    return f"{aware.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _decimals(value: float) -> int:
    size = abs(value)
    return 0 if size >= 1000 else 1 if size >= 100 else 2 if size >= 10 else 3


def _minus(text: str) -> str:
    return text.replace("-", _MINUS, 1) if text.startswith("-") else text
