"""Certificates for tests, made in memory."""

from __future__ import annotations

import ssl
from pathlib import Path

import trustme

from eventlog.serve.security.tls import TlsFiles


class Authority:
    """An authority, with a certificate for a server at 127.0.0.1."""

    def __init__(self, directory: Path) -> None:
        self._authority = trustme.CA()
        self.path = directory / "authority.pem"
        self._authority.cert_pem.write_to_path(str(self.path))
        server = self._authority.issue_cert("127.0.0.1", "localhost")
        certificate, key = directory / "server.pem", directory / "server.key"
        for number, pem in enumerate(server.cert_chain_pems):
            pem.write_to_path(str(certificate), append=number > 0)
        server.private_key_pem.write_to_path(str(key))
        self.files = TlsFiles(str(certificate), str(key))
        self.files_with_clients = self.files._replace(client_authorities=str(self.path))

    def context(self, *, is_known: bool = False) -> ssl.SSLContext:
        """What a client needs that trusts the authority; one that `is_known` has a certificate of its own."""
        context = ssl.create_default_context(cafile=str(self.path))
        if is_known:
            self._authority.issue_cert("client@example.com").configure_cert(context)
        return context
