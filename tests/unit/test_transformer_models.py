"""Towers of the library transformers: our vectors beside the library's own, on tiny models."""

from __future__ import annotations

import wave
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import torchaudio
import transformers

from avca_pipeline import registry
from avca_pipeline.artifacts import features, fetched, manifest
from avca_pipeline.artifacts.fetched import FetchedClip
from avca_pipeline.artifacts.manifest import Clip
from avca_pipeline.backbones import MediaSegment
from avca_pipeline.datasets import demo
from avca_pipeline.errors import PipelineError
from avca_pipeline.media import Limits, MediaError
from avca_pipeline.media.resample import KAISER_BEST
from avca_pipeline.media.video import frames
from avca_pipeline.stages import extract
from avca_pipeline.text_embeddings import transformers_text
from avca_pipeline.transformer_models import families, loading, pictures, sound
from avca_pipeline.transformer_models.model_files import read_json
from tests.builders import extract_request
from tests.media import synthetic
from tests.transformer_models import saved

LIMITS = Limits(max_pixels=10_000_000, max_duration_s=60.0)
IDS = torch.tensor([[1, 40, 50, 60, 2]])
RATE_HZ = 48_000

# What the library's own forward calls the vectors of pictures, videos or sound.
IMAGES = {"clip": "CLIPModel", "siglip": "SiglipModel", "metaclip_2": "MetaClip2Model"}
VIDEO: dict[str, Callable[[Path, torch.Tensor], torch.Tensor]] = {
    "videomae": lambda folder, pixels: own("VideoMAEModel", folder)(
        pixel_values=pixels
    ).last_hidden_state.mean(dim=1),
    "xclip": lambda folder, pixels: (
        own("XCLIPModel", folder)(input_ids=IDS, pixel_values=pixels).video_embeds
    ),
    "videoprism": lambda folder, pixels: (
        own("VideoPrismClipModel", folder)(input_ids=IDS, pixel_values_videos=pixels).video_embeds
    ),
    "vjepa2": lambda folder, pixels: own("VJEPA2Model", folder)(
        pixel_values_videos=pixels
    ).last_hidden_state.mean(dim=1),
    "pe_video": lambda folder, pixels: (
        own("PeVideoModel", folder)(
            input_ids=IDS.expand(len(pixels), -1), pixel_values_videos=pixels
        ).video_embeds
    ),
    "pe_audio_video": lambda folder, pixels: (
        own("PeAudioVideoModel", folder)(
            input_values=torch.zeros(len(pixels), 1, 1920), pixel_values_videos=pixels
        ).video_embeds
    ),
}
AUDIO: dict[str, Callable[[Path, Any], torch.Tensor]] = {
    "clap": lambda folder, inputs: (
        own("ClapModel", folder)(
            input_ids=IDS,
            input_features=inputs["input_features"],
            is_longer=torch.zeros(len(inputs["input_features"]), 1, dtype=torch.bool),
        ).audio_embeds
    ),
    "ast": lambda folder, inputs: own("ASTModel", folder)(**inputs).pooler_output,
    "pe_audio": lambda folder, inputs: (
        own("PeAudioModel", folder)(
            input_ids=IDS.expand(len(inputs["input_values"]), -1), **inputs
        ).audio_embeds
    ),
    "pe_audio_video": lambda folder, inputs: (
        own("PeAudioVideoModel", folder)
        .audio_model(input_ids=IDS.expand(len(inputs["input_values"]), -1), **inputs)
        .audio_embeds
    ),
}
AUDIO["clap_without_fusion"] = AUDIO["clap"]
EXTRACTORS = {
    "clap": "ClapFeatureExtractor", "clap_without_fusion": "ClapFeatureExtractor",
    "ast": "ASTFeatureExtractor", "pe_audio": "PeAudioFeatureExtractor",
    "pe_audio_video": "PeAudioFeatureExtractor",
}  # fmt: skip


