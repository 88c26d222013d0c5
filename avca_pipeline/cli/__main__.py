"""Runs the command line: ``python -m avca_pipeline.cli``."""

from __future__ import annotations

import sys

from avca_pipeline.cli import main

sys.exit(main())
