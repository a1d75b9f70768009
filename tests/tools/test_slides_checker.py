"""The verifier `slides`: what it passes, what it fails, and that it cannot be fooled or broken."""

import io

import pytest
from autorl_tools.slides import checker
from autorl_tools.slides.render import NotRendered
from pptx import Presentation
from pptx.util import Inches, Pt

from autorl.content import load_pack
from autorl.errors import UsageError
from autorl.types import Task, Trajectory
from autorl.workspace import Workspace


def failed(verdict):
    return {check.name for check in verdict.checks if not check.passed}


def save(presentation, workspace, name="deck.pptx"):
    buffer = io.BytesIO()
    presentation.save(buffer)
    workspace.write(name, buffer.getvalue())


def by_hand(workspace, *slides):
    """A deck that no tool of ours made: each slide a title and its bullets."""
    presentation = Presentation()
    for title, *bullets in slides:
        slide = presentation.slides.add_slide(presentation.slide_layouts[1 if bullets else 5])
        slide.shapes.title.text = title
        if bullets:
            slide.placeholders[1].text_frame.text = "\n".join(bullets)
    save(presentation, workspace)


def thin(make_run):
    """An honest deck that does little: one slide short, and few words."""
    run = make_run()
    run.done("start_deck", title="Honey Bees")
    run.done("add_slide", title="Life in the hive", bullets=["Bees live in a hive", "The queen lays eggs"])
    run.done("add_slide", title="Honey", bullets=["Made from nectar", "Food for winter"])
    return run


def test_an_honest_deck_passes(run):
    run.honest_deck()
    verdict = run.verdict()
    assert verdict.passed, verdict.why
    assert verdict.score > 0.9
    assert verdict.verifier == "slides@2"
    assert {check.name for check in verdict.checks} >= {
        "opens", "slides", "placeholders", "titles", "repeats", "topic", "pasted", "copied"}


def test_the_same_deck_gets_the_same_verdict(run):
    run.honest_deck()
    assert run.verdict() == run.verdict()


def test_a_deck_with_too_few_slides_fails_and_says_so(make_run):
    verdict = thin(make_run).verdict()
    assert failed(verdict) == {"slides"}
    assert not verdict.passed
    assert "3 slides, 4 asked for" in verdict.why
    check = next(check for check in verdict.checks if check.name == "slides")
    assert (check.score, check.remedy) == (0.75, "Add 1 more")


def test_requirements_go_before_the_text_of_the_task(run):
    run.honest_deck()
    run.task = run.task.model_copy(update={"requirements": {"slides": 5}})
    assert "slides" in failed(run.verdict())
    run.task = run.task.model_copy(update={"requirements": {"slides": 4}})
    assert run.verdict().passed


@pytest.mark.parametrize("count", [0, -1, "four", True, 4.0, 51])
def test_a_requirement_that_is_no_count_is_the_caller_s_error(run, count):
    run.honest_deck()
    run.task = Task(text="Bees", requirements={"slides": count})
    with pytest.raises(UsageError, match="Give a number from 1 to 50"):
        run.verdict()


def test_no_deck_scores_nothing(run):
    verdict = run.verdict()
    assert (verdict.passed, verdict.score) == (False, 0)
    assert "there is no .pptx" in verdict.why


def test_two_decks_are_one_too_many(run):
    run.honest_deck()
    save(Presentation(), run.workspace, "sub/other.pptx")
    verdict = run.verdict()
    assert (verdict.passed, verdict.score) == (False, 0)
    assert "2 decks" in verdict.why


def test_empty_placeholders_and_template_text_are_named_by_slide(run):
    presentation = Presentation()
    for title, text in (("Bees", ""), ("Honey", "Click to add text"), ("Life", "Bees live in a hive\nThey make honey")):
        slide = presentation.slides.add_slide(presentation.slide_layouts[1])
        slide.shapes.title.text = title
        slide.placeholders[1].text_frame.text = text
    save(presentation, run.workspace)
    verdict = run.verdict()
    assert "placeholders" in failed(verdict)
    assert "slide 1, s1.3: 'Content Placeholder 2' is empty" in verdict.why
    assert "slide 2: it still says 'click to add'" in verdict.why


def test_missing_and_repeated_titles_are_named_by_slide(run):
    by_hand(run.workspace, ("Honey bees",), ("", "Bees live in hives", "They make honey"),
            ("The honey bees!", "Some new words", "And more of them"), ("Honey", "Winter food", "Made of nectar"))
    why = run.verdict().why
    assert "slide 2: it has no title" in why
    assert "slides 1 and 3 have the title 'The honey bees!'" in why


def test_repeated_bullets_fail(run):
    by_hand(run.workspace, ("Honey bees",), ("How they live", "Bees live in hives", "They make honey"),
            ("What they do", "They make the honey.", "They fly about"), ("Honey", "Winter food", "Made of nectar"))
    verdict = run.verdict()
    assert "repeats" in failed(verdict)
    assert "slide 3: it repeats 'They make the honey.' of slide 2" in verdict.why


