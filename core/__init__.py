"""The shared vocabulary of faintlink: tags, settings, records, errors, configuration and the run file.

Everybody imports this floor and it imports none of the other folders.
"""

from importlib.metadata import version

__version__ = version("faintlink")

__all__ = ["__version__"]
