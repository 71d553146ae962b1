"""Information reconciliation by Cascade, as messages between two parties."""

from faintlink.postprocess.qkd.cascade.parameters import CascadeParameters
from faintlink.postprocess.qkd.cascade.parties import CascadeAlice, CascadeBob
from faintlink.postprocess.qkd.cascade.reconcile import ReconcileReport, reconcile

__all__ = ["CascadeAlice", "CascadeBob", "CascadeParameters", "ReconcileReport", "reconcile"]
