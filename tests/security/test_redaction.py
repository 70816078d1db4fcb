"""What counts as a secret, and the places that blot it out."""

from __future__ import annotations

import logging
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from flows.logs import keep_secrets_out
from flows.runs import name_of
from sciriff.errors import BlockedError, RecordError, SourceError, StoreError, UsageError
from sciriff.models.openai_replies import ServerError, read_error
from sciriff.models.openai_server import Server, refusal
from sciriff.redaction import redacted, remember, without_known
from sciriff.store import Store

SECRETS = {
    "HF_TOKEN": "hf_MARKEDhubtoken0001",
    "OPENAI_API_KEY": "sk-MARKEDopenai0002",
    "AWS_SECRET_ACCESS_KEY": "MARKED/aws+secret/0003",
    "AWS_SESSION_TOKEN": "MARKEDsession0004==",
    "SCIRIFF_S3_SECRET": "MARKEDstore0005",
    "PREFECT_API_AUTH_STRING": "admin:MARKEDprefect0006",
    "HTTPS_PROXY": "http://user:MARKEDproxy0007@proxy.example:3128",
    "MY_LABS_TOKEN": "MARKEDlab0008",
}


@pytest.fixture(autouse=True)
def _variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    (tmp_path / ".env").write_text("OTHER_API_KEY=MARKEDdotenv0009\n", encoding="utf-8")


@pytest.mark.parametrize(
    "text",
    [
        *(f"the server said {value}!" for value in SECRETS.values()),
        "OTHER_API_KEY is MARKEDdotenv0009",
        "s3://KEYMARKED:MARKEDsecret@bucket/prefix",
        "https://user:MARKED@host/path and https://MARKED@host",
        "https://host/f?X-Amz-Signature=MARKED&X-Amz-Credential=MARKED%2Fus&part=1",
        "https://host/f?part=1&token=MARKED#x",
        "https://host/f?sig=MARKED;key=MARKED",
        "Authorization: Bearer MARKED.abc-def",
        "Authorization: Basic MARKEDxyz==",
        "Incorrect API key provided: sk-proj-MARKED****abcd",
    ],
)
def test_no_secret_is_in_a_message(text: str) -> None:
    assert "MARKED" not in redacted(text)
    for error in (SourceError(text), UsageError(text), BlockedError(text)):
        assert "MARKED" not in str(error) + repr(error)
        assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_the_rest_of_a_message_stays() -> None:
    text = (
        "https://host:8000/a?page=1&keyword=x: found sk-learn, task-based, user@example.org and Basic English (key=1)"
    )
    assert redacted(text) == text
    assert redacted("GET https://u:p@host/f?token=x&page=2") == "GET https://***@host/f?token=***&page=2"
    assert RecordError("file:1", "no such key").where == "file:1"


def test_a_store_url_holds_no_password() -> None:
    with pytest.raises(StoreError, match="must not hold a password") as refused:
        Store("s3://KEYID:MARKED@bucket/lab")
    assert "MARKED" not in str(refused.value)


def test_data_loses_what_is_ours_alone() -> None:
    data = "Bearer of the letter; sk-abcdefgh12345; https://a:b@host; MARKEDlab0008"
    assert without_known(data) == "Bearer of the letter; sk-abcdefgh12345; https://a:b@host; ***"


def test_a_key_of_any_name_is_known_once_it_is_used() -> None:
    remember("MARKEDanyname0010")
    assert redacted("it was MARKEDanyname0010") == "it was ***"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503])
@pytest.mark.parametrize("key", ["sk-MARKEDopenai0002", "MARKEDplain0011"])
def test_servers_that_echo_the_key(status: int, key: str) -> None:
    server = Server("https://host/v1", key)
    body = f'{{"error": {{"message": "Bad key {key} in Authorization: Bearer {key}", "code": "x"}}}}'.encode()
    for said in (read_error(body), read_error(body + b"!"), ServerError(f"raw {key}")):
        failure = refusal(status, {}, said, server, answered=False)
        assert "MARKED" not in f"{failure}{failure.fatal}{failure.reason}"
    assert "MARKED" not in repr(server)


def test_a_flow_run_is_not_named_after_a_password() -> None:
    named = name_of("evaluate-model", {"base_url": "http://user:MARKED@host/v1", "store": "s3://a:MARKED@b"}, {})
    assert named == "evaluate-model base_url=http://***@host/v1 store=s3://***@b"


def test_log_records_of_flows(caplog: pytest.LogCaptureFixture) -> None:
    make = logging.getLogRecordFactory()
    try:
        keep_secrets_out()
        keep_secrets_out()
        logger = logging.getLogger("security")
        logger.warning("fetching %s", "https://u:MARKED@host")
        logger.warning("a reply: %s", "\x1b]0;owned\x07")
        try:
            try:
                raise OSError("https://host?token=MARKED")
            except OSError as error:
                raise ValueError("Bearer MARKEDMARKED") from error
        except ValueError:
            logger.exception("it failed")
    finally:
        logging.setLogRecordFactory(make)
    assert "fetching https://***@host" in caplog.text
    assert "a reply: ␛]0;owned␇" in caplog.text
    assert "OSError: https://host?token=***" in caplog.text
    assert "ValueError: Bearer ***" in caplog.text
    assert "MARKED" not in caplog.text


@pytest.mark.parametrize("defect", [False, True])
def test_tracebacks_with_their_causes(defect: bool, tmp_path: Path) -> None:
    """With SCIRIFF_DEBUG=1, and of errors that are no SciriffError at all."""
    kind = "RuntimeError" if defect else "SourceError"
    program = tmp_path / "program.py"
    program.write_text(
        f"""
import click
from sciriff.cli import lazy, main
from sciriff.errors import SourceError

@click.command()
def tasks_command():
    try:
        raise OSError("https://user:MARKED@host?X-Amz-Signature=MARKED MARKEDlab0008")
    except OSError as error:
        raise {kind}("the cause has it: MARKEDlab0008") from error

lazy.LazyGroup.get_command = lambda *_: tasks_command
main(["tasks"])
""",
        encoding="utf-8",
    )
    environment = {**os.environ, "SCIRIFF_DEBUG": "1"}
    ended = subprocess.run([sys.executable, str(program)], env=environment, capture_output=True, check=False)
    assert ended.returncode == 1
    said = ended.stderr.decode()
    assert "OSError: https://***@host?X-Amz-Signature=*** ***" in said
    assert "the cause has it: ***" in said
    assert "MARKED" not in said.replace("raise OSError", "").replace(
        '"https://user:MARKED@host?X-Amz-Signature=MARKED', ""
    )
