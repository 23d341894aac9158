"""The networks of lunar-dtm: pure torch.nn, one file each."""
