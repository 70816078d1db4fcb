"""Log records of flows, before they go to the server's database or a worker's terminal: without keys and passwords, and
without characters that steer a terminal."""

from __future__ import annotations

import logging
from typing import Any

from sciriff.cli.screen import harmless
from sciriff.redaction import redacted


def keep_secrets_out() -> None:
    """Let every log record of this process be made so, with its traceback."""
    make = logging.getLogRecordFactory()
    if isinstance(make, _Redacting):
        return
    logging.setLogRecordFactory(_Redacting(make))


class _Redacting:
    """A factory of log records around another one."""

    def __init__(self, make: Any) -> None:
        self._make = make

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record: logging.LogRecord = self._make(*args, **kwargs)
        try:
            said = record.getMessage()
        except (TypeError, ValueError, KeyError):  # wrong arguments; logging itself says so
            return record
        if (clean := harmless(redacted(said))) != said:
            record.msg, record.args = clean, ()
        if record.exc_info and record.exc_info[0] is not None:
            # A formatter takes this text in place of its own.
            record.exc_text = harmless(redacted(logging.Formatter().formatException(record.exc_info)))
        return record
