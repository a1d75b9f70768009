"""DSPy: dspy.ReAct, with its caches off."""

import sys

import dspy
from protocol import KEY, serve


def add(a: int, b: int) -> int:
    """Add two numbers.

    a: the first number
    b: the second number
    """
    return a + b


def main() -> None:
    dspy.configure(lm=dspy.LM("openai/mock", api_base=sys.argv[1], api_key=KEY, cache=False, num_retries=0))
    dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=False)
    agent = dspy.ReAct("question -> answer", tools=[add], max_iters=20)
    serve(lambda text: agent(question=text).answer)


if __name__ == "__main__":
    main()
