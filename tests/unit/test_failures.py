"""What YouTube answers, in the words of yt-dlp's own extractor: lost, or trouble that passes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from avca_pipeline.errors import PipelineError, TransientError
from avca_pipeline.fetching import failures
from avca_pipeline.fetching.youtube import DownloadSettings, Network, download_segment
from avca_pipeline.media import MediaError

UNAVAILABLE = "Video unavailable"
LATER = "This content isn't available, try again later."
ENDED = (
    "This video is no longer available because the YouTube account associated with this video has "
    "been terminated."
)
BOT = "Sign in to confirm you\u2019re not a bot"
PROTECTS = "This helps protect our community. Learn more"

# What YouTube answers: a reason, and what is said below it.
ANSWERS = [
    ("Private video", "Sign in if you've been granted access to this video", "private"),
    ("This video is private", "", "private"),
    ("Sign in to confirm your age", "This video may be inappropriate for some users.", "private"),
    ("Join this channel to get access to members-only content like this video", "", "private"),
    ("This video requires payment to watch.", "", "private"),
    (UNAVAILABLE, "", "removed"),
    (UNAVAILABLE, "This video has been removed by the uploader", "removed"),
    (UNAVAILABLE, "This video is private", "private"),
    (UNAVAILABLE, ENDED, "removed"),
    (UNAVAILABLE, "This video is not available", "removed"),
    ("This video isn't available anymore", "", "removed"),
    ("This video has been removed for violating YouTube's Terms of Service", "", "removed"),
    ("This video is unavailable", "", "removed"),
    (UNAVAILABLE, "The uploader has not made this video available in your country", "blocked"),
    (
        UNAVAILABLE,
        "This video contains content from X, who has blocked it in your country on copyright "
        "grounds",
        "blocked",
    ),
    ("This video is no longer available due to a copyright claim by X", "", "blocked"),
    (UNAVAILABLE, LATER, None),
    (LATER, "", None),
    (UNAVAILABLE, "This content isn\u2019t available.", None),
    (BOT, PROTECTS, None),
    ("The following content is not available on this app.", "Watch on the latest version", None),
    (UNAVAILABLE, "Playback on other websites has been disabled by the video owner", None),
    (UNAVAILABLE, "Watch this video on YouTube", None),
    (UNAVAILABLE, "This video is unavailable on this device", None),
    (
        UNAVAILABLE,
        "This video is restricted. Please check the Google Workspace administrator and/or the "
        "network administrator restrictions",
        None,
    ),
    ("The page needs to be reloaded.", "", None),
    ("An error occurred. Please try again later. (Playback ID: removed-1)", "", None),
    ("Premieres in 2 hours", "", None),
    ("This live event will begin in 3 days.", "", None),
    ("We're processing this video. Check back later.", "", None),
    ("Something nobody has ever said", "", None),
]
VIDEO = "https://www.youtube.com/watch?v=removed_1xY"


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What YouTube answers to yt-dlp, one after the other; the last one for ever."""
    from yt_dlp.extractor.youtube import YoutubeIE

    answers: list[dict[str, Any]] = []

    def initial(*_: object) -> tuple[Any, ...]:
        status = answers.pop(0) if len(answers) > 1 else answers[0]
        return None, {}, {}, False, [{"playabilityStatus": status}], None

    monkeypatch.setattr(YoutubeIE, "_initial_extract", initial)
    monkeypatch.setattr(YoutubeIE, "is_authenticated", property(lambda _: False))
    return answers


def status(reason: str, below: str = "") -> dict[str, Any]:
    screen: dict[str, Any] = {"reason": {"simpleText": reason}}
    if below:
        screen["subreason"] = {"simpleText": below}
    kind = {"status": "ERROR", "reason": reason}
    return kind | {"errorScreen": {"playerErrorMessageRenderer": screen}}


