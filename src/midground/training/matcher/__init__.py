"""Training of a dense matcher on images in the shared modality."""
