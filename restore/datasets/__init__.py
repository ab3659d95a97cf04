"""Which pictures a network learns from: folders and their split, seeded crops, seeded damage."""
