"""What the messages of yt-dlp mean: the video is lost, or the trouble may pass.

YouTube words both alike. "Video unavailable" begins the message on a video that was removed, and
also the message to a guest who has asked for too many videos. So a message is compared first with
what may pass, and a message that is not known at all is taken to pass.
"""

from __future__ import annotations

import re

PASSING = (
    r"try again|check back later|rate.?limit|too many requests|not a bot|captcha|"
    r"content isn.t available|content is not available|on this app|on this device|other websites|"
    r"watch (?:this video )?on youtube|administrator|needs to be reloaded|premieres in|"
    r"will begin in|temporar|timed? ?out|connection|HTTP Error (?:403|408|425|429|5\d\d)"
)
"""Trouble of the host, of the network or of the user, whatever else the message says."""

LOST = {
    "private": r"private video|video is private|members.only|channel.s members|join this channel|"
    r"confirm your age|age.restricted|registered users|requires payment|premium members",
    "blocked": r"in your country|geo.?restrict|from your location|copyright|DRM.protected|"
    r"HTTP Error 451",
    "removed": r"has been removed|been terminated|no longer available|video (?:is )?unavailable|"
    r"video isn.t available anymore|this video is not available|video does(?: not|n.t) exist|"
    r"unable to download webpage: HTTP Error (?:404|410)",
    "nothing in segment": r"^nothing in segment",
    "too large": r"^too large",
}
"""Reasons for which every later attempt would fail too, and how they are worded."""

# YouTube says "later"; yt-dlp adds what its users have found: up to an hour.
SESSION_LIMIT = r"content isn.t available, try again later|rate-limited by YouTube"
SESSION_LIMIT_S = 3600.0

# Messages begin with "[youtube] dQw4w9WgXcQ: ". An id must not be read as a word.
_PREFIX = re.compile(r"^(?:ERROR: )?\[[^\]]*\] (?:\S+: )?")


def lasting_reason(problem: str) -> str | None:
    """Returns the reason in `LOST` that a failure has, or ``None`` if it may pass."""
    message = _PREFIX.sub("", problem)
    if re.search(PASSING, message, re.IGNORECASE):
        return None
    for reason, pattern in LOST.items():
        if re.search(pattern, message, re.IGNORECASE):
            return reason
    return None


def is_session_limit(problem: str) -> bool:
    """Returns whether the host refuses because it was asked for too many videos."""
    return re.search(SESSION_LIMIT, problem, re.IGNORECASE) is not None


def hint(problem: str) -> str:
    """Returns the end of a message: what the user can do about trouble that may pass."""
    if re.search(r"not a bot|captcha", problem, re.IGNORECASE) or is_session_limit(problem):
        return "; give download.cookies and a longer download.pause_s"
    return ""
