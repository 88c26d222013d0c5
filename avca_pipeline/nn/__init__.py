"""Parts of networks and of training that are written by hand, each with its measured reason."""
