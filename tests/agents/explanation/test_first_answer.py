"""What is proposed beside a first answer."""

from __future__ import annotations

from agents.explanation.first_answer import _flag


def test_proposed_flags_are_as_a_shell_takes_them():
    assert _flag("dates", {"joined": "days", "last seen": "hours"}) == "--dates joined=days 'last seen=hours'"
    assert _flag("classifier_cache", True) == "--classifier-cache"
    assert _flag("classifier_retries", 3) == "--classifier-retries 3"
