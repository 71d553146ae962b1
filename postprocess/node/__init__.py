"""Two cooperating nodes: messages, the two sides of a block as state machines, and the shells that carry bytes."""
