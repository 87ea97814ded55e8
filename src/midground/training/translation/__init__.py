"""Translation of SAR images into optical ones, to compare a shared modality with: pix2pix and CycleGAN (LSGAN)."""
