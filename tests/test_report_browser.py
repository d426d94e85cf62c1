"""The report in a real browser: drawn, linked, silent, offline; on a wide screen, a narrow one and in print."""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import spinodal as sp
from diagrams import loop_coexistence, loop_diagram, with_curvature
from spinodal.plots.record import diagram_record
from spinodal.report import save_report
from spinodal.sweeps.uncertainty import of_error, of_norm
from spinodal.words.numbers import half, percent, to_error

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402

DRIVER = shutil.which("chromedriver")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(
    DRIVER is None or BROWSER is None, reason="needs chromium (or google-chrome) and chromedriver on the PATH"
)

NAME = "<script>alert(1)</script>"
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
)  # fmt: skip


@pytest.fixture(scope="module")
def made() -> sp.PhaseDiagram:
    """Map the last three phases of the digits, under a name and with an observable that are not meant well."""
    task = sp.tasks.digits(held_out=0.2)
    task.name = NAME
    task.observables = {"<img src=x onerror=alert(2)>": lambda model: float(next(model.parameters()).norm())}
    return sp.map_phases(task, beta=(0.14, 0.21), starts=1, bracket=3e-3)


@pytest.fixture(scope="module")
def path(made: sp.PhaseDiagram, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_report(made, tmp_path_factory.mktemp("report") / "report.html", provenance={"host": {NAME: NAME}})


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for argument in (*QUIET, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(executable_path=DRIVER))
    try:
        driver.get("about:blank")
        yield driver
    finally:
        driver.quit()


@pytest.fixture
def report(browser: Any, path: Path) -> Iterator[Any]:
    """Open the report afresh in a wide window; whatever a test does, the console must stay empty."""
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
    resize(browser, 1400)
    yield from opened(browser, path)


def opened(browser: Any, path: Path) -> Iterator[Any]:
    for kind in ("browser", "performance"):
        browser.get_log(kind)  # what was there before is not the report's
    browser.get(path.as_uri())
    wait(lambda: browser.execute_script("return document.documentElement.dataset.drawn === 'yes'"))
    browser.find_element(By.ID, "axis-beta").click()
    wait(
        lambda: browser.execute_script(
            "return !document.querySelector('.plot').layout.xaxis.title.text.includes('weight_decay')"
        )
    )
    yield browser
    assert browser.get_log("browser") == []


@pytest.fixture(scope="module")
def loop_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_report(loop_diagram(name=NAME), tmp_path_factory.mktemp("loop") / "report.html")


@pytest.fixture
def loop(browser: Any, loop_path: Path) -> Iterator[Any]:
    """Open the report of a loop with branches afresh in a wide window."""
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
    resize(browser, 1400)
    yield from opened(browser, loop_path)


def wait(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Return the first true value of a condition."""
    end = time.monotonic() + seconds
    while True:
        if value := condition():
            return value
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def resize(browser: Any, width: int, *, mobile: bool = False) -> None:
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": mobile}
    )


def plots(report: Any) -> list[Any]:
    found: list[Any] = report.find_elements(By.CSS_SELECTOR, "#figures .plot")
    return found


def axis_of(report: Any, number: int) -> dict[str, Any]:
    """Return range and title of the horizontal axis of a figure, as drawn."""
    axis: dict[str, Any] = report.execute_script(
        """const {range, title} = document.querySelectorAll('.plot')[arguments[0]]._fullLayout.xaxis;
        return {range, title: title.text}""",
        number,
    )
    return axis


def pixel(report: Any, number: int, beta: float, height: float) -> tuple[int, int]:
    """Return where a beta lies in a figure that is scrolled into view, at a part of its height."""
    x, y = report.execute_script(
        """const plot = document.querySelectorAll('.plot')[arguments[0]], {xaxis, yaxis} = plot._fullLayout;
        plot.scrollIntoView({block: 'center'});
        const box = plot.getBoundingClientRect();
        return [box.x + xaxis._offset + xaxis.d2p(arguments[1]), box.y + yaxis._offset + yaxis._length * (1 - arguments[2])]""",
        number, beta, height,
    )  # fmt: skip
    return round(x), round(y)


def drawn_width(report: Any) -> float:
    script = "return document.querySelector('.plot .main-svg').getBoundingClientRect().width"
    return float(report.execute_script(script))


def move_to(report: Any, place: tuple[int, int]) -> Any:
    actions = ActionChains(report, duration=20)
    actions.w3c_actions.pointer_action.move_to_location(*place)
    return actions


def hovered(report: Any) -> str:
    """Return the text that a figure shows at the pointer."""
    return str(wait(lambda: " ".join(item.text for item in report.find_elements(By.CSS_SELECTOR, ".hoverlayer .hovertext"))))


def test_it_is_drawn_without_an_error_and_asks_for_nothing(report: Any, path: Path) -> None:
    events = [json.loads(entry["message"])["message"] for entry in report.get_log("performance")]
    urls = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert path.as_uri() in urls
    assert [url for url in urls if url != path.as_uri() and not url.startswith(("data:", "blob:"))] == []


def test_every_figure_has_its_curves(report: Any, made: sp.PhaseDiagram) -> None:
    titles = [plot.get_attribute("aria-label") for plot in plots(report)]
    beginnings = (
        "Error E",
        "Accuracy",
        "Norm",
        "Singular values",
        "Effective rank",
        "Margin",
        "Observable",
        "Recall",
        "Recall",
    )
    assert len(titles) == len(beginnings)
    assert all(title.startswith(beginning) for title, beginning in zip(titles, beginnings, strict=True))
    for plot in plots(report)[:7]:
        assert plot.find_elements(By.CSS_SELECTOR, ".scatterlayer .trace .js-line")
    markers = plots(report)[0].find_elements(By.CSS_SELECTOR, ".scatterlayer .trace .points path")
    assert len(markers) == len(made.points)
    for plot in plots(report)[7:]:
        assert plot.find_elements(By.CSS_SELECTOR, ".heatmaplayer image")


def test_hovering_shows_all_values_of_a_point(report: Any, made: sp.PhaseDiagram) -> None:
    marker = plots(report)[0].find_elements(By.CSS_SELECTOR, ".scatterlayer .trace .points path")[3]
    report.execute_script("arguments[0].scrollIntoView({block: 'center'})", marker)
    ActionChains(report, duration=20).move_to_element(marker).perform()
    text = hovered(report)
    item = made.points[3]
    phase = next(phase for phase in made.phases if item in phase.points)
    expected = {
        "phase": str(phase.id), "point": str(item.index), "β": f"{item.beta:.7g}", "weight_decay": f"{2 * item.beta:.7g}",
        "E": to_error(item.error, of_error(item), 6), "L": to_error(item.minimum.loss, of_error(item), 6),
        "‖θ‖": to_error(item.observation.norm, of_norm(item), 6),
        "margin": to_error(item.minimum.margin, item.minimum.margin_error, 4),
        "residual": f"{item.minimum.residual:.2g}", "rank": str(item.observation.rank),
        "ranks": ", ".join(f"{name} {rank}" for name, rank in item.observation.ranks.items()),
        "accuracy, training data": percent(item.observation.accuracy["train"] or 0.0, made.sample_steps["train"]),
        "accuracy, held-out data": percent(item.observation.accuracy["held_out"] or 0.0, made.sample_steps["held_out"]),
        "status": item.minimum.status.split(":")[0],
    }  # fmt: skip
    for name, value in expected.items():
        assert f"{name}: {value}" in text


def test_texts_of_others_stay_texts(report: Any) -> None:
    assert report.find_element(By.TAG_NAME, "h1").text == f"Phases of {NAME}"
    assert report.title == f"Phases of {NAME}"
    assert report.find_elements(By.TAG_NAME, "img") == []
    assert len(report.find_elements(By.TAG_NAME, "script")) == 4
    label = plots(report)[6].find_element(By.CSS_SELECTOR, ".ytitle").text
    assert label == "<img src=x onerror=alert(2)>"


def test_a_click_on_a_transition_finds_its_row(report: Any, made: sp.PhaseDiagram) -> None:
    found = sorted(made.macroscopic, key=lambda transition: transition.beta)[0]
    place = pixel(report, 1, found.beta, 0.9)
    move_to(report, place).perform()
    assert hovered(report).startswith("transition 1")
    move_to(report, place).click().perform()
    row = report.find_element(By.ID, "transition-1")
    wait(lambda: "chosen" in (row.get_attribute("class") or ""))
    assert (
        f"weight_decay = {to_error(2 * found.beta, 2 * half(found.bracket))} " in report.find_element(By.ID, "selection").text
    )
    report.find_element(By.CSS_SELECTOR, "#selection a").click()
    wait(
        lambda: report.execute_script(
            "const box = arguments[0].getBoundingClientRect(); return box.top > 0 && box.top < 900", row
        )
    )


def test_a_click_on_a_row_zooms_all_figures_to_its_transition(report: Any, made: sp.PhaseDiagram) -> None:
    beta = sorted(transition.beta for transition in made.macroscopic)[1]
    before = axis_of(report, 0)["range"]
    row = report.find_element(By.ID, "transition-2")
    row.find_elements(By.TAG_NAME, "td")[0].click()
    wait(lambda: axis_of(report, len(plots(report)) - 1)["range"] != before)
    ranges = [axis_of(report, number)["range"] for number in range(len(plots(report)))]
    assert all(item == ranges[0] for item in ranges)
    assert 10 ** ranges[0][0] < beta < 10 ** ranges[0][1]
    assert ranges[0][1] - ranges[0][0] < 0.2
    assert "chosen" in (row.get_attribute("class") or "")
    report.find_element(By.ID, "whole").click()
    whole = [math.log10(end) for end in made.range]
    wait(lambda: axis_of(report, len(plots(report)) - 1)["range"] == pytest.approx(whole))
    assert report.find_elements(By.CSS_SELECTOR, "tr.chosen") == []


def test_a_click_on_a_phase_finds_its_row_and_the_row_its_phase(report: Any, made: sp.PhaseDiagram) -> None:
    marker = plots(report)[0].find_elements(By.CSS_SELECTOR, ".scatterlayer .trace .points path")[2]
    report.execute_script("arguments[0].scrollIntoView({block: 'center'})", marker)
    ActionChains(report, duration=20).move_to_element(marker).click().perform()
    row = report.find_element(By.ID, "phase-0")
    wait(lambda: "chosen" in (row.get_attribute("class") or ""))
    report.find_element(By.ID, "phase-1").find_elements(By.TAG_NAME, "td")[0].click()
    low, high = made.phases[1].beta
    wait(lambda: axis_of(report, 0)["range"][0] > math.log10(made.range[0]) + 0.01)
    start, stop = (10**value for value in axis_of(report, 0)["range"])
    assert start < low < high < stop < 2 * high


def test_dragging_in_one_figure_zooms_all(report: Any) -> None:
    last = len(plots(report)) - 1
    whole = axis_of(report, last)["range"]
    low, high = 0.15, 0.17
    start, stop = pixel(report, 0, low, 0.5), pixel(report, 0, high, 0.5)
    actions = move_to(report, start)
    actions.w3c_actions.pointer_action.pointer_down()
    actions.w3c_actions.pointer_action.move_to_location(*stop)
    actions.w3c_actions.pointer_action.pointer_up()
    actions.perform()
    wait(lambda: axis_of(report, last)["range"] != whole)
    assert axis_of(report, last)["range"] == pytest.approx([math.log10(low), math.log10(high)], abs=1e-3)
    report.find_element(By.ID, "zoom-out").click()
    wait(lambda: axis_of(report, last)["range"][0] < math.log10(low) - 0.02)


def test_one_switch_turns_all_axes_into_weight_decay(report: Any) -> None:
    numbers = range(len(plots(report)))
    before = [axis_of(report, number)["range"] for number in numbers]
    assert all("β" in axis_of(report, number)["title"] for number in numbers)
    report.find_element(By.ID, "axis-decay").click()
    wait(lambda: all("weight_decay" in axis_of(report, number)["title"] for number in numbers))
    doubled = [[value + 0.30103 for value in item] for item in before]
    assert [axis_of(report, number)["range"] for number in numbers] == [pytest.approx(item, abs=1e-5) for item in doubled]
    drawn = report.execute_script("return document.querySelector('.plot').data.find(trace => trace.meta === 'point').x[0]")
    assert drawn == pytest.approx(2 * 10 ** before[0][0], rel=1e-6)
    assert report.find_element(By.ID, "axis-decay").get_attribute("aria-pressed") == "true"


def test_it_opens_in_the_unit_of_its_sentences_and_then_in_the_one_chosen_last(browser: Any, path: Path) -> None:
    resize(browser, 1400)
    for unit, word in (("axis-decay", "weight_decay"), ("axis-beta", "β")):
        for report in opened(browser, path):
            report.find_element(By.ID, unit).click()
        browser.get(path.as_uri())
        wait(lambda: browser.execute_script("return document.documentElement.dataset.drawn === 'yes'"))
        assert word in axis_of(browser, 0)["title"]
    browser.execute_script("localStorage.clear()")
    browser.get(path.as_uri())
    wait(lambda: browser.execute_script("return document.documentElement.dataset.drawn === 'yes'"))
    assert "weight_decay" in axis_of(browser, 0)["title"]


def test_one_crosshair_stands_in_all_figures(report: Any, made: sp.PhaseDiagram) -> None:
    beta = made.points[len(made.points) // 2].beta
    move_to(report, pixel(report, 1, beta, 0.5)).perform()
    wait(lambda: len(report.find_elements(By.CSS_SELECTOR, ".cross")) == len(plots(report)))
    said = report.find_element(By.ID, "pointed").text
    assert float(said.split()[-1]) == pytest.approx(beta, rel=0.02)
    assert said.startswith("weight_decay ")


def test_names_of_transitions_do_not_overlap(report: Any) -> None:
    for width in (1400, 390):
        resize(report, width)
        boxes = report.execute_script(
            """return Array.from(document.querySelectorAll('.plot')[0].querySelectorAll('.annotation')).map(item => {
            const box = item.getBoundingClientRect(); return [box.left, box.right, item.textContent]})
            .filter(item => item[2].includes('→') || item[2].includes('lost'))"""
        )
        assert boxes
        edges = sorted(boxes)
        assert all(a[1] <= b[0] + 1 for a, b in pairwise(edges))


def test_another_matrix_can_be_chosen(report: Any, made: sp.PhaseDiagram) -> None:
    first, second, _ = report.find_elements(By.CSS_SELECTOR, "figure option")
    assert {first.text, second.text} < set(made.points[0].observation.ranks)
    assert first.text in plots(report)[3].find_element(By.CSS_SELECTOR, ".ytitle").text
    second.click()
    wait(lambda: second.text in plots(report)[3].find_element(By.CSS_SELECTOR, ".ytitle").text)
    chosen = next(panel for panel in diagram_record(made).singular_values if panel.label.endswith(f"of {second.text}"))
    assert report.find_element(By.CSS_SELECTOR, "figure:has(option) .plot").get_attribute("aria-label") == chosen.meaning
    assert report.find_element(By.CSS_SELECTOR, "figure:has(option) small").get_attribute("textContent") == chosen.note


def test_print_keeps_the_figures_and_drops_the_controls(report: Any) -> None:
    report.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    wait(lambda: drawn_width(report) == 680)
    assert not report.find_element(By.ID, "controls").is_displayed()
    for plot in plots(report):
        assert plot.find_element(By.CSS_SELECTOR, ".main-svg").is_displayed()
    printed = report.execute_cdp_cmd("Page.printToPDF", {})["data"]
    assert len(printed) > 50_000


def test_a_narrow_window_needs_no_scrolling_sideways(report: Any) -> None:
    resize(report, 390, mobile=True)
    wait(lambda: drawn_width(report) < 390)
    assert report.execute_script("return document.documentElement.scrollWidth") <= 390
    assert all(0 < plot.size["width"] <= 390 for plot in plots(report))


@pytest.mark.parametrize("width", [390, 540, 700])
def test_a_figure_lies_within_its_frame(report: Any, width: int) -> None:
    resize(report, width)
    wait(lambda: width - 60 < drawn_width(report) < width)
    script = "return arguments[0].querySelector('.main-svg').getBoundingClientRect().height"
    assert all(report.execute_script(script, plot) <= plot.size["height"] + 1 for plot in plots(report))


def test_on_a_narrow_window_the_values_of_a_point_stand_below(report: Any, made: sp.PhaseDiagram) -> None:
    resize(report, 390, mobile=True)
    wait(lambda: drawn_width(report) < 390)
    assert not report.find_element(By.ID, "values").is_displayed()
    marker = plots(report)[0].find_elements(By.CSS_SELECTOR, ".scatterlayer .trace .points path")[3]
    report.execute_script("arguments[0].scrollIntoView({block: 'center'})", marker)
    ActionChains(report, duration=20).move_to_element(marker).perform()
    values = report.find_element(By.ID, "values")
    wait(values.is_displayed)
    item = made.points[3]
    for text in (f"point: {item.index}", f"β: {item.beta:.7g}", f"E: {item.error:.4f}", "status: converged"):
        assert text in values.text
    assert values.size["width"] <= 390
    assert report.find_elements(By.CSS_SELECTOR, ".hoverlayer .hovertext") == []
    values.find_element(By.TAG_NAME, "button").click()
    assert not values.is_displayed()


def test_a_click_on_the_name_of_a_phase_finds_its_row(report: Any) -> None:
    name = plots(report)[1].find_element(By.CSS_SELECTOR, ".annotation-text-g")
    assert name.text == "phase 0"
    report.execute_script("arguments[0].scrollIntoView({block: 'center'})", name)
    ActionChains(report, duration=20).move_to_element(name).click().perform()
    wait(lambda: "chosen" in (report.find_element(By.ID, "phase-0").get_attribute("class") or ""))


def test_dark_screens_get_light_ink(report: Any) -> None:
    colour = "return getComputedStyle(document.querySelector('.plot .xtitle')).fill"
    before = report.execute_script(colour)
    report.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]})
    wait(lambda: report.execute_script(colour) != before)
    page, ink = report.execute_script("const s = getComputedStyle(document.body); return [s.backgroundColor, s.color]")
    assert page == "rgb(22, 24, 28)"
    assert ink == "rgb(232, 232, 232)"


# -- branches and loops ---------------------------------------------------------------------


def number_of(loop: Any, kind: str) -> int:
    """Return the place of a figure among all."""
    kinds = [item.get_attribute("class") for item in loop.find_elements(By.CSS_SELECTOR, "#figures figure")]
    return kinds.index(kind)


def drawn(loop: Any, kind: str, script: str) -> Any:
    return loop.execute_script(f"const plot = document.querySelectorAll('.plot')[{number_of(loop, kind)}]; return {script}")


def test_branches_are_drawn_with_their_stability_and_their_special_points(loop: Any) -> None:
    dashes = drawn(loop, "branches", "plot.data.filter(trace => trace.meta === 'branch').map(trace => trace.line.dash)")
    assert dashes == ["solid", "dash", "solid"]
    marks = drawn(
        loop, "branches", "plot.data.filter(trace => trace.meta === 'mark').map(trace => [trace.name, trace.x.length])"
    )
    assert marks == [["spinodal", 2], ["coexistence", 2], ["barrier", 1]]
    (line,) = drawn(loop, "branches", "plot.layout.shapes.map(shape => shape.x0)")
    assert line == pytest.approx(loop_coexistence())
    assert drawn(loop, "branches", "plot.layout.annotations.length") == 2  # a fall each way
    figure = plots(loop)[number_of(loop, "branches")]
    assert len(figure.find_elements(By.CSS_SELECTOR, ".scatterlayer .trace .points path")) == 5


def test_hovering_over_a_spinodal_shows_its_certificate_and_a_click_finds_its_phase(loop: Any) -> None:
    x, y = loop.execute_script(
        """const plot = document.querySelectorAll('.plot')[arguments[0]], {xaxis, yaxis} = plot._fullLayout;
        plot.scrollIntoView({block: 'center'});
        const mark = plot.data.find(trace => trace.meta === 'mark' && trace.text[0].includes('spinodal'));
        const box = plot.getBoundingClientRect();
        return [box.x + xaxis._offset + xaxis.d2p(mark.x[0]), box.y + yaxis._offset + yaxis.d2p(mark.y[0])]""",
        number_of(loop, "branches"),
    )  # fmt: skip
    place = (round(x), round(y))
    move_to(loop, place).perform()
    text = hovered(loop)
    for words in ("spinodal, branch of phase 0", "β: 0.232", "weight_decay: 0.464", "residual: 1e-16", "overlap: 1"):
        assert words in text
    move_to(loop, place).click().perform()
    wait(lambda: "chosen" in (loop.find_element(By.ID, "phase-0").get_attribute("class") or ""))


def test_hovering_over_a_saddle_shows_its_index(loop: Any) -> None:
    number = number_of(loop, "branches")
    x, y = loop.execute_script(
        """const plot = document.querySelectorAll('.plot')[arguments[0]], {xaxis, yaxis} = plot._fullLayout;
        plot.scrollIntoView({block: 'center'});
        const saddle = plot.data.find(trace => trace.meta === 'branch' && trace.line.dash === 'dash');
        const box = plot.getBoundingClientRect();
        return [box.x + xaxis._offset + xaxis.d2p(saddle.x[6]), box.y + yaxis._offset + yaxis.d2p(saddle.y[6])]""",
        number,
    )  # fmt: skip
    move_to(loop, (round(x), round(y))).perform()
    text = hovered(loop)
    for words in ("branch of phase: 0", "index: 1", "margin: -", "L − lowest L: 0.0"):
        assert words in text


def test_another_quantity_of_the_branches_can_be_chosen(loop: Any) -> None:
    figure = loop.find_elements(By.CSS_SELECTOR, "#figures figure")[number_of(loop, "branches")]
    names = [option.text for option in figure.find_elements(By.TAG_NAME, "option")]
    assert names == ["error E", "‖θ‖²", "L − lowest L"]
    figure.find_elements(By.TAG_NAME, "option")[1].click()
    wait(lambda: figure.find_element(By.CSS_SELECTOR, ".ytitle").text == "‖θ‖²")
    assert drawn(loop, "branches", "plot.data.find(trace => trace.name === 'spinodal').y") == pytest.approx([1.44, 0.64])


def test_branches_and_tree_are_zoomed_with_all_figures_and_switched_to_weight_decay(loop: Any) -> None:
    numbers = [number_of(loop, "branches"), number_of(loop, "tree")]
    loop.find_element(By.ID, "transition-1").find_elements(By.TAG_NAME, "td")[0].click()
    wait(lambda: axis_of(loop, numbers[1])["range"] == axis_of(loop, 0)["range"])
    low, high = axis_of(loop, numbers[0])["range"]
    assert 10**low < 0.232 < 10**high
    assert high - low < 0.2
    loop.find_element(By.ID, "whole").click()
    loop.find_element(By.ID, "axis-decay").click()
    wait(lambda: all("weight_decay" in axis_of(loop, number)["title"] for number in numbers))
    assert drawn(loop, "branches", "plot.data.find(trace => trace.name === 'spinodal').x") == pytest.approx([0.464, 0.336])
    (line,) = drawn(loop, "branches", "plot.layout.shapes.map(shape => shape.x0)")
    assert line == pytest.approx(2 * loop_coexistence())


def test_a_click_on_a_bar_of_the_tree_finds_its_phase(loop: Any) -> None:
    number = number_of(loop, "tree")
    assert drawn(loop, "tree", "plot.layout.annotations.length") == 2
    place = pixel(loop, number, 0.3, 1.6 / 2.2)
    move_to(loop, place).perform()
    assert "upper end: the walk ends here" in hovered(loop)
    move_to(loop, place).click().perform()
    wait(lambda: "chosen" in (loop.find_element(By.ID, "phase-1").get_attribute("class") or ""))


def test_the_report_of_a_loop_fits_narrow_windows_and_paper(loop: Any) -> None:
    resize(loop, 390, mobile=True)
    wait(lambda: drawn_width(loop) < 390)
    assert loop.execute_script("return document.documentElement.scrollWidth") <= 390
    resize(loop, 720)
    loop.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    wait(lambda: drawn_width(loop) == 680)
    assert loop.execute_script("return document.documentElement.scrollWidth") <= 720


# -- curvature -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def curved_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = with_curvature(loop_diagram(name=NAME), caveat=NAME, spread=0.5)
    return save_report(made, tmp_path_factory.mktemp("curved") / "report.html")


@pytest.fixture
def curved(browser: Any, curved_path: Path) -> Iterator[Any]:
    """Open the report of a loop with curvature afresh in a wide window."""
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
    resize(browser, 1400)
    yield from opened(browser, curved_path)


def test_curvature_is_drawn_with_its_bands_its_change_points_and_coexistence(curved: Any) -> None:
    titles = [plot.get_attribute("aria-label") for plot in plots(curved)]
    (number,) = [number for number, title in enumerate(titles) if "Ricci" in title]
    plot = f"document.querySelectorAll('.plot')[{number}]"
    marks = curved.execute_script(
        f"return {plot}.data.filter(trace => trace.meta === 'change').map(trace => [trace.name, trace.x])"
    )
    assert [(name, len(places)) for name, places in marks] == [("step", 1)]
    assert marks[0][1] == pytest.approx([0.232], rel=1e-5)
    assert (
        len(curved.execute_script(f"return {plot}.data.filter(trace => trace.fill === 'toself')")) == 2
    )  # a band in each phase
    lines = curved.execute_script(f"return {plot}.layout.shapes.map(shape => shape.x0)")
    assert any(line == pytest.approx(loop_coexistence()) for line in lines)


def test_hovering_over_a_change_point_says_what_it_is(curved: Any) -> None:
    (number,) = [k for k, plot in enumerate(plots(curved)) if "Ricci" in plot.get_attribute("aria-label")]
    move_to(curved, pixel(curved, number, 0.232, 0.96)).perform()
    text = hovered(curved)
    for words in ("change point of R of E: step", "R: 9 → 5", "standard errors"):
        assert words in text


def test_what_curvature_leaves_out_is_text(curved: Any) -> None:
    section = curved.find_element(By.ID, "curvature")
    assert NAME in section.text
    assert section.find_elements(By.TAG_NAME, "script") == []
    assert curved.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")


@pytest.fixture(scope="module")
def tailed() -> sp.PhaseDiagram:
    """Map two modes in a range of which five sixths are flat."""
    task = sp.tasks.gaussian(activation="linear", hidden=(4, 4), singular_values=(0.9, 0.4), samples=50)
    return sp.map_phases(task, beta=(1e-4, 30.0), starts=1)


@pytest.fixture(params=[1400, 420])
def tail(browser: Any, tailed: sp.PhaseDiagram, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """Open its report in a wide and in a narrow window."""
    resize(browser, request.param)
    yield from opened(browser, save_report(tailed, tmp_path / "report.html"))


def test_the_first_view_is_where_things_happen(tail: Any, tailed: sp.PhaseDiagram) -> None:
    low, high = (10**end for end in axis_of(tail, 0)["range"])
    errors = {point.beta: point.error for point in tailed.points}
    change = errors[30.0] - errors[1e-4]
    assert all(errors[30.0] - error <= 0.01 * change for beta, error in errors.items() if beta > high)
    first, last = (found.beta for found in tailed.macroscopic)
    assert low < first < last < high
    assert math.log(last / first) > 0.4 * math.log(high / low)
    assert tail.find_element(By.ID, "stretch").is_displayed()
    tail.find_element(By.ID, "whole").click()
    wait(lambda: [10**end for end in axis_of(tail, 0)["range"]] == pytest.approx([1e-4, 30.0]))
