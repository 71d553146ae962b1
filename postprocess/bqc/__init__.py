"""Blind and verifiable quantum computing: clients' secrets, test rounds, verdict, and what the verdict is worth."""
