"""Learning episodes may be guided; what is measured never is."""

from contextlib import closing

from autorl import tasks
from autorl.bench import run
from autorl.bench.spec import Fill, Setting, Spec, Split, Tasks
from autorl.content import load_pack
from autorl.formats.structured import Structured
from autorl.models.base import Capabilities, Completion
from autorl.replay.store import ReplayStore
from autorl.settings import Settings

load_pack("warehouse")
from autorl_tools.warehouse.asked import Asked  # noqa: E402  # the namespace is made by loading a pack
from autorl_tools.warehouse.solver import plan  # noqa: E402

LEARN, (HELD_OUT, *_) = (tasks.load(f"warehouse/w1/{name}").tasks for name in ("train/2", "test/3"))


class Planned:
    """Says the steps of the shortest way, one after the other."""

    name, context_tokens = "planned", None
    capabilities = Capabilities(json_schema=True)

    def complete(self, request):
        text = [message["content"] for message in request.messages]
        asked, place = next((Asked.of(task), place) for place in range(len(text) - 1, 0, -1)
                            for task in (*LEARN, HELD_OUT) if text[place].endswith(task.text))
        way = plan(asked.world, asked.start, asked.goal)
        return Completion(Structured().write("Next", way[(len(text) - place) // 2]), finish_reason="stop")

    def count(self, text):
        return len(text) // 4


def test_learning_episodes_are_guided_and_no_others():
    chosen = Settings(tools=("warehouse:w1",), format="structured", k=1)
    spec = Spec(name="guided", models=("planned",), seeds=(0,), sizes=(2,), tasks=Tasks(held_out=("given",)),
                fill=Fill(guided=True), settings={"replay": Setting(chosen=chosen, fill="replay")})
    folder = run.begin(spec, Split(learn=LEARN[:2], held_out=(HELD_OUT,)))
    assert run.resume(folder, given={"planned": Planned()}).status == "complete"
    with closing(ReplayStore(folder / run.RUNS)) as store:
        kept = list(store.each())
    assert all(one.verdicts[-1].verdict.passed for one in kept)
    assert {one.run.task.id: one.run.provenance.settings["guided"] for one in kept} == {
        LEARN[0].id: True, LEARN[1].id: True, HELD_OUT.id: False}
