"""The report, as a reader sees it: in a browser, with a keyboard, on a phone, in the dark."""

import importlib.util
import io
import json
import os
import re
import shutil
import struct
import sys
import zlib
from copy import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import blobs
from lists import LEARNED, RECIPES
from PIL import Image

import condensery as cd
from condensery.cli import main
from condensery.data.pixels import PixelSpace
from condensery.errors import InputError
from condensery.evaluation import protocols
from condensery.evaluation.evaluate import Accuracy
from condensery.evaluation.figures import Figure, figures_in
from condensery.report.charts import Bar, bars, lines
from condensery.report.pictures import nearest
from condensery.report.report import report
from condensery.runs.artifact import save
from condensery.runs.condensed import Condensed
from condensery.synthetic import SyntheticSet

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NAMES = ("a<b>", "b & c", "c")


def made(name):
    return cd.condense(RECIPES[name], blobs().called("blobs", NAMES), progress=False)


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None or importlib.util.find_spec("playwright") is None:
        if os.environ.get("CONDENSERY_NEEDS_CHROMIUM"):
            pytest.fail("Chromium and playwright are needed here")
        pytest.skip("needs Chromium and playwright")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def opened(browser):
    """Opens a page; in the end nothing may have been said on its console or asked of a network."""
    said, contexts = [], []

    def visit(path, **kind):
        contexts.append(browser.new_context(**kind))
        page = contexts[-1].new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on(
            "request", lambda asked: said.append(asked.url) if not asked.url.startswith(("file:", "data:")) else None
        )
        page.goto(path.as_uri())
        page.wait_for_load_state()
        return page

    yield visit
    assert said == []
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    """The page of a run on digits and of a file, with figures of two commands."""
    folder = tmp_path_factory.mktemp("report")
    brief = ["--data", "digits", "--repeats", "1", "--protocol", "fixed-seconds"]
    run = ["run", "idc:digits", "--data", "digits", "--ipc", "2", "--outer-steps", "2", "--inner-steps", "6"]
    assert main([*run, "--net.width", "8", "--real-rows", "8", "--out", str(folder / "run")]) == 0
    assert main(["subset", str(folder / "run"), "--ipc", "1", "-o", str(folder / "one.safetensors")]) == 0
    patch = pytest.MonkeyPatch()
    seconds = protocols.fixed_seconds
    patch.setitem(protocols.PROTOCOLS, "fixed-seconds", lambda *given: replace(seconds(*given), seconds=0.05))
    figures = str(folder / "sizes.json")
    assert main(["evaluate", str(folder / "run"), *brief, "--sizes", "1", "2", "--json", figures]) == 0
    words = ["--measure", "--protocol", "fixed-seconds", "--repeats", "1", "--figures", figures]
    runs = [str(folder / "run"), str(folder / "one.safetensors")]
    assert main(["report", *runs, *words, "-o", str(folder / "page.html")]) == 0
    patch.undo()
    return folder / "page.html"


def test_pictures_load_and_controls_work(opened, page_file):
    page = opened(page_file)
    assert page.title() == "digits by idc: condensed"
    images = page.locator("img")
    assert images.count() > 2 * 10 * 4
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    first = page.locator("article").first
    first.locator(".filter").fill("7")
    assert first.locator(".class:visible").count() == 1
    assert first.locator(".count").text_content() == "1 of 10 classes"
    first.locator(".filter").fill("")
    assert first.locator(".class:visible").count() == 10
    picture = first.locator(".images img").first
    before = picture.bounding_box()["width"]
    first.locator(".zoom").fill("4")
    assert picture.bounding_box()["width"] == before / 8 * 4
    first.locator(".real").uncheck()
    assert first.locator(".beside:visible").count() == 0
    slider = first.locator(".slider")
    slider.focus()
    page.keyboard.press("ArrowLeft")
    assert first.locator(".previews img:visible").get_attribute("data-step") != "12"
    assert first.locator(".previews output").text_content().startswith("update ")


