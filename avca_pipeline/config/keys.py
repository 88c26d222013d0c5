"""JSON that is equal for equal values."""

from __future__ import annotations

import json
from typing import Any


def canonical(value: Any) -> str:
    """Returns JSON that is equal for equal values: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
