"""Quantum digital signatures: one-time universal hashing under keys of two links."""
