r"""The text that Koheron laser controllers take and give: echo, value, prompt.

The driver and its emulator share the names of errors; nobody else needs this. A command ``rtset 10000\r\n`` is echoed,
then a line with the value follows, then the prompt ``>>`` without an end of line.

Sources: as the driver, `faintlink.drivers.lasers.koheron_ctl200`.
"""

PROMPT = b">>"
ERRORS = (
    "receive buffer overflow",
    "command before the prompt",
    "laser too cold",
    "laser too hot",
    "unknown command",
    "invalid argument",
    "laser switched on while the interlock is open",
    "interlock opened",
)
"""What the bits of ``err`` mean, lowest first."""
INTERLOCK_BITS = 0b1100_0000
"""Those that speak of the interlock."""


def encode_command(command: str, value: float | None = None) -> bytes:
    """Return the bytes of a query, or of a setting if there is a value."""
    text = command if value is None else f"{command} {value:.9g}"
    return text.encode("ascii") + b"\r\n"


def parse_answer(request: bytes, answer: bytes) -> str:
    """Return the value in an answer that ends with the prompt; empty if it has none.

    Raises
    ------
    ValueError
        It does not begin with the echo of the request, or holds more than one value line.
    """
    text = answer.replace(b"\x00", b"").decode("ascii").removesuffix(">>")
    lines = [line.removeprefix(">>").strip() for line in text.split("\r\n")]
    echo, *values = [line for line in lines if line] or [""]
    if echo != request.decode("ascii").strip() or len(values) > 1:
        raise ValueError(f"expected the echo of {request!r} and one line, got {answer!r}")
    return values[0] if values else ""


def error_names(bits: int) -> tuple[str, ...]:
    """Return the meaning of each bit that is set."""
    known = tuple(name for bit, name in enumerate(ERRORS) if bits >> bit & 1)
    unknown = bits >> len(ERRORS)
    return (*known, f"unknown bits {unknown << len(ERRORS):#x}") if unknown else known
