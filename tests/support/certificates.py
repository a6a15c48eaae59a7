"""A private certificate authority and a certificate for ``localhost``, by the ``openssl`` command."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tools.s3server import Tls


def private_authority(folder: Path) -> Tls:
    """Make both in ``folder``; fails the test where there is no ``openssl``."""
    if shutil.which("openssl") is None:
        pytest.fail("the command openssl is missing: apt-get install openssl")
    tls = Tls(certificate=folder / "server.pem", key=folder / "server.key", authority=folder / "ca.pem")
    authority_key = folder / "ca.key"
    names = folder / "names.txt"
    names.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    request = folder / "server.csr"
    ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subject = ["-subj", "/CN=private test authority", "-addext", "keyUsage=critical,keyCertSign"]
    signed_by = ["-CA", tls.authority, "-CAkey", authority_key, "-CAcreateserial"]
    for arguments in (
        ["req", "-x509", *ec, "-days", "2", *subject, "-keyout", authority_key, "-out", tls.authority],
        ["req", *ec, "-subj", "/CN=localhost", "-keyout", tls.key, "-out", request],
        ["x509", "-req", "-in", request, *signed_by, "-days", "2", "-extfile", names, "-out", tls.certificate],
    ):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=60)
    return tls
