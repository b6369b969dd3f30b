"""The URL of the other end of a bridge. What is secret in it is never shown."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from eventlog.errors import InvalidArgumentError, InvalidTypeError

_SECRET_WORDS = ("password", "passwd", "passcode", "secret", "token", "credential", "jaas", "private", "key.pem")


class Url:
    """A parsed URL: `scheme`; `hosts`, each with its port or None; `user`; `path`, decoded; `options`, the query by name;
    `fragment`. `password` is the one given separately, else the one in the URL. `str` and `repr` have no secret."""

    __slots__ = ("_query", "fragment", "hosts", "options", "password", "path", "raw_path", "scheme", "user")

    def __init__(self, text: str, password: str | None = None) -> None:
        """Raises `InvalidArgumentError`, which does not show the URL either, since nobody knows what is secret in it."""
        if not isinstance(text, str):
            raise InvalidTypeError(f"a URL must be a string, not {type(text).__name__}")
        try:
            split = urlsplit(text)
            self.hosts = tuple(_hosts(split))
            self._query = parse_qsl(split.query, keep_blank_values=True, strict_parsing=bool(split.query))
        except ValueError:  # not shown: its message may have a secret
            raise InvalidArgumentError("this is not a valid URL: it must be like scheme://host:port/path?name=value") from None
        login, _, _ = split.netloc.rpartition("@")
        user, colon, in_url = login.partition(":")
        self.scheme = split.scheme
        self.user = unquote(user) if login else None
        self.password = password if password is not None else unquote(in_url) if colon else None
        self.raw_path = split.path
        self.path = unquote(split.path)
        self.fragment = unquote(split.fragment)
        self.options: Mapping[str, str] = MappingProxyType(_unique(self._query))

    def __str__(self) -> str:
        user = f"{self.user}@" if self.user else ""
        hosts = ",".join(_shown_host(host, port) for host, port in self.hosts)
        has_hosts = "//" if self.hosts else ""
        query = "&".join(f"{name}={'***' if _is_secret(name) else value}" for name, value in self._query)
        fragment = f"#{self.fragment}" if self.fragment else ""
        return f"{self.scheme}:{has_hosts}{user}{hosts}{self.raw_path}{'?' if query else ''}{query}{fragment}"

    def __repr__(self) -> str:
        return f"<Url {self}>"

    @property
    def has_secret(self) -> bool:
        """Is there a password, or the like, in the URL itself? Call it on a URL that was given no password separately."""
        return self.password is not None or any(_is_secret(name) for name in self.options)

    def host(self, default_port: int) -> tuple[str, int]:
        """The only host, and its port. Raises `InvalidArgumentError` if there are none or several."""
        if len(self.hosts) != 1:
            raise InvalidArgumentError(f"{self} must name one host")
        host, port = self.hosts[0]
        return host, default_port if port is None else port

    def check_options(self, known: set[str]) -> None:
        """Raise `InvalidArgumentError` if the query has another option than these."""
        unknown = sorted(set(self.options) - known)
        if unknown:
            raise InvalidArgumentError(f"{self} has an unknown option {unknown[0]!r}: there are {', '.join(sorted(known))}")


def _hosts(split: SplitResult) -> list[tuple[str, int | None]]:
    names = split.netloc.rpartition("@")[2]
    return [_host(name) for name in names.split(",")] if names else []


def _host(text: str) -> tuple[str, int | None]:
    name, colon, port = text.rpartition(":") if not text.endswith("]") else (text, "", "")
    if not colon:
        name, port = text, ""
    if name.startswith("["):
        name = name[1:-1]
    if not name or (colon and not (port.isascii() and port.isdigit() and 0 < int(port) < 2**16)):
        raise ValueError("no host, or not a port")
    return unquote(name), int(port) if port else None


def _shown_host(host: str, port: int | None) -> str:
    name = f"[{host}]" if ":" in host else host
    return name if port is None else f"{name}:{port}"


def _is_secret(name: str) -> bool:
    return any(word in name.lower() for word in _SECRET_WORDS)


def _unique(query: list[tuple[str, str]]) -> dict[str, str]:
    options = dict(query)
    if len(options) != len(query):
        repeated = next(name for name, _ in query if [each for each, _ in query].count(name) > 1)
        raise InvalidArgumentError(f"the URL has the option {repeated!r} twice")
    return options
