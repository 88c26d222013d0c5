"""Parts of networks and of training that are written by hand; each says why, with a measurement."""