def own(name: str, folder: Path) -> Any:
    """Returns the library's own whole network."""
    return getattr(transformers, name).from_pretrained(folder).eval()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives the folder of a tiny model of a family."""
    base, made = tmp_path_factory.mktemp("models"), {}

    def folder_of(family: str) -> Path:
        if family not in made:
            made[family] = saved(family, base)
        return made[family]

    return folder_of


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> MediaSegment:
    settings = demo.Settings(num_classes=4, sources_per_class=1)
    folder = tmp_path_factory.mktemp("media")
    return MediaSegment(demo.locate(settings, demo.clips(settings)[0], folder))


def write_sound(path: Path, seconds: float) -> np.ndarray:
    """Writes mono sound and returns what it decodes to."""
    generator = np.random.default_rng(0)
    samples = (generator.standard_normal(round(seconds * RATE_HZ)) * 4000).astype(np.int16)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(samples.tobytes())
    return samples / 32768.0


def encoded(
    module: ModuleType | Any, settings: Any, clip: MediaSegment
) -> tuple[Any, torch.Tensor]:
    """Returns a clip's windows and their features, which do not depend on the size of a batch."""
    network, _ = module.build(settings, Path("unused"))
    windows = list(module.windows(settings, clip, LIMITS))
    spec = module.spec(settings)
    assert {(w.data.shape, w.data.dtype.name) for w in windows} == {
        (spec.window_shape, spec.window_dtype)
    }
    data = torch.from_numpy(np.stack([window.data for window in windows]))
    num_valid = torch.tensor([window.num_valid for window in windows])
    with torch.inference_mode():
        together = module.encode(settings, network, data, num_valid)
        for size in (1, 2):
            parts = [
                module.encode(settings, network, data[i : i + size], num_valid[i : i + size])
                for i in range(0, len(data), size)
            ]
            torch.testing.assert_close(torch.cat(parts), together, rtol=0, atol=1e-6)
    return windows, together


