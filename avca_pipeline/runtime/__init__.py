"""What every part of the program stands on: locks, progress, secrets in addresses, GPUs, Slurm."""
