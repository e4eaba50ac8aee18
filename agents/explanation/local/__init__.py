"""Local explanations along a path: LIME and TreeView."""