@pytest.mark.parametrize("family", IMAGES)
def test_image_towers_give_what_the_library_gives(
    family: str, models: Callable[[str], Path], clip: MediaSegment
) -> None:
    module = registry.load("backbones", "transformers_images")
    settings = module.Settings(model=str(models(family)))
    windows, ours = encoded(module, settings, clip)
    arrays = list(frames(clip.path, settings.rate_hz, None, None, LIMITS))
    processor = loading.processor(models(family), families.TOWERS["images"][family].processor)
    pixels = processor(images=arrays, return_tensors="pt")["pixel_values"]
    prepared = pictures.Pictures(models(family), type(processor).__name__)
    with torch.inference_mode():
        theirs = own(IMAGES[family], models(family))(input_ids=IDS, pixel_values=pixels)
        mine = prepared.normalised(torch.from_numpy(np.stack([w.data[0] for w in windows])))
    # Within a level of 255, and the library's normalisation besides.
    torch.testing.assert_close(mine, pixels, rtol=0, atol=1e-5)
    torch.testing.assert_close(ours, theirs.image_embeds, rtol=0, atol=1e-5)
    assert ours.std(dim=0).max() > 1e-4


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"rescale_factor": 1 / 127.5},
        {"do_rescale": False},
        {"do_normalize": False},
        {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.5, 0.6, 0.7]},
        {"do_center_crop": False, "size": {"height": 20, "width": 24}},
    ],
    ids=lambda changes: next(iter(changes), "default"),
)
def test_pictures_are_what_the_settings_of_the_processor_make_of_them(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    sizes = {"size": {"shortest_edge": 32}, "crop_size": {"height": 28, "width": 28}}
    processor = transformers.CLIPImageProcessor(**(sizes | changes))
    processor.save_pretrained(tmp_path)
    frame = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    theirs = processor(images=[frame], return_tensors="pt")["pixel_values"]
    prepare = pictures.Pictures(tmp_path, "CLIPImageProcessor")
    ours = prepare.normalised(torch.from_numpy(prepare.prepared(frame))[None])
    assert ours.shape[2:] == (prepare.height, prepare.width)
    assert prepare.short_side == (24 if "size" in changes else 32)  # of what is cropped
    torch.testing.assert_close(ours, theirs.float(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("family", VIDEO)
def test_video_towers_give_what_the_library_gives(
    family: str, models: Callable[[str], Path], clip: MediaSegment
) -> None:
    module = registry.load("backbones", "transformers_video")
    settings = module.Settings(model=str(models(family)))
    windows, ours = encoded(module, settings, clip)
    length = len(windows[0].data)
    arrays = np.stack(list(frames(clip.path, settings.rate_hz, None, None, LIMITS)))
    chosen = families.tower("video", family, read_json(models(family) / "config.json"))
    processor = loading.processor(models(family), chosen.processor)
    given = [arrays[i : i + length] for i in range(0, len(arrays) - length + 1, length)]
    if len(arrays) % length:
        given.append(arrays[-length:])  # the last window ends with the clip
    if chosen.processor.endswith("VideoProcessor"):
        inputs = processor(videos=given, do_sample_frames=False, return_tensors="pt")
        pixels = inputs.get("pixel_values", inputs.get("pixel_values_videos"))
    else:
        each = [
            processor(images=list(video), return_tensors="pt")["pixel_values"] for video in given
        ]
        pixels = torch.stack(each)
    with torch.inference_mode():
        theirs = VIDEO[family](models(family), pixels)
    assert len(windows) == len(given) > 1
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    assert ours.std(dim=0).max() > 1e-4


def test_a_clip_shorter_than_a_window_holds_its_last_frame(
    models: Callable[[str], Path], clip: MediaSegment
) -> None:
    module = registry.load("backbones", "transformers_video")
    short = MediaSegment(clip.path, 0.0, 0.25)
    settings = module.Settings(model=str(models("videomae")))
    windows, ours = encoded(module, settings, short)
    arrays = list(frames(clip.path, settings.rate_hz, 0.0, 0.25, LIMITS))
    assert [window.num_valid for window in windows] == [len(arrays)] == [2]
    held = np.stack([arrays[0], arrays[1], arrays[1], arrays[1]])
    processor = loading.processor(models("videomae"), "VideoMAEVideoProcessor")
    pixels = processor(videos=[held], return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        theirs = VIDEO["videomae"](models("videomae"), pixels)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def test_windows_are_of_the_segment_at_the_rate_asked_for(
    models: Callable[[str], Path], clip: MediaSegment
) -> None:
    module = registry.load("backbones", "transformers_video")
    settings = module.Settings(model=str(models("videomae")), rate_hz=12)
    windows = list(module.windows(settings, MediaSegment(clip.path, 0.5, 1.0), LIMITS))
    arrays = list(frames(clip.path, 12, 0.5, 1.0, LIMITS))
    assert len(arrays) == 6
    prepare = pictures.Pictures(models("videomae"), "VideoMAEVideoProcessor")
    pixels = np.stack([prepare.prepared(frame) for frame in arrays])
    assert [window.num_valid for window in windows] == [4, 4]
    for window, expected in zip(windows, (pixels[:4], pixels[2:]), strict=True):
        np.testing.assert_array_equal(window.data, expected)


@pytest.mark.parametrize(
    ("plugin", "family"), [("transformers_images", "clip"), ("transformers_video", "videomae")]
)
def test_a_thin_picture_is_not_blown_up(
    plugin: str, family: str, models: Callable[[str], Path], tmp_path: Path
) -> None:
    """Its short side of 4 pixels would become 32, and its long one 1600."""
    path = tmp_path / "thin.mov"
    synthetic.ffmpeg("-f", "lavfi", "-i", "color=red:size=200x4:rate=8:duration=1", path)
    module = registry.load("backbones", plugin)
    settings = module.Settings(model=str(models(family)))
    segment = MediaSegment(path)
    assert list(module.windows(settings, segment, Limits(1600 * 32, 60.0)))
    with pytest.raises(MediaError, match="too large: 200x4 pixels, resized 1600x32"):
        list(module.windows(settings, segment, Limits(1600 * 32 - 1, 60.0)))


def test_sound_is_that_of_the_segment(models: Callable[[str], Path], tmp_path: Path) -> None:
    module = registry.load("backbones", "transformers_audio")
    settings = module.Settings(model=str(models("pe_audio")), window_s=0.4)
    samples = write_sound(tmp_path / "clip.wav", 2.0)
    segment = MediaSegment(tmp_path / "clip.wav", 0.4, 1.2)
    windows = list(module.windows(settings, segment, LIMITS))
    starts = (19_200, 38_400)
    for window, start in zip(windows, starts, strict=True):
        np.testing.assert_allclose(window.data, samples[start : start + 19_200], atol=1e-6)


def test_frames_that_fill_up_a_window_are_not_looked_at(
    models: Callable[[str], Path], clip: MediaSegment
) -> None:
    """By PE-AV, which takes a mask: two frames with others behind them are two frames alone."""
    module = registry.load("backbones", "transformers_video")
    settings = module.Settings(model=str(models("pe_video")))
    windows, ours = encoded(module, settings, MediaSegment(clip.path, 0.0, 0.25))
    assert [window.num_valid for window in windows] == [2]
    arrays = list(frames(clip.path, settings.rate_hz, 0.0, 0.25, LIMITS))
    processor = loading.processor(models("pe_video"), "PeVideoVideoProcessor")
    inputs = processor(videos=[np.stack(arrays)], do_sample_frames=False, return_tensors="pt")
    with torch.inference_mode():
        theirs = VIDEO["pe_video"](models("pe_video"), inputs["pixel_values_videos"])
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


@pytest.mark.parametrize("family", AUDIO)
def test_audio_towers_give_what_the_library_gives(
    family: str, models: Callable[[str], Path], tmp_path: Path
) -> None:
    module = registry.load("backbones", "transformers_audio")
    settings = module.Settings(model=str(models(family)))
    prepare = sound.sound(models(family), EXTRACTORS[family], None)
    seconds = 2.6 * prepare.num_samples / prepare.rate_hz
    samples = write_sound(tmp_path / "clip.wav", seconds)
    windows, ours = encoded(module, settings, MediaSegment(tmp_path / "clip.wav"))
    if prepare.rate_hz != RATE_HZ:
        native, rate_hz = torch.from_numpy(samples), prepare.rate_hz
        samples = torchaudio.functional.resample(native, RATE_HZ, rate_hz, **KAISER_BEST).numpy()
    length = prepare.num_samples
    given = [samples[:length], samples[length : 2 * length], samples[-length:]]
    extractor = loading.processor(models(family), EXTRACTORS[family])
    inputs = dict(extractor(given, sampling_rate=prepare.rate_hz, return_tensors="pt"))
    inputs.pop("is_longer", None)
    inputs = {name: value.float() if value.dtype == torch.float64 else value
              for name, value in inputs.items()}  # fmt: skip
    stacked = prepare.spectrograms(torch.from_numpy(np.stack([w.data for w in windows])))
    prepared = next(value for name, value in inputs.items() if name.startswith("input_"))
    if family.startswith("clap"):
        stacked = stacked.transpose(1, 2)
    torch.testing.assert_close(stacked, prepared.reshape(stacked.shape), rtol=0, atol=1e-5)
    with torch.inference_mode():
        theirs = AUDIO[family](models(family), inputs)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    assert ours.std(dim=0).max() > 1e-4


def test_silence_that_fills_up_a_window_is_not_looked_at(
    models: Callable[[str], Path], tmp_path: Path
) -> None:
    """The library makes a mask of its own where sounds of two lengths are one batch."""
    folder = models("pe_audio")
    module = registry.load("backbones", "transformers_audio")
    settings = module.Settings(model=str(folder), window_s=0.4)
    samples = write_sound(tmp_path / "clip.wav", 0.12)
    windows, ours = encoded(module, settings, MediaSegment(tmp_path / "clip.wav"))
    assert [window.num_valid for window in windows] == [3 * 1920]
    extractor = loading.processor(folder, "PeAudioFeatureExtractor")
    inputs = extractor(
        [np.ones(10 * 1920), samples], sampling_rate=RATE_HZ, padding=True, return_tensors="pt"
    )
    assert inputs["padding_mask"].sum(dim=1).tolist() == [10 * 1920, 3 * 1920]
    with torch.inference_mode():
        theirs = AUDIO["pe_audio"](folder, dict(inputs))
    torch.testing.assert_close(ours, theirs[1:], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("extractor", "settings", "whole", "part", "num_valid"),
    [
        # A whole window is repeated, and none of that is padding.
        ("ClapFeatureExtractor", {}, 480_000, 9_600, (3_000, 480_000)),
        (
            "ClapFeatureExtractor", {"max_length_s": 5, "hop_length": 500},
            240_000, 9_600, (3_000, 240_000),
        ),
        # Frames of 25 ms that begin every 10 ms.
        ("ASTFeatureExtractor", {"num_mel_bins": 32}, 1023 * 160 + 400, 3_200, (4, 18)),
        ("ASTFeatureExtractor", {"max_length": 64}, 63 * 160 + 400, 3_200, (4, 18)),
        ("PeAudioFeatureExtractor", {}, 480_000, 5 * 1920, (2 * 1920, 5 * 1920)),
    ],
)  # fmt: skip
def test_a_window_is_as_long_as_the_model_takes_or_the_user_says(
    extractor: str,
    settings: dict[str, Any],
    whole: int,
    part: int,
    num_valid: tuple[int, int],
    tmp_path: Path,
) -> None:
    """Of 62.5 ms in 0.2 s, and of all of these, so much of what the processor gives is real."""
    getattr(transformers, extractor)(**settings).save_pretrained(tmp_path)
    assert sound.sound(tmp_path, extractor, None).num_samples == whole
    short = sound.sound(tmp_path, extractor, 0.2)
    assert short.num_samples == part
    samples = np.random.default_rng(0).uniform(-1, 1, part)
    for length, expected in zip((round(0.0625 * short.rate_hz), part), num_valid, strict=True):
        data, real = short.prepared(samples[:length])
        assert (data.shape, real) == (short.shape, expected)


@pytest.mark.parametrize("family", ["clap", "clap_without_fusion"])
def test_nothing_of_long_sound_is_left_to_chance(
    family: str, models: Callable[[str], Path], tmp_path: Path
) -> None:
    """37 s are four windows, of which the last one ends with the clip."""
    samples = write_sound(tmp_path / "long.wav", 37.0)
    write_sound(tmp_path / "short.wav", 3.0)
    settings = {"model": str(models(family))}
    module = registry.load("backbones", "transformers_audio")
    clip = MediaSegment(tmp_path / "long.wav")
    windows = [window.data for window in module.windows(module.Settings(**settings), clip, LIMITS)]
    for window, begin in zip(windows, (0, 480_000, 960_000, len(samples) - 480_000), strict=True):
        np.testing.assert_array_equal(window, samples[begin : begin + 480_000])
    names = ("long.wav", "short.wav")
    manifest.write(tmp_path / "clips.csv", [Clip(name, name, "noise", name) for name in names])
    status = {name: (tmp_path / name).stat() for name in names}
    rows = [
        FetchedClip(
            name,
            fetched.OK,
            path=str(tmp_path / name),
            size=status[name].st_size,
            modified_ns=status[name].st_mtime_ns,
        )
        for name in names
    ]
    fetched.write(tmp_path / "fetched.csv", rows)
    found = []
    for seed, workers in enumerate((1, 1, 2)):
        np.random.seed(seed)
        extract.run(
            extract_request("transformers_audio", settings),
            tmp_path / "clips.csv",
            tmp_path / "fetched.csv",
            tmp_path / "out.h5",
            cache=tmp_path,
            device="cpu",
            workers=workers,
        )
        found.append(features.read(tmp_path / "out.h5"))
    assert list(found[0].num_windows) == [4, 1]
    for library in (torchaudio, transformers):
        assert found[0].attributes[library.__name__] == library.__version__.partition("+")[0]
    for again in found[1:]:
        assert again.features.tobytes() == found[0].features.tobytes()


@pytest.mark.parametrize("family", AUDIO)
def test_sound_shorter_than_anything_has_features(
    family: str, models: Callable[[str], Path], tmp_path: Path
) -> None:
    module = registry.load("backbones", "transformers_audio")
    settings = module.Settings(model=str(models(family)))
    write_sound(tmp_path / "clip.wav", 0.02)
    windows, features = encoded(module, settings, MediaSegment(tmp_path / "clip.wav"))
    assert len(windows) == 1
    assert 1 <= windows[0].num_valid < len(windows[0].data)
    assert torch.isfinite(features).all()


def test_a_family_without_a_tower_is_refused_with_those_that_have_one(
    models: Callable[[str], Path], tmp_path: Path
) -> None:
    """SigLIP 2's NaFlex models take pictures of any shape; the others are of the family SigLIP."""
    for family, plugin, names in (
        ("siglip2", "transformers_images", "clip, metaclip_2, siglip"),
        ("embedding_gemma2", "transformers_audio", "audio-spectrogram-transformer, clap, pe_audio"),
    ):
        settings = registry.load("backbones", plugin).Settings(model=str(models(family)))
        with pytest.raises(PipelineError, match=f"family '{family}'; for .* there are: {names}"):
            settings.look_up(tmp_path)


def test_a_window_longer_than_the_model_takes_is_one_line(models: Callable[[str], Path]) -> None:
    module = registry.load("backbones", "transformers_audio")
    for window_s, is_good in ((4.0, True), (12.0, False)):
        settings = module.Settings(model=str(models("clap")), window_s=window_s)
        if is_good:
            assert module.spec(settings).window_shape == (480_000,)
            continue
        with pytest.raises(PipelineError, match="12 is more than the 10 s that the model takes"):
            module.spec(settings)


TEXT: dict[str, Callable[[Path, Any], torch.Tensor]] = {
    "clip": lambda folder, inputs: (
        own("CLIPModel", folder)(**inputs, pixel_values=torch.zeros(1, 3, 32, 32)).text_embeds
    ),
    "siglip": lambda folder, inputs: (
        own("SiglipModel", folder)(
            input_ids=inputs["input_ids"], pixel_values=torch.zeros(1, 3, 32, 32)
        ).text_embeds
    ),
    "metaclip_2": lambda folder, inputs: (
        own("MetaClip2Model", folder)(**inputs, pixel_values=torch.zeros(1, 3, 32, 32)).text_embeds
    ),
    # Its forward changes the texts with the video that they are compared with.
    "xclip": lambda folder, inputs: own("XCLIPModel", folder).get_text_features(**inputs)[1],
    "videoprism": lambda folder, inputs: (
        own("VideoPrismClipModel", folder)(
            **inputs, pixel_values_videos=torch.zeros(1, 4, 3, 32, 32)
        ).text_embeds
    ),
    "clap": lambda folder, inputs: (
        own("ClapModel", folder)(
            **inputs,
            input_features=torch.zeros(1, 4, 1001, 64),
            is_longer=torch.zeros(1, 1, dtype=torch.bool),
        ).text_embeds
    ),
    "pe_audio": lambda folder, inputs: (
        own("PeAudioModel", folder)(
            **inputs, input_values=torch.zeros(2, 1, 1920)
        ).text_audio_embeds
    ),
    "pe_video": lambda folder, inputs: (
        own("PeVideoModel", folder)(
            **inputs, pixel_values_videos=torch.zeros(2, 2, 3, 28, 28)
        ).text_video_embeds
    ),
}
TEXT["embedding_gemma2"] = lambda folder, inputs: torch.stack(
    [
        states[mask].mean(dim=0)
        for states, mask in zip(
            own("EmbeddingGemma2Model", folder)(**inputs).last_hidden_state,
            inputs["attention_mask"].bool(),
            strict=True,
        )
    ]
)
LENGTHS = {"siglip": 64, "videoprism": 64}


def unit(vectors: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(vectors, dim=-1)


@pytest.mark.parametrize("family", TEXT)
def test_text_towers_give_what_the_library_gives(
    family: str, models: Callable[[str], Path]
) -> None:
    """By default a class is a sentence; of several, the mean of unit vectors counts."""
    folder, names = models(family), ["YoYo", "playing guitar"]
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    vectors = {}
    for templates in ("a video of {}", "so {} here"):
        texts = [templates.replace("{}", name) for name in ("yo yo", "playing guitar")]
        padding: Any = "max_length" if family in LENGTHS else True
        inputs = tokenizer(
            texts, padding=padding, max_length=LENGTHS.get(family), return_tensors="pt"
        )
        with torch.inference_mode():
            vectors[templates] = unit(
                TEXT[family](folder, {key: inputs[key] for key in ("input_ids", "attention_mask")})
            )
        settings = transformers_text.Settings(model=str(folder), templates=templates)
        ours = transformers_text.vectors(settings, names)
        torch.testing.assert_close(torch.from_numpy(ours), vectors[templates], rtol=0, atol=1e-5)
    (folder / "two.txt").write_text("".join(f"{template}\n" for template in vectors))
    settings = transformers_text.Settings(model=str(folder), templates=str(folder / "two.txt"))
    mean = unit(torch.stack(list(vectors.values())).mean(dim=0))
    ours = transformers_text.vectors(settings, names)
    torch.testing.assert_close(torch.from_numpy(ours), mean, rtol=0, atol=1e-5)
    assert abs(ours[0] @ ours[1]) < 1 - 1e-5


def test_pe_av_has_a_text_head_for_each_kind_of_media(models: Callable[[str], Path]) -> None:
    folder = models("pe_audio_video")
    network = own("PeAudioVideoModel", folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer(["a video of surfing"], return_tensors="pt")
    with torch.inference_mode():
        theirs = network(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            input_values=torch.zeros(1, 1, 1920),
            pixel_values_videos=torch.zeros(1, 2, 3, 28, 28),
        )
    expected = {
        "audio": theirs.text_audio_embeds,
        "video": theirs.text_video_embeds,
        "both": theirs.text_audio_video_embeds,
    }
    for head, vector in expected.items():
        settings = transformers_text.Settings(model=str(folder), head=head)
        ours = transformers_text.vectors(settings, ["surfing"])
        torch.testing.assert_close(torch.from_numpy(ours), unit(vector), rtol=0, atol=1e-5)
    with pytest.raises(PipelineError, match="say head: audio, video or both"):
        transformers_text.vectors(transformers_text.Settings(model=str(folder)), ["surfing"])
    only = transformers_text.Settings(model=str(models("clip")), head="audio")
    with pytest.raises(PipelineError, match="has one text head"):
        transformers_text.vectors(only, ["surfing"])


@pytest.mark.parametrize(("family", "most"), [("clip", 80), ("clap", 78), ("siglip", 64)])
def test_texts_longer_than_the_tower_takes_are_cut_and_counted(
    family: str, most: int, models: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    settings = transformers_text.Settings(model=str(models(family)), templates="{}")
    long = "x" * (most + 20)
    with caplog.at_level("WARNING"):
        vectors = transformers_text.vectors(settings, [long, "y" * (most - 2), f"{long} and more"])
    assert f"2 of 3 texts are longer than {most} tokens" in caplog.text
    np.testing.assert_array_equal(vectors[0], vectors[2])


def test_random_weights_depend_on_their_seed_alone(
    models: Callable[[str], Path], clip: MediaSegment
) -> None:
    module = registry.load("backbones", "transformers_images")
    folder = str(models("clip"))
    state = torch.get_rng_state()
    built = {
        seed: module.build(module.Settings(model=folder, weights="random", seed=seed), Path())
        for seed in (0, 1)
    }
    again, weights = module.build(module.Settings(model=folder, weights="random"), Path())
    assert torch.equal(state, torch.get_rng_state())
    assert weights == "random:0"
    first, same, other = (
        dict(network.state_dict()) for network in (built[0][0], again, built[1][0])
    )
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_the_precision_of_the_settings_is_that_of_the_network(
    models: Callable[[str], Path], clip: MediaSegment
) -> None:
    """Features are float32 in any case; those of bf16 differ by about 1 %."""
    module = registry.load("backbones", "transformers_images")
    found = {}
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        settings = module.Settings(model=str(models("clip")), precision=precision)
        network, _ = module.build(settings, Path())
        assert {parameter.dtype for parameter in network.parameters()} == {dtype}
        windows = list(module.windows(settings, clip, LIMITS))
        data = torch.from_numpy(np.stack([window.data for window in windows]))
        found[precision] = module.encode(settings, network, data, torch.ones(len(data)))
        assert found[precision].dtype == torch.float32
    difference = (found["bf16"] - found["fp32"]).norm(dim=1)
    assert 0 < difference.max() < 0.05


def test_a_network_keeps_the_tower_alone(models: Callable[[str], Path]) -> None:
    module = registry.load("backbones", "transformers_images")
    network, weights = module.build(module.Settings(model=str(models("clip"))), Path())
    assert not any("text_model" in name for name, _ in network.named_parameters())
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert len(weights) == 64
