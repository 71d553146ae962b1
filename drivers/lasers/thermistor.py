"""Temperature of a thermistor from its resistance, and back.

Drivers of laser controllers use it, whose loops regulate a resistance while people think in degrees.

Sources: J. S. Steinhart and S. R. Hart, Deep-Sea Research 15, 497 (1968), eq. 6 without its quadratic term; the inverse
is Cardano's formula for the one real root of the depressed cubic in ln R.
"""

import math
from dataclasses import dataclass

ZERO_CELSIUS_K = 273.15


@dataclass(frozen=True, slots=True)
class SteinhartHart:
    """Coefficients of 1/T = a + b ln R + c (ln R)^3, with T in K and R in ohm."""

    a: float = 1.129241e-3
    """In 1/K. The defaults are those of common 10 kohm NTC thermistors; the data sheet of the laser has its own."""
    b: float = 2.341077e-4
    """In 1/K."""
    c: float = 8.775468e-8
    """In 1/K, positive."""

    def temperature_c(self, resistance_ohm: float) -> float:
        """Return the temperature in degrees Celsius at a resistance in ohm.

        Raises
        ------
        ValueError
            The resistance is not positive.
        """
        log_r = math.log(resistance_ohm)
        return 1.0 / (self.a + self.b * log_r + self.c * log_r**3) - ZERO_CELSIUS_K

    def resistance_ohm(self, temperature_c: float) -> float:
        """Return the resistance in ohm at a temperature in degrees Celsius."""
        half = (self.a - 1.0 / (temperature_c + ZERO_CELSIUS_K)) / (2.0 * self.c)
        root = math.sqrt((self.b / (3.0 * self.c)) ** 3 + half**2)
        return math.exp(math.cbrt(root - half) - math.cbrt(root + half))
