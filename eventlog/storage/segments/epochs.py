"""The leader epochs of a partition: each truncation starts one. Source of the format: Kafka's LeaderEpochCheckpointFile."""

from __future__ import annotations

from pathlib import Path

from eventlog.storage.segments import files, names

_EPOCH_MAX = 2**31 - 1


def read_epochs(directory: Path) -> list[tuple[int, int]]:
    """Leader epochs and their start offsets. Source of the format: Kafka's LeaderEpochCheckpointFile (version 0).

    A checkpoint that cannot be read counts as empty: it says nothing about records."""
    try:
        lines = (directory / names.EPOCH_CHECKPOINT).read_text("ascii").split("\n")
        epochs = [(int(epoch), int(start)) for epoch, start in (line.split() for line in lines[2:] if line.strip())]
    except (FileNotFoundError, ValueError):
        return []
    is_sound = all(0 <= epoch < _EPOCH_MAX and start >= 0 for epoch, start in epochs)
    return epochs if is_sound and epochs == sorted(epochs) else []


def write_epochs(directory: Path, epochs: list[tuple[int, int]]) -> None:
    """Replace the leader epoch checkpoint."""
    files.replace_file(directory / names.EPOCH_CHECKPOINT, [epochs_bytes(epochs)])


def epochs_bytes(epochs: list[tuple[int, int]]) -> bytes:
    """The contents of the checkpoint."""
    lines = ["0", str(len(epochs)), *(f"{epoch} {start}" for epoch, start in epochs)]
    return ("\n".join(lines) + "\n").encode("ascii")


def begin_epoch(directory: Path, start_offset: int) -> None:
    """Add a leader epoch that starts at an offset; removes the epochs that started there or later."""
    epochs = read_epochs(directory)
    following = epochs[-1][0] + 1 if epochs else 1
    write_epochs(directory, [pair for pair in epochs if pair[1] < start_offset] + [(following, start_offset)])