def test_the_page_says_what_how_good_and_how_again(opened, page_file):
    text = opened(page_file).locator("body").inner_text()
    for words in (
        "random", "herding", "whole", "sizes.json", "measured for this report", "2,560", "Accuracy by size", "Loss",
        "What networks take for what", "condensery run --recipe", "--data digits", "fingerprint",
    ):  # fmt: skip
        assert words in text, words


@pytest.mark.parametrize(
    "kind",
    [{}, {"viewport": {"width": 360, "height": 700}}, {"color_scheme": "dark"}],
    ids=["wide", "phone", "dark"],
)
def test_the_page_is_accessible(kind, opened, page_file):
    axe = importlib.util.find_spec("axe_playwright_python")
    page = opened(page_file, **kind)
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    page.add_script_tag(path=Path(axe.origin).parent / "axe.min.js")
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    found = page.evaluate("axe.run()")["violations"]
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found] == []


def test_the_keyboard_reaches_every_control_in_order(opened, page_file):
    page, seen = opened(page_file), []
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the content"
    for _ in range(40):
        seen.append(page.evaluate("document.activeElement.className || document.activeElement.tagName"))
        page.keyboard.press("Tab")
    order = [name for name in seen if name in ("filter", "zoom", "real", "slider")]
    assert order[:4] == ["filter", "zoom", "real", "slider"]
    assert "SUMMARY" in seen


def test_a_hundred_classes_fit_into_five_megabytes(opened, tmp_path):
    generator = np.random.default_rng(0)
    coarse = generator.random((100, 22, 3, 8, 8), dtype=np.float32)
    rows = torch.nn.functional.interpolate(torch.tensor(coarse).flatten(0, 1), (32, 32), mode="bicubic").clamp(0, 1)
    rows = (rows + 0.05 * torch.randn(rows.shape)).clamp(0, 1).unflatten(0, (100, 22))
    labels = np.repeat(np.arange(100), 12)
    data = cd.from_arrays(rows[:, 10:].flatten(0, 1).numpy(), labels, rows[:, 10:].flatten(0, 1).numpy(), labels)
    synthetic = SyntheticSet(rows[:, :10].contiguous(), PixelSpace((0.5,) * 3, (0.25,) * 3, "unit"))
    about = {"name": "arrays", "fingerprint": data.train.fingerprint, "rows": len(data.train)}
    path = save(Condensed(synthetic, data.class_names, {"name": "dm", "ipc": 10}, 0, about), tmp_path / "set")
    page_file = tmp_path / "page.html"
    page_file.write_text(report([path], {"": data}))
    assert page_file.stat().st_size < 5_000_000
    assert opened(page_file).locator(".class").count() == 100


def test_text_of_others_is_never_markup(tmp_path):
    condensed = made("dc soft labels")
    recipe = {**condensed.recipe, "init": "<script>alert(1)</script>"}
    path = save(Condensed(condensed.synthetic, NAMES, recipe, 1, condensed.data), tmp_path / "set")
    page = report([path])
    assert "<script>alert" not in page
    assert "a&lt;b&gt;" in page
    assert "a<b>" not in page
    assert "<svg" not in bars("x", [Bar("<b>", 1.0)], "%").replace("<svg", "", 1)
    assert "&lt;b&gt;" in bars("x", [Bar("<b>", 1.0)], "%")


