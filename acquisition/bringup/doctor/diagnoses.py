"""All diagnoses in the order in which a cause comes before its effects: the first finding is the one to mend first."""

from collections.abc import Callable, Iterator

from faintlink.acquisition.bringup.doctor.evidence import Evidence
from faintlink.acquisition.bringup.doctor.finding import Finding
from faintlink.acquisition.bringup.doctor.housekeeping import (
    a_step_failed,
    disk_is_low,
    does_not_answer,
    records_are_old,
    tags_are_lost,
)
from faintlink.acquisition.bringup.doctor.receiver import (
    clock_not_locked,
    detector_latched,
    detector_noisy,
    detector_saturated,
    detector_silent,
    no_light,
    second_peak,
)
from faintlink.acquisition.bringup.doctor.sender import (
    bias_drifted,
    both_bases,
    light_lost,
    mean_photons_off,
    one_basis,
)

DIAGNOSES: tuple[Callable[[Evidence], Iterator[Finding]], ...] = (
    does_not_answer,
    disk_is_low,
    detector_latched,
    tags_are_lost,
    detector_silent,
    detector_noisy,
    bias_drifted,
    mean_photons_off,
    detector_saturated,
    no_light,
    second_peak,
    clock_not_locked,
    light_lost,
    one_basis,
    both_bases,
    records_are_old,
    a_step_failed,
)


def diagnose(evidence: Evidence) -> list[Finding]:
    """Return what is wrong, causes before their effects; nothing if all is well."""
    return [finding for diagnosis in DIAGNOSES for finding in diagnosis(evidence)]
