"""Codecs of recorded time-tag formats: bytes in, tag blocks out; no files, no hardware."""
