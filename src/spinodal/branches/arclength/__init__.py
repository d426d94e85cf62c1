"""Branches by arclength, with dense Hessians: folds and branch points are passed and certified."""
