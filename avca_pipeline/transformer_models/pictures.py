"""Frames as a model's processor prepares them: resized here, normalised on the device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from avca_pipeline.errors import PipelineError, abbreviated
from avca_pipeline.media.resizing import resized
from avca_pipeline.nn.constants import constant
from avca_pipeline.runtime.lazy import torch
from avca_pipeline.transformer_models.loading import processor
from avca_pipeline.transformer_models.stated_numbers import (
    positive_number,
    three_numbers,
    whole_number,
)

BILINEAR = 2
"""Number of bilinear resampling in the settings of processors; all others here are cubic."""


class Pictures:
    """What a model's processor does to a frame.

    The library's own processor resizes and crops; the scale and the mean are applied later, so that
    frames stay bytes until they are on the device.

    Attributes:
        height: of a prepared frame.
        width: of a prepared frame.
        short_side: to which frames are resized before they are cropped.
    """

    def __init__(self, folder: Path, name: str) -> None:
        """Reads the settings; nothing is computed yet.

        Raises:
            PipelineError: the settings are damaged, or leave the size of a picture open.
        """
        self._processor = processor(folder, name)
        self._is_video = name.endswith("VideoProcessor")
        size = _sides(folder, "size", self._processor.size)
        crop = size
        if self._processor.do_center_crop:
            crop = _sides(folder, "crop_size", self._processor.crop_size)
        is_resized = self._processor.do_resize or self._processor.do_center_crop
        if not is_resized or "height" not in crop or "width" not in crop:
            raise PipelineError(f"{folder}: its processor gives pictures of different sizes")
        self.height, self.width = crop["height"], crop["width"]
        self.short_side = max(*size.values(), self.height, self.width)
        if self._processor.do_rescale:
            factor = self._processor.rescale_factor
            self._factor = positive_number(folder, "rescale_factor", factor)
        if self._processor.do_normalize:
            self._mean = three_numbers(folder, "image_mean", self._processor.image_mean)
            self._std = three_numbers(folder, "image_std", self._processor.image_std)
            for deviation in self._std:
                positive_number(folder, "image_std", deviation)

    def prepared(self, frame: np.ndarray) -> np.ndarray:
        """Returns ``(height, width, 3)`` uint8 of a frame of any size."""
        return self._processed(frame[None], "channels_last")[0].contiguous().numpy()

    def prepared_together(self, pictures: torch.Tensor) -> torch.Tensor:
        """Returns ``(frames, height, width, 3)`` uint8 of ``(frames, 3, …)`` uint8, on a device.

        The library only says to which size it resizes: on a GPU it would resize floats, and cubic
        filters would be up to 20 levels away from `prepared`.
        """
        processor = self._processor
        if processor.do_resize:
            like = torch.empty(pictures.shape, dtype=torch.uint8, device="meta")
            size = processor.resize(like, size=processor.size, resample=processor.resample).shape
            mode = "bilinear" if processor.resample in (None, BILINEAR) else "bicubic"
            pictures = resized(pictures, (size[-2], size[-1]), mode)
        return self._processed(pictures, "channels_first", do_resize=False)

    def _processed(
        self, frames: np.ndarray | torch.Tensor, order: str, **options: bool
    ) -> torch.Tensor:
        images: dict[str, Any] = {"videos": [frames], "do_sample_frames": False}
        if not self._is_video:
            images = {"images": list(frames)}
        result = self._processor(
            **images,
            do_rescale=False,
            do_normalize=False,
            input_data_format=order,
            return_tensors="pt",
            **options,
        )
        name = next(name for name in result if name.startswith("pixel_values"))
        pixels: torch.Tensor = result[name].reshape(len(frames), 3, self.height, self.width)
        return pixels.permute(0, 2, 3, 1)

    def normalised(self, pixels: torch.Tensor) -> torch.Tensor:
        """Returns ``(…, 3, height, width)`` float32 of ``(…, height, width, 3)`` uint8."""
        values = pixels.movedim(-1, -3).float()
        if self._processor.do_rescale:
            values = values * self._factor
        if self._processor.do_normalize:
            mean, std = (
                constant(numbers, values.device)[:, None, None]
                for numbers in (self._mean, self._std)
            )
            values = (values - mean) / std
        return values


def _sides(folder: Path, key: str, size: Any) -> dict[str, int]:
    """Returns the sides that a processor's size states."""
    try:
        sides = dict(size or {})
    except (TypeError, ValueError) as error:
        raise PipelineError(
            f"{folder}: {key} is {abbreviated(size)}; names of sides with whole numbers are "
            "needed; correct the model's files"
        ) from error
    return {
        str(name): whole_number(folder, f"{key}.{name}", side)
        for name, side in sides.items()
        if side is not None
    }
