"""LangGraph: LangChain's agent on ChatOpenAI, with LangGraph's SQLite checkpointer, which keeps its steps."""

import sqlite3
import sys
from itertools import count

from langchain.agents import create_agent
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.sqlite import SqliteSaver
from protocol import KEY, serve


@tool
def add(a: int, b: int) -> int:
    """Add two numbers.

    Args:
        a: the first number
        b: the second number
    """
    return a + b


def main() -> None:
    connection = sqlite3.connect("checkpoints.db", check_same_thread=False)
    # What autorl uses too: safe when the process dies. SQLite's own default would wait for the disk every time.
    connection.execute("PRAGMA synchronous=NORMAL")
    model = ChatOpenAI(model="mock", base_url=sys.argv[1], api_key=KEY, max_retries=0)
    agent = create_agent(model, [add], checkpointer=SqliteSaver(connection))
    threads = count()

    def run(text: str) -> str:
        config = {"configurable": {"thread_id": str(next(threads))}, "recursion_limit": 50}
        return agent.invoke({"messages": [("user", text)]}, config)["messages"][-1].content

    serve(run)


if __name__ == "__main__":
    main()
