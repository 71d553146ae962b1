"""Token buckets: how fast one application may ask, without a timer."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from faintlink.delivery.etsi014.settings import RateSettings


@dataclass(slots=True)
class Bucket:
    """Fills at a constant rate up to the burst; what is asked for is taken out of it whole, or not at all."""

    rate_per_s: float
    burst: float
    level: float
    at_s: float

    def take(self, amount: float, now_s: float) -> float:
        """Take ``amount`` and return 0, or take nothing and return the seconds until it will be there."""
        self.level = min(self.burst, self.level + max(0.0, now_s - self.at_s) * self.rate_per_s)
        self.at_s = now_s
        if amount > self.level:
            return (amount - self.level) / self.rate_per_s
        self.level -= amount
        return 0.0


class RateLimiter:
    """Two buckets for each caller. Callers are enrolled applications, so that their number is bounded."""

    def __init__(self, settings: RateSettings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._requests: dict[str, Bucket] = {}
        self._keys: dict[str, Bucket] = {}

    def request_wait_s(self, caller: str) -> float:
        """Count a request and return 0, or return how long the caller must wait."""
        settings = self._settings
        return self._take(self._requests, caller, 1, settings.requests_per_s, settings.request_burst)

    def keys_wait_s(self, caller: str, number: int) -> float:
        """Count new keys and return 0, or return how long the caller must wait."""
        settings = self._settings
        return self._take(self._keys, caller, number, settings.keys_per_s, settings.key_burst)

    def _take(self, buckets: dict[str, Bucket], caller: str, amount: int, rate_per_s: float, burst: float) -> float:
        now_s = self._clock()
        bucket = buckets.setdefault(caller, Bucket(rate_per_s, burst, burst, now_s))
        return bucket.take(amount, now_s)
