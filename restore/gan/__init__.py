"""What is adversarial: discriminator trainers, objectives, penalties, augmentation, paired and unpaired trainers, the training monitor.

Paired is pix2pix and adversarial restoration, unpaired is CycleGAN. Nothing here knows files or the training loop.
"""
