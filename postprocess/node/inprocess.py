"""Both nodes in one process: messages go through their bytes, but through no network.

For tests, for simulations, and for analyses of both sides' files.
"""

from collections import deque

from faintlink.postprocess.node.machine import BlockMachine
from faintlink.postprocess.node.messages import Message, decode


def run_block(alice: BlockMachine, bob: BlockMachine) -> int:
    """Let two machines settle a block and return the number of messages.

    Each message is encoded and decoded on its way, so that nothing but bytes passes.
    """
    to_bob: deque[Message] = deque(alice.start())
    to_alice: deque[Message] = deque(bob.start())
    count = 0
    while True:
        for queue, machine, replies in ((to_alice, alice, to_bob), (to_bob, bob, to_alice)):
            while queue:
                message = queue.popleft()
                replies.extend(machine.receive(decode(message.kind, message.encode())))
                count += 1
        if to_alice or to_bob:
            continue
        # One process is its own channel: it vouches for what it passed on itself.
        waiting = [(machine, out) for machine, out in ((alice, to_bob), (bob, to_alice)) if machine.awaits_vouch]
        if not waiting:
            return count
        for machine, out in waiting:
            out.extend(machine.vouched())
