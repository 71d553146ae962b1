"""Choose rounds and threshold before a session, and refuse a policy whose verdict would prove nothing.

Sources: `faintlink.postprocess.bqc.security`.
"""

from fractions import Fraction

from faintlink.core.config.applications.bqc import BqcPolicy
from faintlink.core.errors import ConfigError
from faintlink.postprocess.bqc.graph import Angles, graph_of, ideal_distribution
from faintlink.postprocess.bqc.security import greatest_threshold, plan_threshold, soundness
from faintlink.postprocess.bqc.traps import catch_probability, kinds_of

ROUNDING = 1e-9
"""What the simulation of a perfect round may be off."""


def catch_of(policy: BqcPolicy) -> Fraction:
    """Return the least probability that a test round of a policy notices a deviation."""
    graph = graph_of(policy.graph)
    return catch_probability(graph, kinds_of(graph, policy.tests))


def soundness_of(policy: BqcPolicy) -> float:
    """Return the soundness error of a policy."""
    p = Fraction(repr(policy.inherent_error))
    return soundness(policy.computation_rounds, policy.test_rounds, catch_of(policy), p, policy.max_failed_tests)


def require_sound(policy: BqcPolicy) -> float:
    """Return the soundness error of a policy after checking its threshold.

    Raises
    ------
    ConfigError
        The threshold lies beyond the limit, or the soundness error exceeds what the policy accepts.
    """
    catch, p = catch_of(policy), Fraction(repr(policy.inherent_error))
    greatest = greatest_threshold(policy.test_rounds, catch, p)
    if policy.max_failed_tests > greatest:
        raise ConfigError(
            f"bqc: max_failed_tests {policy.max_failed_tests} of {policy.test_rounds} proves nothing: with tests that "
            f"notice {catch} of the deviations at most {greatest} are allowed",
            hint="lower bqc.max_failed_tests, or raise bqc.test_rounds",
        )
    found = soundness_of(policy)
    if found > policy.max_eps:
        raise ConfigError(
            f"bqc: the soundness error is {found:.3g}, and max_eps is {policy.max_eps:.3g}",
            hint="raise bqc.computation_rounds and bqc.test_rounds, or lower bqc.max_failed_tests",
        )
    return found


def inherent_error_of(policy: BqcPolicy, phi: Angles) -> float:
    """Return the probability that a perfect round of a computation does not give its most probable result.

    Graphs are small enough here to know it; the verdict on a larger computation has to take it from elsewhere.
    """
    return max(0.0, 1.0 - max(ideal_distribution(graph_of(policy.graph), phi).values()))


def require_certain(policy: BqcPolicy, phi: Angles) -> None:
    """Check that a computation errs no more often than the policy says.

    Raises
    ------
    ConfigError
        It does, so that the soundness error would not hold.
    """
    found = inherent_error_of(policy, phi)
    if found > policy.inherent_error + ROUNDING:
        raise ConfigError(
            f"bqc: a perfect round of this computation is wrong with {found:.3g}, and inherent_error is "
            f"{policy.inherent_error:.3g}",
            hint="choose angles with a certain result, or raise bqc.inherent_error",
        )


def threshold_for(policy: BqcPolicy, tests: int, *, eps_reject: float = 1e-3) -> int:
    """Return a threshold for another number of tests: the least that refuses the expected server seldom enough."""
    greatest = greatest_threshold(tests, catch_of(policy), Fraction(repr(policy.inherent_error)))
    return plan_threshold(tests, policy.expected_failure, greatest, eps_reject=eps_reject)
