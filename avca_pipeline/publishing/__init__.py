"""What leaves this machine: folders of features and runs with a card, and uploads to the Hub.

Nothing here says where a file lies on this machine, or how to get at an address with a password.
"""
