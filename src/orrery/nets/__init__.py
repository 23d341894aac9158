"""Building blocks that two systems share: pure torch.nn."""
