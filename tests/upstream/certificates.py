"""A certificate for 127.0.0.1, and who trusts it; made by openssl."""

import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

wants_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="makes the certificate with openssl"
)


@dataclass(frozen=True)
class SelfSigned:
    """Both sides of a connection."""

    server: ssl.SSLContext
    client: ssl.SSLContext


def self_signed(folder: Path) -> SelfSigned:
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *subject, *files]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603  # of our own words
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    return SelfSigned(server, ssl.create_default_context(cafile=certificate))
