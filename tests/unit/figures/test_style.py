import os
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from carryover.figures import style

DRAW = """
import sys
from pathlib import Path
import numpy as np
from carryover.figures import style

@style.house_style()
def draw():
    figure, (left, right) = style.new_figure(style.PAGE, 2.5, 1, 2)
    x = np.arange(4.0)
    for name, look in style.METHODS.items():
        style.line_with_band(left, x, x / 10, x / 50, look)
    style.points_with_bars(right, x, x, x / 5, style.series(0, "ε ≤ δ"))
    style.percent_axis(left, "test accuracy")
    left.legend()
    style.note(figure, "n = 5 seeds; band: one standard deviation")
    return figure

style.save_figure(draw(), Path(sys.argv[1], "figure.pdf"), Path(sys.argv[1], "figure.png"))
assert "matplotlib.pyplot" not in sys.modules
"""


def drawn_in_a_fresh_process(folder: Path, hash_seed: str) -> dict[str, bytes]:
    folder.mkdir()
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "MPLCONFIGDIR": str(folder)}
    (folder / "matplotlibrc").write_text("lines.linewidth: 9\nfont.size: 20\nsavefig.bbox: tight\n")
    subprocess.run([sys.executable, "-c", DRAW, str(folder)], env=environment, check=True)
    return {path.suffix: path.read_bytes() for path in folder.glob("figure.*")}


def empty_figure():
    with style.house_style():
        return style.new_figure(style.COLUMN, 2.0)


def test_a_figure_has_the_same_bytes_in_every_process_and_without_pyplot(tmp_path):
    first = drawn_in_a_fresh_process(tmp_path / "first", "1")
    second = drawn_in_a_fresh_process(tmp_path / "second", "2")
    assert set(first) == {".pdf", ".png"}
    assert first == second


def test_files_do_not_say_when_or_by_what_they_were_made(tmp_path):
    figure, _ = empty_figure()
    style.save_figure(figure, tmp_path / "a.pdf", tmp_path / "a.png")
    pdf, png = (tmp_path / "a.pdf").read_bytes(), (tmp_path / "a.png").read_bytes()
    assert pdf.startswith(b"%PDF")
    assert not any(word in pdf for word in (b"CreationDate", b"Producer", b"Creator", b"Matplotlib"))
    assert png.startswith(b"\x89PNG")
    assert not any(word in png for word in (b"Software", b"Matplotlib", b"tIME"))


def test_a_png_has_300_dots_per_inch_of_the_stated_width(tmp_path):
    figure, _ = empty_figure()
    style.save_figure(figure, tmp_path / "a.pdf", tmp_path / "a.png")
    width, height = np.frombuffer((tmp_path / "a.png").read_bytes()[16:24], dtype=">u4")
    assert (width, height) == (3.25 * 300, 600)


