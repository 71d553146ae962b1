"""Key length when the mean photon numbers are known to an interval only: the least over the interval's box.

Wraps any bound of the registry: it is evaluated at every corner of the box, at the middles of its edges and faces
and at its centre, and the shortest key is taken. That the least of the whole box is among these points is an
assumption, listed with the others: it is tried at random points of the box in the tests, and not proven.

Sources: the evaluated bounds' own papers; uncertain intensities as intervals: C. C. W. Lim et al., Phys. Rev. A 89,
022307 (2014), where the intensities are taken as known exactly, which this relaxes.
"""

import itertools
from dataclasses import replace
from functools import partial

from faintlink.core.config.link import LinkConfig
from faintlink.core.errors import ConfigError
from faintlink.postprocess.security import registry
from faintlink.postprocess.security.bound import Bound
from faintlink.postprocess.security.inputs import BoundInput
from faintlink.postprocess.security.result import BoundResult

_MARK = "-mu"


def with_uncertainty(link: LinkConfig, relative: float) -> LinkConfig:
    """Return a link whose bound holds for all intensities within ``relative`` of the stated ones.

    The bound is registered under its name with the uncertainty, for example ``rusca2018-mu0.05``.

    Parameters
    ----------
    link
        Of a pulsed source.
    relative
        Half the interval's width over its middle, the same for all intensities and independent of one another.

    Raises
    ------
    ConfigError
        The link has no intensities, the number is not in 0..1, or the intervals of two intensities overlap.
    """
    if not relative:
        return link
    name = link.security.bound
    if link.source is None or len(link.source.intensities) < 2:
        raise ConfigError(
            f"bound {name} of this link reads no intensities, so that their uncertainty changes nothing",
            hint="leave --intensity-uncertainty out",
        )
    _check_box(link.source.intensities, relative)
    wrapped = f"{name}{_MARK}{relative:g}"
    if wrapped not in registry.names():
        registry.register(at_worst(registry.get(name), relative, name=wrapped))
    return link.model_copy(update={"security": link.security.model_copy(update={"bound": wrapped})})


def at_worst(bound: Bound, relative: float, *, name: str) -> Bound:
    """Return a bound that gives the shortest key of the box of intensities."""
    assumption = (
        f"each mean photon number lies within {relative:.3%} of the stated one, the same for the whole block; the key "
        "is the shortest over corners, edge middles and centre of that box, assumed to be the shortest of the box"
    )
    return replace(
        bound,
        name=name,
        assumptions=(*bound.assumptions, assumption),
        evaluate=partial(_worst, bound=bound, relative=relative, name=name, assumption=assumption),
    )


def _worst(given: BoundInput, *, bound: Bound, relative: float, name: str, assumption: str) -> BoundResult:
    _check_box(given.intensities, relative)
    results = [bound.evaluate(replace(given, intensities=point)) for point in box(given.intensities, relative)]
    # Without a key at several points, the one that is furthest from a key explains the refusal.
    worst = min(results, key=lambda one: (one.length, one.terms.get("length_unfloored", float("-inf"))))
    return replace(worst, bound=name, assumptions=(*worst.assumptions, assumption))


def box(intensities: tuple[float, ...], relative: float) -> list[tuple[float, ...]]:
    """Return the points at which the bound is evaluated; an intensity of 0 stays 0."""
    ends = [(mu * (1.0 - relative), mu, mu * (1.0 + relative)) if mu else (0.0,) for mu in intensities]
    return list(itertools.product(*ends))


def _check_box(intensities: tuple[float, ...], relative: float) -> None:
    if not 0.0 <= relative < 1.0:
        raise ConfigError(f"the uncertainty of the intensities must lie in 0..1, got {relative}", hint="0.05 is 5 %")
    for bright, dim in itertools.pairwise(intensities):
        if bright * (1.0 - relative) <= dim * (1.0 + relative):
            raise ConfigError(
                f"with an uncertainty of {relative:.3%} the intensities {bright} and {dim} cannot be told apart",
                hint="measure the intensities better",
            )
