"""Results as labelled arrays, tables and JSON types."""
