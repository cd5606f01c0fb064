"""Certificates for servers on this machine, and who trusts them."""

import datetime
import ipaddress
import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

load_keys_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="makes the certificate with openssl"
)


@dataclass(frozen=True)
class SelfSigned:
    """Both sides of a connection."""

    server: ssl.SSLContext
    client: ssl.SSLContext


def self_signed(folder: Path) -> SelfSigned:
    """For 127.0.0.1, by openssl."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *subject, *files]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603  # of our own words
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    return SelfSigned(server, ssl.create_default_context(cafile=certificate))


def certified(
    folder: Path,
    *,
    host: str = "127.0.0.1",
    valid_days: tuple[int, int] = (-1, 1),
    organisation: str = "Any",
) -> SelfSigned:
    """Return a certificate for any host, valid between these two days from now."""
    key = ec.generate_private_key(ec.SECP256R1())
    common_name = x509.NameAttribute(x509.NameOID.COMMON_NAME, host)
    name = x509.Name([common_name, x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, organisation)])
    now = datetime.datetime.now(datetime.UTC)
    begin, end = (now + datetime.timedelta(days=days) for days in valid_days)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), begin, end)
        .add_extension(x509.SubjectAlternativeName([_general_name(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    key_file, certificate_file = folder / "key.pem", folder / "certificate.pem"
    plain = serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate_file, key_file)
    return SelfSigned(server, ssl.create_default_context(cafile=certificate_file))


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


class Authority:
    """A private authority as companies have them: without the extensions that Python 3.13 asks for."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        certificate = self._builder(self._name, self._key).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=False
        )
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(certificate.sign(self._key, hashes.SHA256()).public_bytes(_PEM))

    def issue(self, name: str) -> tuple[Path, Path]:
        """Return the files of a certificate for a host or client, and of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        certificate = self._builder(subject, key).add_extension(
            x509.SubjectAlternativeName([_general_name(name)]), critical=False
        )
        files = self._folder / f"{name}.crt", self._folder / f"{name}.key"
        files[0].write_bytes(certificate.sign(self._key, hashes.SHA256()).public_bytes(_PEM))
        files[1].write_bytes(key.private_bytes(_PEM, _PKCS8, serialization.NoEncryption()))
        return files

    def server_context(self, host: str) -> ssl.SSLContext:
        """Return the context of a server with a certificate for `host`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.issue(host))
        return context

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        day = datetime.timedelta(days=1)
        serial = x509.random_serial_number()
        return x509.CertificateBuilder(self._name, subject, key.public_key(), serial, now - day, now + day)


_PEM = serialization.Encoding.PEM
_PKCS8 = serialization.PrivateFormat.PKCS8