def test_a_failed_save_leaves_no_file(tmp_path):
    figure, (axis,) = empty_figure()
    axis.set_title(r"$\nonsense$")
    with pytest.raises(ValueError, match="nonsense"):
        style.save_figure(figure, tmp_path / "a.pdf", tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_the_house_style_ends_with_its_block():
    before = dict(matplotlib.rcParams.copy())
    with style.house_style():
        assert matplotlib.rcParams["font.size"] == 8
    assert dict(matplotlib.rcParams.copy()) == before


def test_settings_of_the_user_do_not_reach_a_figure():
    with matplotlib.rc_context({"axes.facecolor": "red", "font.size": 30}):
        _, (axis,) = style.new_figure(style.COLUMN, 2.0)
        assert axis.get_facecolor() == (1, 1, 1, 1)
        assert axis.xaxis.label.get_fontsize() == 8
        assert matplotlib.rcParams["font.size"] == 30


def test_a_figure_has_one_of_two_widths():
    with pytest.raises(AssertionError, match=r"3\.25 or 6\.75"):
        style.new_figure(5.0, 2.0)


def test_panels_come_row_by_row():
    figure, axes = style.new_figure(style.PAGE, 4.0, 2, 3)
    assert axes == figure.axes
    assert len(axes) == 6


def test_no_two_methods_and_no_method_and_series_look_alike():
    looks = [*style.ITERAND.values(), *(style.series(index, "") for index in range(6))]
    assert len({(look.color, look.marker) for look in looks}) == len(looks)
    methods = {look.color for look in style.ITERAND.values()}
    assert len(methods) == len(style.ITERAND)
    assert not methods & {style.series(index, "").color for index in range(6)}


def test_methods_of_learning_transfer_differ_in_colour_and_marker_and_those_of_one_colour_in_their_line():
    looks = list(style.TRANSFER.values())
    assert len({(look.color, look.marker) for look in looks}) == len(looks)
    assert len({(look.color, look.line) for look in looks}) == len(looks)


def test_every_method_of_all_papers_has_a_key_and_a_label_of_its_own():
    assert {**style.ITERAND, **style.TRANSFER} == style.METHODS
    assert len(style.METHODS) == len(style.ITERAND) + len(style.TRANSFER)
    assert len({look.label for look in style.METHODS.values()}) == len(style.METHODS)


def test_a_band_is_one_standard_deviation_to_both_sides():
    _, (axis,) = empty_figure()
    mean, sd = np.array([1.0, 2.0]), np.array([0.25, 0.5])
    style.line_with_band(axis, np.array([0, 1]), mean, sd, style.METHODS["iterand-ku"])
    (band,) = axis.collections
    corners = {tuple(corner) for corner in band.get_paths()[0].vertices.tolist()}
    assert {(0.0, 0.75), (0.0, 1.25), (1.0, 1.5), (1.0, 2.5)} <= corners
    assert axis.lines[0].get_ydata().tolist() == [1.0, 2.0]
    assert axis.get_legend_handles_labels()[1] == ["IteRand (KU)"]


def test_a_single_seed_has_a_line_and_no_band(tmp_path):
    figure, (axis,) = empty_figure()
    nothing = np.full(2, np.nan)
    style.line_with_band(axis, np.array([0, 1]), np.array([1.0, 2.0]), nothing, style.METHODS["dense"])
    style.save_figure(figure, tmp_path / "a.pdf", tmp_path / "a.png")
    assert axis.collections[0].get_paths() == [] or len(axis.collections[0].get_paths()[0].vertices) == 0


def test_percent_appears_only_on_the_axis():
    figure, (axis,) = empty_figure()
    axis.plot([0, 1], [0.5, 1.0])
    axis.set_yticks([0.5, 1.0])
    style.percent_axis(axis, "test accuracy")
    figure.draw_without_rendering()
    assert axis.get_ylabel() == "test accuracy (%)"
    assert [label.get_text() for label in axis.get_yticklabels()] == ["50", "100"]
    assert axis.lines[0].get_ydata().tolist() == [0.5, 1.0]


def test_ticks_between_whole_percents_keep_their_decimals_and_no_more():
    figure, (axis,) = empty_figure()
    axis.set_yticks([0.925, 0.93, 0.00013])
    style.percent_axis(axis, "")
    figure.draw_without_rendering()
    assert axis.get_ylabel() == ""
    assert [label.get_text() for label in axis.get_yticklabels()] == ["92.5", "93", "0.013"]


def test_shades_of_a_method_run_from_light_to_dark_and_differ_in_markers():
    looks = style.shades(style.METHODS["iterand-ku"], ["a", "b", "c"])
    lightness = [sum(to_rgb(look.color)) for look in looks]
    assert lightness == sorted(lightness, reverse=True)
    assert len({look.marker for look in looks}) == 3
    assert [look.label for look in looks] == ["a", "b", "c"]


def test_n_is_written_only_where_seeds_are_missing_but_not_all():
    _, (axis,) = empty_figure()
    style.mark_fewer(axis, np.arange(4.0), np.ones(4), np.array([5, 3, 0, 5]), 5)
    assert [(text.get_text(), text.xy) for text in axis.texts] == [("n = 3", (1.0, 1.0))]


def test_the_legend_above_names_each_method_once_and_in_order():
    with style.house_style():
        figure, axes = style.new_figure(style.PAGE, 2.0, 1, 2)
        for axis in axes:
            for arm in ("iterand-sc", "dense"):
                axis.plot([0, 1], [0, 1], **style.METHODS[arm].drawn())
        style.legend_above(figure, 5)
        figure.draw_without_rendering()
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["weight training", "IteRand (SC)"]
    assert not any(legend.get_window_extent().overlaps(axis.get_tightbbox()) for axis in axes)


def test_published_values_are_open_markers_and_say_so():
    _, (axis,) = empty_figure()
    style.published_marker(axis, 1.0, 0.9, style.METHODS["popup-sc"])
    (line,) = axis.lines
    assert line.get_markerfacecolor() == "white"
    assert line.get_linestyle() == "None"
    assert line.get_label() == "edge-popup (SC), published"


@pytest.mark.parametrize("width", [style.COLUMN, style.PAGE])
def test_a_long_note_meets_no_panel_and_stays_on_the_page(width):
    with style.house_style():
        figure, (axis,) = style.new_figure(width, 3.0)
        axis.set_xlabel("width")
        axis.set_ylabel("accuracy (%)")
        style.note(figure, "mean and standard deviation over 5 seeds, 1,000 WIDE MARKS MWMW; " * 6)
        figure.draw_without_rendering()
        (note,) = figure.texts
        box = note.get_window_extent()
        assert not box.overlaps(axis.get_tightbbox())
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.width


def test_an_empty_panel_says_why():
    figure, (axis,) = empty_figure()
    style.empty_panel(axis, "no run of this study has a convolutional network")
    figure.draw_without_rendering()
    assert " ".join(axis.texts[0].get_text().split()) == "no run of this study has a convolutional network"
    assert not axis.get_xticklabels()
