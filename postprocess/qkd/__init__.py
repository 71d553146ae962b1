"""The stages of key distillation: clock, sift, estimate, reconcile, verify, amplify."""
