"""A question to the person who gave the task."""

from typing import Annotated

from pydantic import Field

from autorl.errors import ToolError
from autorl.registry import Pack, RunContext, nobody, tool


# A person takes as long as a person takes; where there is none, a question is a wasted step.
@tool(timeout=None, available=lambda context: context.ask is not nobody)
def ask_user(question: Annotated[str, Field(min_length=1, max_length=200)], context: RunContext) -> str:
    """Ask the user one question.

    question: what only the user can know
    """
    if not question.strip():
        raise ToolError("the question is empty", "Ask something, or go on without an answer")
    return context.ask(question.strip())


pack = Pack(tools=[ask_user])
