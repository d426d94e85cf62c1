"""Thousands of generated bad inputs, each put to the program and judged by one rule (see `case`)."""
