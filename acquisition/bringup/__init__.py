"""Bring a cold link up step by step, say how it stands, and find out why a step fails."""
