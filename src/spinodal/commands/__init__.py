"""The command line: verbs that have a file of their own, and what all verbs share (tables, progress, streams, usage errors)."""
