"""Run the cells of a notebook in order and store their outputs: ``python scripts/notebook.py docs/tutorials/table.ipynb``.

The cells run in one namespace, in a temporary folder. The outputs of a cell are what it prints, and the value of its last
line: a figure or axes of matplotlib as PNG, any other object as HTML and text. No Jupyter is needed. The first cell that fails
ends the run with its traceback, and the file keeps its old outputs.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import io
import json
import os
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any


def lines(text: str) -> list[str]:
    """Text as the list of lines that the format stores."""
    return text.splitlines(keepends=True)


def shown(value: Any) -> dict[str, Any]:
    """The MIME bundle of a value."""
    figure = getattr(value, "figure", value)
    if hasattr(figure, "savefig"):
        picture = io.BytesIO()
        figure.savefig(picture, format="png", dpi=80, bbox_inches="tight", metadata={"Software": None})
        return {"image/png": base64.b64encode(picture.getvalue()).decode(), "text/plain": ["<Figure>"]}
    page = value._repr_html_() if hasattr(value, "_repr_html_") else None
    return {**({"text/html": lines(page)} if page else {}), "text/plain": lines(repr(value))}


def outputs_of(source: str, names: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """Run one cell and return its outputs."""
    body = ast.parse(source).body
    if body and isinstance(body[-1], ast.Expr):  # keep the value of the last line
        name = ast.copy_location(ast.Name("last value", ast.Store()), body[-1])
        body[-1] = ast.copy_location(ast.Assign([name], body[-1].value), body[-1])
    names["last value"], printed = None, io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(ast.Module(body, []), f"cell {count}", "exec"), names)
    text = printed.getvalue()
    out = [{"output_type": "stream", "name": "stdout", "text": lines(text)}] if text else []
    if names["last value"] is not None:
        data = shown(names["last value"])
        out.append({"output_type": "execute_result", "execution_count": count, "metadata": {}, "data": data})
    return out


def executed(notebook: dict[str, Any]) -> dict[str, Any]:
    """The notebook with the outputs of a run from top to bottom."""
    names: dict[str, Any] = {"__name__": "__main__"}
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for count, cell in enumerate(code, 1):
        cell["outputs"] = outputs_of("".join(cell["source"]), names, count)
        cell["execution_count"] = count
    return notebook


def main() -> None:
    """Run every notebook that is named, and write it again."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    warnings.filterwarnings("ignore")
    os.environ.setdefault("MPLBACKEND", "Agg")
    for name in sys.argv[1:]:
        file = Path(name).resolve()
        home = Path.cwd()
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            try:
                notebook = executed(json.loads(file.read_text(encoding="utf-8")))
            finally:
                os.chdir(home)
        file.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"ran {name}")


if __name__ == "__main__":
    main()
