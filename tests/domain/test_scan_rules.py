"""What is a secret in a text, and what only stands where one would."""

import pytest

from runwright.domain.redaction import Redactor
from runwright.domain.scan_rules import secrets

LETTERS = "Zy8qkXw3Lr5vTn2mPc7dZy8qkXw3Lr5vTn2mPc7d"


def told(text: str, language: str = "Markdown") -> list[str]:
    return [each.rule_id for each in secrets("a", language, text, Redactor().sightings)]


@pytest.mark.parametrize(
    "text",
    [
        'curl -H "Authorization: Bearer $RUNWRIGHT_API_KEY" http://localhost',
        'curl -H "Authorization: Bearer ${TOKEN}"',
        'curl -H "Authorization: Bearer $(cat token.txt)"',
        "Send it as `Authorization: Bearer <token>`.",
        "Send it as `Authorization: Bearer KEY`, or not.",
        'f"authorization: Bearer {API_KEY}\\r\\n"',
        '{"Authorization": authorization}',
        "psql postgresql://owner:…@db/shop",
        "psql postgresql://owner:***@db/shop",
        "an address like postgresql://user:password@host:5432/database",
        "psql postgresql://owner:$PGPASSWORD@db/shop",
        "psql postgresql://owner:{password}@db/shop",
        "def weighs_against_price_and_few_runs_weigh_little(): ...",
        "the module sk-learn-and-its-many-friends-in-words",
    ],
)
def test_what_stands_for_a_secret_is_none(text: str):
    assert told(text) == []


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (f'curl -H "Authorization: Bearer {LETTERS}"', "authorization"),
        ("authorization: Basic YWxhZGRpbjpvcGVuc2VzYW1l", "authorization"),
        ("postgresql://owner:hunter2@db/shop", "url_password"),
        ("postgresql://owner:Pass-w0rd!@db/shop", "url_password"),
        ("postgresql://owner:$ecret99@db/shop", "url_password"),
        (f"ghp_{LETTERS}", "github_token"),
        (f"sk-{LETTERS}", "openai_key"),
        ("AKIAABCDEFGHIJKLMNOP", "aws_key_id"),
    ],
)
def test_a_secret_is_told_by_its_kind(text: str, kind: str):
    assert told(text) == [f"secrets:{kind}"]
