"""Variable optical attenuators."""
