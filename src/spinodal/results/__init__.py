"""What a map and a placement tell people: the records of `spinodal.phases` with their words, JSON types and arrays."""
