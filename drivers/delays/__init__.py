"""Optical delay lines."""