def test_codes_and_decoders_stand_in_columns_and_rows(tmp_path):
    condensed = made("kfs whole")
    page = report([save(condensed, tmp_path / "set")])
    columns = condensed.bases_per_class
    assert f"--columns: {min(columns, 6)}" in page
    assert page.count(" synthetic image") == 3 * min(columns, 6) * (condensed.rows_per_class // columns)


def test_the_nearest_real_image_is_nearest():
    real = blobs()
    chosen = cd.condense(RECIPES["random"], real, progress=False)
    found = nearest(chosen, real, range(6))
    assert [each.distance for each in found] == pytest.approx([0.0] * 6, abs=1e-3)
    assert [each.label for each in found] == chosen.tensors()[1].tolist()
    learned = cd.condense(RECIPES["idc 2"], real, progress=False)
    unit = learned.tensors(space="unit")[0].flatten(1)
    rows = real.space.unit(real.read(slice(None))).flatten(1)
    wanted = torch.cdist(unit, rows).min(1).values / 8
    distances = [each.distance for each in nearest(learned, real, range(len(unit)))]
    assert distances == pytest.approx(wanted.tolist(), abs=1e-5)


def test_charts_place_their_points():
    chart = lines("a", {"x": [(0, 0.0), (10, 5.0)]}, "x", "y")
    points = re.search(r'points="([\d.]+),([\d.]+) ([\d.]+),([\d.]+)"', chart)
    left, low, right, high = map(float, points.groups())
    assert right > left
    assert high < low
    for values in ([(1, 2.0), (2, 2.0)], [(0, -1e-9), (1, 1e9)], [(0, 0.0), (1, 0.0)]):
        assert "nan" not in lines("a", {"x": values}, "x", "y")


@pytest.mark.parametrize("wrong", [{"accuracy": 1e307}, {"runs": [1e307]}, {"std": -1}, {"bytes": 1e307}, {"ipc": -1}])
def test_figures_beyond_reason_are_refused(wrong, tmp_path):
    figure = {"accuracy": 0.5, "std": 0.1, "runs": [0.5], "protocol": "dc2021", "floats": 1, "bytes": 1,
              "network": {}, "method": "dc"}  # fmt: skip
    for changed, refused in (({}, False), (wrong, True)):
        content = {"results": [figure | changed], "data": {"fingerprint": "0"}}
        (tmp_path / "f.json").write_text(json.dumps(content))
        if not refused:
            assert figures_in(tmp_path / "f.json")
            continue
        with pytest.raises(InputError, match="not a file of evaluate --json"):
            figures_in(tmp_path / "f.json")


def test_figures_of_other_files_are_refused(tmp_path):
    (tmp_path / "f.json").write_text(json.dumps({"results": "none"}))
    with pytest.raises(InputError, match="not a file of evaluate"):
        figures_in(tmp_path / "f.json")
    figure = {"accuracy": 0.5, "std": 0.0, "runs": [0.5], "protocol": "dc2021", "floats": 1, "bytes": 1, "network": {},
              "method": "dc", "confusion": [[1, 2]]}  # fmt: skip
    (tmp_path / "f.json").write_text(json.dumps({"results": [figure], "data": {"fingerprint": ""}}))
    with pytest.raises(InputError, match="not square"):
        figures_in(tmp_path / "f.json")
    with pytest.raises(InputError, match="cannot be read"):
        figures_in(tmp_path / "none.json")


def test_bad_requests_are_one_line(tmp_path, capsys):
    color = cd.condense(RECIPES["random"], blobs((3, 8, 8)), progress=False)
    path = str(save(color, tmp_path / "set"))
    for words, complaint in (
        ([str(tmp_path / "none"), "-o", str(tmp_path / "x.html")], "no such file"),
        ([path, "-o", str(tmp_path / "x.pdf")], ".html"),
        ([path, "-o", str(tmp_path / "x.html"), "--measure"], "--data"),
        ([path, "-o", str(tmp_path / "x.html"), "--measure", "--data", "digits"], "condensed from; give --data"),
        (["-o", str(tmp_path / "x.html")], "give at least one"),
    ):
        assert main(["report", *words]) == 2
        said = capsys.readouterr().err.splitlines()
        assert complaint in said[-1]


def test_a_set_of_real_images_is_not_called_learned(tmp_path):
    words = [
        "--data",
        "digits",
        "--ipc",
        "1",
        "--net.width",
        "4",
        "--feature-epochs",
        "1",
        "--out",
        str(tmp_path / "run"),
    ]
    assert main(["run", "herding", *words]) == 0
    page = tmp_path / "page.html"
    assert main(["report", str(tmp_path / "run"), "--data", "digits", "-o", str(page)]) == 0
    text = page.read_text()
    assert "synthetic" not in text
    assert "nearest real" not in text
    assert "real images, chosen from the 1,438 training images of digits" in text
    assert "While it was learned" not in text
    assert "<h3>Loss</h3>" not in text


def test_an_imported_set_has_no_known_updates(tmp_path):
    there = replace(made("idc 2"), recipe={"name": "mtt", "ipc": 2, "layout": "mtt"}, steps=0)
    page = report([save(there, tmp_path / "set.safetensors")])
    assert "<dt>updates</dt><dd>not recorded</dd>" in page
    assert "A condensed set is a small training set" in page


@pytest.mark.parametrize("side", [0, 60_000])
def test_a_preview_that_cannot_be_shown_is_one_line(tmp_path, side):
    cd.run(LEARNED["dm 2"], cd.digits(), tmp_path, progress=False)
    head = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    chunks = [struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
              for chunk in (head, b"IDAT" + zlib.compress(b""), b"IEND")]  # fmt: skip
    (tmp_path / "previews" / "step-000001.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    with pytest.raises(InputError, match="a preview is unreadable"):
        report([tmp_path])


def test_a_preview_whose_second_part_is_damaged_is_one_line(tmp_path):
    cd.run(LEARNED["dm 2"], cd.digits(), tmp_path, progress=False)
    path, file = tmp_path / "previews" / "step-000001.png", io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)).save(file, "PNG")
    first, _, rest = file.getvalue().rpartition(b"IDAT")
    path.write_bytes(first + b"\0\0\0\0" + rest)
    with pytest.raises(InputError, match="a preview is unreadable"):
        report([tmp_path])


