"""Fixtures and settings for the whole suite."""

try:
    import faintlink.core  # noqa: F401
except ModuleNotFoundError as error:  # pragma: no cover - only on a broken checkout
    raise SystemExit(
        "faintlink is not installed: run `make setup` (or `pip install -e .` again after git clean)"
    ) from error

from hypothesis import HealthCheck, settings

# How long a loaded machine takes for an example says nothing of the code: nothing here is timed.
settings.register_profile("faintlink", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("faintlink")
