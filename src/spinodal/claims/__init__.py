"""Claims of the literature, each measured by what this package can do, and written down as it came out."""
