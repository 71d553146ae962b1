"""A link as one analysis wants it: parameters changed, and intensities taken as uncertain."""

from collections.abc import Mapping
from typing import Any

from faintlink.core.config.link import LinkConfig
from faintlink.postprocess.campaign.changes import Change, changed
from faintlink.postprocess.campaign.corners import with_uncertainty


def varied(
    link: LinkConfig, settings: Mapping[str, Any], intensity_uncertainty: float = 0.0
) -> tuple[LinkConfig, tuple[Change, ...]]:
    """Return a changed link and everything in it that is not as it was.

    Parameters
    ----------
    link
        As the run or a file gives it.
    settings
        New values by dotted name, see `changes.changed`.
    intensity_uncertainty
        See `corners.with_uncertainty`; it shows as a change of ``security.bound``.

    Raises
    ------
    ConfigError
        A name or value that the link does not take, or an uncertainty without intensities.
    """
    new, changes = changed(link, settings)
    final = with_uncertainty(new, intensity_uncertainty)
    if final.security.bound == new.security.bound:
        return final, changes
    others = tuple(change for change in changes if change.name != "security.bound")
    return final, (*others, Change("security.bound", link.security.bound, final.security.bound))