def figure(condensed, runs, of=None, **fields):
    """A figure of a set, or of another method on the same data."""
    fields = {"images": condensed.bases_per_class, "fingerprint": condensed.data["fingerprint"], **fields}
    recipes = [] if of else [condensed.recipe]
    net = json.loads(json.dumps(condensed.layers[0]["net"]))
    given = (float(np.mean(runs)), 0.02, list(runs), "dc2021", condensed.floats, condensed.bytes, net)
    return Figure(*given, of or condensed.method, recipes=recipes, **fields)


MINE = [0.78, 0.80, 0.82]


@pytest.mark.parametrize(
    ("mine", "rival", "sets", "words"),
    [
        (MINE, [0.48, 0.50, 0.521], 1, "30.0 points better than"),
        (MINE, [0.88, 0.90, 0.921], 1, "10.0 points worse than"),
        (MINE, [0.77, 0.79, 0.81, 0.79], 1, "too close to rule out chance"),
        # more than two standard errors apart, but so few values tell less: `compare` has ~ here
        (MINE, [0.75, 0.76, 0.80, 0.76], 1, "too close to rule out chance"),
        (MINE, [0.75, 0.77, 0.79], 1, "too close to rule out chance"),  # always by as much
        # networks that were trained on the same set are not independent
        ([0.77, 0.77, 0.75, 0.75], [0.71, 0.71, 0.71, 0.71], 2, "too close to rule out chance"),
    ],
)
def test_the_page_says_whether_the_set_is_better_than_random_images(mine, rival, sets, words, tmp_path):
    small = made("dm 2")
    save(small, tmp_path / "small.safetensors")
    one = small.subset(1)
    # a subset and its rival come first in the file, but the page is about the whole set
    part = [figure(one, [0.1, 0.2]), figure(one, [0.3, 0.5], "random")]
    both = [figure(small, mine, sets=sets), figure(small, rival, "random", sets=sets)]
    page = report([tmp_path / "small.safetensors"], None, {"f.json": [*part, *both]})
    assert words in page
    assert ("rule out chance" in page) == ("chance" in words)
    assert (f"--protocol dc2021 --repeats {len(mine)}" in page) == (sets == 1)
    assert ("trained on 2 sets of its recipe" in page) == (sets == 2)
    assert re.search(rf"{small.bytes:,} bytes( of random| \()", page)
    single = [figure(small, [0.8]), figure(small, [0.5], "random")]
    for unknown in (both[:1], single, part):
        page = report([tmp_path / "small.safetensors"], None, {"f.json": unknown})
        assert not re.search("points (better|worse)|chance", page)


