"""LangGraph: LangChain's `create_agent` on ChatOpenAI, with the server's tool calling; a middleware requires a call,
since an answer without one ends the run.

It does not learn from run to run. Successes are shown as LangChain's guide to few-shot prompting with tools has it: as
the messages that they were.
"""

from contextlib import suppress

from langchain.agents import create_agent
from langchain.agents.middleware import wrap_model_call
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import StructuredTool
from langchain_openai import ChatOpenAI
from langgraph.errors import GraphRecursionError
from warehouse_protocol import KEY, MODEL, URL, Job, Task, serve

PROMPT = "You do the user's task with tools, one call at a time. When the task is done, call {ends}."


@wrap_model_call
def must_call(request, handler):
    """A model that answers without a call ends the run; this one is to call until the work is done."""
    return handler(request.override(tool_choice="required"))


def shown(task: Task) -> list:
    messages = []
    for number, demo in enumerate(task["demos"]):
        messages.append(HumanMessage(demo["text"]))
        for place, step in enumerate(demo["steps"]):
            call = {"name": step["name"], "args": step["arguments"], "id": f"call-{number}-{place}"}
            messages += [AIMessage("", tool_calls=[call]), ToolMessage(step["observation"], tool_call_id=call["id"])]
    return messages


def work(job: Job):
    tools = [StructuredTool(name=tool["name"], description=tool["description"], args_schema=tool["parameters"],
                            func=lambda _name=tool["name"], **arguments: job.call(_name, arguments))
             for tool in job.tools]
    model = ChatOpenAI(model=MODEL, base_url=URL, api_key=KEY, max_retries=0, temperature=job.temperature,
                       max_tokens=job.max_tokens, timeout=job.patience)
    agent = create_agent(model, tools, system_prompt=PROMPT.format(ends=job.ends), middleware=[must_call])

    def do(task: Task) -> None:
        # A step is two nodes of the graph, the model's and the tools'. To reach that limit is to stop, not to die.
        with suppress(GraphRecursionError):
            agent.invoke({"messages": [*shown(task), HumanMessage(task["text"])]},
                         {"recursion_limit": 2 * job.max_steps + 1})

    return do


if __name__ == "__main__":
    serve(work)
