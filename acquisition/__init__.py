"""The live side: arm, stream, buffer, write and seal a run."""
