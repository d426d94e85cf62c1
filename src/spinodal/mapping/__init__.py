"""Verbs that make a phase diagram of a task, or place a model on one."""
