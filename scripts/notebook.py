"""Turn a page of the documentation into a Jupyter notebook.

Usage: ``python scripts/notebook.py docs/tutorials/table.md [table.ipynb]``. Blocks marked ``<!-- run -->`` become code cells,
everything between them becomes text cells. The page stays the source, and the tests run its blocks.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

BLOCK = re.compile(r"<!-- run -->\n```python\n(.*?)```\n?", re.S)


def cell(kind: str, text: str, number: int) -> dict:
    """One cell of format 4.5; `kind` is ``code`` or ``markdown``."""
    code = {"execution_count": None, "outputs": []} if kind == "code" else {}
    return {
        "cell_type": kind,
        "id": f"cell-{number}",
        "metadata": {},
        "source": text.strip().splitlines(keepends=True),
        **code,
    }


def notebook(page: str) -> dict:
    """The notebook of a page's text."""
    parts = BLOCK.split(page)  # text, code, text, code, ..., text
    cells = [cell("code" if i % 2 else "markdown", part, i) for i, part in enumerate(parts) if part.strip()]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


def main() -> None:
    """Write the notebook beside the working folder's files, or where the second argument says."""
    if not 2 <= len(sys.argv) <= 3:
        sys.exit("usage: python scripts/notebook.py PAGE.md [OUT.ipynb]")
    page = Path(sys.argv[1])
    out = Path(sys.argv[2]) if len(sys.argv) == 3 else Path(page.with_suffix(".ipynb").name)
    out.write_text(
        json.dumps(notebook(page.read_text(encoding="utf-8")), indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    print(f"wrote {out}")


if __name__ == "__main__":
    main()
