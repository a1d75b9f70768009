"""Action / Action Input / Observation: the steps of `react` without a thought, for models whose thoughts say nothing.

The baseline that Yao et al. (2023, ReAct) call Act. A step takes half of the tokens.
"""

from autorl.formats.base import Constraint, to_json
from autorl.formats.react import React, calls
from autorl.types import Action, ToolSpec


class Act(React):
    name = "act"
    form = "Action: the name of one tool\nAction Input: its arguments as one JSON object"

    def write(self, thought: str, action: Action) -> str:
        return f"Action: {action.name}\nAction Input: {to_json(action.arguments)}"

    def constrain(self, tools: tuple[ToolSpec, ...]) -> Constraint:
        return Constraint(grammar=calls(tools))
