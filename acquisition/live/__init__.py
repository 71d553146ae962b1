"""The live view of a run: a model without windows, the terminal's view, and the window."""
