"""Every error that faintlink raises on purpose.

::

    FaintlinkError
     +-- ConfigError (ValueError)              a configuration file is wrong; lists every fault
     +-- HardwareError                         an instrument did not do what was asked
     |    +-- ConnectionLostError (ConnectionError)
     |    +-- DeviceReportedError              the device itself reported an error
     |    +-- InterlockError                   a safety condition forbids the action
     |    +-- UnsupportedFeatureError          this model cannot do that
     |    +-- RoleError (TypeError)            an instrument does not fill the role it is bound to
     +-- StreamError                           the stream of tags is not whole
     |    +-- TagOverflowError
     |    +-- ClockLostError                   no clock could be recovered from the tags
     |    +-- TagOrderError (ValueError)       times run backwards
     |    +-- UnknownChannelError (KeyError)   a tag's channel is not in the channel map
     +-- RunfileError                          a run file or recording cannot be used
     |    +-- SchemaError                      not a run file, or of another version
     |    +-- CorruptBlockError                checksums or index disagree with the data
     |    +-- FormatError (ValueError)         a recording is not of the format it claims
     |    +-- RunExistsError (FileExistsError) refused to overwrite
     |    +-- RecordSealError                  a record was changed, cut short, or sealed by somebody else
     |    +-- RecordMismatchError              a record is of another kind, run, session or party
     |    +-- RecordReplayedError              a record was presented before
     +-- ProtocolError                         the classical protocol broke
     |    +-- LocalProtocolError               this side erred
     |    +-- RemoteProtocolError              the other side erred, or somebody in between
     |    +-- AuthenticationError
     +-- SecurityAbort                         no key is made from this block, and that is right
     |    +-- QberTooHighError
     |    +-- NotEnoughSignalsError
     |    +-- MonitorVetoError
     |    +-- VerificationFailedError
     +-- DeliveryError                         a key cannot be handed out
          +-- KeyExhaustedError
          +-- KeyUnknownError (KeyError)
          +-- AccessDeniedError (PermissionError)  this identity or role may not do that
          +-- PeerUnavailableError            the other site does not answer, or has not agreed
          +-- StoreError                      the key store is damaged, locked or full
          |    +-- StoreRolledBackError       an older copy was put back: its keys may be delivered already
          +-- AuditError                      the audit log cannot be written, or its chain is broken
          +-- SelfTestError                   a known-answer or health test failed: nothing is delivered

Each says in ``hint`` what to do next. Key material never stands in a message. General handlers must not catch
`SecurityAbort`: it is the normal, well-explained answer of a pipeline that refuses to make key.
"""

from typing import Any


class FaintlinkError(Exception):
    """Root of the tree.

    Parameters
    ----------
    message
        What went wrong, with what was expected and what was seen.
    hint
        What the reader can do about it.
    fields
        Facts of the case (``path``, ``device``, ``expected``, ``seen`` …), kept for programs.
    """

    def __init__(self, message: str, *, hint: str = "", **fields: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.fields = fields

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        # Errors cross from the writer process: keyword arguments must survive that.
        return _rebuild, (type(self), self.message, self.hint, self.fields)


def _rebuild(kind: type[FaintlinkError], message: str, hint: str, fields: dict[str, Any]) -> FaintlinkError:
    return kind(message, hint=hint, **fields)


class ConfigError(FaintlinkError, ValueError):
    """A configuration file is wrong. ``faults`` lists each one as ``file:line: where: what``."""


class HardwareError(FaintlinkError):
    """An instrument did not do what was asked of it."""


class ConnectionLostError(HardwareError, ConnectionError):
    """The instrument no longer answers."""


class DeviceReportedError(HardwareError):
    """The device answered, and its answer is an error."""


class InterlockError(HardwareError):
    """A safety condition forbids the action; the instrument was left as it was."""


class UnsupportedFeatureError(HardwareError):
    """This model, option or firmware cannot do that."""


class RoleError(HardwareError, TypeError):
    """An instrument lacks what its role asks for. ``missing`` lists every lack."""


class StreamError(FaintlinkError):
    """The stream of time tags is not whole."""


class TagOverflowError(StreamError):
    """Tags were lost where a whole stream was required."""


class ClockLostError(StreamError):
    """No clock could be recovered from the tags, or it slipped away."""


class TagOrderError(StreamError, ValueError):
    """Times run backwards where sorted times are required."""


class UnknownChannelError(StreamError, KeyError):
    """A tag carries a channel that the channel map does not name."""

    __str__ = FaintlinkError.__str__


class RunfileError(FaintlinkError):
    """A run file or recording cannot be used."""


class SchemaError(RunfileError):
    """The file is not a faintlink run file, or of a version this program cannot read."""


class CorruptBlockError(RunfileError):
    """Checksums or the index disagree with the data."""


class FormatError(RunfileError, ValueError):
    """A recording is not of the format it claims, is truncated, or is empty."""


class RunExistsError(RunfileError, FileExistsError):
    """The target exists; nothing was overwritten."""

    __str__ = FaintlinkError.__str__


class RecordSealError(RunfileError):
    """A record of an application was changed or cut short since its owner sealed it, or is sealed by another."""


class RecordMismatchError(RunfileError):
    """A record is sound, but of another kind, run, session or party than the one that is needed."""


class RecordReplayedError(RunfileError):
    """A record was presented before; each is good once."""


class ProtocolError(FaintlinkError):
    """The classical protocol between the parties broke."""


class LocalProtocolError(ProtocolError):
    """This side asked for something the protocol does not allow now."""


class RemoteProtocolError(ProtocolError):
    """The other side, or somebody in between, sent what the protocol does not allow."""


class AuthenticationError(ProtocolError):
    """A message does not carry the tag that only the peer can make."""


class SecurityAbort(FaintlinkError):  # noqa: N818 - an abort is not a fault of the program
    """No key is made, because none can be made securely. A normal result, never to be silenced."""


class QberTooHighError(SecurityAbort):
    """The error rate exceeds what the policy allows."""


class NotEnoughSignalsError(SecurityAbort):
    """The counts are too few: the key length is not positive."""


class MonitorVetoError(SecurityAbort):
    """A statistical monitor found something that the security proof does not cover."""


class VerificationFailedError(SecurityAbort):
    """After reconciliation the two keys still differ."""


class DeliveryError(FaintlinkError):
    """A key cannot be handed out."""


class KeyExhaustedError(DeliveryError):
    """The store holds too few key bits for the request."""


class KeyUnknownError(DeliveryError, KeyError):
    """No key of that name is in the store."""

    __str__ = FaintlinkError.__str__


class AccessDeniedError(DeliveryError, PermissionError):
    """This identity or role may not do that."""

    __str__ = FaintlinkError.__str__


class PeerUnavailableError(DeliveryError):
    """The other site does not answer, or has not agreed; what it may have assigned is neither used nor given again."""


class StoreError(DeliveryError):
    """The key store is damaged, locked by another process, or cannot be written."""


class StoreRolledBackError(StoreError):
    """The store is an older copy of itself: keys that it holds may have been delivered since."""


class AuditError(DeliveryError):
    """The audit log cannot be written, or its chain is broken: nothing may be released."""


class SelfTestError(DeliveryError):
    """A known-answer test or a health test of a random source failed: nothing is delivered."""
