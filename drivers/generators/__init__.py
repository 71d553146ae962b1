"""Arbitrary waveform generators that play the sender's pattern."""
