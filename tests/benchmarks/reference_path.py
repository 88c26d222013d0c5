"""The plain way to extract features, as the published scripts do it: what ours is compared with.

One clip at a time, whole in memory as floats, frame by frame through torchvision's transforms, one
window at a time through the network; sound resampled by resampy. Written here for the comparison,
with PyAV in the place of OpenCV and of FFmpeg's program; nothing of it is used elsewhere.
"""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import resampy
import torch
from av.video.reformatter import VideoReformatter
from torchvision import transforms

from avca_pipeline.backbones import c3d, vggish


def video_windows(path: Path) -> list[torch.Tensor]:
    """Returns C3D inputs ``(1, 3, 16, 112, 112)``, with the UCF script's wrapped pixels."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        held = torch.zeros(stream.frames, stream.height, stream.width, 3)
        reformatter = VideoReformatter()  # OpenCV has one for all frames, too
        for index, frame in enumerate(container.decode(video=0)):
            held[index] = torch.from_numpy(reformatter.reformat(frame, format="bgr24").to_ndarray())
    transform = transforms.Compose(
        [
            transforms.ToPILImage(),
            transforms.Resize(c3d.RESIZE),
            transforms.CenterCrop(c3d.CROP),
            transforms.ToTensor(),
            transforms.Normalize(c3d.OFFICIAL_MEAN, c3d.OFFICIAL_STD),
        ]
    )
    windows = []
    for start in range(0, len(held), c3d.WINDOW_FRAMES):
        window = torch.zeros(c3d.WINDOW_FRAMES, 3, c3d.CROP, c3d.CROP)
        for index, frame in enumerate(held[start : start + c3d.WINDOW_FRAMES]):
            window[index] = transform(frame.permute(2, 0, 1))
        windows.append(window.permute(1, 0, 2, 3)[None])
    return windows


def audio_examples(path: Path) -> torch.Tensor:
    """Returns VGGish inputs ``(examples, 96, 64)``."""
    with av.open(str(path)) as container:
        rate = container.streams.audio[0].rate
        resampler = av.AudioResampler(format="s16p")
        parts = [
            part.to_ndarray()
            for frame in container.decode(audio=0)
            for part in resampler.resample(frame)
        ]
    mono = (np.concatenate(parts, axis=1) / 32768.0).mean(axis=0)
    samples = resampy.resample(mono, rate, vggish.RATE_HZ)
    num_frames = 1 + (len(samples) - vggish.FRAME_SAMPLES) // vggish.HOP_SAMPLES
    window = np.hanning(vggish.FRAME_SAMPLES + 1)[:-1]
    frames = np.stack(
        [
            samples[start : start + vggish.FRAME_SAMPLES] * window
            for start in range(0, num_frames * vggish.HOP_SAMPLES, vggish.HOP_SAMPLES)
        ]
    )
    magnitudes = np.abs(np.fft.rfft(frames, vggish.FFT_SIZE))
    log_mel = np.log(magnitudes @ vggish.mel_matrix() + vggish.LOG_OFFSET)
    whole = len(log_mel) // vggish.EXAMPLE_FRAMES * vggish.EXAMPLE_FRAMES
    examples = log_mel[:whole].reshape(-1, vggish.EXAMPLE_FRAMES, vggish.NUM_BANDS)
    return torch.from_numpy(examples.astype(np.float32))


def features(
    path: Path, video_network: torch.nn.Module, audio_network: torch.nn.Module
) -> tuple[np.ndarray, np.ndarray]:
    """Returns a clip's C3D and VGGish features, gradients recorded as in the published scripts."""
    with torch.enable_grad():
        video = [video_network(window).detach().numpy()[0] for window in video_windows(path)]
        audio = [
            vggish.embed_log_mel(audio_network, example[None]).detach().numpy()[0]
            for example in audio_examples(path)
        ]
    return np.mean(video, axis=0), np.mean(audio, axis=0)
