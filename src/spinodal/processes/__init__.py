"""Several processes that sum shards of one landscape: the first one maps, the others serve it."""