def test_numbered_titles_are_not_repeats(make_run):
    run = make_run("Three slides on training for a race")
    by_hand(run.workspace, ("Training for a race",), ("Week 1", "Run ten minutes", "Rest two days"),
            ("Week 2", "Run twenty minutes", "Rest one day"))
    assert run.verdict().passed, run.verdict().why


def test_a_deck_about_something_else_fails(make_run):
    run = make_run("Make a three-slide deck about medieval castles and their defences")
    by_hand(run.workspace, ("Cooking pasta",), ("Water first", "Boil it with salt", "Use a large pot"),
            ("Then the sauce", "Chop the garlic", "Add ripe tomatoes"))
    verdict = run.verdict()
    assert "topic" in failed(verdict)
    assert "missing: medieval, castles, defences" in verdict.why


def test_other_forms_of_a_word_count(make_run):
    run = make_run("Make a three-slide deck about medieval castles and defending cities")
    by_hand(run.workspace, ("The medieval castle",), ("Defence", "Walls defend the city", "Moats keep towers safe"),
            ("Attack", "Ladders against castle walls", "Hunger does the rest"))
    assert run.verdict().passed, run.verdict().why


def test_the_audience_need_not_be_named(make_run):
    run = make_run("Make a two-slide deck about coral reefs for the pupils of a primary school")
    by_hand(run.workspace, ("Coral reefs",), ("Reefs are alive", "Corals are tiny animals", "They build with chalk"))
    assert run.verdict().passed, run.verdict().why


def test_decks_in_other_scripts_can_pass(make_run):
    run = make_run("制作三张幻灯片，介绍蜜蜂的生活 (3 slides)")
    by_hand(run.workspace, ("蜜蜂的生活",), ("蜂巢", "蜜蜂住在蜂巢里", "蜂王产卵"),
            ("蜂蜜", "工蜂采集花蜜", "蜂蜜是冬天的食物"))
    assert run.verdict().passed, run.verdict().why


def gamed(make_run):
    """Decks that only look like an answer, by the trick they use."""
    task = make_run().task.text
    decks = {
        "empty": [("",)] * 4,
        "titles only": [("Honey bees live",), ("Make honey",), ("Live bees",), ("Bees",)],
        "one slide repeated": [("Honey bees live", "Bees live in a hive", "They make honey")] * 4,
        "same bullets under other titles": [
            (f"Honey bees live {n}", "Bees live in a hive", "They make honey") for n in range(4)],
        "the task as a bullet": [
            ("Honey bees",), *((f"Bees {n}", task, f"bees live and make honey {n}") for n in range(3))],
        "the task cut into bullets": [
            ("Honey bees",), ("Bees", "Make a four-slide deck", "about how honey bees"),
            ("Live", "how honey bees live", "bees live and make honey"), ("Honey", "live and make", "and make honey")],
        "one word each": [("Honey bees live",), *((f"Bees {n}", f"a {n}", f"b {n}") for n in range(3))],
    }
    for trick, slides in decks.items():
        run = make_run()
        by_hand(run.workspace, *slides)
        yield trick, run


def test_gamed_decks_fail_and_score_below_a_thin_honest_one(make_run):
    honest = thin(make_run).verdict().score
    scores = {trick: run.verdict() for trick, run in gamed(make_run)}
    assert {trick: verdict.passed for trick, verdict in scores.items()} == dict.fromkeys(scores, False)
    assert {trick: v.score for trick, v in scores.items() if v.score >= honest} == {}


def seeds():
    lines = load_pack("slides").seeds.read_text(encoding="utf-8").splitlines()
    return [Trajectory.model_validate_json(line) for line in lines]


def test_a_copy_of_an_exemplar_fails_whatever_its_title(make_run):
    honest = thin(make_run).verdict().score
    for seed in seeds():
        run = make_run()
        run.call("start_deck", title="How honey bees live and make honey")
        for action in seed.actions[1:4]:
            run.call(action.name, **action.arguments)
        verdict = run.verdict(seed)
        assert "copied" in failed(verdict), seed.id
        assert verdict.score < honest, seed.id
        assert "an exemplar's" in verdict.why


def test_an_exemplar_with_only_its_topic_exchanged_is_a_copy(make_run):
    volcanoes = next(seed for seed in seeds() if seed.id == "seed-volcanoes")
    run = make_run("Make a three-slide deck about geysers")
    by_hand(run.workspace, ("Geysers",),
            ("Why geysers erupt", "Scientists of geysers measure every small earthquake",
             "Geyser families know the way to a safe place"),
            ("Living near a geyser", "The geyser ash makes the soil good for farming", "Boiling water bursts out high"))
    source = volcanoes.model_copy(update={"steps": tuple(
        step.model_copy(update={"action": step.action.model_copy(update={"arguments": {"bullets": [
            "Scientists of volcanoes measure every small earthquake", "Volcano families know the way to a safe place",
            "The volcano ash makes the soil good for farming"]}})}) if step.index == 4 else step
        for step in volcanoes.steps)})
    assert "copied" in failed(run.verdict(source))


