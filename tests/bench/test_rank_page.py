"""People rank what they see, not what made it, and nothing that they did is lost."""

import json
import threading
import urllib.error
import urllib.request
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

import pytest

from autorl.bench import opinions, rank_page, report
from autorl.bench.opinions import OPINIONS, Order
from autorl.errors import UsageError
from tests.bench.pictured import pictured, size_of
from tests.bench.world import SPEC

ORDER = "JSON.stringify(groups.map((group) => group.map((name) => sheet.decks.find((d) => d.name === name).letter)))"


@pytest.fixture(autouse=True)
def anew(played, monkeypatch):
    """In the project of the run, and nothing is ranked yet."""
    monkeypatch.chdir(played.parents[2])
    yield
    (played / OPINIONS).unlink(missing_ok=True)


@pytest.fixture
def address(played):
    with rank_page.serving(played, size=0) as url:  # where three settings open the same doors
        yield url


def get(url, **headers):
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=120) as answer:
        return answer.read(), answer.headers


def sheet_of(address, ranker="Ada", at=None):
    return json.loads(get(f"{address}sheet?ranker={ranker}" + ("" if at is None else f"&at={at}"))[0])


def tell(address, told):
    body = told if isinstance(told, bytes) else json.dumps(told).encode()
    request = urllib.request.Request(f"{address}order", data=body)
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.loads(answer.read())


def refused(call, *arguments, **headers):
    with pytest.raises(urllib.error.HTTPError) as found:
        call(*arguments, **headers)
    return found.value.code, found.value.read().decode()


def kept(folder):
    found, wrong = opinions.read(folder)
    assert wrong == []
    return [one for one in found if isinstance(one, Order)]


def begun(browser, address, name="Ada", **screen):
    page = browser.page(**screen).open(address)
    page.ask(f"document.getElementById('name').value = {json.dumps(name)}")
    page.click("#who button")
    page.until("document.querySelectorAll('.deck').length > 1")
    return page


def places(page):
    return json.loads(page.ask(ORDER))


def until_kept(page, folder, count):
    page.until("document.getElementById('kept').textContent === 'Kept.'")
    assert len(kept(folder)) == count


# In a browser.


def test_a_drag_onto_another_ties_and_one_between_two_parts_them(played, address, browser):
    page = begun(browser, address)
    assert places(page) == [["A"], ["B"], ["C"]]
    page.drag('[data-letter="B"] .bar b', '.place[data-at="0"] h2')
    until_kept(page, played, 1)
    assert places(page) == [["A", "B"], ["C"]]
    page.drag('[data-letter="B"] .bar b', '.gap[data-before="0"]')
    until_kept(page, played, 2)
    assert places(page) == [["B"], ["A"], ["C"]]
    page.drag('[data-letter="A"] .bar b', "#task")  # let go somewhere else, it stays
    assert places(page) == [["B"], ["A"], ["C"]]
    assert [one.done for one in kept(played)] == [False, False]
    assert page.errors == []
    page.close()


def test_the_arrow_keys_step_through_every_tie_and_place(played, address, browser):
    page = begun(browser, address)
    page.ask("document.querySelector('[data-letter=\"B\"]').focus()")
    seen = []
    for count, key in enumerate(("ArrowLeft", "ArrowUp", "ArrowRight", "ArrowDown", "ArrowDown", "ArrowDown"), 1):
        page.press(key)
        until_kept(page, played, count)
        seen.append(places(page))
        assert page.ask("document.activeElement.dataset.letter") == "B"
    assert seen == [[["A", "B"], ["C"]], [["B"], ["A"], ["C"]], [["A", "B"], ["C"]], [["A"], ["B"], ["C"]],
                    [["A"], ["C", "B"]], [["A"], ["C"], ["B"]]]
    page.press("ArrowRight")  # there is nothing worse
    assert places(page) == seen[-1]
    label = page.ask("document.activeElement.getAttribute('aria-label')")
    assert label == "Deck B, place 3 of 3"
    page.close()


