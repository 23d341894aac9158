"""Residual of a disparity map that JPEG compression has disturbed, in px, from the compressed stereo pair."""
