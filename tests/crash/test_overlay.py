"""A store in the lower layer of an overlay, as in the image of a container: used and changed through the upper one."""

from __future__ import annotations

from pathlib import Path

import pytest

import eventlog
from tests.support import snapshots, stores
from tests.support.namespaces import OTHER_MOUNTS, run_elsewhere

DELETE_AND_MAKE_ANEW = """
import subprocess, sys, eventlog
base = sys.argv[1]
options = f"lowerdir={base}/lower,upperdir={base}/upper,workdir={base}/work"
if subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, f"{base}/mounted"]).returncode:
    sys.exit("no overlay can be mounted here")
store = f"{base}/mounted/store"
with eventlog.open(store) as log:
    log.partition("events", 0).append(b"above")
    log.delete_topic("events")
    log.create_topic("events")
    partition = log.partition("events", 0)
    print(partition.append(b"anew"), log.maintain().failures)
with eventlog.open(store) as log:
    print([record.value for record in log.partition("events", 0).records()])
print([finding.text for finding in eventlog.diagnose(store) if finding.severity != "note"])
"""


def test_a_topic_of_the_lower_layer_is_deleted_and_made_anew(tmp_path: Path) -> None:
    for name in ("lower", "upper", "work", "mounted"):
        (tmp_path / name).mkdir()
    lower = tmp_path / "lower" / "store"
    stores.create(lower)
    with eventlog.open(lower) as log:
        stores.open_partition(log).append(b"below")
    before = snapshots.content(lower)
    done = run_elsewhere(OTHER_MOUNTS, DELETE_AND_MAKE_ANEW, tmp_path)
    if "no overlay can be mounted" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.stdout.splitlines() == ["0 []", "[b'anew']", "[]"], done
    assert snapshots.content(lower) == before
