"""Checks that nothing a score is measured on was trained on."""
