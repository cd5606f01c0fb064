"""Private authorities and client certificates, in front of an nginx that wants both."""

import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from gallery_gateway.settings import Settings, SettingsError
from gallery_gateway.upstream.transport import create_ssl_context
from tests.fakes import gateway
from tests.scaling.fleet import free_ports
from tests.scaling.proxy import PROGRAM, nginx
from tests.upstream.certificates import Authority
from tests.upstream.opening import PAGE
from tests.upstream.sockets import RawServer, always, http_response, serving

GALLERY = "{ gallery { pagination { total } } }"
needs_nginx = pytest.mark.skipif(PROGRAM is None, reason="nginx is not installed")

_CONFIGURATION = """
server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    ssl_client_certificate {clients};
    ssl_verify_client on;
    location / {{
        proxy_pass http://127.0.0.1:{api};
        proxy_set_header X-Client $ssl_client_s_dn;
    }}
}}
"""


@dataclass(frozen=True)
class Secured:
    """An API behind nginx, the authority of its name, and that of its clients."""

    url: str
    api: RawServer
    servers: Authority
    clients: Authority


@asynccontextmanager
async def secured(folder: Path) -> AsyncIterator[Secured]:
    servers, clients = Authority(folder, "servers"), Authority(folder, "clients")
    certificate, key = servers.issue("127.0.0.1")
    (port,) = free_ports(1)

    async with serving(always(http_response(PAGE))) as api:

        def configured(port: int, _gateways: Sequence[int]) -> str:
            files = {"certificate": certificate, "key": key, "clients": clients.file}
            return _CONFIGURATION.format(port=port, api=api.port, **files)

        async with nginx(folder, port, [], configured=configured):
            yield Secured(f"https://127.0.0.1:{port}", api, servers, clients)


async def asked(api: Secured, **settings: Any) -> Any:
    async with gateway(None, upstream_url=api.url, **settings) as client:
        return await client.ask(GALLERY)


@needs_nginx
@pytest.mark.parametrize("are_together", [False, True])
async def test_the_gateway_identifies_itself_to_nginx(tmp_path: Path, are_together: bool) -> None:
    async with secured(tmp_path) as api:
        certificate, key = api.clients.issue("gateway.example")
        files: dict[str, Path] = {"upstream_client_cert_file": certificate, "upstream_client_key_file": key}
        if are_together:
            certificate.write_bytes(certificate.read_bytes() + key.read_bytes())
            del files["upstream_client_key_file"]

        answer = await asked(api, upstream_ca_file=api.servers.file, **files)

    assert answer["data"]["gallery"]["pagination"]["total"] == 1
    assert b"X-Client: CN=gateway.example\r\n" in api.api.heads[0]


@needs_nginx
async def test_no_request_passes_without_the_certificate_or_the_authority(tmp_path: Path) -> None:
    async with secured(tmp_path) as api:
        stranger, key = Authority(tmp_path, "strangers").issue("stranger.example")
        files = {"upstream_client_cert_file": stranger, "upstream_client_key_file": key}

        unknown = await asked(api)
        without = await asked(api, upstream_ca_file=api.servers.file)
        wrong = await asked(api, upstream_ca_file=api.servers.file, **files)

    codes = [answer["errors"][0]["extensions"]["code"] for answer in (unknown, without, wrong)]
    assert codes == ["UPSTREAM_UNAVAILABLE"] * 3
    assert api.api.heads == []


def test_the_public_authorities_stay_trusted(tmp_path: Path) -> None:
    public = create_ssl_context().get_ca_certs()

    trusted = create_ssl_context(ca_file=Authority(tmp_path, "private").file).get_ca_certs()

    assert len(trusted) == len(public) + 1
    assert all(authority in trusted for authority in public)


def test_the_name_is_checked_for_a_private_authority_too(tmp_path: Path) -> None:
    context = create_ssl_context(ca_file=Authority(tmp_path, "private").file)

    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED


def test_a_private_authority_need_not_keep_all_formalities(tmp_path: Path) -> None:
    context = create_ssl_context(ca_file=Authority(tmp_path, "private").file)

    # Python 3.13 and later check them, but for the authorities of a company.
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
    assert context.verify_flags & ssl.VERIFY_X509_PARTIAL_CHAIN


def refused(**settings: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        Settings.read(_env_file=None, **settings)
    return str(caught.value).removeprefix("GALLERY_GATEWAY_")


def test_a_file_without_certificates_stops_the_start(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("made-up")

    message = refused(upstream_ca_file=file)

    assert message == "UPSTREAM_CA_FILE: must be a readable file with certificates in PEM"


def test_a_key_that_does_not_fit_stops_the_start(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "authority")
    certificate, key = authority.issue("a.example")
    _, other = authority.issue("b.example")
    locked = tmp_path / "locked.pem"
    loaded = serialization.load_pem_private_key(key.read_bytes(), None)
    lock = serialization.BestAvailableEncryption(b"made-up")
    form = serialization.PrivateFormat.PKCS8
    locked.write_bytes(loaded.private_bytes(serialization.Encoding.PEM, form, lock))
    expected = (
        "UPSTREAM_CLIENT_KEY_FILE: must be the key, without password, of the first certificate in"
        " UPSTREAM_CLIENT_CERT_FILE"
    )

    assert refused(upstream_client_cert_file=certificate, upstream_client_key_file=other) == expected
    assert refused(upstream_client_cert_file=certificate, upstream_client_key_file=locked) == expected
    assert refused(upstream_client_cert_file=certificate) == expected
    assert (
        refused(upstream_client_key_file=key) == "UPSTREAM_CLIENT_KEY_FILE: needs UPSTREAM_CLIENT_CERT_FILE"
    )


@pytest.mark.skipif(shutil.which("script") is None, reason="script makes the terminal")
def test_the_password_of_a_key_is_not_asked_for_on_the_terminal(tmp_path: Path) -> None:
    certificate, key = Authority(tmp_path, "authority").issue("a.example")
    loaded = serialization.load_pem_private_key(key.read_bytes(), None)
    lock = serialization.BestAvailableEncryption(b"made-up")
    form = serialization.PrivateFormat.PKCS8
    key.write_bytes(loaded.private_bytes(serialization.Encoding.PEM, form, lock))
    files = {
        "GALLERY_GATEWAY_UPSTREAM_CLIENT_CERT_FILE": str(certificate),
        "GALLERY_GATEWAY_UPSTREAM_CLIENT_KEY_FILE": str(key),
    }

    # With a terminal, at which nobody answers.
    command = ["script", "-qec", f"{sys.executable} -m gallery_gateway serve", "/dev/null"]
    shown = subprocess.run(  # noqa: S603  # our own words
        command,
        env={**os.environ, **files},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        timeout=60,
        check=False,
        cwd=tmp_path,
    ).stdout

    assert b"UPSTREAM_CLIENT_KEY_FILE: must be the key" in shown
    assert b"pass phrase" not in shown
