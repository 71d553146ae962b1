"""Diagnoses of sender and alignment: leaking modulator, wrong mean photon number, lost light, errors by basis."""

from collections.abc import Iterator

from faintlink.acquisition.bringup.doctor.evidence import Estimate, Evidence
from faintlink.acquisition.bringup.doctor.finding import Finding

_SIGMAS = 5.0
_LEAK_SHARE = 0.1
"""Of the weakest intensity: what `IntensityBias` allows."""
MAX_MU_OFF = 0.2
"""Relative error of the mean photon number that is worth a word."""
LOST_LIGHT = 0.5
"""Share of the sifted rate on record below which light is lost on the way."""
_TOO_MANY = 0.8
"""Share of the policy's greatest QBER from which a basis has too many errors."""
MIN_APART = 0.02
"""Difference of the bases' error rates that is worth a word."""


def bias_drifted(evidence: Evidence) -> Iterator[Finding]:
    """Report undriven pulses that leak more light than the weakest intensity allows."""
    probe, source = evidence.probe, evidence.link.source
    if probe is None or probe.leak is None or source is None:
        return
    weakest = min(mu for mu in source.intensities if mu > 0.0) / source.intensities[0]
    limit, leak = _LEAK_SHARE * weakest, probe.leak
    if leak.value - _SIGMAS * leak.sigma > limit:
        was = evidence.recorded("intensity_bias", "leak")
        then = "" if was is None else f"; it was {was:.2g} when calibrated"
        yield Finding(
            "bias-drifted",
            f"the intensity modulator leaks when it should block{then}",
            leak.value,
            limit,
            "of the brightest pulse",
            "at most",
            "its bias has drifted off the null, or the polarization in front of it has turned",
            "calibrate intensity_bias (`faintlink up --from BALANCED`); if it fails, turn the polarization before it",
        )


def mean_photons_off(evidence: Evidence) -> Iterator[Finding]:
    """Report pulses that are brighter or fainter than the link file says."""
    probe, source = evidence.probe, evidence.link.source
    if probe is None or probe.mean_photons is None or source is None:
        return
    seen, wanted = probe.mean_photons, source.intensities[0]
    off = abs(seen.value - wanted)
    if off > MAX_MU_OFF * wanted and off > _SIGMAS * seen.sigma:
        word = "bright" if seen.value > wanted else "faint"
        yield Finding(
            "mean-photons",
            f"the pulses leave the sender too {word}",
            seen.value,
            wanted,
            "photons in the brightest pulse",
            "about",
            "laser power or attenuator have changed since the attenuation was calibrated",
            "check the laser's power, then `faintlink calibrate attenuation`; too bright is a security matter",
        )


def light_lost(evidence: Evidence) -> Iterator[Finding]:
    """Report a sifted rate far below that on record."""
    probe, record = evidence.probe, evidence.passed.get("qber")
    if probe is None or record is None or probe.sifted_hz is None:
        return
    bits = record.decision.results.get("key_bits", 0.0)
    expected_hz, seen_hz = bits / record.options.get("duration_s", 1.0), probe.sifted_hz
    if expected_hz > 0.0 and seen_hz < LOST_LIGHT * expected_hz:
        yield Finding(
            "light-lost",
            "far fewer bits are sifted than at calibration",
            seen_hz,
            expected_hz,
            "bits/s",
            "about",
            "loss in the line (a dirty or bent fibre, an attenuator left in), or gates that open at the wrong time",
            "clean and check the fibre's connectors, then calibrate gate_delay where there are gates",
        )


def one_basis(evidence: Evidence) -> Iterator[Finding]:
    """Report a basis whose errors are far above the other's, which is well."""
    rates = _rates(evidence)
    if rates is None:
        return
    worse, better = sorted(rates, key=lambda name: rates[name].value, reverse=True)
    apart = rates[worse].value - rates[better].value
    sigma = (rates[worse].sigma ** 2 + rates[better].sigma ** 2) ** 0.5
    max_qber = evidence.link.security.max_qber
    if apart <= max(MIN_APART, _SIGMAS * sigma) or rates[worse].value < 0.5 * max_qber:
        return
    if rates[better].value > _TOO_MANY * max_qber:
        return
    coding = _coding(evidence)
    yield Finding(
        "one-basis",
        f"the {worse} basis has far more errors than the {better} basis",
        rates[worse].value,
        rates[better].value,
        "QBER",
        "about",
        {
            "polarization": "the fibre turns circular and linear polarization into each other (birefringence)",
            "phase": "the receiver's two bases are not a quarter of a fringe apart",
        }[coding],
        {
            "polarization": f"calibrate {_alignment(evidence)} (`faintlink up --from ALIGNED`)",
            "phase": "calibrate receiver_phase, then sender_phase (`faintlink up --from ALIGNED`)",
        }[coding],
    )


def both_bases(evidence: Evidence) -> Iterator[Finding]:
    """Report errors that both bases share."""
    rates = _rates(evidence)
    if rates is None or any(True for _ in one_basis(evidence)):
        return
    worst = max(rates.values(), key=lambda rate: rate.value)
    limit = _TOO_MANY * evidence.link.security.max_qber
    if worst.value - _SIGMAS * worst.sigma <= limit:
        return
    coding = _coding(evidence)
    yield Finding(
        "both-bases",
        "both bases have too many errors",
        worst.value,
        limit,
        "QBER",
        "at most",
        {
            "polarization": "the fibre has turned the polarization, or noise drowns the signal",
            "phase": "the interferometers have drifted against each other, or noise drowns the signal",
        }[coding],
        {
            "polarization": f"calibrate {_alignment(evidence)} (`faintlink up --from ALIGNED`)",
            "phase": "calibrate sender_phase (`faintlink up --from ALIGNED`), insulate the interferometers",
        }[coding],
    )


def _rates(evidence: Evidence) -> dict[str, Estimate] | None:
    return dict(evidence.probe.errors) if evidence.probe is not None and evidence.probe.errors else None


def _alignment(evidence: Evidence) -> str:
    return "pair_polarization" if "pair_source" in evidence.link.roles else "polarization"


def _coding(evidence: Evidence) -> str:
    return "phase" if "phase_modulator" in evidence.link.roles else "polarization"
