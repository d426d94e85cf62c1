"""What a phase diagram joins: walks and branches, where phases exist, end and are equally deep, and the tree of falls."""
