"""Action / Action Input / Observation: the steps of `react` without a thought, for models whose thoughts say nothing.

The baseline that Yao et al. (2023, ReAct) call Act. A step takes half of the tokens. It is for work whose way is all
that there is to learn: the task is asked as those of the exemplars were, for the pattern is what a small model goes by.
"""

from autorl.formats.base import Constraint, to_json
from autorl.formats.react import React, calls
from autorl.types import Action, ToolSpec


class Act(React):
    name = "act"
    tells_apart = False
    form = "Action: the name of one tool\nAction Input: its arguments as one JSON object"

    def write(self, thought: str, action: Action) -> str:
        return f"Action: {action.name}\nAction Input: {to_json(action.arguments)}"

    def constrain(self, tools: tuple[ToolSpec, ...]) -> Constraint:
        return Constraint(grammar=calls(tools))
