"""Decoy and finite-key bounds, each with its paper and equation numbers, and the epsilon ledger."""
