"""Codecs of recorded time-tag formats: `recording.open_recording` gives any of them as tag blocks; no hardware."""
