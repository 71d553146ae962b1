"""Commands of the reanalysis: process and bound."""
