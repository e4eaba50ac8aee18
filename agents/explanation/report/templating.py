"""The Jinja2 templates of the report; every text is escaped."""

from __future__ import annotations

import base64
import hashlib
from typing import Any


def templates() -> Any:
    """The environment of the templates."""
    from jinja2 import Environment, PackageLoader

    loader = PackageLoader("agents.explanation.report", "templates")
    return Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)


def joined(kind: str, names: tuple[str, ...]) -> str:
    """Files of ``script`` (js) or ``style`` (css), one after the other."""
    ending = {"script": "js", "style": "css"}[kind]
    environment = templates()
    return "\n".join(environment.get_template(f"{kind}/{name}.{ending}").render() for name in names)


def digest(script: str) -> str:
    """The hash of a script in a content security policy, in base 64."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
