import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorl.replay.redact import REDACTED, redacted_json, redactor, within
from autorl.types import Action, Observation, Step
from tests.worlds import STEPS

LETTERS = "aB3dE6gH9jK2mN5pQ8sT"
SECRETS = [
    f"sk-{LETTERS}", f"sk-proj-{LETTERS}_x", f"sk-ant-api03-{LETTERS}", f"pk-{LETTERS}", f"ghp_{LETTERS}",
    f"gho_{LETTERS}", f"github_pat_{LETTERS}", f"hf_{LETTERS}", f"xoxb-{LETTERS}", "AKIAABCDEFGHIJKLMNOP",
    f"AIza{LETTERS}{LETTERS}", f"eyJ{LETTERS}.{LETTERS}.{LETTERS}",
    "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIE\nabc\n-----END RSA PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\nMIIEabc",
]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("frame", ["{}", "the key is {}.", "KEY={}\nnext", "({})", '{{"key": "{}"}}', "\t{}"])
def test_what_looks_like_a_key_is_taken_out(secret: str, frame: str) -> None:
    shown = redactor()(frame.format(secret))
    assert secret not in shown
    assert shown.startswith(frame.format(REDACTED)[: len(REDACTED)])


@pytest.mark.parametrize("secret", SECRETS)
def test_a_key_in_the_json_that_a_policy_wrote_is_taken_out_as_well(secret: str) -> None:
    raw = f"Action Input: {json.dumps({'text': f'first{chr(10)}{secret}{chr(10)}last'})}"
    shown = redactor()(raw)
    assert secret not in shown
    assert LETTERS not in shown
    assert "MIIE" not in shown


def test_a_password_in_a_url_is_taken_out_and_the_rest_of_it_stays() -> None:
    assert redactor()("at https://me:secret@host:80/v1?a=b@c") == f"at https://{REDACTED}@host:80/v1?a=b@c"
    for text in ("https://host:80/v1/x@y", "see http://a/b:c@d", "https://host", "://"):
        assert redactor()(text) == text


@pytest.mark.parametrize("text", [
    "ask-me-anything-you-want-to-know", "task-12345678901234567890",
    "risk-assessment-of-everything", "skis", "sk-short",
    "a monkey-like face", "hf_short", "eyJ", "The PRIVATE KEY of success", "", "x" * 100_000,
])
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert redactor()(text) == text


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "GITHUB_TOKEN", "db_password", "AWS_SECRET", "MY_CREDENTIALS"])
def test_the_value_of_a_variable_named_like_a_secret_is_taken_out(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "correct horse battery")
    assert redactor()("it is: correct horse battery!") == f"it is: {REDACTED}!"


def test_a_short_value_and_an_ordinary_variable_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", "none")
    monkeypatch.setenv("EDITOR", "visual-studio")
    assert redactor()("none of visual-studio") == "none of visual-studio"


def test_of_two_secrets_the_longer_one_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN", "abcdefgh")
    monkeypatch.setenv("B_TOKEN", "abcdefgh-ijkl")
    assert redactor()("abcdefgh-ijkl abcdefgh") == f"{REDACTED} {REDACTED}"


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=8, max_size=30)
       .filter(lambda text: text != REDACTED))  # hypothesis reads the constants of the code
def test_a_secret_of_any_characters_is_found_however_it_is_written(secret: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOME_TOKEN", secret)
        redact = redactor()
    arguments = {"deep": [{"key": f"<{secret}>"}], f"<{secret}>": 1}
    step = Step(index=0, thought=f"<{secret}>", action=Action(name="use", arguments=arguments),
                raw=f"Action Input: {json.dumps(arguments, ensure_ascii=False)} {json.dumps(arguments)}")
    written = redacted_json(step, redact)
    kept = Step.model_validate_json(written)
    for text in (kept.thought, kept.raw, json.dumps(kept.action and kept.action.arguments, ensure_ascii=False)):
        assert f"<{REDACTED}>" in text
    for spelling in (secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]):
        assert f"<{spelling}>" not in kept.raw


@given(STEPS)
def test_what_holds_no_secret_stays_as_it_is(step: Step) -> None:
    assert Step.model_validate_json(redacted_json(step, redactor())) == step


@pytest.mark.parametrize("value", ["20000000", "123456.75", "observation", '"ok":true,', "{}{}{}{}", "finish_reason"])
def test_a_value_that_looks_like_json_does_not_break_it(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_TOKENS", value)
    step = Step(index=0, raw=f"I say {value}.", finish_reason="stop", seconds=123456.75, cut=20_000_000,
                observation=Observation(text="done", omitted=20_000_000))
    kept = Step.model_validate_json(redacted_json(step, redactor()))
    assert kept == step.model_copy(update={"raw": f"I say {REDACTED}."})


def test_everything_within_a_value_is_looked_at() -> None:
    assert within({"a": ("x", ["x", {"x": 1}]), "n": None}, lambda text: text.replace("x", "-")) == {
        "a": ("-", ["-", {"-": 1}]), "n": None}
