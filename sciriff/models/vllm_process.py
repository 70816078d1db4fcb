"""What vLLM's own processes run at their start, as a plugin of vLLM's: nobody is left behind on a GPU.

The engine works in processes of its own. When the one that started it is killed, vLLM 0.32 lets it go on for ever, with
all the memory it has; the next run would find none.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading

DIES_WITH_PARENT = "SCIRIFF_ENGINE_DIES_WITH_PARENT"
"""Environment variable by which a process says that engines which it starts are to end with it."""


def die_with_parent() -> None:
    """End this process when the one that started it has ended, however that was; nothing outside of our own engines."""
    parent = multiprocessing.parent_process()
    if parent is None or os.environ.get(DIES_WITH_PARENT) != "1":
        return

    def wait() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait, name="dies with its parent", daemon=True).start()
