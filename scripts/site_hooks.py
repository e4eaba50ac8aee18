"""What mkdocs runs while it builds the site (`hooks:` in mkdocs.yml)."""

from __future__ import annotations

import re
from typing import Any

ROLE = re.compile(r":(?:class|func|meth|mod|data|attr|exc|py:\w+):(?=<code>|[a-z_]+\.)")


def on_post_page(output: str, **_: Any) -> str:
    """Docstrings written for Sphinx name things as :class:`X`; on the site the name is enough."""
    return ROLE.sub("", output)
