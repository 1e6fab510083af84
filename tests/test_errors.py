"""What users read when something fails: the error's own words, without what lets its reader in."""

import errno

import pytest

from ukdsl_assets.errors import LakeError, in_own_words, noted, redacted

SECRETS = {
    "sftp://nightly:hunter2@logs.example.com/day": "sftp://***@logs.example.com/day",
    "postgresql://ukdsl:p@ss:w0rd@db:5432/dagster": "postgresql://***@db:5432/dagster",
    "https://ghp_hunter2@github.com/logs": "https://***@github.com/logs",
    "https://a.blob.core.windows.net/c/f?sv=1&sig=hunter2&se=2": "https://a.blob.core.windows.net/c/f?sv=1&sig=***&se=2",
    "s3://b/f?X-Amz-Security-Token=hunter2": "s3://b/f?X-Amz-Security-Token=***",
    "s3://b/f?AWS_SECRET_ACCESS_KEY=hunter2'": "s3://b/f?AWS_SECRET_ACCESS_KEY=***'",
    "(redis://:hunter2@cache/0)": "(redis://***@cache/0)",
    "s3://AKIA1:hunt/er+2@bucket/logs": "s3://***@bucket/logs",
    "https://example.com/f#access_token=hunter2": "https://example.com/f#access_token=***",
}
PLAIN = [
    "abfss://container@account.dfs.core.windows.net/logs",
    "hdfs://nightly@namenode:8020/logs",
    "s3://bucket/candidate_log/day=2026-03-01/part-0.parquet?versionId=3",
    "postgresql://db:5432/a@b",
    "expected 12:00, saw a@b, see https://example.com/a:b@c",
    "",
]


@pytest.mark.parametrize(("told", "shown"), SECRETS.items())
def test_secrets_of_addresses_are_left_out(told: str, shown: str) -> None:
    assert redacted(f"cannot reach {told} now; {told}") == f"cannot reach {shown} now; {shown}"
    assert str(LakeError(told)) == shown


@pytest.mark.parametrize("key", ["AKIA1:hunter2", "AKIA1:hunt/er2"])
def test_a_store_that_quotes_a_password_without_its_address_tells_no_secret(key: str) -> None:
    quoted = (
        f'Invalid bucket name "{key.partition("/")[0]}@b"' if "/" not in key else 'Invalid bucket name "AKIA1:hunt"'
    )
    told = redacted(f"s3://{key}@b/logs: cannot be read: {quoted}")
    assert told.startswith('s3://***@b/logs: cannot be read: Invalid bucket name "***')
    assert "hunt" not in told


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redacted(text) == text


def test_an_error_of_the_system_is_told_with_its_file() -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "/lake/shard.parquet")
    assert in_own_words(full) == "OSError: [Errno 28] No space left on device: '/lake/shard.parquet'"


def test_what_was_done_is_told_where_a_library_does_not_say_it() -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OSError, match="No space") as raised, noted("while writing s3://a:hunter2@b/f"), noted("once"):
        raise full
    assert in_own_words(raised.value) == (
        "OSError: [Errno 28] No space left on device, once, while writing s3://***@b/f"
    )


def test_what_caused_an_error_is_told_once() -> None:
    outer = RuntimeError("the day was not written")
    outer.__cause__ = PermissionError(errno.EACCES, "Permission denied", "sftp://a:hunter2@b/f")
    words = in_own_words(outer)
    assert words.startswith("RuntimeError: the day was not written; because of PermissionError: ")
    assert "sftp://***@b/f" in words
    ours = LakeError("table t: cut")
    ours.__cause__ = OSError("cut")
    assert in_own_words(ours) == "table t: cut"
    assert in_own_words(ValueError()) == "ValueError"
