"""Quantum tokens without quantum memory (S-money): issue, present, verify at once at one of 2**M points."""
