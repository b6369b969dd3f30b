"""The client's side of SASL: what a client sends to authenticate, right or wrong."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

from tests.serve.client import RawClient

HASHES = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}


class ScramClient:
    """One exchange by SCRAM."""

    def __init__(self, mechanism: str, name: str, password: str) -> None:
        self._hash = HASHES[mechanism]
        self._password = password
        self.nonce = "rOprNGfwEbeRWgbNEkqO"
        self._bare = f"n={name},r={self.nonce}"
        self.first = f"n,,{self._bare}".encode()
        self.signature = b""

    def proof(self, answer: bytes) -> bytes:
        """The client's last message, for the server's answer to the first one."""
        fields = dict(part.split("=", 1) for part in answer.decode().split(","))
        salt = base64.b64decode(fields["s"])
        salted = hashlib.pbkdf2_hmac(self._hash, self._password.encode(), salt, int(fields["i"]))
        client_key = hmac.digest(salted, b"Client Key", self._hash)
        unproved = f"c=biws,r={fields['r']}"
        signed = f"{self._bare},{answer.decode()},{unproved}".encode()
        signature = hmac.digest(hashlib.new(self._hash, client_key).digest(), signed, self._hash)
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        server_key = hmac.digest(salted, b"Server Key", self._hash)
        self.signature = b"v=" + base64.b64encode(hmac.digest(server_key, signed, self._hash))
        return f"{unproved},p={base64.b64encode(proof).decode()}".encode()


def authenticate(client: RawClient, name: str, password: str, mechanism: str = "SCRAM-SHA-256") -> Any:
    """Authenticate by SCRAM; returns the last answer."""
    assert client.ask("SaslHandshake", 1, mechanism=mechanism).error_code == 0
    scram = ScramClient(mechanism, name, password)
    answer = client.ask("SaslAuthenticate", 2, auth_bytes=scram.first)
    assert answer.error_code == 0
    answer = client.ask("SaslAuthenticate", 2, auth_bytes=scram.proof(answer.auth_bytes))
    assert answer.error_code or answer.auth_bytes == scram.signature
    return answer


def authenticate_plainly(client: RawClient, name: str, password: str) -> Any:
    """Authenticate by PLAIN; returns the answer."""
    assert client.ask("SaslHandshake", 1, mechanism="PLAIN").error_code == 0
    return client.ask("SaslAuthenticate", 2, auth_bytes=f"\0{name}\0{password}".encode())
