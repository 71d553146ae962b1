"""Find out why a step of a bring-up fails: evidence, and diagnoses that are pure functions of it."""
