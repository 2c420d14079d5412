"""A certificate of 127.0.0.1 that vouches for itself, made when a test asks for one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from omnireid.server.running import Tls


def made_certificate(folder: Path) -> Tls:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    tls = Tls(folder / "cert.pem", folder / "key.pem")
    made = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    files = ["-addext", "subjectAltName=IP:127.0.0.1", "-out", str(tls.certificate), "-keyout", str(tls.key)]
    subprocess.run(["openssl", *made.split(), *files], check=True, capture_output=True)
    return tls