def test_who_closes_the_page_half_way_finds_all_as_it_was(played, address, browser):
    page = begun(browser, address)
    first = page.ask("sheet.sheet")
    page.click("#done")
    page.until("sheet.done === 1")
    page.drag('[data-letter="B"] .bar b', '.place[data-at="0"] h2')
    until_kept(page, played, 2)
    before = page.ask("groups")
    page.close()
    page = begun(browser, address)
    assert page.ask("groups") == before
    assert page.ask("sheet.sheet") != first
    page.click("#back")
    page.until(f"sheet.sheet === {json.dumps(first)}")
    assert "you ranked this one" in page.ask("document.getElementById('where').textContent")
    assert [one.done for one in kept(played)] == [True, False]
    page.close()


def test_another_server_finds_it_too(played, browser):
    for done in (0, 1):
        with rank_page.serving(played, size=0) as address:
            page = begun(browser, address)
            assert page.ask("sheet.done") == done
            page.click("#done")
            page.until(f"sheet.done === {done + 1}")
            page.close()


def test_a_server_that_is_gone_is_told_on_the_page(played, browser):
    with rank_page.serving(played) as address:
        page = begun(browser, address)
    page.click("#done")
    page.until("!document.getElementById('trouble').hidden")
    assert "Is `autorl bench rank` still running?" in page.ask("document.getElementById('trouble').textContent")
    page.close()


def test_what_is_sent_after_the_server_was_closed_is_not_answered(played):
    with rank_page.serving(played) as address:
        kept_open = HTTPConnection(urlsplit(address).netloc, timeout=60)
        kept_open.request("GET", urlsplit(address).path)
        assert kept_open.getresponse().read()
    with pytest.raises((ConnectionError, HTTPException)):
        kept_open.request("GET", urlsplit(address).path)
        kept_open.getresponse()


def test_a_slide_is_shown_large_and_nothing_is_asked_of_another_server(address, browser):
    page = begun(browser, address)
    page.until("document.querySelector('.slides img').naturalWidth === 560")
    page.click(".slides img")
    page.until("document.querySelector('dialog[open] img').naturalWidth === 1120")
    assert "of 3: open" in page.ask("document.querySelector('dialog p').textContent")
    page.press("Escape")
    page.until("!document.querySelector('dialog[open]')")
    assert {urlsplit(url).netloc for url in page.requests if not url.startswith("data:")} == {urlsplit(address).netloc}
    page.close()


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1280, 900)], ids=["phone", "desktop"])
def test_it_fits_the_screen(address, browser, width, height):
    page = begun(browser, address, width=width, height=height, dark=width < 500)
    assert page.ask("document.documentElement.scrollWidth") == width
    page.drag('[data-letter="A"] .bar b', '.place[data-at="1"] h2')
    page.until("groups.length === 2")
    assert page.errors == []
    page.close()


# Blind, and in an order of one's own.


def test_nothing_that_the_page_gets_says_what_made_a_deck(played, address):
    settings = list(report.of(played).spec.settings)
    names = [episode.run for episode in report.of(played).episodes] + ["agent+replay", "replay", "random", "vanilla"]
    asked = [get(address)[0], get(f"{address}rank.js")[0], *(get(f"{address}sheet?ranker=Ada&at={at}")[0]
                                                           for at in range(sheet_of(address)["of"]))]
    for text in (each.decode() for each in asked):
        assert not any(name in text for name in names)
    assert "agent" in settings


def test_each_person_has_an_order_of_their_own_that_stays(played, address):
    def seen(ranker):
        found = [sheet_of(address, ranker, at) for at in range(sheet_of(address)["of"])]
        return [sheet["sheet"] for sheet in found], [deck["name"] for sheet in found for deck in sheet["decks"]]

    ada, bob = seen("Ada"), seen("Bob")
    assert ada == seen("Ada")
    assert sorted(ada[0]) == sorted(bob[0])
    assert ada[0] != bob[0]
    assert ada[1] != bob[1]
    assert len(set(ada[0])) == len(ada[0]) == sheet_of(address)["of"]


