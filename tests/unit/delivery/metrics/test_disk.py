"""Room on the disk: warn, stop, and begin again only when there is clearly more."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from faintlink.core.errors import StoreError
from faintlink.delivery.metrics.disk import DiskWatch, Room


class Disk:
    """A disk of a million bytes."""

    def __init__(self, free: float) -> None:
        self.free = free

    def __call__(self, _: Path) -> os.statvfs_result:
        found = SimpleNamespace(f_bavail=round(self.free * 1000), f_frsize=1000, f_blocks=1000)
        return cast(os.statvfs_result, found)


@pytest.mark.parametrize(
    ("free", "room"),
    [
        (0.5, Room.ENOUGH),
        (0.1, Room.ENOUGH),
        (0.099, Room.LITTLE),
        (0.05, Room.LITTLE),
        (0.049, Room.NONE),
        (0, Room.NONE),
    ],
)
def test_room_is_judged_by_the_free_share(free: float, room: Room) -> None:
    assert DiskWatch(Path(), statvfs=Disk(free)).look().room is room


def test_promising_stops_and_begins_again_only_with_clearly_more_room() -> None:
    disk = Disk(0.2)
    watch = DiskWatch(Path(), statvfs=disk)
    watch.require_room()
    disk.free = 0.049
    with pytest.raises(StoreError, match=r"4\.9% of the disk"):
        watch.require_room()
    disk.free = 0.055
    with pytest.raises(StoreError):
        watch.require_room()
    disk.free = 0.06
    watch.require_room()
    disk.free = 0.055
    watch.require_room()


def test_a_disk_that_cannot_be_looked_at_has_no_room(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        DiskWatch(tmp_path / "gone").require_room()


def test_the_real_disk_is_looked_at(tmp_path: Path) -> None:
    state = DiskWatch(tmp_path).look()
    assert 0 < state.free_bytes <= state.size_bytes
    assert 0 < state.share <= 1
