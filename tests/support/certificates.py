"""Certificates for tests, made with the openssl command: an authority, and what it signs."""
import dataclasses
import pathlib
import secrets
import subprocess


def openssl(*arguments, stdin: bytes = b"") -> bytes:
    run = subprocess.run(["openssl", *map(str, arguments)], input=stdin, capture_output=True)
    if run.returncode != 0:
        raise RuntimeError(f"openssl {' '.join(map(str, arguments))}: {run.stderr.decode()}")
    return run.stdout


@dataclasses.dataclass(frozen=True)
class Certificate:
    certificate: pathlib.Path
    key: pathlib.Path


class Authority:
    """`names` of certificates are DNS names, or addresses written as `IP:127.0.0.1`."""

    def __init__(self, folder: pathlib.Path, name: str = "authority"):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.certificate, self.key = folder / f"{name}.crt", folder / f"{name}.key"
        self._new_key(self.key)
        openssl("req", "-x509", "-new", "-key", self.key, "-days", 30, "-subj", f"/CN={name}", "-out", self.certificate,
                "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    @staticmethod
    def _new_key(path: pathlib.Path) -> None:
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)
        path.chmod(0o600)

    def issue(self, name: str, names=("localhost", "IP:127.0.0.1"), days: int = 30, extensions=()) -> Certificate:
        """`days` may be negative: the certificate has then expired."""
        made = Certificate(self.folder / f"{name}.crt", self.folder / f"{name}.key")
        self._new_key(made.key)
        request = openssl("req", "-new", "-key", made.key, "-subj", f"/CN={name}")
        lines = ["basicConstraints=critical,CA:FALSE", *extensions]
        if names:
            lines.append("subjectAltName=" + ",".join(each if ":" in each else f"DNS:{each}" for each in names))
        config = self.folder / f"{name}.ext"
        config.write_text("\n".join(lines) + "\n")
        openssl("x509", "-req", "-CA", self.certificate, "-CAkey", self.key, "-set_serial", secrets.randbits(63),
                "-days", days, "-extfile", config, "-out", made.certificate, stdin=request)
        return made
