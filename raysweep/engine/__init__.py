"""How rows are stepped fast: per-row Adam, lanes of fixed shape, shared trajectories. Pure torch, one process."""
