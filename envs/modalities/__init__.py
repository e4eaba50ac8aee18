"""Images, tables and sentences: the user's units outside, data space inside."""
