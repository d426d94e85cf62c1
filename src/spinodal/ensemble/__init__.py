"""Ensembles: many maps beside each other, their transitions matched, with mean and spread."""
