"""Optical switches."""
