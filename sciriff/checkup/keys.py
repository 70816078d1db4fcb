"""Keys and tokens: whether they are there. Their values are looked at for emptiness only, and go nowhere."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from sciriff.checkup.finding import Finding, ok, warning
from sciriff.settings import Settings

_HUB = "HF_TOKEN"


def check_keys(settings: Settings) -> Iterator[Finding]:
    """Whether the keys are there that models and stores may want."""
    wanted = {_HUB: "gated data sets and tokenizers", **_of_models(settings)}
    if urlsplit(settings.store).scheme in ("s3", "s3a") and not (settings.s3_key and settings.s3_secret):
        yield _of_store(settings)
    for name, purpose in wanted.items():
        where = _where(name)
        if where:
            yield ok("keys", f"{name} is set ({where}), for {purpose}")
        elif name == _HUB:
            yield ok("keys", f"{name} is not set; only {purpose} need it")
        else:
            yield warning("keys", f"{name} is not set", f"set it in the environment or .env, for {purpose}")


def _of_store(settings: Settings) -> Finding:
    """Whether there is a key pair for a store of the S3 protocol, in one of the places where its client looks."""
    if settings.s3_key and settings.s3_secret:
        return ok("keys", "SCIRIFF_S3_KEY and SCIRIFF_S3_SECRET are set, for the store")
    if os.environ.get("AWS_ACCESS_KEY_ID") and os.environ.get("AWS_SECRET_ACCESS_KEY"):
        return ok("keys", "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are set (environment), for the store")
    file = Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials").expanduser()
    if file.is_file():
        return ok("keys", f"{file} is there, for the store")
    return warning(
        "keys",
        "no key of the store is set",
        "set SCIRIFF_S3_KEY and SCIRIFF_S3_SECRET (or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY), unless this "
        "machine has a role that may use it",
    )


def _of_models(settings: Settings) -> dict[str, str]:
    """Variable -> the models that want it, of those that are asked at OpenAI or with a key of their own."""
    from sciriff.errors import SciriffError
    from sciriff.models.registry import load_models

    try:
        models = load_models(settings)
    except SciriffError:
        models = {}
    wanted: dict[str, list[str]] = {"OPENAI_API_KEY": []}
    for name, spec in models.items():
        if spec.backend == "openai" and spec.base_url is None:
            wanted.setdefault(spec.api_key_variable, []).append(name)
    return {name: _purpose(names) for name, names in wanted.items()}


def _purpose(models: list[str]) -> str:
    return "the judge and models of that API" + (
        f" ({', '.join(models[:4])}{', ...' if len(models) > 4 else ''})" if models else ""
    )


def _where(name: str) -> str:
    """Where a variable is set; empty if it is not, or empty."""
    if os.environ.get(name, "").strip():
        return "environment"
    return ".env" if (_dotenv().get(name) or "").strip() else ""


def _dotenv() -> Mapping[str, str | None]:
    from dotenv import dotenv_values

    return dotenv_values(".env")