def test_the_page_names_the_network_of_its_figures_in_the_table_and_in_the_command(tmp_path):
    small = made("dm 2")
    save(small, tmp_path / "small.safetensors")
    own = figure(small, MINE)
    other = copy(own)
    other.network = {**own.network, "width": 7}
    page = report([tmp_path / "small.safetensors"], None, {"f.json": [other]})
    assert re.search(r"condensery evaluate \S+ .*--networks &#39;convnet width 7", page)
    assert re.search(r"<td>convnet width 7", page)
    page = report([tmp_path / "small.safetensors"], None, {"f.json": [own]})
    assert "--networks" not in page


def test_figures_are_shown_with_the_set_that_they_are_of(tmp_path):
    sets = [made("dm 2"), made("dm 2").subset(1), made("idc 2")]
    elsewhere = {**sets[0].data, "fingerprint": "0"}
    sets.append(Condensed(sets[0].synthetic, NAMES, sets[0].recipe, 1, elsewhere))
    other = dict(sets[0].recipe, seed=7)
    sets.append(Condensed(sets[0].synthetic, NAMES, other, 1, sets[0].data))
    paths = [save(each, tmp_path / f"{i}.safetensors") for i, each in enumerate(sets)]
    results = [
        {"method": name, "accuracy": np.mean(runs), "std": 0.0, "runs": runs, "protocol": "dc2021", "images": size,
         "network": {}, "floats": of.floats, "bytes": of.bytes, "confusion": [[1, n, 0], [0, 1, 0], [0, 0, 1]]}
        for name, size, runs, of, n in (
            ("random", 1, [0.1, 0.1], sets[1], 1), ("random", 2, [0.1, 0.1], sets[0], 1),
            ("dm:3min", 1, [0.2, 0.2], sets[1], 3), ("dm:3min", 2, [0.4, 0.4], sets[0], 4),
            ("idc", 2, [0.6, 0.6], sets[2], 9), ("another", 2, [0.9, 0.9], sets[4], 19),
        )
    ]  # fmt: skip
    recipes = [
        {"row": name, **of.recipe} for name, of in (("dm:3min", sets[0]), ("idc", sets[2]), ("another", sets[4]))
    ]
    content = {"results": results, "recipes": recipes, "data": {"fingerprint": sets[0].data["fingerprint"]}}
    (tmp_path / "f.json").write_text(json.dumps(content))
    articles = report(paths, None, {"f": figures_in(tmp_path / "f.json")}).split("<article")[1:]
    reached = [re.findall(r"reach ([\d.]+) %", article) for article in articles]
    assert reached == [["40.0"], ["20.0"], ["60.0"], [], ["90.0"]]
    taken = [re.findall(r"b &amp; c \((\d+) %\)", article) for article in articles]
    assert taken == [["80"], ["75"], ["90"], [], ["95"]]
    assert ["Accuracy by size" in article for article in articles] == [True, False, False, False, False]


