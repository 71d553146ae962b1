"""Voltage and current sources for bias."""
