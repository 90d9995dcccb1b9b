"""The city scenes of Sionna RT: where their buildings stand, and what arrives of a transmitter's power.

Only the recipe needs this. Hoydis et al., *Sionna RT* (2023, arXiv:2303.11103).
"""

from __future__ import annotations

import importlib
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raysweep.errors import InputError
from raysweep.zoo.radio.networks import SIDE

LIBRARIES = Path("/usr/lib")
HINT = "Run: pip install 'raysweep[radio]', and on Debian: apt install libllvm19; elsewhere set DRJIT_LIBLLVM_PATH"
CELL = 4.0  # metres
RECEIVER, TRANSMITTER = 1.5, 10.0  # metres above the ground
FREQUENCY = 5.9e9  # Hz, as in RadioMapSeer
BOUNCES, RAYS = 6, 1_500_000
SKY = 500.0  # metres, above every roof
STOREY = 2.0  # metres: what is lower is street
THREADS = 2


class City:
    """One of Sionna RT's flat scenes, `munich`, `florence` or `etoile`.

    Args:
        name: of the scene.

    Raises:
        InputError: Sionna RT or its compiler is missing.
    """

    def __init__(self, name: str) -> None:
        rt = require()
        self.scene = rt.load_scene(getattr(rt.scene, name))
        self.scene.frequency = FREQUENCY
        self.scene.tx_array = rt.PlanarArray(num_rows=1, num_cols=1, pattern="iso", polarization="V")
        self.scene.add(rt.Transmitter("tx", position=[0.0, 0.0, TRANSMITTER]))
        self.solver = rt.RadioMapSolver()

    @property
    def extent(self) -> NDArray[np.float64]:
        """[2, 2]: the least and the greatest x and y in metres."""
        box = self.scene.mi_scene.bbox()
        return np.array([np.ravel(box.min)[:2], np.ravel(box.max)[:2]], float)

    def built(self, centre: NDArray[np.float64], angle: float, fine: int = 4) -> NDArray[np.float64]:
        """[64, 64]: the share of each cell of a window that is under roofs, by fine² vertical rays a cell."""
        mitsuba = importlib.import_module("mitsuba")
        x, y = places(centre, angle, fine)
        down = mitsuba.Vector3f(0.0, 0.0, -1.0)
        ray = mitsuba.Ray3f(mitsuba.Point3f(x.ravel(), y.ravel(), np.full(x.size, SKY)), down)
        height = SKY - np.array(self.scene.mi_scene.ray_intersect(ray).t)
        roofed = np.isfinite(height) & (height > STOREY)
        return roofed.reshape(SIDE, fine, SIDE, fine).mean(axis=(1, 3))

    def gain(
        self, centre: NDArray[np.float64], angle: float, cell: tuple[int, int], rays: int = RAYS
    ) -> NDArray[np.float32]:
        """[64, 64]: the path gain in dB at each cell of a window, −inf where no ray arrives.

        Args:
            centre, angle: of the window: x and y in metres, and its turn in radians.
            cell: the transmitter's row and column.
            rays: how many leave the transmitter.
        """
        mitsuba, jit = importlib.import_module("mitsuba"), importlib.import_module("drjit")
        x, y = places(centre, angle)
        transmitter = self.scene.get("tx")
        transmitter.position = [float(x[cell]), float(y[cell]), TRANSMITTER]
        middle = mitsuba.Point3f(float(centre[0]), float(centre[1]), RECEIVER)
        turn = mitsuba.Point3f(float(angle), 0.0, 0.0)
        size, step = mitsuba.Point2f(SIDE * CELL), mitsuba.Point2f(CELL)
        jit.make_opaque(transmitter.position, middle, turn, size, step)  # as constants they would be compiled anew
        traced = self.solver(
            self.scene,
            center=middle,
            orientation=turn,
            size=size,
            cell_size=step,
            samples_per_tx=rays,
            max_depth=BOUNCES,
            refraction=False,
        )
        with np.errstate(divide="ignore"):
            return 10 * np.log10(np.array(traced.path_gain)[0]).astype(np.float32)


def places(centre: NDArray[np.float64], angle: float, fine: int = 1) -> tuple[NDArray[Any], NDArray[Any]]:
    """x and y in metres, each [64 · fine, 64 · fine], of the middles of a window's cells; rows follow the turned y."""
    steps = ((np.arange(SIDE * fine) + 0.5) / fine - SIDE / 2) * CELL
    across, along = np.meshgrid(steps, steps)
    x = centre[0] + np.cos(angle) * across - np.sin(angle) * along
    y = centre[1] + np.sin(angle) * across + np.cos(angle) * along
    return x, y


@lru_cache(maxsize=1)
def require() -> Any:
    """Sionna RT, ready to trace on the CPU.

    Raises:
        InputError: the package, or the LLVM that it compiles with, is missing.
    """
    if "DRJIT_LIBLLVM_PATH" not in os.environ:  # Dr.Jit does not find Debian's file by itself
        found = sorted(LIBRARIES.glob("*/libLLVM.so.19*"))
        if not found:
            raise InputError("the radio recipe needs LLVM 19", value=str(LIBRARIES), suggestion=HINT)
        os.environ["DRJIT_LIBLLVM_PATH"] = str(found[0])
    try:
        rt = importlib.import_module("sionna.rt")
    except ModuleNotFoundError as error:
        raise InputError("the radio recipe needs this package", value="sionna-rt", suggestion=HINT) from error
    importlib.import_module("drjit").set_thread_count(THREADS)
    return rt
