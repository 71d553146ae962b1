"""Quantum-digital payments: cryptograms that are good for one merchant only."""
