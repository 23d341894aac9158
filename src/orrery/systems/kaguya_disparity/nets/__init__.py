"""Networks of kaguya-disparity, one file each: pure torch.nn."""
