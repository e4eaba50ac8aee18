"""The page of findings: one claim a section, read from docs/results."""
