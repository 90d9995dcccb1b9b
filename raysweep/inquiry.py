"""What a laptop asks of a cluster whose storage it cannot read: run there as a short job, answered in one line of JSON.

`python -m raysweep.inquiry status|best NAME STORAGE`
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from raysweep.cluster.jobs import ANSWER
from raysweep.errors import RaysweepError
from raysweep.outcome import SweepResult
from raysweep.record.checkouts import is_url
from raysweep.record.driver import standing, storage_folder, sweep_folder
from raysweep.winner import best_document, best_text


def answer(question: str, name: str, storage: str) -> dict[str, Any]:
    """`status`: where a sweep stands. `best`: its winner as `best --json` has it, `objectives`, and `-o`'s `file`.

    That file names no folder: it belongs beside the sweep file, wherever that lies.
    """
    folder = storage_folder(storage if is_url(storage) else Path(storage).expanduser())
    if question == "status":
        return standing(sweep_folder(name, folder))
    result = SweepResult.load(name, folder)
    text = best_text(result, best_document(result), "Put it beside the sweep file.")
    return {"best": result.best_json(), "objectives": result.objective_names, "file": text}


def main() -> None:
    """Answer, or say in one line why not."""
    try:
        found: dict[str, Any] = {"found": answer(*sys.argv[1:])}
    except RaysweepError as error:
        found = {"complaint": str(error)}
    print(ANSWER + json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