@pytest.mark.parametrize(("reason", "below", "lasting"), ANSWERS)
def test_what_youtube_answers(
    reason: str, below: str, lasting: str | None, answered: list[dict[str, Any]], tmp_path: Path
) -> None:
    answered.append(status(reason, below))
    path, waited = tmp_path / "clip.mp4", []
    network = Network(DownloadSettings(attempts=2, back_off_s=0.5), wait=waited.append)
    with pytest.raises(PipelineError) as caught:
        download_segment(VIDEO, path, 0, 10, network)
    is_remembered = path.with_name("clip.mp4.failed").exists()
    assert is_remembered == (lasting is not None)
    if lasting:
        assert isinstance(caught.value, MediaError)
        assert str(caught.value).startswith(f"{lasting}: ")
        assert waited == []
    else:
        assert not isinstance(caught.value, MediaError)
        assert str(caught.value).startswith(("download failed: ", "download: "))
        assert len(waited) == 1
    assert "\n" not in str(caught.value)


def test_a_session_that_asks_for_too_many_waits_as_long_as_it_is_told(
    answered: list[dict[str, Any]], tmp_path: Path
) -> None:
    """All downloads of the job do, since all have the same session."""
    answered += [status(UNAVAILABLE, LATER), status(UNAVAILABLE)]
    waited: list[float] = []
    network = Network(DownloadSettings(attempts=3, back_off_s=0.5), wait=waited.append)
    with pytest.raises(MediaError, match=r"^removed: "):
        download_segment(VIDEO, tmp_path / "a.mp4", 0, 10, network)
    with pytest.raises(MediaError, match=r"^removed: "):
        download_segment(VIDEO, tmp_path / "b.mp4", 0, 10, network)
    assert waited == [pytest.approx(3600, abs=5), pytest.approx(3600, abs=5)]


def test_a_session_that_gets_no_more_ends_the_job(
    answered: list[dict[str, Any]], tmp_path: Path
) -> None:
    """Every other clip of the shard would be told the same."""
    answered.append(status(UNAVAILABLE, LATER))
    network = Network(DownloadSettings(attempts=2), wait=lambda _: None)
    with pytest.raises(PipelineError, match=r"run again later; give download\.cookies") as caught:
        download_segment(VIDEO, tmp_path / "a.mp4", 0, 10, network)
    assert not isinstance(caught.value, MediaError | TransientError)
    assert not list(tmp_path.iterdir())


def test_yt_dlp_still_words_the_limit_as_we_know_it() -> None:
    """Its source has the sentence that we look for; if it changes, so must we."""
    import yt_dlp.extractor.youtube._video as module

    source = Path(module.__file__).read_text(encoding="utf-8")
    sentences = re.findall(r"'(has been rate-limited by YouTube[^']*)'", source)
    assert sentences
    for sentence in sentences:
        assert failures.is_session_limit(sentence)
        assert "up to an hour" in sentence  # which is how long we wait
        assert failures.lasting_reason(f"Video unavailable. {sentence}") is None


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("[generic] Unable to download webpage: HTTP Error 404: Not Found", "removed"),
        ("[generic] a: Unable to download webpage: HTTP Error 410: Gone", "removed"),
        ("[generic] Unable to download webpage: HTTP Error 451: For Legal Reasons", "blocked"),
        ("[youtube] a: This video is DRM protected", "blocked"),
        ("[x] a: This video is only available for registered users. Use --cookies", "private"),
        ("nothing in segment: the video ends before 60 s", "nothing in segment"),
        ("unable to download video data: HTTP Error 404: Not Found", None),
        ("[youtube] a: Unable to download API page: HTTP Error 404: Not Found", None),
        ("unable to download video data: HTTP Error 403: Forbidden", None),
        ("[youtube] a: Unable to download API page: HTTP Error 503: Unavailable", None),
        ("[youtube] a: Requested format is not available. Use --list-formats", None),
        ("[Errno 104] Connection reset by peer", None),
        ("Connection terminated; the proxy has been removed", None),
        ("The read operation timed out", None),
        ("[youtube] a_removed_b: Unable to extract yt initial data", None),
        ("Unable to connect to proxy: Video unavailable, connection refused", None),
    ],
)
def test_what_other_messages_mean(said: str, reason: str | None) -> None:
    assert failures.lasting_reason(said) == reason
