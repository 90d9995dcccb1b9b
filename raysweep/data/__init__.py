"""Real data: loaded from arrays, image files, parquet, the zoo or the user's own function, and checked."""

from raysweep.data.dataset import Dataset, class_index, class_unit
from raysweep.data.load import load_arrays, load_data

__all__ = ["Dataset", "class_index", "class_unit", "load_arrays", "load_data"]