def test_all_tasks_come_with_one_seed_before_any_comes_with_the_next(played, address):
    sheets = opinions.sheets(report.of(played).spec, report.of(played).episodes)
    for at in range(sheet_of(address)["of"]):
        found = sheet_of(address, "Ada", at)
        tell(address, {"ranker": "Ada", "sheet": found["sheet"], "groups": found["groups"], "done": True})
    seeds = [one.sheet.seed for one in kept(played)]
    assert seeds == sorted(seeds)
    assert {one.sheet.size for one in kept(played)} == {0}
    for one in kept(played):
        assert one.runs == {name: episode.run for name, episode in sheets[one.sheet].items() if episode.produced}


def test_two_people_at_once_keep_all_of_theirs(played, address):
    def rank(name):
        for at in range(sheet_of(address)["of"]):
            found = sheet_of(address, name, at)
            tell(address, {"ranker": name, "sheet": found["sheet"], "groups": found["groups"], "done": True})

    threads = [threading.Thread(target=rank, args=(name,)) for name in ("Ada", "Bob")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    of = sheet_of(address)["of"]
    assert report.of(played).orders == {"Ada": of, "Bob": of}
    assert ("people", "each other") in {(a.one, a.other) for a in report.of(played).agreements}


# Who may.


def test_only_who_has_the_address_gets_anything(address):
    url = urlsplit(address)
    for path in ("/", "/rank.js", "/wrong/", "/wrong/sheet?ranker=Ada", f"{url.path}nothing", f"{url.path}../",
                 f"{url.path}picture/x/0", f"{url.path}picture/x", f"{url.path}sheet?ranker=Ada&at=x"):
        assert refused(get, f"http://{url.netloc}{path}")[0] == 404
    assert refused(get, address, Host="example.org:80")[0] == 404
    assert get(address, Host=f"localhost:{url.port}")[0]
    body, headers = get(address)
    assert b"Rank the decks" in body
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("wrong", [
    lambda told: {**told, "sheet": "another"}, lambda told: {**told, "groups": []},
    lambda told: {**told, "groups": told["groups"][:1]}, lambda told: {**told, "groups": [["x"], *told["groups"][1:]]},
    lambda told: {**told, "groups": told["groups"] * 2}, lambda told: {**told, "ranker": " \n"},
    lambda told: {**told, "done": "perhaps"}, lambda told: [], lambda told: {}, lambda told: b"{",
    lambda told: b"[" * 9_000,
])
def test_what_is_no_order_is_refused_and_not_kept(played, address, wrong):
    found = sheet_of(address)
    told = {"ranker": "Ada", "sheet": found["sheet"], "groups": found["groups"], "done": True}
    code, why = refused(tell, address, wrong(told))
    assert (code, "error" in why) == (400, True)
    assert kept(played) == []
    tell(address, told)
    assert len(kept(played)) == 1


def test_too_much_at_once_is_not_read(played, address):
    assert refused(tell, address, b" " * 200_000)[0] == 404
    assert kept(played) == []


def test_a_name_is_kept_as_one_line_of_a_bounded_length(played, address):
    found = sheet_of(address)
    told = {"ranker": f" Ada\n  Lovelace {'x' * 100}", "sheet": found["sheet"], "groups": found["groups"], "done": True}
    tell(address, told)
    (one,) = kept(played)
    assert one.ranker.startswith("Ada Lovelace x")
    assert len(one.ranker) == 60


def test_a_picture_is_small_unless_it_is_asked_for_large(address):
    name = sheet_of(address)["decks"][0]["name"]
    assert size_of(get(f"{address}picture/{name}/0")[0]) == (560, 280)
    assert size_of(get(f"{address}picture/{name}/0?large")[0]) == (1120, 560)


def test_a_run_with_nothing_to_rank_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path / "here")
    folder = pictured(spec=SPEC.replace('product = ".txt"', ""), learn=1, held_out=1)
    with pytest.raises(UsageError, match="no task for which two settings made a file"), rank_page.serving(folder):
        pass


def test_a_size_that_was_not_measured_and_a_port_that_is_taken_are_told(played, address):
    with pytest.raises(UsageError, match="at the size 7 of the store"), rank_page.serving(played, size=7):
        pass
    port = urlsplit(address).port
    with pytest.raises(UsageError, match=rf"port {port} cannot be used"), rank_page.serving(played, port=port):
        pass
