"""Hand a run on: to other programs' formats, to an archive, to notebooks."""
