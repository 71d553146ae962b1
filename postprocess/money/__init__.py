"""Quantum money: cards of pairs of weak pulses that are kept, challenged in one basis a pair, and good once."""
