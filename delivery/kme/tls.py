"""TLS contexts: both sides show a certificate, always."""

import ssl
from pathlib import Path

from faintlink.core.errors import ConfigError
from faintlink.delivery.kme.config import Listener


def server_context(folder: Path, listener: Listener) -> ssl.SSLContext:
    """Return what a listener speaks: callers without a certificate of its authority get no connection.

    Raises
    ------
    ConfigError
        A file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load(context, folder, listener)
    # No ticket lets a caller come back on the strength of an older check of its certificate.
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET
    return context


def client_context(folder: Path, listener: Listener) -> ssl.SSLContext:
    """Return what this site speaks when it calls another; the name is checked with each connection.

    Raises
    ------
    ConfigError
        A file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _load(context, folder, listener)
    return context


def _load(context: ssl.SSLContext, folder: Path, listener: Listener) -> None:
    context.minimum_version = listener.tls_version
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_cert_chain(folder / listener.certificate, folder / listener.key)
        context.load_verify_locations(folder / listener.authority)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"the certificates in {folder} cannot be used: {error}", hint="make them with `faintlink kme pki`"
        ) from None
