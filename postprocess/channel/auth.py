"""Authentication of the classical channel: cheap tags on every frame, Wegman-Carter seals on every batch.

`Authenticator` turns messages into bytes, `Verifier` judges the frames that came; both share one `Conversation`.
Neither opens sockets, keeps time or decides when to seal: that is the node's protocol.

Why this is enough
------------------
1. *Frame tags.* Each frame carries a keyed BLAKE2b tag of its header (link, session, direction, kind, block, sequence,
   nonce, length), its payload and the frame tag before it in its direction. This stops everybody with bounded
   computing power at once, before any one-time key is touched: forged traffic costs one short hash and no key.
2. *Seals.* A seal is a frame with a Wegman-Carter tag under a fresh one-time key over: the link's name, the seal's
   own header and position in the reserve, every frame sent since the last seal of that direction, in order and in
   full, and every frame received since then. The frames themselves are under the tag, not a hash of them, so
   that no assumption on computing power enters. The verifier computes the same text from what *it* received and
   sent. The ranges join without gap, for both ends take them from the sequence numbers, and each seal is itself a
   frame under the next one. So two verified seals say: what the peer sent is what we received, what we sent is what
   the peer received, up to the stated numbers, except with the chance in `faintlink.postprocess.channel.epsilon`.
3. *Time order.* Equal texts alone would not say that a message was sent before its answer. An adversary of unbounded
   power could forge the frame tag of a message before its sender made it (a list of detections, to be answered with
   the bases), use the answer against the sender and have the real message come out equal afterwards. Therefore each
   frame holds a nonce of 128 bits drawn when it is made. Who accepted a frame that proves equal under a seal has
   accepted it after it was made, or the nonce was guessed: 2**-128 a frame.
4. *Nothing irrevocable before the seals.* Until its frames are covered a block has a computational
   protection only. `Conversation.release` lets a block go only when a verified seal of the peer covers each frame
   that was received in it, and confirms each frame that was sent in it. A key that leaves afterwards rests on
   messages that are authentic without assumption. What was done before (sifting, correction, hashing) is thrown
   away with the block when a seal fails; its disclosed bits concern a key that is never used.
5. *One trial a key.* A seal's key is booked before its tag is compared and never serves again. A wrong seal ends
   the session. So each key gives a forger one trial, and the chances of all seals add.

What it does not give: an adversary can always cut the line. The last seal of a session can be withheld, so that one
party releases a block and the other does not; the keys must be reconciled by name at delivery. Frame tags, greetings
and thus the defence against *wasting* reserve are computational.

Every failure raises and ends the conversation: wrong tag, other session, reflected direction, replayed, missing or
swapped frame, wrong seal.
"""

import hmac

from faintlink.core.errors import AuthenticationError, LocalProtocolError, RemoteProtocolError
from faintlink.postprocess.channel.conversation import (
    SEAL_FIELDS_BYTES,
    SEAL_KIND,
    Conversation,
    SealFields,
    seal_text,
    seal_text_size,
)
from faintlink.postprocess.channel.envelope import NONCE_BYTES, Frame, Header
from faintlink.postprocess.channel.epsilon import MAX_SEALED_BYTES, TagTally
from faintlink.postprocess.channel.onetime import TAG_BYTES
from faintlink.postprocess.channel.session import GREETING_KIND, frame_mac

RESERVE_KIND = 2
"""Kind of the messages with a `ReserveState`, by which both ends align their reserves at the start of a session."""
FIRST_FREE_KIND = 16
"""Kinds from here on belong to the node's protocol."""
_SEAL_PAYLOAD = SEAL_FIELDS_BYTES + TAG_BYTES
_OURS = "drop the session's unreleased blocks and greet the peer anew"


