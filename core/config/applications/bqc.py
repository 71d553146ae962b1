"""The section ``bqc`` of a link file: what clients and server of a blind computation agreed on, all of it public.

The angles of the computation are the clients' secret and never stand here: a link file is copied into every run file,
the server's too.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from faintlink.core.config.models import Name, StrictModel
from faintlink.core.symbols import Party

Channel = Annotated[int, Field(ge=0, le=255)]
Vertex = Annotated[int, Field(ge=0, lt=10)]
Bloch = tuple[float, float, float]


class BqcGraph(StrictModel):
    """A graph of one's own, in place of a built-in one; vertices count from 0."""

    vertices: Annotated[int, Field(ge=2, le=10)]
    """How many."""
    edges: tuple[tuple[Vertex, Vertex], ...]
    """Pairs that the server entangles."""
    order: tuple[Vertex, ...]
    """In which order the vertices are measured."""
    flow: dict[Vertex, Vertex] = Field(default_factory=dict)
    """Causal flow: to which neighbour the correction of each vertex goes; outputs have none."""
    outputs: tuple[Vertex, ...]
    """Vertices whose outcomes are the result."""


class BqcChannels(StrictModel):
    """Channels of the server's tagger."""

    trigger: Channel = 1
    """A marker at the start of every slot: the server's electronics have the slot's setting."""
    herald: Channel = 2
    """The qubit of a preparation slot arrived."""
    outcome_0: Channel = 3
    """Outcome + of a measurement slot."""
    outcome_1: Channel = 4
    """Outcome -."""

    @model_validator(mode="after")
    def _distinct(self) -> "BqcChannels":
        if len({self.trigger, self.herald, self.outcome_0, self.outcome_1}) != 4:
            raise ValueError("the four channels must differ")
        return self


class BqcWindow(StrictModel):
    """Which tags of a slot count."""

    start_ps: Annotated[int, Field(ge=0)]
    """From so long after the trigger."""
    end_ps: Annotated[int, Field(ge=1)]
    """To so long after it, exclusive."""

    @model_validator(mode="after")
    def _ordered(self) -> "BqcWindow":
        if self.start_ps >= self.end_ps:
            raise ValueError(f"a window ends after it starts, got {self.start_ps}..{self.end_ps} ps")
        return self


class BqcPolicy(StrictModel):
    """What the clients of a blind computation and its server agreed on."""

    computation_rounds: Annotated[int, Field(ge=1, lt=2**31)]
    """Rounds that compute, d."""
    test_rounds: Annotated[int, Field(ge=1, lt=2**31)]
    """Rounds that test, t."""
    max_failed_tests: Annotated[int, Field(ge=0)]
    """More failed test rounds than that, and the result is refused, w."""
    graph: Literal["rotation", "grover", "deutsch"] | BqcGraph = "rotation"
    """A built-in graph by name, or one's own."""
    clients: Annotated[tuple[Literal[Party.ALICE, Party.CHARLIE], ...], Field(min_length=1, max_length=2)] = (
        Party.ALICE,
    )
    """Parties whose modulators the qubits pass, in this order; their rotations add up."""
    tests: Literal["stabilisers", "traps"] = "stabilisers"
    """stabilisers: parities of outcomes, states of the XY-plane only, so that the source need not be trusted and any
    number of clients can rotate. traps: single traps among dummies |0> and |1>, one client only."""
    inherent_error: Annotated[float, Field(ge=0.0, lt=0.5)] = 0.0
    """Greatest probability that an ideal computation round gives the wrong result, p."""
    expected_failure: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.05
    """Probability that a test round of the honest but noisy server fails, for the figure of rejection, q."""
    max_eps: Annotated[float, Field(gt=0.0, lt=1.0)] = 1e-3
    """Largest soundness error that is accepted."""
    rounds_in_flight: Annotated[int, Field(ge=1, le=2**20)] = 1024
    """Rounds whose qubits the server holds at once; 1 for a server without memory."""
    max_attempts: Annotated[int, Field(ge=1, lt=2**31)]
    """Attempts of the whole session. A lost attempt is repeated with fresh secrets until these are used up."""
    server: Name
    """Instrument that entangles and measures."""
    senders: dict[Party, Name]
    """Instrument of each client that rotates the passing qubits."""
    channels: BqcChannels = BqcChannels()
    """Of the server's tagger."""
    herald_window: BqcWindow
    """Which herald tags count."""
    outcome_window: BqcWindow
    """Which outcome tags count."""
    clock_tolerance_ps: Annotated[int, Field(ge=0)] = 0
    """How far the clients' clocks and the server's tagger may disagree."""
    blindness_p_value: Annotated[float, Field(gt=0.0, lt=0.1)] = 1e-6
    """Smaller p-values of the test that the angles sent are uniform refuse the session."""
    prepared_states: Annotated[tuple[Bloch, ...], Field(min_length=8, max_length=8)] | None = None
    """Bloch vectors of the eight states as measured when the modulators were calibrated, for the leakage; of the
    whole Qline, at the entrance of the server."""

    @property
    def rounds(self) -> int:
        """All rounds, n = d + t."""
        return self.computation_rounds + self.test_rounds

    @model_validator(mode="after")
    def _consistent(self) -> "BqcPolicy":
        if self.max_failed_tests >= self.test_rounds:
            raise ValueError(f"max_failed_tests must lie below test_rounds, got {self.max_failed_tests}")
        if len(set(self.clients)) != len(self.clients) or set(self.senders) != set(self.clients):
            raise ValueError(f"senders must name one instrument for each of the clients {[*map(str, self.clients)]}")
        if self.tests == "traps" and len(self.clients) > 1:
            raise ValueError("rotations of several clients make no dummies: use tests 'stabilisers'")
        if self.max_attempts < self.rounds:
            raise ValueError(f"max_attempts must not lie below the {self.rounds} rounds, got {self.max_attempts}")
        return self
