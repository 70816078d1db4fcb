"""Run the checks: side by side, each within its time, and one that breaks is a finding like any other."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from sciriff.checkup.accelerators import check_gpus, check_vllm
from sciriff.checkup.cluster import check_cluster
from sciriff.checkup.finding import Finding, fail
from sciriff.checkup.installation import check_lock, check_python, check_spacy
from sciriff.checkup.keys import check_keys
from sciriff.checkup.places import check_disk, check_manual, check_mirror, check_store, check_tokenizer
from sciriff.checkup.prefect_api import check_prefect
from sciriff.redaction import redacted
from sciriff.settings import Settings

Check = Callable[[Settings], Iterable[Finding]]

CHECKS: Mapping[str, Check] = {
    "python": check_python,
    "lock": check_lock,
    "disk": check_disk,
    "store": check_store,
    "mirror": check_mirror,
    "manual": check_manual,
    "tokenizer": check_tokenizer,
    "spacy": check_spacy,
    "prefect": check_prefect,
    "cluster": check_cluster,
    "keys": check_keys,
    "gpu": check_gpus,
    "vllm": check_vllm,
}
"""Name -> check, in the order of the findings."""

SECONDS = 30.0
"""What a check may take."""


def examine(settings: Settings, checks: Mapping[str, Check] = CHECKS, seconds: float = SECONDS) -> tuple[Finding, ...]:
    """Run checks.

    Args:
        settings: what is checked.
        checks: name -> check.
        seconds: what each may take; one that takes longer is a failure, and is left to itself.
    """
    results: dict[str, queue.SimpleQueue[tuple[Finding, ...]]] = {name: queue.SimpleQueue() for name in checks}
    for name, check in checks.items():
        work = partial(_put, results[name], name, check, settings)
        threading.Thread(target=work, name=f"check {name}", daemon=True).start()  # none can keep the process alive
    deadline = time.monotonic() + seconds
    found: list[Finding] = []
    for name, result in results.items():
        try:
            found += result.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            found.append(
                fail(name, f"no answer within {seconds:g} s", "see whether what it asks is up, then try again")
            )
    # Should a message of somebody else's have quoted a secret, it ends here.
    return tuple(finding._replace(found=redacted(finding.found)) for finding in found)


def _put(result: queue.SimpleQueue[tuple[Finding, ...]], name: str, check: Check, settings: Settings) -> None:
    try:
        result.put(tuple(check(settings)))
    except BaseException as error:  # a check that breaks must not hide what the others find
        # The message of a stranger's error might quote an address with a password in it: only its kind is told.
        result.put((fail(name, f"the check itself broke ({type(error).__name__})", "please report it"),))
