"""The plain way to extract features, as the published scripts do it: what ours is compared with.

One clip at a time, whole in memory as floats, frame by frame through Pillow, one window at a
time through the network. Written here for the comparison; nothing of it is used elsewhere.
"""

from __future__ import annotations

from pathlib import Path

import av
import librosa
import numpy as np
import torch
from PIL import Image

from avca_pipeline.backbones import c3d, vggish


def video_windows(path: Path) -> list[torch.Tensor]:
    """Returns C3D inputs ``(1, 3, 16, 112, 112)``, with the UCF script's wrapped pixels."""
    with av.open(str(path)) as container:
        held = [f.to_ndarray(format="bgr24").astype(np.float32) for f in container.decode(video=0)]
    mean = torch.tensor(c3d.OFFICIAL_MEAN).view(3, 1, 1)
    std = torch.tensor(c3d.OFFICIAL_STD).view(3, 1, 1)
    frames = []
    for frame in held:
        # What ToPILImage makes of a float picture of values up to 255.
        picture = (torch.from_numpy(frame).permute(2, 0, 1) * 255).byte().permute(1, 2, 0).numpy()
        image = Image.fromarray(picture).resize((171, 128), Image.Resampling.BILINEAR)
        image = image.crop((30, 8, 142, 120))
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
        frames.append((pixels - mean) / std)
    windows = []
    for start in range(0, len(frames), 16):
        window = torch.zeros(3, 16, 112, 112)
        for index, frame in enumerate(frames[start : start + 16]):
            window[:, index] = frame
        windows.append(window[None])
    return windows


def audio_examples(path: Path) -> torch.Tensor:
    """Returns VGGish inputs ``(examples, 96, 64)``.

    The published resampler, resampy, is slower than librosa's default: ours looks the worse for it.
    """
    with av.open(str(path)) as container:
        rate = container.streams.audio[0].rate
        resampler = av.AudioResampler(format="s16p")
        parts = [
            part.to_ndarray()
            for frame in container.decode(audio=0)
            for part in resampler.resample(frame)
        ]
    mono = (np.concatenate(parts, axis=1) / 32768.0).mean(axis=0)
    samples = librosa.resample(mono, orig_sr=rate, target_sr=vggish.RATE_HZ)
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
