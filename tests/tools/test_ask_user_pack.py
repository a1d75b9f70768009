"""The tool that asks the user."""


def test_the_answer_of_the_user_is_the_observation(make_run):
    run = make_run(packs=("ask_user",))
    run.answers.append("For children")
    assert run.done("ask_user", question="Who is it for?") == "For children"


def test_nobody_there_answers_none(make_run):
    assert make_run(packs=("ask_user",)).done("ask_user", question="Who is it for?") == "None"


def test_an_empty_question_is_refused(make_run):
    run = make_run(packs=("ask_user",))
    assert "empty" in run.refused("ask_user", question="  ")
    run.refused("ask_user", question="")
    run.refused("ask_user", question="x" * 201)


def test_the_user_may_take_any_time(make_run):
    assert make_run(packs=("ask_user",)).tools.named("ask_user").timeout is None


def test_slides_and_ask_user_go_together(make_run):
    assert "start_deck" in {tool.name for tool in make_run(packs=("slides", "ask_user")).tools}
