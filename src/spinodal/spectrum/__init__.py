"""Spectra of the Hessians of E and L: margins, extremes, index and density."""
