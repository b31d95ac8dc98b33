"""The password of the database stands in no line of the log, however the address spells it."""

from runwright.app import secrets_of
from runwright.config import load
from runwright.domain.redaction import Redactor


def test_the_password_of_the_database_is_redacted_in_both_spellings():
    settings = load(
        {},
        overrides={
            "database_url": "postgresql://runwright:pass%2Fword-1@db-1,db-2/runwright",
            "database_listen_url": "postgresql://runwright:listen-word-2@db-1/runwright?password=listen-word-3",
            "master_key": "k" * 32,
        },
    )
    said = Redactor(secrets_of(settings)).text(
        "cannot reach pass%2Fword-1 nor pass/word-1 nor listen-word-2 nor listen-word-3"
    )
    assert said == "cannot reach [redacted:known] nor [redacted:known] nor [redacted:known] nor [redacted:known]"