def test_an_honest_deck_passes_beside_exemplars(run):
    run.honest_deck()
    assert run.verdict(*seeds()).passed


def test_a_common_title_is_no_copy(make_run):
    seed = next(seed for seed in seeds() if seed.id == "seed-bakery")
    run = make_run()
    run.honest_deck()
    titled = seed.model_copy(update={"steps": tuple(
        step.model_copy(update={"action": step.action.model_copy(update={"arguments": {"title": "Who does what"}})})
        for step in seed.steps)})
    assert run.verdict(titled).passed


def test_a_deck_may_reuse_what_an_exemplar_says_about_the_same_topic(make_run):
    seed = next(seed for seed in seeds() if seed.id == "seed-volcanoes")
    run = make_run(seed.task.text)
    for action in seed.actions:
        run.done(action.name, **action.arguments)
    copied = next(check for check in run.verdict(seed).checks if check.name == "copied")
    assert copied.score > 0


def test_a_link_to_a_deck_elsewhere_is_not_the_run_s_deck(run, tmp_path):
    save(Presentation(), Workspace(tmp_path / "elsewhere"))
    (run.workspace.root / "deck.pptx").symlink_to(tmp_path / "elsewhere" / "deck.pptx")
    assert "there is no .pptx" in run.verdict().why


def test_text_in_groups_and_plain_boxes_is_read(make_run):
    run = make_run("Make a two-slide deck about honey bees")
    presentation = Presentation()
    first = presentation.slides.add_slide(presentation.slide_layouts[5])
    first.shapes.title.text = "Honey bees"
    second = presentation.slides.add_slide(presentation.slide_layouts[5])
    second.shapes.title.text = "Their hive"
    group = second.shapes.add_group_shape()
    for top, text in enumerate(("Bees build it of wax", "It holds the honey")):
        group.shapes.add_textbox(Inches(1), Inches(top + 2), Inches(4), Inches(1)).text_frame.text = text
    save(presentation, run.workspace)
    assert run.verdict().passed, run.verdict().why


def test_findings_name_slide_and_object_and_what_would_mend_them(run):
    run.honest_deck()
    body = run.deck.slides[1].placeholders[1]
    deck = run.deck
    frame = deck.slides[1].placeholders[1].text_frame
    for paragraph in frame.paragraphs:
        paragraph.runs[0].font.size = Pt(7)
    save(deck, run.workspace, "honey-bees.pptx")
    check = next(check for check in run.verdict().checks if check.name == "type size")
    (finding,) = check.findings
    assert finding.at == {"slide": 2, "id": "s2", "object": f"s2.{body.shape_id}"}
    assert "7 points" in finding.found
    assert finding.remedy == "Set 12 or more"


def test_without_libreoffice_the_file_is_judged_and_the_verdict_says_so(run, monkeypatch):
    monkeypatch.setattr(checker, "available", lambda: "this machine has no soffice. Install it")
    run.honest_deck()
    verdict = run.verdict()
    assert verdict.passed
    rendered = next(check for check in verdict.checks if check.name == "rendered")
    assert rendered.found == "not rendered: this machine has no soffice. Install it"
    assert "not rendered" in run.done("check_deck")


def test_a_deck_that_libreoffice_cannot_show_is_a_finding(run, monkeypatch):
    def fails(path):
        raise NotRendered("it took too long", "Make it smaller")

    monkeypatch.setattr(checker, "render", fails)
    run.honest_deck()
    check = next(check for check in run.verdict().checks if check.name == "rendered")
    assert (check.passed, check.found) == (False, "it took too long")


def test_check_deck_gives_programs_its_verdict(run):
    run.honest_deck()
    data = run.call("check_deck").data
    assert (data["passed"], data["verifier"]) == (True, "slides@2")
    assert {"name", "score", "weight", "findings"} <= set(data["checks"][0])


def test_check_deck_looks_at_any_deck_that_may_be_read(make_run, tmp_path):
    save(Presentation(), Workspace(tmp_path / "theirs"), "empty.pptx")
    run = make_run("-", readable=(tmp_path / "theirs",))
    assert "To mend" in run.done("check_deck", path=str(tmp_path / "theirs" / "empty.pptx"))
    assert "outside the workspace" in run.refused("check_deck", path="/etc/passwd")
    assert "there is no file 'nope.pptx'" in run.refused("check_deck", path="nope.pptx")
    (tmp_path / "theirs" / "broken.pptx").write_bytes(b"no")
    assert "is not a .pptx" in run.refused("check_deck", path=str(tmp_path / "theirs" / "broken.pptx"))
