"""The code of a registered champion: MLflow keeps this file itself (models-from-code), so nothing is pickled.

`mlflow.pyfunc.load_model("models:/NAME@champion").predict({"examples": 8})` runs the winning configuration again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel


class Champion(PythonModel):
    """The winning configuration of a sweep, ready to explain."""

    def load_context(self, context: Any) -> None:
        self.best = Path(context.artifacts["champion"]) / "best.yaml"

    # The hint is the one that MLflow does not turn into a schema, nor warn about; a dict works as well.
    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> dict[str, np.ndarray]:
        """Explanations as arrays by name: `explanation` [N, ...], `response` [N] and what else the method gives.

        Args:
            context: MLflow's.
            model_input: `examples` (how many, default 1) and `first_example` (index of the first, default 0), as a
                dict or as a one-row data frame. Another first example is another starting point.
            params: the same two, for MLflow's scoring servers.
        """
        from raysweep.explain import explain

        asked = {"examples": 1, "first_example": 0}
        sources: tuple[Any, ...] = (model_input, params)
        for source in sources:
            for name in asked:
                if source is not None and name in source:
                    asked[name] = int(np.asarray(source[name]).reshape(-1)[0])
        return explain(self.best, asked["examples"], asked["first_example"])


set_model(Champion())
