"""Which images a network learns from: folders and their split, domains, seeded crops, seeded degradations and masks."""
