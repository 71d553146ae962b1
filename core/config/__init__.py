"""Strict models of the files in lab_configs, and the loader that reports every fault at once."""
