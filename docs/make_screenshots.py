"""Write docs/assets/live-*.png: the live view of a run, light and dark and one panel large, without a display.

Usage: python docs/make_screenshots.py RUN_FOLDER [CALIBRATIONS_FOLDER [KEYS_FOLDER]]
"""

import os
import sys
from pathlib import Path

from faintlink.acquisition.live.controls import Controls
from faintlink.acquisition.live.feeds import folder_feed
from faintlink.acquisition.live.model import LiveModel
from faintlink.acquisition.live.toolkit import load
from faintlink.acquisition.live.window import LiveWindow

ASSETS = Path(__file__).parent / "assets"
SIZE = (1920, 1080)


def main(folder: Path, calibrations: Path | None = None, keys: Path | None = None) -> None:
    """Replay a run to its end and grab the window."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    kit = load()
    application = kit.pg.mkQApp("faintlink")
    model = LiveModel(is_replay=True)
    with folder_feed(folder, calibrations=calibrations, keys=keys) as feed:
        while not feed.has_ended:
            for snapshot in feed.take(0.1):
                model.push(snapshot)
        for name, is_dark, number in (("light", False, None), ("dark", True, None), ("qber", True, 0)):
            window = LiveWindow(feed, model, kit, is_dark=is_dark, scale=1.0)
            Controls(window, model, kit, save_to=ASSETS)
            window.widget.resize(*SIZE)
            window.widget.show()
            window.enlarge(None if number is None else window.panels[number])
            application.processEvents()
            window.widget.grab().save(str(ASSETS / f"live-{name}.png"))
            window.widget.close()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
