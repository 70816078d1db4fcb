"""The settings of a run: where artifacts, caches and mirrors lie, and what may be used.

Every field can be set by an environment variable ``SCIRIFF_<NAME>`` or in a file ``.env``; command-line options and
flow parameters win over both.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

DEFAULT_TOKENIZER = "hf-internal-testing/llama-tokenizer"
"""A Hub repository with the Llama-2 vocabulary that needs no licence click (the original used the gated meta-llama
one)."""


def _default_cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "sciriff"


def available_cores() -> int:
    """Cores this process may run on (honours affinity masks, which ``os.cpu_count`` does not)."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1


class Settings(BaseSettings):
    """Settings of a run; see the field descriptions."""

    model_config = SettingsConfigDict(env_prefix="SCIRIFF_", env_file=".env", extra="ignore", frozen=True)

    store: str = Field("./artifacts", description="root of all artifacts: a path or any fsspec URL (s3://, memory://)")
    cache: Path = Field(default_factory=_default_cache, description="local folder for downloaded source files")
    lock: Path = Field(
        Path("sources.lock"), description="what was fetched, by sha256; worth committing to your project"
    )
    mirror: str | None = Field(
        None, description="folder or fsspec URL with a mirror.json; looked up before the network"
    )
    manual: str = Field(
        "./manual",
        description="where files that you fetch by hand are looked for, besides manual/ of the store: folders or "
        "fsspec URLs, with commas between several",
    )
    offline: bool = Field(False, description="forbid the network")
    samples: Literal["auto", "never", "always"] = Field(
        "auto", description="bundled miniature sources: auto = when offline or the network is out of reach"
    )
    tokenizer: str | None = Field(None, description=f"Hub name or tokenizer.json; default {DEFAULT_TOKENIZER}")
    templates_dir: Path | None = Field(None, description="folder of task files to use in place of the bundled ones")
    workers: int = Field(default_factory=available_cores, ge=1, description="worker processes")
    runner: Literal["local", "dask", "ray"] = Field(
        "local", description="where task builds and scoring run: on this machine, or on a Dask or Ray cluster"
    )
    cluster: str | None = Field(
        None, description="address of the cluster; default DASK_SCHEDULER_ADDRESS, RAY_ADDRESS or Ray's auto"
    )
    lease_seconds: float = Field(
        30.0,
        ge=1,
        description="on a store without file locks (s3://): how long a run may show no sign of life before others take "
        "over its work",
    )
    s3_endpoint: str | None = Field(
        None, description="address of the server behind s3:// URLs; default AWS_ENDPOINT_URL, else Amazon's"
    )
    s3_key: str | None = Field(None, description="id of its access key; default AWS_ACCESS_KEY_ID or as in ~/.aws")
    s3_secret: SecretStr | None = Field(
        None, description="its secret access key; default AWS_SECRET_ACCESS_KEY or as in ~/.aws"
    )
    s3_region: str | None = Field(
        None, description="its region; default AWS_REGION, AWS_DEFAULT_REGION or as in ~/.aws"
    )
    s3_attempts: int = Field(
        8, ge=1, description="most tries of one request to it, with growing pauses between: 8 take half a minute"
    )
    hub_endpoint: str = Field(
        default_factory=lambda: os.environ.get("HF_ENDPOINT") or "https://huggingface.co",
        description="Hugging Face Hub",
    )
    endpoints: str | None = Field(
        None, description="where to ask in place of public hosts: ORIGIN=BASE, with commas between several"
    )
    clones: str | None = Field(
        None, description="local Git clones with Git LFS files: a folder of them, or OWNER/NAME=FOLDER, with commas"
    )
    models: Path | None = Field(
        None, description="file of models of your own, over the bundled deployments/models.yaml"
    )


@cache
def load_settings() -> Settings:
    """Read the settings from the environment once.

    Raises:
        pydantic.ValidationError: if a variable has an impossible value.
    """
    return Settings()
