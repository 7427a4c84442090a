"""Array kernels: arrays in, arrays out. Leaf package: no file, flag, log or clock."""
