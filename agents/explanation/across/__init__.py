"""What many paths have in common: patterns, an audit of protected columns, and stability."""