@pytest.fixture
def unmeasured(monkeypatch):
    """No network is trained; the sets and networks that would have been measured are in the list."""
    asked = []

    def measured(sets, data, net=None, protocol=None, repeats=5, *rest, **more):
        first = sets[0] if isinstance(sets, list) else sets
        asked.append((first, data, net))
        return Accuracy((0.5,) * repeats, "fixed-steps", net or first.net, 0.0)

    def whole(data, net, repeats=5, **more):
        return measured([None], data, net, repeats=repeats)

    for module in ("condensery.evaluation.compare", "condensery.evaluation.evaluate"):
        monkeypatch.setattr(f"{module}.evaluate", measured)
        monkeypatch.setattr(f"{module}.evaluate_whole", whole)
    return asked


def test_options_of_the_data_hold_for_the_data_of_the_run(tmp_path, unmeasured):
    x, y = np.random.default_rng(0).integers(0, 256, (60, 8, 8), np.uint8), np.arange(60) % 3
    np.savez(tmp_path / "mine.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    words = ["--data", str(tmp_path / "mine.npz"), "--ipc", "1", "--out", str(tmp_path / "run")]
    assert main(["run", "random", *words]) == 0
    for more, flip in (([], True), (["--flip", "no"], False)):
        unmeasured.clear()
        assert main(["report", str(tmp_path / "run"), "--measure", *more, "-o", str(tmp_path / "page.html")]) == 0
        assert {data.facts.flip for _, data, _ in unmeasured} == {flip}


def test_every_set_is_shown_and_measured_with_its_own_data(tmp_path, unmeasured, capsys):
    x, y = np.random.default_rng(0).integers(0, 256, (60, 8, 8), np.uint8), np.arange(60) % 3
    other = str(tmp_path / "other.npz")
    np.savez(other, x_train=x, y_train=y, x_test=x, y_test=y)
    small, figures = ["--steps", "1", "--net.width", "4", "--net.norm", "batch"], []
    runs = [str(tmp_path / name) for name in ("a", "b", "c")]
    for out, data, seed in zip(runs, ("digits", "digits", other), ("0", "1", "0"), strict=True):
        assert main(["run", "dm:quick", "--data", data, "--ipc", "1", "--seed", seed, *small, "--out", out]) == 0
        figures.append(str(tmp_path / f"{out}-figures" / "f.json"))
        Path(figures[-1]).parent.mkdir()
        assert main(["evaluate", out, "--json", figures[-1]]) == 0
    unmeasured.clear()
    page_file = tmp_path / "page.html"
    words = ["--measure", "--repeats", "2", "-o", str(page_file)]
    assert main(["report", *runs, "--figures", *figures, *words]) == 0
    page = page_file.read_text()
    for name in (*figures, "measured for this report with --data digits", f"dm ({runs[0]})", f"dm ({runs[1]})"):
        assert f"{name}</h3>" in page or f"{name}, 1 per class</th>" in page, name
    *_, a, b, c = page.split("<article")
    for article, data in ((a, "digits"), (b, "digits"), (c, other)):
        assert f"run --recipe {tmp_path}" in article
        assert f"--data {data}" in article
        assert "nearest real image to" in article
    for condensed, data, net in unmeasured:  # the same network as in `evaluate`
        assert net.norm == "instance"
        assert condensed is None or condensed.data["fingerprint"] == data.train.fingerprint
    assert [condensed and condensed.recipe["name"] for condensed, *_ in unmeasured] == [
        *["random", "herding", "dm", "dm", None], *["random", "herding", "dm", None]
    ]  # fmt: skip
    capsys.readouterr()
    assert main(["report", *runs, "--data", other, "-o", str(page_file)]) == 0
    assert page_file.read_text().count("nearest real image to") == 3
    said = capsys.readouterr().err
    assert [f"beside those of {run}," in said for run in runs] == [True, True, False]


def test_whitened_sets_are_measured_and_made_again_whitened(tmp_path, unmeasured):
    out, file, page_file = str(tmp_path / "run"), tmp_path / "f.json", tmp_path / "page.html"
    words = ["--data", "digits", "--zca", "--ipc", "1", "--net.width", "4", "--steps", "1"]
    assert main(["run", "dm:quick", *words, "--out", out]) == 0
    for data in ([], ["--data", "digits"], ["--data", "digits", "--zca"]):
        unmeasured.clear()
        assert main(["evaluate", out, *data, "--repeats", "2", "--json", str(file)]) == 0
        mine, random = json.loads(file.read_text())["results"]
        assert (random["ipc"], random["bytes"]) == (4, mine["bytes"])  # a real image takes a byte per value
        assert unmeasured[0][0].space.whitening == unmeasured[1][0].space.whitening
    unmeasured.clear()
    assert main(["report", out, "--measure", "--repeats", "2", "-o", str(page_file)]) == 0
    page = page_file.read_text()
    assert re.search(r"run --recipe .* --data digits --zca --out", page)
    assert re.search("points (better|worse) than networks trained on random real images of 2,560 bytes", page)
    whitenings = [data.train.space.whitening for _, data, _ in unmeasured]
    assert len(whitenings) == 4
    assert all(each == cd.load(out).space.whitening for each in whitenings)


def test_records_of_others_are_shown_as_far_as_they_are_numbers(tmp_path):
    condensed = made("dm 2")
    path = save(condensed, tmp_path / "set.safetensors")
    (tmp_path / "run.json").write_text(json.dumps({"recipe": condensed.recipe, "seconds": "long"}))
    lines = [{"step": n, "loss": 2.0} for n in (1, 2, 3)]
    lines[1:1] = [{"step": 1, "loss": loss} for loss in (float("nan"), float("inf"), 10**400, "much")]
    for last in ("[]", "7", '["a"]', '{"step', "\xff"):
        (tmp_path / "metrics.jsonl").write_bytes("\n".join([*map(json.dumps, lines), last]).encode("latin1"))
        page = report([path])
        assert "<dt>seconds</dt><dd>not recorded</dd>" in page
        assert page.count("<circle") == 3


def test_intervals_end_where_accuracies_do():
    chart = bars("accuracies", [Bar("a", 98.0, 60.0), Bar("b", 10.0, 60.0)], "accuracy %", most=100)
    ends = [tuple(map(float, found)) for found in re.findall(r'interval" d="M([\d.]+) [\d.]+H([\d.]+)', chart)]
    left = float(re.search(r'class="bar" x="([\d.]+)"', chart)[1])
    assert ends[1][0] == pytest.approx(left, abs=0.1)
    assert ">120<" not in chart
    assert ends[0][1] < 640


def test_what_cannot_be_shown_is_not_measured(tmp_path, capsys, monkeypatch):
    out = str(tmp_path / "r")
    assert main(["run", "random", "--data", "digits", "--ipc", "1", "--net.width", "4", "--out", out]) == 0
    monkeypatch.setattr("condensery.cli.report._measure", lambda *given: pytest.fail("networks are trained"))
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "jinja2", None)
        assert main(["report", out, "--measure", "-o", str(tmp_path / "page.html")]) == 2
        assert "pip install jinja2" in capsys.readouterr().err
    monkeypatch.setattr("condensery.runs.condensed.Condensed.net", None)
    assert main(["report", out, "--measure", "-o", str(tmp_path / "page.html")]) == 2
    assert "user-defined network" in capsys.readouterr().err


@pytest.mark.usefixtures("stopped_at_the_second", "brief")
def test_measuring_that_is_stopped_leaves_a_page_of_what_was_measured(tmp_path):
    out, page = tmp_path / "r", tmp_path / "page.html"
    assert main(["run", "random", "--data", "digits", "--ipc", "1", "--net.width", "4", "--out", str(out)]) == 0
    words = ["--measure", "--protocol", "fixed-steps", "--repeats", "1"]
    assert main(["report", str(out), *words, "-o", str(page)]) == 0
    assert "measured for this report" in page.read_text()
