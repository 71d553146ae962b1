"""The role check names everything that is missing."""

from typing import TYPE_CHECKING

import pytest
from qcodes.instrument import Instrument
from qcodes.validators import Numbers

from faintlink.core.errors import RoleError
from faintlink.instruments import roles
from faintlink.instruments.mocks.bench import MockBench
from faintlink.instruments.mocks.senders import MockAttenuator, MockLaser
from faintlink.instruments.role_spec import ParameterSpec, RoleSpec
from faintlink.instruments.roles import ROLES, check_role

if TYPE_CHECKING:
    from faintlink.instruments.mocks import link, pattern, receivers, senders

    def _the_mocks_are_typed_as_their_roles(  # the type checker is the test
        laser: senders.MockLaser,
        attenuator: senders.MockAttenuator,
        intensity: senders.MockIntensityModulator,
        phase: senders.MockPhaseModulator,
        polarization: senders.MockPolarizationModulator,
        source: senders.MockPairSource,
        controller: link.MockPolarizationController,
        detector: receivers.MockDetector,
        tagger: receivers.MockTimeTagger,
        generator: pattern.MockPatternGenerator,
    ) -> tuple[
        roles.PulsedLaser,
        roles.Attenuator,
        roles.IntensityModulator,
        roles.PhaseModulator,
        roles.PolarizationModulator,
        roles.PairSource,
        roles.PolarizationController,
        roles.SinglePhotonDetector,
        roles.TimeTagger,
        roles.PatternGenerator,
    ]:
        return (
            laser,
            attenuator,
            intensity,
            phase,
            polarization,
            source,
            controller,
            detector,
            tagger,
            generator,
        )


class Misfit(Instrument):
    """An attenuator in the wrong unit, without validator or safe state."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.add_parameter("attenuation", unit="mdB", get_cmd=None, set_cmd=None)


class Foreign(Instrument):
    """An attenuator of somebody who never heard of us."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.add_parameter("attenuation", unit="dB", get_cmd=None, set_cmd=None, vals=Numbers(0, 30))

    def safe_state(self) -> None:
        self.parameters["attenuation"].set(30)


def test_an_instrument_that_knows_nothing_of_us_can_fill_a_role() -> None:
    check_role(Foreign("voa"), "Attenuator")


def test_every_lack_is_reported_at_once() -> None:
    with pytest.raises(RoleError) as caught:
        check_role(Misfit("voa"), "Attenuator")
    missing = caught.value.fields["missing"]
    assert missing == [
        "unit 'dB' of attenuation (it has 'mdB')",
        "a validator of attenuation",
        "method safe_state()",
    ]
    assert "voa" in str(caught.value)


def test_missing_parameters_are_named_with_their_units() -> None:
    with pytest.raises(RoleError, match=r"parameter power \[W\]"):
        check_role(Foreign("voa"), "PulsedLaser")


def test_a_parameter_that_cannot_be_set_is_no_knob() -> None:
    bench = MockBench("bench")
    laser = MockLaser("laser", bench.name)
    fixed = RoleSpec("Clocked", (ParameterSpec("bench_time", "s"),))
    with pytest.raises(RoleError, match="a way to set bench_time"):
        check_role(laser.bench, fixed)


def test_a_role_may_be_given_as_protocol_name_or_spec() -> None:
    bench = MockBench("bench")
    attenuator = MockAttenuator("attenuator", bench.name)
    for role in (roles.Attenuator, "Attenuator", ROLES["Attenuator"]):
        check_role(attenuator, role)


def test_a_plain_object_fills_no_role() -> None:
    with pytest.raises(RoleError, match="stream"):
        check_role(object(), "TimeTagger")


def test_an_unknown_role_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        check_role(object(), "Teleporter")


@pytest.mark.parametrize("name", sorted(ROLES))
def test_the_table_of_a_role_agrees_with_its_protocol(name: str) -> None:
    """What the table asks for, the Protocol offers to the type checker."""
    protocol = getattr(roles, name)
    spec = ROLES[name]
    for wanted in (*(parameter.name for parameter in spec.parameters), *spec.methods, *spec.attributes):
        assert hasattr(protocol, wanted), wanted
