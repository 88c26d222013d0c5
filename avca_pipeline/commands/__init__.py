"""Commands that are no stages: they make no file that a later stage reads."""
