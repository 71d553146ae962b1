"""Fixtures and settings for the whole suite."""

try:
    import faintlink.core  # noqa: F401
except ModuleNotFoundError as error:  # pragma: no cover - only on a broken checkout
    raise SystemExit(
        "faintlink is not installed: run `make setup` (or `pip install -e .` again after git clean)"
    ) from error
