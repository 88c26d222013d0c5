"""The web page on which videos are classified: a server for one user, on the user's own machine.

`app` answers requests, `guard` refuses those of other sites, `uploads` receives videos, `turns`
has one thing computed at a time, and `answers` knows what is computed. ``page/`` is what the
browser shows. Nothing of an upload stays on the disk, and no path of the server can be asked for.
"""
