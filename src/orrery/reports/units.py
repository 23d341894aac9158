"""What a metric's name says to a reader: words and a unit."""

from __future__ import annotations

from collections.abc import Mapping

UNITS = {
    "m": "m", "px": "px", "deg": "°", "if": "I/F", "s": "s", "days": "d", "mib": "MiB", "gflop": "GFLOP", "1sigma": "share within 1σ",
}  # fmt: skip
NAMES = {
    "rmse": "RMSE", "mae": "MAE", "mse": "MSE", "pcc": "PCC", "ncc": "NCC", "ssim": "SSIM", "nmad": "NMAD", "sd": "SD", "r2": "R²",
    "r": "r", "evc": "EVC", "fc": "FC", "delta": "δ", "re": "within", "rel": "relative error",
}  # fmt: skip
SHARE = "0–1"
THOUSANDS = 1e4
SHARES = ("fraction", "share", "coverage", "delta", "re", "spread")


def described(metric: str) -> tuple[str, str]:
    """Words and unit of a metric or column, e.g. ``slope_mae_deg`` -> ("slope MAE", "°").

    Where no part of the name is a unit, the unit is "0–1" for shares and empty for what is not known to be one.
    """
    parts = metric.split("_")
    unit = next((part for part in reversed(parts[1:]) if part in UNITS), None)
    words = " ".join(NAMES.get(part, part) for part in parts if part != unit)
    if unit is not None:
        return words, UNITS[unit]
    return words, SHARE if set(parts) & set(SHARES) else ""


def labelled(metric: str) -> str:
    """Words, and the unit after a comma."""
    return ", ".join(part for part in described(metric) if part)


def figure(value: object) -> str:
    """A number with four significant digits, or whole from ten thousand on; a dash for nothing, other values as text."""
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    told = f"{value:,.0f}".replace(",", "\u2009") if abs(value) >= THOUSANDS else f"{value:.4g}"
    return told.replace("-", "−")


def span(ends: object) -> str:
    """An interval in square brackets; empty where there is none."""
    if not isinstance(ends, list | tuple) or len(ends) != 2:
        return ""
    return f"[{figure(ends[0])}, {figure(ends[1])}]"


def bound(low: float | None, high: float | None, unit: str) -> str:
    """What a value must keep to, with its unit where that is one."""
    unit = "" if unit == SHARE else unit
    parts = [f"≥ {figure(low)}"] * (low is not None) + [f"≤ {figure(high)}"] * (high is not None)
    return " and ".join(f"{part} {unit}".strip() for part in parts)


def numbers(row: Mapping[str, object]) -> dict[str, float]:
    """The values of a row that are numbers."""
    return {
        name: value
        for name, value in row.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
