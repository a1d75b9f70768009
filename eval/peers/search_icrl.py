"""icrl-py's retriever: every vector compared with each query (FAISS, flat), over what lies in a folder of JSON files.

Its embedder is its own default, which hashes words. A task stands in it as the observation of a trajectory's only step,
because steps are what it searches. The files are written before the clock starts; reading them is its opening.
"""

import json
import tempfile
from pathlib import Path

from icrl.database import TrajectoryDatabase
from icrl.models import Step, Trajectory
from icrl.retriever import TrajectoryRetriever
from search_protocol import TOP, asked, measure, tasks

with tempfile.TemporaryDirectory() as scratch:
    place = Path(scratch) / "trajectories"
    place.mkdir()
    for number, text in enumerate(tasks()):
        step = Step(observation=text, reasoning="", action="finish")
        run = Trajectory(id=str(number), goal=text, plan="", steps=[step], success=True)
        (place / f"{number}.json").write_text(json.dumps(run.model_dump()))
    measure(lambda: TrajectoryRetriever(TrajectoryDatabase(scratch), k=TOP), asked(),
            lambda retriever, text: [int(found.trajectory_id) for found in retriever.retrieve_for_plan(text)])
