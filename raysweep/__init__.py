"""raysweep: sweeps over the hyper-parameters of neural-network explanation methods, scheduled by Ray."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raysweep.outcome import SweepResult
    from raysweep.sweep import run

__all__ = ["SweepResult", "__version__", "run"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import the sweep machinery when it is first used: `import raysweep` stays quick, and free of torch and ray."""
    if name in ("run", "SweepResult"):
        import raysweep.sweep

        return getattr(raysweep.sweep, name)
    raise AttributeError(f"module 'raysweep' has no attribute '{name}'")
