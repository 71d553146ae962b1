"""Information reconciliation by LDPC codes, in one message where all goes well."""

from faintlink.postprocess.qkd.ldpc.parameters import LdpcParameters
from faintlink.postprocess.qkd.ldpc.parties import LdpcAlice, LdpcBob
from faintlink.postprocess.qkd.ldpc.reconcile import reconcile_ldpc

__all__ = ["LdpcAlice", "LdpcBob", "LdpcParameters", "reconcile_ldpc"]
