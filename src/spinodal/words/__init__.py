"""Numbers, rows and sentences, once, for terminal, report and placement."""
