"""The mel scale of HTK: pitch as it is heard, from Hz and back.

librosa has it too, but importing librosa compiles functions into a cache that cannot be written
where the environment and the home folder are read-only.
"""

from __future__ import annotations

import numpy as np


def hz_to_mel(hz: np.ndarray | float) -> np.ndarray:
    """Returns frequencies in mel."""
    mel: np.ndarray = 2595.0 * np.log10(1.0 + np.asarray(hz) / 700.0)
    return mel


def mel_to_hz(mel: np.ndarray | float) -> np.ndarray:
    """Returns frequencies in Hz."""
    hz: np.ndarray = 700.0 * (10.0 ** (np.asarray(mel) / 2595.0) - 1.0)
    return hz
