"""Keys and passwords, blotted out of whatever is shown, logged or kept.

The one place that knows what a secret looks like. Errors pass through it when they are made (:mod:`sciriff.errors`),
what the command prints when it is printed (:mod:`sciriff.cli.screen`), log records of flows when they are made
(:mod:`flows.logs`).
"""

from __future__ import annotations

import os
import re
from functools import lru_cache
from pathlib import Path

BLOT = "***"

_NAME = re.compile(
    r"(?:^|_)(?:API_?KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|AUTH_STRING)(?:_|$)", re.IGNORECASE
)
_NO_SECRETS = frozenset({"AWS_ACCESS_KEY_ID", "SCIRIFF_S3_KEY"})  # names of accounts, as it were
_SHORTEST = 6

_LOGIN = re.compile(r"(?<=://)[^/@\s\"'<>]+@")
_PARAMETER = re.compile(
    r"(?P<name>[?&;](?:X-Amz-(?:Signature|Credential|Security-Token)|X-Goog-(?:Signature|Credential)|AWSAccessKeyId|"
    r"Signature|sig|token|access_token|auth_token|api[_-]?key|key|secret|password|Policy|Key-Pair-Id)=)[^&#\s\"'<>]+",
    re.IGNORECASE,
)
_HEADER = re.compile(r"(?P<scheme>\bBearer|Authorization['\"]?\s*[:=]\s*['\"]?\w+)\s+[\w.~+/*-]{6,}=*", re.IGNORECASE)
_KEY = re.compile(r"\b(?:sk-|hf_)[\w*-]{8,}|\bAKIA[0-9A-Z]{16}\b")

_remembered: set[str] = set()


def remember(secret: str | None) -> None:
    """Know a secret that no variable of a telling name holds, for the rest of this process."""
    if secret and len(secret) >= _SHORTEST:
        _remembered.add(secret)


def redacted(text: str) -> str:
    """A message without keys, passwords, logins in addresses, and signatures of signed ones."""
    text = without_known(text)
    text = _LOGIN.sub(f"{BLOT}@", text)
    text = _PARAMETER.sub(rf"\g<name>{BLOT}", text)
    text = _HEADER.sub(rf"\g<scheme> {BLOT}", text)
    return _KEY.sub(BLOT, text)


def without_known(text: str) -> str:
    """A text without the secrets of this process: for texts of data, in which what merely looks like one stays."""
    pattern = _pattern(_secrets())
    return text if pattern is None else pattern.sub(BLOT, text)


def _secrets() -> frozenset[str]:
    """Values of variables, and lines of ``.env``, whose names speak of secrets; and passwords in addresses."""
    found = set(_remembered)
    for name, value in (*os.environ.items(), *_dotenv()):
        value = value.strip()
        if len(value) >= _SHORTEST and name not in _NO_SECRETS and _NAME.search(name):
            found.add(value)
        elif "@" in value and "://" in value:
            found |= {login.rpartition(":")[2][:-1] for login in _LOGIN.findall(value)}
    return frozenset(secret for secret in found if len(secret) >= _SHORTEST)


def _dotenv() -> list[tuple[str, str]]:
    try:
        stamp = Path(".env").stat()
    except OSError:
        return []
    return _read_dotenv(str(Path.cwd()), stamp.st_mtime_ns, stamp.st_size)


@lru_cache(maxsize=4)
def _read_dotenv(folder: str, changed: int, size: int) -> list[tuple[str, str]]:
    del changed, size
    from dotenv import dotenv_values

    return [(name, value) for name, value in dotenv_values(Path(folder, ".env")).items() if value]


@lru_cache(maxsize=8)
def _pattern(secrets: frozenset[str]) -> re.Pattern[str] | None:
    longest_first = sorted(secrets, key=lambda secret: (-len(secret), secret))
    return re.compile("|".join(map(re.escape, longest_first))) if secrets else None
