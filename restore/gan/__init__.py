"""How a network learns, mostly from an opponent: `Player`, `Opponent`, the table of objectives, and the trainers made of them.

Paired (supervised, pix2pix, adversarial restoration) and unpaired (CycleGAN). It knows no files and no loop.
"""
