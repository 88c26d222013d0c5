"""From decoded windows to features: batches, the device that computes them, and each clip's mean.

`encoder` packs windows of several clips into batches, `devices` runs a batch on a CPU or a GPU
without waiting for it, `encoded_clip` adds up what comes back, and `shard` reads which clips there
are to encode.
"""
