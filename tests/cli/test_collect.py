import json
from pathlib import Path

from tests.worlds import say


def test_what_cannot_be_guided_is_refused(autorl):
    Path("set.jsonl").write_text(json.dumps({"text": "Make a deck", "id": "deck"}) + "\n")
    Path("script.jsonl").write_text(json.dumps(say("finish", answer="done")) + "\n")
    done = autorl("collect", "set.jsonl", "--model", "scripted:script.jsonl", "--guided")
    assert done.returncode == 2
    assert "cannot be guided: nothing limits what it chooses" in done.stderr.replace("\n", " ")
    assert "Leave the guidance out" in done.stderr


def test_the_command_tells_each_attempt_and_what_came_of_all(autorl):
    Path("set.jsonl").write_text("".join(json.dumps({"text": f"Say {n}", "id": f"t{n}"}) + "\n" for n in range(2)))
    Path("script.jsonl").write_text(json.dumps(say("finish", answer="done")) + "\n")
    done = autorl("collect", "set.jsonl", "--tools", "files", "--model", "scripted:script.jsonl", "--n", "1", "--json")
    assert done.returncode == 4, "a script is told once, and there are two tasks"
    Path("script.jsonl").write_text(f"{json.dumps(say('finish', answer='done'))}\n" * 4)
    shown = autorl("collect", "set.jsonl", "--tools", "files", "--model", "scripted:script.jsonl", "--n", "2")
    assert shown.returncode == 0
    assert "attempt 2 at 0.85" in shown.stdout
    assert "Of 2 tasks, 0 have a success by scripted:script.jsonl in the store" in shown.stdout
