"""Commands of the live side: run and demo."""
