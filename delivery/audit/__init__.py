"""The audit log: what a site did, written before it did it, in a form that cannot be changed unnoticed."""
