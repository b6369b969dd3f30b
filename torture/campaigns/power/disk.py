"""What may be on disk: the rules by which a file system loses what was not synced.

- Of a file each sector of 512 bytes is written whole, or not at all, at any time and in any order: it holds what it held at
  some moment since the file was last synced. The same goes for the length of the file, apart from its sectors: what is not
  written behind the end of what was is zeros.
- A name that is made, given to another file or taken away is so on disk once its directory was synced; a synced file alone has
  no name yet. Until then each of these changes is there or not, apart from the others. A rename is there as a whole or not.
- Changes reach the disk at any time before that, too: so a state is any choice among all these.

fdatasync counts as fsync: it brings the size that the data needs, too. LMDB's commit ends with a synchronous write of about a
hundred bytes within one sector, which is therefore there or not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from torture.campaigns.power.recording import Event, Initial, Kind

SECTOR_BYTES = 512


class FileOnDisk:
    """A file: its content as processes see it, and its sizes and the contents of each sector since the last sync."""

    def __init__(self, kernel_inode: int, content: bytes = b"") -> None:
        self.kernel_inode = kernel_inode
        self.content = bytearray(content)
        self.durable = content
        self.sizes: list[tuple[int, int]] = [(0, len(content))]  # (time, size)
        self.sectors: dict[int, list[tuple[int, bytes]]] = {}  # (time, content)

    def write(self, time: int, position: int, data: bytes) -> None:
        """Bytes are stored, and the file grows if it has to."""
        end = position + len(data)
        self._grow(time, end)
        self.content[position:end] = data
        self._note(time, position, end)

    def resize(self, time: int, size: int) -> None:
        """The file is cut, or grows by zeros."""
        former = len(self.content)
        self._grow(time, size)
        if size < former:
            del self.content[size:]
            self._note(time, size, former)
            self.sizes.append((time, size))

    def _grow(self, time: int, size: int) -> None:
        if size > len(self.content):
            self.content.extend(bytes(size - len(self.content)))
            self.sizes.append((time, size))

    def _note(self, time: int, start: int, end: int) -> None:
        for number in range(start // SECTOR_BYTES, -(-end // SECTOR_BYTES)):
            versions = self.sectors.setdefault(number, [(0, _sector(self.durable, number))])
            now = _sector(self.content, number)
            if now != versions[-1][1]:
                versions.append((time, now))

    def see(self, time: int, content: bytes) -> None:
        """A mapped file was found to hold this."""
        self.resize(time, len(content))
        for number in range(-(-len(content) // SECTOR_BYTES)):
            start = number * SECTOR_BYTES
            part = content[start : start + SECTOR_BYTES]
            if self.content[start : start + SECTOR_BYTES] != part:
                self.write(time, start, part)

    def sync(self) -> None:
        """Everything is on disk."""
        self.durable = bytes(self.content)
        self.sizes = [self.sizes[-1]]
        self.sectors = {}

    def sync_part(self, start: int, end: int) -> None:
        """What a synchronous write has written is on disk, and no more."""
        durable = bytearray(self.durable.ljust(end, b"\0"))
        for number in range(start // SECTOR_BYTES, -(-end // SECTOR_BYTES)):
            self.sectors.pop(number, None)
            at = number * SECTOR_BYTES
            durable[at : at + SECTOR_BYTES] = _sector(self.content, number)
        self.durable = bytes(durable[: max(len(self.durable), len(self.content))])
        self.sizes = [self.sizes[-1]]

    def assemble(self, size: int, sectors: dict[int, bytes]) -> bytes:
        """The content that has this size and these sectors."""
        content = bytearray(self.durable[:size].ljust(size, b"\0"))
        for number, sector in sectors.items():
            start = number * SECTOR_BYTES
            content[start : start + SECTOR_BYTES] = sector[: max(0, size - start)]
        return bytes(content)


def _sector(content: bytes | bytearray, number: int) -> bytes:
    start = number * SECTOR_BYTES
    return bytes(content[start : start + SECTOR_BYTES]).ljust(SECTOR_BYTES, b"\0")


class Naming(NamedTuple):
    """A change of names: each of (directory, name) means this file, or nothing (None)."""

    time: int
    bindings: tuple[tuple[int, str, int | None], ...]
    unsynced: set[int]  # directories


Names = dict[int, dict[str, int]]


def bind(names: Names, naming: Naming) -> None:
    """Let a change of names be."""
    for directory, name, file in naming.bindings:
        if file is None:
            names.setdefault(directory, {}).pop(name, None)
        else:
            names.setdefault(directory, {})[name] = file


@dataclass
class Disk:
    """Files and directories by numbers of their own: the kernel gives the inode of a deleted one to another."""

    root: int = 0
    files: dict[int, FileOnDisk | None] = field(default_factory=dict)  # None: a directory
    durable_names: Names = field(default_factory=dict)
    namings: list[Naming] = field(default_factory=list)
    numbers: dict[int, int] = field(default_factory=dict)  # by inode, as it is used now

    @classmethod
    def of(cls, initial: Initial) -> Disk:
        """Everything that stood there is on disk."""
        disk = cls()
        for inode, content in initial.contents.items():
            disk._add(inode, None if content is None else FileOnDisk(inode, content))
        disk.root = disk.numbers[initial.root]
        for directory, name, inode in initial.names:
            disk.durable_names.setdefault(disk.numbers[directory], {})[name] = disk.numbers[inode]
        return disk

    def _add(self, inode: int, file: FileOnDisk | None) -> int:
        self.numbers[inode] = len(self.files)
        self.files[self.numbers[inode]] = file
        return self.numbers[inode]

    def apply(self, time: int, event: Event) -> None:
        """What a call has done, as far as processes see it; at `time` nothing of it need be on disk."""
        kind = event.kind
        if kind in (Kind.CREATE, Kind.MAKE_DIRECTORY):
            number = self._add(event.inode, FileOnDisk(event.inode) if kind == Kind.CREATE else None)
            self._name(time, (event.directory, event.name, number))
        elif kind == Kind.LINK:
            self._name(time, (event.directory, event.name, self.numbers[event.inode]))
        elif kind in (Kind.UNLINK, Kind.REMOVE_DIRECTORY):
            self._name(time, (event.directory, event.name, None))
        elif kind == Kind.RENAME:
            new = (event.other_directory, event.other_name, self.numbers[event.inode])
            self._name(time, (event.directory, event.name, None), new)
        elif kind == Kind.SYNC:
            self._sync(self.numbers[event.inode])
        elif kind != Kind.MARK:
            self._change(time, event)

    def _change(self, time: int, event: Event) -> None:
        file = self.files[self.numbers[event.inode]]
        assert file is not None
        if event.kind in (Kind.WRITE, Kind.WRITE_SYNCED):
            file.write(time, event.position, event.data)
        elif event.kind == Kind.TRUNCATE:
            file.resize(time, event.position)
        elif event.kind == Kind.ALLOCATE:
            file.resize(time, max(len(file.content), event.position + event.length))
        elif event.kind == Kind.MAPPED:
            file.see(time, event.data)

    def complete(self, event: Event) -> None:
        """A synchronous write returns."""
        if event.kind == Kind.WRITE_SYNCED:
            file = self.files[self.numbers[event.inode]]
            assert file is not None
            file.sync_part(event.position, event.position + len(event.data))

    def _name(self, time: int, *bindings: tuple[int, str, int | None]) -> None:
        numbered = tuple((self.numbers[directory], name, file) for directory, name, file in bindings)
        self.namings.append(Naming(time, numbered, {directory for directory, _, _ in numbered}))

    def _sync(self, number: int) -> None:
        file = self.files[number]
        if file is not None:
            file.sync()
        for naming in self.namings:
            naming.unsynced.discard(number)
        while self.namings and not self.namings[0].unsynced:
            bind(self.durable_names, self.namings.pop(0))

    def paths(self, names: Names) -> Iterator[tuple[str, int]]:
        """Every path that these names lead to, a directory before what is in it."""
        waiting = [("", self.root)]
        while waiting:
            path, directory = waiting.pop()
            for name, number in names.get(directory, {}).items():
                yield f"{path}{name}", number
                if self.files[number] is None:
                    waiting.append((f"{path}{name}/", number))

    def visible(self) -> dict[str, bytes | None]:
        """What processes see: contents by path, None for a directory."""
        names = {directory: dict(entries) for directory, entries in self.durable_names.items()}
        for naming in self.namings:
            bind(names, naming)
        found: dict[str, bytes | None] = {}
        for path, number in self.paths(names):
            file = self.files[number]
            found[path] = None if file is None else bytes(file.content)
        return found
