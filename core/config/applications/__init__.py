"""Policies of the applications, frozen before the first pulse; each is a section of the link file."""
