"""What mkdocs runs while it builds the site (`hooks:` in mkdocs.yml): notebooks become pages."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROLE = re.compile(r":(?:class|func|meth|mod|data|attr|exc|py:\w+):(?=<code>|[a-z_]+\.)")
NOTEBOOK_LINK = re.compile(r"(\]\([\w./-]+)\.ipynb(?=[)#])")


def output(bundle: dict[str, Any]) -> str:
    """Markdown of one output of a cell."""
    data = bundle.get("data", {})
    if "text/html" in data:
        return f'<div class="output">{"".join(data["text/html"])}</div>'
    if "image/png" in data:
        return f'<img alt="output of the cell above" src="data:image/png;base64,{data["image/png"]}">'
    text = "".join(bundle.get("text", data.get("text/plain", [])))
    return f'<pre class="output"><code>{html.escape(text.rstrip())}</code></pre>'


def page_of(notebook: dict[str, Any], name: str) -> str:
    """The notebook as a page: text cells as they are, code cells with their outputs."""
    parts = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        parts += [output(bundle) for bundle in cell.get("outputs", [])]
    parts.insert(1, f'<a href="{name}" download>Download this page as a Jupyter notebook</a>')
    return "\n\n".join(parts) + "\n"


def on_files(files: Files, config: Any) -> Files:
    """Add a page for every notebook; the notebook itself stays as a download."""
    for file in [file for file in files if file.src_uri.endswith(".ipynb")]:
        path = Path(str(file.abs_src_path))
        page = page_of(json.loads(path.read_text(encoding="utf-8")), path.name)
        files.append(File.generated(config, file.src_uri.removesuffix(".ipynb") + ".md", content=page))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Links to notebooks, which work on a code host, lead to their pages on the site."""
    return NOTEBOOK_LINK.sub(r"\1.md", markdown)


def on_post_page(output: str, **_: Any) -> str:
    """Docstrings written for Sphinx name things as :class:`X`; on the site the name is enough."""
    return ROLE.sub("", output)
