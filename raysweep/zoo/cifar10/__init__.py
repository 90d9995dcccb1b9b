"""CIFAR-10, 32 × 32 in colour: a recipe for two classifiers to probe, and their judge; no weights or data are here."""
