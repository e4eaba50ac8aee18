"""Explaining many rows: in parts, by several processes or a Ray cluster, into a folder that can be continued."""
