"""Where a site keeps its audit log: key, records and anchors in one folder, unless the anchors go elsewhere."""

from pathlib import Path

from faintlink.delivery.audit.signing import PUBLIC_SUFFIX, AuditPublicKey
from faintlink.delivery.audit.verify import Verification, verify

KEY_FILE = "audit.key"
LOG_FOLDER = "log"
ANCHORS_FILE = "anchors"


def public_key(folder: Path) -> AuditPublicKey:
    """Return the public audit key that a site keeps in its own folder.

    Raises
    ------
    AuditError
        There is none.
    """
    return AuditPublicKey.open(folder / (KEY_FILE + PUBLIC_SUFFIX))


def verify_site_log(folder: Path, *, anchors: Path | None = None, key: AuditPublicKey | None = None) -> Verification:
    """Verify the audit log of a site.

    Parameters
    ----------
    folder
        Of the site's audit.
    anchors, key
        The auditor's own copies; those in ``folder`` if left out, which whoever could change the log could change too.

    Raises
    ------
    AuditError
        There is no public key.
    """
    place = anchors or folder / ANCHORS_FILE
    return verify(folder / LOG_FOLDER, anchors=place, key=key or public_key(folder))
