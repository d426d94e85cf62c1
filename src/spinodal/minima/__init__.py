"""Minima of L at one beta: solvers, and the certificate that the end is a minimum."""
