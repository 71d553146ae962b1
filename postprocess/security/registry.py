"""The bounds by name.

A site registers its own with `register` before it processes a run; a name is never silently replaced.
"""

from difflib import get_close_matches

from faintlink.core.errors import ConfigError
from faintlink.postprocess.security import asymptotic, lim2014, rusca2018, tomamichel2012, tupkary2024
from faintlink.postprocess.security.bound import Bound

_BOUNDS: dict[str, Bound] = {}


def register(bound: Bound) -> Bound:
    """Add a bound under its name and return it.

    Raises
    ------
    ConfigError
        Another bound has that name.
    """
    if _BOUNDS.get(bound.name, bound) is not bound:
        raise ConfigError(
            f"a bound named {bound.name} is registered already ({_BOUNDS[bound.name].paper})",
            hint="choose another name, for example author, year and your site",
        )
    _BOUNDS[bound.name] = bound
    return bound


def get(name: str) -> Bound:
    """Return the bound of that name.

    Raises
    ------
    ConfigError
        There is none; the message lists those there are, the hint the nearest.
    """
    try:
        return _BOUNDS[name]
    except KeyError:
        near = get_close_matches(name, _BOUNDS, n=1, cutoff=0.5)
        raise ConfigError(
            f"unknown bound {name!r}; known: {', '.join(names())}",
            hint=f"did you mean {near[0]}?" if near else "`faintlink bound --list` describes each",
            expected=names(),
            seen=name,
        ) from None


def names() -> tuple[str, ...]:
    """Return the names of all bounds, sorted."""
    return tuple(sorted(_BOUNDS))


for _bound in (asymptotic.BOUND, lim2014.BOUND, rusca2018.BOUND, tomamichel2012.BOUND, tupkary2024.BOUND):
    register(_bound)
