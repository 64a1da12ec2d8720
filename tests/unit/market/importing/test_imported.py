"""What an import shows in a notebook."""

from sizewise.market.importing.imported import How
from sizewise.market.importing.reading import understand


def test_a_notebook_gets_a_table_and_a_picture(layouts):
    html = understand([layouts / "BTC_USDT-1h.json"])._repr_html_()
    assert "<tr><th>layout</th><td>freqtrade JSON</td></tr>" in html
    assert html.count("<polyline") == 1
    assert "2019-12-04 07:00" in html


def test_texts_of_files_are_escaped(tmp_path, layouts):
    path = tmp_path / "<b>x.csv"
    path.write_text((layouts / "spy_us_d.csv").read_text().replace("2020-03-02", "2020-03-04"))
    imported = understand([path], How())
    assert imported.refused
    html = imported._repr_html_()
    assert "<b>x" not in html
    assert "&lt;b&gt;x.csv" in html
