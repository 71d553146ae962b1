"""A process that uses a key store is killed at random: no key is handed out twice, none is lost but on its way."""

import pytest

from tests.unit.delivery.keystore.shim import memory_folder, run_module


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kills", [15, pytest.param(300, marks=pytest.mark.slow)])
def test_a_store_killed_at_random_hands_out_no_key_twice(kills: int) -> None:
    with memory_folder() as folder:
        killed, handed, lost = map(int, run_module(None, "kill_worker", folder, kills).split())
    assert killed == kills
    assert handed > 10 * kills
    print(f"{killed} kills: {handed} keys handed out, {lost} lost on their way")
