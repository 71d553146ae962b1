"""The one budget of a key: all that may fail from the detector to the delivered key, within what was allowed.

Made from a bound's own list of parts, and the only way by which a pipeline gets the ledger of a key. A bound whose
parts exceed what the policy allows is an error, not a footnote.

Sources
-------
R. Renner, PhD thesis, ETH 2005, arXiv:quant-ph/0512258 (composable security: failure probabilities add).
"""

from dataclasses import dataclass
from fractions import Fraction

from faintlink.core.errors import ConfigError
from faintlink.postprocess.security.bound import Bound
from faintlink.postprocess.security.inputs import BoundInput
from faintlink.postprocess.security.ledger import EpsilonKind, EpsilonLedger, EpsilonPart

AUTHENTICATION = "authentication of the classical channel, this key's share"


@dataclass(frozen=True, slots=True)
class EpsilonBudget:
    """The failure probabilities of one key, and the most that each kind may sum to.

    Raises
    ------
    ConfigError
        The parts of a kind exceed its allowance.
    """

    ledger: EpsilonLedger
    """Every part: secrecy by the bound, correctness, authentication."""
    secrecy: Fraction
    """Allowed for secrecy."""
    correctness: Fraction
    """Allowed for correctness."""
    authentication: Fraction = Fraction(0)
    """Allowed for authentication."""

    def __post_init__(self) -> None:
        allowed = {
            EpsilonKind.SECRECY: self.secrecy,
            EpsilonKind.CORRECTNESS: self.correctness,
            EpsilonKind.AUTHENTICATION: self.authentication,
        }
        faults = tuple(
            f"{kind} takes {float(self.spent(kind)):.4g} of {float(most):.4g}"
            for kind, most in allowed.items()
            if self.spent(kind) > most
        )
        if faults:
            raise ConfigError(
                "epsilon budget exceeded: " + "; ".join(faults),
                hint="the bound's parts must add up to at most eps_sec and eps_cor",
                faults=faults,
            )

    @classmethod
    def of(cls, chosen: Bound, given: BoundInput, *, eps_auth: float = 0.0) -> "EpsilonBudget":
        """Return the budget of a key by the bound ``chosen``; ``eps_auth`` of 0 counts no authentication."""
        parts = chosen.epsilon_parts(given)
        if eps_auth:
            source = "security policy, eps_auth"
            parts += (EpsilonPart(AUTHENTICATION, eps_auth, source, EpsilonKind.AUTHENTICATION),)
        return cls(EpsilonLedger(parts), Fraction(given.eps_sec), Fraction(given.eps_cor), Fraction(eps_auth))

    def spent(self, kind: EpsilonKind) -> Fraction:
        """Return the exact sum of the parts of one kind."""
        return sum((part.amount for part in self.ledger.parts if part.kind is kind), Fraction(0))

    @property
    def allowed(self) -> Fraction:
        """The most that all parts together may sum to."""
        return self.secrecy + self.correctness + self.authentication
