"""Tiny models with random weights, which the library itself builds and writes to a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

SMALL = {
    "hidden_size": 32, "intermediate_size": 37, "num_hidden_layers": 2, "num_attention_heads": 4,
}  # fmt: skip
TEXT = SMALL | {
    "vocab_size": 300, "max_position_embeddings": 80, "projection_dim": 24,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
VISION = SMALL | {"image_size": 32, "patch_size": 16, "projection_dim": 24}
MODERN_BERT = SMALL | {
    "model_type": "modernbert", "vocab_size": 300, "max_position_embeddings": 64,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2,
}  # fmt: skip
PE_ENCODER = {
    "hidden_size": 32, "intermediate_size": 37, "num_hidden_layers": 1, "num_attention_heads": 2,
    "head_dim": 16,
}  # fmt: skip
PE_AUDIO = PE_ENCODER | {
    "dac_config": {
        "downsampling_ratios": [2, 8, 10, 12], "encoder_hidden_size": 4, "codebook_dim": 8,
        "hop_length": 1920,
    },
}  # fmt: skip
PE_VIDEO = PE_ENCODER | {
    "vision_config": {
        "model_type": "timm_wrapper", "architecture": "vit_pe_core_large_patch14_336",
        "num_classes": 16,
        "model_args": {"embed_dim": 32, "depth": 1, "num_heads": 2, "img_size": 28},
    },
}  # fmt: skip
PE_PICTURES = {
    "size": {"height": 28, "width": 28}, "do_resize": True, "do_rescale": True,
    "do_normalize": True, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
}  # fmt: skip
SHORT_SIDE = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}


def tokens() -> Any:
    """Returns a tokenizer that knows the characters of ASCII, and no words."""
    vocabulary = {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3}
    vocabulary |= {chr(code): code + 4 for code in range(32, 127)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>",
        unk_token="<unk>",
    )  # fmt: skip


def clip() -> list[Any]:
    config = transformers.CLIPConfig(text_config=TEXT, vision_config=VISION, projection_dim=24)
    processor = transformers.CLIPImageProcessor(**SHORT_SIDE)
    return [transformers.CLIPModel(config), processor, tokens()]


def siglip() -> list[Any]:
    text = TEXT | {"max_position_embeddings": 64, "projection_size": 32}
    config = transformers.SiglipConfig(text_config=text, vision_config=VISION)
    processor = transformers.SiglipImageProcessor(size={"height": 32, "width": 32})
    return [transformers.SiglipModel(config), processor, tokens()]


def metaclip_2() -> list[Any]:
    config = transformers.MetaClip2Config(text_config=TEXT, vision_config=VISION, projection_dim=24)
    processor = transformers.CLIPImageProcessor(**SHORT_SIDE)
    return [transformers.MetaClip2Model(config), processor, tokens()]


def videomae() -> list[Any]:
    config = transformers.VideoMAEConfig(
        **SMALL, image_size=32, patch_size=16, num_frames=4, decoder_hidden_size=16,
        decoder_num_hidden_layers=1, decoder_num_attention_heads=2, decoder_intermediate_size=16,
    )  # fmt: skip
    processor = transformers.VideoMAEVideoProcessor(**SHORT_SIDE)
    return [transformers.VideoMAEForPreTraining(config), processor]


def xclip() -> list[Any]:
    vision = SMALL | {
        "image_size": 32, "patch_size": 16, "num_frames": 4, "mit_hidden_size": 24,
        "mit_intermediate_size": 37, "mit_num_attention_heads": 4, "mit_num_hidden_layers": 1,
    }  # fmt: skip
    config = transformers.XCLIPConfig(
        text_config=TEXT, vision_config=vision, projection_dim=24, prompt_num_attention_heads=4,
        prompt_layers=1,
    )  # fmt: skip
    processor = transformers.CLIPImageProcessor(**SHORT_SIDE)
    return [transformers.XCLIPModel(config), processor, tokens()]


def videoprism() -> list[Any]:
    vision = {
        "hidden_size": 32, "intermediate_size": 37, "num_attention_heads": 4, "image_size": 32,
        "num_frames": 4, "tubelet_size": [1, 16, 16], "num_spatial_layers": 1,
        "num_temporal_layers": 1, "num_auxiliary_layers": 1,
    }  # fmt: skip
    text = SMALL | {"vocab_size": 300, "max_position_embeddings": 64}
    config = transformers.VideoPrismConfig(text_config=text, vision_config=vision)
    size = {"height": 32, "width": 32}
    processor = transformers.LlavaOnevisionVideoProcessor(size=size, do_normalize=False)
    return [transformers.VideoPrismClipModel(config), processor, tokens()]


def vjepa2() -> list[Any]:
    config = transformers.VJEPA2Config(
        crop_size=32, patch_size=16, frames_per_clip=4, hidden_size=48, num_attention_heads=2,
        num_hidden_layers=2, pred_hidden_size=24, pred_num_attention_heads=2,
        pred_num_hidden_layers=1, mlp_ratio=2, pred_num_mask_tokens=2,
    )  # fmt: skip
    return [transformers.VJEPA2Model(config), transformers.VJEPA2VideoProcessor(crop_size=32)]


def clap(truncation: str = "fusion") -> list[Any]:
    audio = {
        "hidden_size": 8, "patch_embeds_hidden_size": 4, "depths": [1, 1],
        "num_attention_heads": [2, 2], "num_mel_bins": 64, "spec_size": 256, "window_size": 8,
        "projection_dim": 24, "enable_fusion": truncation == "fusion", "patch_size": 4,
        "patch_stride": [4, 4], "aff_block_r": 2, "num_hidden_layers": 2,
    }  # fmt: skip
    config = transformers.ClapConfig(text_config=TEXT, audio_config=audio, projection_dim=24)
    extractor = transformers.ClapFeatureExtractor(truncation=truncation)
    return [transformers.ClapModel(config), extractor, tokens()]


def ast() -> list[Any]:
    config = transformers.ASTConfig(
        **SMALL, max_length=64, num_mel_bins=32, patch_size=16, frequency_stride=16, time_stride=16
    )
    extractor = transformers.ASTFeatureExtractor(num_mel_bins=32, max_length=64)
    return [transformers.ASTForAudioClassification(config), extractor]


def pe_audio() -> list[Any]:
    config = transformers.PeAudioConfig(text_config=MODERN_BERT, audio_config=PE_AUDIO)
    return [transformers.PeAudioModel(config), transformers.PeAudioFeatureExtractor(), tokens()]


def pe_video() -> list[Any]:
    config = transformers.PeVideoConfig(text_config=MODERN_BERT, video_config=PE_VIDEO)
    processor = transformers.PeVideoVideoProcessor(**PE_PICTURES)
    return [transformers.PeVideoModel(config), processor, tokens()]


def pe_audio_video() -> list[Any]:
    both = PE_ENCODER | {"audio_config": PE_AUDIO, "video_config": PE_VIDEO}
    config = transformers.PeAudioVideoConfig(text_config=MODERN_BERT, audio_video_config=both)
    processor = transformers.PeVideoVideoProcessor(**PE_PICTURES)
    extractor = transformers.PeAudioFeatureExtractor()
    return [transformers.PeAudioVideoModel(config), processor, extractor, tokens()]


def embedding_gemma2() -> list[Any]:
    text = SMALL | {
        "vocab_size": 300, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16,
        "global_head_dim": 16, "hidden_size_per_layer_input": 8, "embedding_dim": 24,
        "max_position_embeddings": 80, "sliding_window": 4, "sliding_window_pattern": 2,
        "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
    }  # fmt: skip
    config = transformers.EmbeddingGemma2Config(
        text_config=text, vision_config=None, audio_config=None
    )
    return [transformers.EmbeddingGemma2Model(config), tokens()]


def siglip2() -> list[Any]:
    text = TEXT | {"max_position_embeddings": 64, "projection_size": 32}
    vision = SMALL | {"num_patches": 16, "patch_size": 16}
    config = transformers.Siglip2Config(text_config=text, vision_config=vision)
    return [transformers.Siglip2Model(config), transformers.Siglip2ImageProcessor(), tokens()]


FAMILIES: dict[str, Callable[[], list[Any]]] = {
    "clip": clip,
    "siglip": siglip,
    "metaclip_2": metaclip_2,
    "videomae": videomae,
    "xclip": xclip,
    "videoprism": videoprism,
    "vjepa2": vjepa2,
    "clap": clap,
    "clap_without_fusion": lambda: clap("rand_trunc"),
    "ast": ast,
    "embedding_gemma2": embedding_gemma2,
    "siglip2": siglip2,
    "pe_audio": pe_audio,
    "pe_video": pe_video,
    "pe_audio_video": pe_audio_video,
}


def saved(family: str, folder: Path) -> Path:
    """Returns a folder with a tiny model of a family, larger than noise in its weights."""
    transformers.logging.disable_progress_bar()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network, *others = FAMILIES[family]()
        with torch.no_grad():
            for parameter in network.parameters():
                # The library begins with nearly nothing, where a mistake would be nearly nothing.
                parameter.add_(torch.randn_like(parameter), alpha=0.05)
    network.save_pretrained(folder / family)
    for other in others:
        other.save_pretrained(folder / family)
    return folder / family


FAMILY_OF = {
    "transformers_images": "clip",
    "transformers_video": "xclip",
    "transformers_audio": "clap_without_fusion",
    "transformers_text": "clip",
}
"""A family for each plugin that takes any model of several."""


def settings_of(plugin: str, folder: Path) -> dict[str, Any]:
    """Returns settings with a tiny model for a plugin that needs one; else none.

    Args:
        plugin: of a backbone or a text embedding.
        folder: where the model goes.
    """
    if plugin not in FAMILY_OF:
        return {}
    random = {} if plugin == "transformers_text" else {"weights": "random"}
    return {"model": str(saved(FAMILY_OF[plugin], folder))} | random
