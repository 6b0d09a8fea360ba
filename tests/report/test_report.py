"""The HTML form of the audit report in a real browser: it loads nothing, runs nothing, can be read in
light and dark, on a screen and on paper, and an attacker's name in it is only a name."""

import json

import pytest

import records

WIDTHS = [1280, 800, 400]


@pytest.fixture(scope="session")
def log(tmp_path_factory):
    file = tmp_path_factory.mktemp("audit") / "envoy.log"
    records.write(file, records.month())
    return file


@pytest.fixture(scope="session")
def report(phiward, log):
    """The report in JSON: what the page must show."""
    return json.loads(phiward("audit", "report", "--format", "json", log).stdout)


@pytest.fixture(params=[[], ["--token", records.STOLEN], ["--patient", records.ATTACKS[0]]],
                ids=["overview", "token", "hostile patient"])
def page(request, phiward, log, tmp_path, browser):
    """A page that was opened, and the events of opening it."""
    file = tmp_path / "report.html"
    phiward("audit", "report", "--format", "html", "--output", file, *request.param, log)
    browser.events.clear()
    browser.show_as(1280)
    browser.open(file)
    return file


def test_a_page_loads_nothing_and_breaks_no_rule_of_its_own(page, browser):
    browser.evaluate("new Promise(done => setTimeout(done, 300))")
    urls = [event["request"]["url"] for event in browser.told("Network.requestWillBeSent")]
    assert urls == [page.resolve().as_uri()]
    problems = browser.told("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
    assert problems == []


def test_an_attackers_name_is_only_a_name(page, browser):
    assert browser.evaluate("typeof window.pwned") == "undefined"
    assert browser.evaluate("document.title") == "Audit report – phiward"
    foreign = "script, img, iframe, object, embed, link, form, base, video, audio, foreignObject"
    assert browser.evaluate(f"document.querySelectorAll('{foreign}').length") == 0
    handlers = "[...document.querySelectorAll('*')].flatMap(e => [...e.attributes])"
    assert browser.evaluate(f"{handlers}.filter(a => a.name.startsWith('on')).length") == 0
    text = browser.evaluate("document.body.innerText")
    assert records.ATTACKS[0] in text
    assert not set(text) & {"\x1b", "\u202e", "\u2028", "\r"}


def test_the_page_would_run_a_script_if_it_let_one_in(page, browser, tmp_path):
    """What the tests above look for can be seen: without escaping and rules the attack works."""
    opened = tmp_path / "open.html"
    text = page.read_text().replace("&lt;", "<").replace("&gt;", ">").replace("&#39;", "'")
    opened.write_text(text.replace("default-src 'none'; ", ""))
    browser.open(opened)
    assert browser.evaluate("typeof window.pwned") == "string"
    opened.write_text(text)
    browser.events.clear()
    browser.open(opened)
    assert browser.evaluate("typeof window.pwned") == "undefined"
    assert any("Content Security Policy" in entry["entry"]["text"] for entry in browser.told("Log.entryAdded"))


def test_charts_have_a_size_and_show_every_request(phiward, log, report, browser, tmp_path):
    opened(phiward, log, browser, tmp_path)
    charts = browser.evaluate("""[...document.querySelectorAll('svg')].map(svg => {
        const box = svg.getBoundingClientRect(), bars = [...svg.querySelectorAll('rect')];
        const inside = bars.map(bar => bar.getBoundingClientRect());
        return {width: box.width, height: box.height, bars: bars.length, name: svg.getAttribute('aria-label'),
            thin: inside.filter(bar => bar.width < 1 || bar.height <= 0).length,
            outside: inside.filter(bar => bar.left < box.left || bar.right > box.right + 1
                || bar.top < box.top - 1 || bar.bottom > box.bottom).length,
            told: [...svg.querySelectorAll('g > title')].map(title => title.textContent)};
    })""")
    assert len(charts) == 2
    totals = [report["requests"]["total"], report["requests"]["deny"] + report["requests"]["error"]]
    for chart, total in zip(charts, totals):
        assert chart["width"] > 800 and chart["height"] > 150 and chart["bars"] > 50, chart
        assert (chart["thin"], chart["outside"]) == (0, 0), chart
        assert f"{total:,}" in chart["name"]
        counts = [int(line.split()[0].replace(",", "")) for told in chart["told"] for line in told.split("\n")[1:]]
        assert sum(counts) == total
    tables = browser.evaluate("""[...document.querySelectorAll('details')].map(details => {
        details.open = true;
        return [...details.querySelectorAll('td.n')].map(cell => Number(cell.innerText.replaceAll(',', '')));
    })""")
    assert [sum(numbers) for numbers in tables] == totals


def test_the_page_shows_what_the_report_says(phiward, log, report, browser, tmp_path):
    opened(phiward, log, browser, tmp_path)
    text = browser.evaluate("document.body.innerText")
    assert report["input"]["repeats"] == 10 and report["input"]["broken"] == 1
    assert report["chain"]["missing"] == 10 and report["chain"]["breaks"] == 2
    for shown in ["10 records missing", "2 places", "1 record can't be read", "GET Group/7/$export", "lab-feed",
                  "202 × 3, 200 × 3".split(", ")[0], "1 batch, 5 parts", "client_gone", records.STOLEN]:
        assert shown in text, shown
    for number in [report["requests"]["total"], report["patients"]["distinct"], report["tokens"]["distinct"]]:
        assert f"{number:,}" in text
    for reason in report["refusals"]:
        assert reason["name"] in text


def test_a_stolen_token_shows_every_patient_and_access(phiward, log, browser, tmp_path):
    opened(phiward, log, browser, tmp_path, "--token", records.STOLEN)
    text = browser.evaluate("document.querySelector('main').innerText")
    patients = {f"p{number * 7 % 40}" for number in range(60)}
    rows = browser.evaluate("[...document.querySelectorAll('h2')].find(h => h.innerText.startsWith('Patients'))"
                            ".nextElementSibling.querySelectorAll('tbody tr').length")
    assert (len(patients), rows) == (40, 40)
    assert patients <= set(text.split())
    accesses = browser.evaluate("[...document.querySelectorAll('h2')].find(h => h.innerText.startsWith('Accesses'))"
                                ".nextElementSibling.querySelectorAll('tbody tr').length")
    assert accesses == 60


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_sticks_out_at_any_width(page, browser, width):
    browser.show_as(width)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(page, browser, dark):
    browser.show_as(1280, dark=dark)
    ratios = browser.evaluate("""(() => {
        const parse = colour => colour.match(/[\\d.]+/g).map(Number);
        const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
            .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
            .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
        const behind = element => {
            const colour = parse(getComputedStyle(element).backgroundColor);
            return colour.length < 4 || colour[3] ? colour : behind(element.parentElement);
        };
        const text = [...document.querySelectorAll('body *')].filter(e => e.checkVisibility()
            && [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()) && !e.closest('svg'));
        return text.map(e => {
            const [a, b] = [light(parse(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
            return [(a + 0.05) / (b + 0.05), e.outerHTML.slice(0, 80)];
        });
    })()""")
    assert len(ratios) > 50
    low = [row for row in ratios if row[0] < 4.5]
    assert low == []


def test_light_and_dark_are_two_pages_and_paper_is_white(page, browser):
    colours = []
    for dark, medium in [(False, ""), (True, ""), (True, "print")]:
        browser.show_as(1280, dark=dark, medium=medium)
        colours.append(browser.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert colours[0] != colours[1] and colours[2] == "rgb(255, 255, 255)"


def test_charts_and_tables_are_named_for_who_does_not_see_them(page, browser):
    nodes = browser.ask("Accessibility.getFullAXTree")["nodes"]
    of_role = lambda role: [node["name"].get("value", "") for node in nodes  # noqa: E731
                            if node.get("role", {}).get("value") == role and not node.get("ignored")]
    assert all(name.startswith("Bar chart: ") for name in of_role("image"))
    assert len(of_role("image")) >= 1
    headings = browser.evaluate("[...document.querySelectorAll('h1, h2')].map(h => h.tagName)")
    assert headings[0] == "H1" and set(headings[1:]) == {"H2"}
    assert browser.evaluate("document.querySelectorAll('thead th:not([scope=col])').length") == 0
    assert browser.evaluate("document.documentElement.lang") == "en"


def test_standard_input_is_read_and_nothing_is_told_to_a_program(phiward, log, report):
    done = phiward("audit", "report", "--format", "json", "-", stdin=log.read_bytes())
    read = json.loads(done.stdout)
    assert read["requests"] == report["requests"] and read["input"]["files"] == ["-"]
    assert b"\x1b" not in done.stderr and b"\r" not in done.stderr


def test_a_terminal_is_told_nothing_but_text(phiward, log):
    for form in ["table", "json"]:
        told = phiward("audit", "report", "--format", form, "--user", records.ATTACKS[6], log).stdout.decode()
        assert "gnp.exe" in told
        assert all(c == "\n" or c.isprintable() for c in told), form


def test_a_report_is_for_its_owner_only(phiward, log, tmp_path):
    file = tmp_path / "report.html"
    phiward("audit", "report", "--format", "html", "--output", file, log)
    assert file.stat().st_mode & 0o777 == 0o600


def opened(phiward, log, browser, folder, *arguments):
    file = folder / "report.html"
    phiward("audit", "report", "--format", "html", "--output", file, *arguments, log)
    browser.show_as(1280)
    browser.open(file)
    return file
