"""Certificates for the tests, made by the openssl command when they are needed."""

import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.debian_binary import lacking

_KEY = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"


@dataclass(frozen=True)
class Authority:
    """A CA of a test's own, and what it signs. Every file lies in one folder."""

    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / "ca.pem"

    def signed(self, name: str, *, names: str = "IP:127.0.0.1", days: int = 2) -> tuple[Path, Path]:
        """(certificate, key). names: of the subject, as openssl writes them; days below 0: it has expired"""
        certificate, key, request, more = (
            self.folder / f"{name}.{end}" for end in ("pem", "key", "csr", "ext")
        )
        more.write_text(f"subjectAltName={names}\n", encoding="utf-8")
        _openssl(f"req {_KEY} -keyout {key} -out {request} -subj /CN={name}")
        signing = f"-CA {self.file} -CAkey {self.folder / 'ca.key'} -CAcreateserial"
        _openssl(f"x509 -req -in {request} {signing} -days {days} -extfile {more} -out {certificate}")
        return certificate, key

    def serving(self, name: str, *, names: str = "IP:127.0.0.1", days: int = 2) -> ssl.SSLContext:
        """What serves HTTPS with a certificate of this CA."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.signed(name, names=names, days=days))
        return context


def authority(folder: Path) -> Authority:
    """A new CA in a folder; the test is skipped where openssl is missing."""
    if shutil.which("openssl") is None:
        lacking("no openssl here to make certificates: install it")
    folder.mkdir(parents=True, exist_ok=True)
    _openssl(
        f"req -x509 {_KEY} -keyout {folder / 'ca.key'} -out {folder / 'ca.pem'} -days 2 -subj /CN=test-ca"
    )
    return Authority(folder)


def encrypted(key: Path, password: str) -> Path:
    """The same key, under a password."""
    locked = key.with_suffix(".locked")
    _openssl(f"pkcs8 -topk8 -in {key} -out {locked} -passout pass:{password}")
    return locked


def _openssl(arguments: str) -> None:
    subprocess.run(["openssl", *arguments.split()], check=True, capture_output=True)