class Authenticator:
    """The sending side: messages in, bytes of authenticated frames out."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation

    def protect(self, kind: int, payload: bytes, *, block: int = 0, flags: int = 0) -> bytes:
        """Return the frame of one message.

        Parameters
        ----------
        kind
            `RESERVE_KIND`, or `FIRST_FREE_KIND` … 255.
        payload
            At most 16 MiB.
        block
            The block that the message belongs to.
        flags
            Bits that the peer's decoder was told to know.

        Raises
        ------
        LocalProtocolError
            A field is out of range, the block was released, or too much waits to be sealed. Nothing happened.
        AuthenticationError
            The session has failed.
        """
        conversation = self._conversation
        conversation.require_alive()
        if kind in (SEAL_KIND, GREETING_KIND):
            raise LocalProtocolError(f"kind {kind} belongs to the channel itself", hint="seal with seal_batch()")
        if conversation.is_released(block):
            raise LocalProtocolError(f"block {block} was released: nothing more can be said in it")
        header = self._header(kind, block=block, length=len(payload), flags=flags)
        head = header.encode()
        conversation.require_room(len(head) + len(payload))
        return self._send(header, head, payload)

    def seal_batch(self, *, block: int = 0) -> bytes:
        """Return a seal over all frames sent, and received, since our last seal. It spends one one-time key.

        Raises
        ------
        KeyExhaustedError
            The reserve is at its floor. Nothing happened; seal again after a refill.
        AuthenticationError
            The session has failed.
        """
        conversation = self._conversation
        conversation.require_alive()
        header = self._header(SEAL_KIND, block=block, length=_SEAL_PAYLOAD)
        head = header.encode()
        key = conversation.source.take(conversation.outgoing)
        first, end = conversation.sealed_sent, conversation.sent.end
        received = conversation.sealed_received, conversation.receivable()
        fields = SealFields(key.position, received[1])
        text = seal_text(
            conversation.keys.link_id,
            head,
            fields,
            conversation.sent.between(first, end),
            conversation.received.between(*received),
        )
        payload = fields.encode() + key.tag(text)
        size = conversation.sent.size(first, end), conversation.received.size(*received)
        conversation.tally += _tally(conversation, *size)
        data = self._send(header, head, payload)
        # The seal covers its own header and fields, so the next one begins after it; the peer's answer covers it too.
        conversation.sealed_sent, conversation.sealed_received = end, received[1]
        conversation.forget()
        return data

    def _header(self, kind: int, *, block: int, length: int, flags: int = 0) -> Header:
        conversation = self._conversation
        return Header(
            kind=kind,
            direction=conversation.outgoing,
            session=conversation.keys.session,
            block=block,
            sequence=conversation.sent.end,
            nonce=conversation.entropy.draw(NONCE_BYTES, "channel nonce"),
            length=length,
            flags=flags,
        )

    def _send(self, header: Header, head: bytes, payload: bytes) -> bytes:
        conversation = self._conversation
        mac = frame_mac(conversation.keys.frame_key, conversation.sent.mac, head, payload)
        frame = Frame(header, head, payload, mac)
        conversation.note(conversation.sent, frame)
        return frame.encode()


class Verifier:
    """The receiving side: frames in, the same frames out when they are the peer's."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation

    def accept(self, frame: Frame) -> Frame:
        """Return a frame that carries the tag of the peer; a seal is verified besides.

        A frame that is not a seal is protected computationally until a later seal covers it.

        Raises
        ------
        AuthenticationError
            The frame is forged, altered, reflected, replayed, out of its place or of another session, or a seal does
            not fit what was sent and received, or the session had failed before.
        RemoteProtocolError
            The peer said what the channel does not allow.
        KeyExhaustedError
            The peer's seal needs a key below our floor.
        """
        conversation = self._conversation
        conversation.require_alive()
        try:
            self._check_frame(frame)
            if frame.header.kind == SEAL_KIND:
                self._check_seal(frame)
            else:
                self._check_message(frame)
        except BaseException as error:
            conversation.fail(str(error.args[0]) if error.args else type(error).__name__)
            raise
        return frame

    def accept_all(self, frames: list[Frame]) -> list[Frame]:
        """Return the frames, each accepted in turn."""
        return [self.accept(frame) for frame in frames]

    def _check_frame(self, frame: Frame) -> None:
        conversation, header = self._conversation, frame.header
        mac = frame_mac(conversation.keys.frame_key, conversation.received.mac, frame.head, frame.payload)
        genuine = hmac.compare_digest(mac, frame.mac)
        if header.session != conversation.keys.session:
            raise AuthenticationError("a frame of another session came", hint=_OURS)
        if header.direction is not conversation.incoming:
            raise AuthenticationError("a frame came back to the side that sent it", hint=_OURS)
        if header.sequence != conversation.received.end:
            raise AuthenticationError(
                f"frame {conversation.received.end} is due, got {header.sequence}: replayed, missing or swapped",
                hint=_OURS,
            )
        if not genuine:
            raise AuthenticationError(f"the tag of frame {header.sequence} is wrong", hint=_OURS)

    def _check_message(self, frame: Frame) -> None:
        conversation, header = self._conversation, frame.header
        if header.kind == GREETING_KIND:
            raise RemoteProtocolError("a greeting came inside a session")
        if conversation.is_released(header.block):
            raise RemoteProtocolError(f"a message of block {header.block} came after the block was released")
        waiting = conversation.received.size(conversation.verified_sent, conversation.received.end)
        if waiting + frame.size > MAX_SEALED_BYTES // 2:
            raise RemoteProtocolError(f"the peer sent {waiting} bytes without a seal")
        conversation.note(conversation.received, frame)

    def _check_seal(self, frame: Frame) -> None:
        conversation = self._conversation
        if len(frame.payload) != _SEAL_PAYLOAD:
            raise RemoteProtocolError(f"a seal has {_SEAL_PAYLOAD} bytes, got {len(frame.payload)}")
        fields = SealFields.decode(frame.payload[:SEAL_FIELDS_BYTES])
        confirmed = conversation.verified_received, fields.received_end
        if not confirmed[0] <= confirmed[1] <= conversation.sent.end:
            raise RemoteProtocolError(f"a seal confirms {confirmed[1]} frames of {conversation.sent.end} sent")
        first, end = conversation.verified_sent, conversation.received.end
        size = conversation.received.size(first, end), conversation.sent.size(*confirmed)
        tally = _tally(conversation, *size)
        if tally.longest_bytes > MAX_SEALED_BYTES:
            raise RemoteProtocolError(f"a seal covers at most {MAX_SEALED_BYTES} bytes, got {tally.longest_bytes}")
        text = seal_text(
            conversation.keys.link_id,
            frame.head,
            fields,
            conversation.received.between(first, end),
            conversation.sent.between(*confirmed),
        )
        key = conversation.source.claim(conversation.incoming, fields.position)
        conversation.tally += tally
        if not key.check(text, frame.payload[SEAL_FIELDS_BYTES:]):
            raise AuthenticationError(f"the seal of frame {frame.header.sequence} is wrong", hint=_OURS)
        conversation.note(conversation.received, frame)
        conversation.verified_sent, conversation.verified_received = end, confirmed[1]
        conversation.forget()


def _tally(conversation: Conversation, sent: int, received: int) -> TagTally:
    size = seal_text_size(conversation.keys.link_id, sent, received)
    return TagTally(tags=1, longest_bytes=size, tagged_bytes=size)
