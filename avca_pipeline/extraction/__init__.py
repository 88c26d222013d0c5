"""From decoded windows to features: batches, the device that computes them, and each clip's mean.

`decoding` starts decode workers, `encoder` packs windows of several clips into batches,
`device_frames` has the device prepare frames where it is asked to, `devices` runs a batch on a CPU
or a GPU without waiting for it, `encoded_clip` adds up what comes back, and `shard` reads which
clips there are to encode.
"""
