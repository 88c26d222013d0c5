"""The files that stages meet in: a module for each format, alone in reading and writing it."""
