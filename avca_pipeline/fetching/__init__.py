"""Gets files from elsewhere: from the web, from YouTube, from archives; pretrained weights too.

`web_files` downloads from plain addresses and `youtube` from whatever yt-dlp reads; both resume a
broken download only if the file on the server is still the same. `pinned` adds the checksum.
`archives` finds media by name in folders and archives. `weights` and `network_weights` bring the
parameters of a backbone.
"""
