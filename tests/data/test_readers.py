"""Tables by name. OpenML's own client runs against a server on this machine that answers as OpenML does."""

from __future__ import annotations

import bz2
import gzip
import http.server
import lzma
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from autopytorch_lite.data import readers
from autopytorch_lite.data.csv_files import find_separator, read_csv
from autopytorch_lite.data.readers import SKLEARN_SETS, read_table
from autopytorch_lite.errors import DataError, MissingExtraError, UnknownNameError

TEXT = "age,job,label\n30,clerk,yes\n41,nurse,no\n,clerk,yes\n"


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_csv(tmp_path):
    X, y, name = read_table(str(write(tmp_path / "t.csv", TEXT)), "label")
    assert name == "label" and y is not None and y.tolist() == ["yes", "no", "yes"]
    assert X.columns.tolist() == ["age", "job"]
    np.testing.assert_array_equal(X["age"], [30, 41, np.nan])
    whole, nothing, no_name = read_table(tmp_path / "t.csv")
    assert whole.shape == (3, 3) and nothing is None and no_name is None


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separators(tmp_path, separator):
    text = TEXT.replace(",", separator).replace("clerk", '"a, b; c"')
    assert read_csv(write(tmp_path / "t.txt", text)).shape == (3, 3)


def test_separator_needs_lines_of_equal_length():
    assert find_separator(["a;b", "1,5;2,5", "1,5;2"]) == ";"
    assert find_separator(["one", "two"]) == ","


@pytest.mark.parametrize(
    ("suffix", "compress"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)]
)
def test_compressed(tmp_path, suffix, compress):
    assert read_csv(write(tmp_path / f"t.csv{suffix}", compress(TEXT.encode()))).shape == (3, 3)
    with pytest.raises(DataError, match=f"t2.csv{suffix} cannot be read"):
        read_csv(write(tmp_path / f"t2.csv{suffix}", TEXT))


def test_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("inside.csv", TEXT)
    assert read_csv(tmp_path / "t.zip").shape == (3, 3)
    with zipfile.ZipFile(tmp_path / "t.zip", "a") as archive:
        archive.writestr("more.csv", TEXT)
    with pytest.raises(DataError, match="exactly one table, it holds 2 files"):
        read_csv(tmp_path / "t.zip")


def test_question_marks_are_missing_among_numbers_only(tmp_path):
    frame = read_csv(write(tmp_path / "t.csv", "n, job, all\n1, ?, ?\n?, clerk, ?\n2.5, nurse, ?\n"))
    np.testing.assert_array_equal(frame["n"], [1, np.nan, 2.5])
    assert frame["job"].tolist() == ["?", "clerk", "nurse"]
    assert frame["all"].tolist() == ["?", "?", "?"]


def test_dates(tmp_path):
    text = "day,moment,zoned,not\n2020-01-01,2020-01-01 10:00,2020-01-01T10:00+02:00,2020-01-01\n,2021-01-01T11:30,,x\n"
    frame = read_csv(write(tmp_path / "t.csv", text))
    assert frame["day"].isna().tolist() == [False, True]
    assert frame["moment"][1] == pd.Timestamp("2021-01-01 11:30")
    assert frame["zoned"][0] == pd.Timestamp("2020-01-01 08:00", tz="UTC")
    assert frame["not"].tolist() == ["2020-01-01", "x"]
    invalid = read_csv(write(tmp_path / "t2.csv", "day,x\n2020-02-30,1\n2020-02-01,2\n"))
    assert invalid["day"].tolist() == ["2020-02-30", "2020-02-01"]


def test_decimal_commas(tmp_path):
    frame = read_csv(write(tmp_path / "t.csv", "a;b\n1,5;x\n2;y\n"))
    assert frame["a"].tolist() == [1.5, 2.0]
    frame = read_csv(write(tmp_path / "t.csv", "a;b\n1,5;0.5\n2;0.25\n"))
    assert frame["a"].tolist() == ["1,5", "2"] and frame["b"].tolist() == [0.5, 0.25]


def test_row_numbers_without_a_name_are_left_out(tmp_path):
    assert read_csv(write(tmp_path / "t.csv", ",a\n0,5\n1,7\n")).columns.tolist() == ["a"]
    assert read_csv(write(tmp_path / "t.csv", ",a\n3,5\n1,7\n")).columns.tolist() == ["Unnamed: 0", "a"]


def test_encodings(tmp_path):
    assert read_csv(write(tmp_path / "t.csv", "straße,a\nü,1\n".encode("latin-1"))).columns[0] == "straße"
    assert read_csv(write(tmp_path / "t.csv", "\ufeffstraße,a\nü,1\n")).columns[0] == "straße"


def test_a_long_file_is_sniffed_on_whole_lines(tmp_path):
    rows = "".join(f"{i};text, with commas {i}\n" for i in range(20_000))
    assert read_csv(write(tmp_path / "t.csv", "n;t\n" + rows)).shape == (20_000, 2)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty"),
        (" \n\n", "is empty"),
        ("a,b\n", "has a header line but no rows"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "is a binary file"),
        ("<!DOCTYPE html>\n<html><body>404</body></html>", "is a web page"),
        ("\n <html lang='en'>", "is a web page"),
        ("a,b\n1,2\n1,2,3,4\n", "is no regular table"),
        ("a,b\n1,2,3\n1,2,3\n", "is no regular table"),
        ('a,b\n"1,2\n3,4\n', "is no regular table"),
        ("a,b,a\n1,2,3\n", "'a' 2 times"),
    ],
)
def test_files_that_are_no_table(tmp_path, content, words):
    path = write(tmp_path / "t.csv", content)
    with pytest.raises(DataError, match=words) as caught:
        read_table(str(path), "b")
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(DataError, match=r"There is no file .*none.csv"):
        read_table(str(tmp_path / "none.csv"), "y")
    with pytest.raises(DataError, match="cannot be read"):
        read_table(str(tmp_path), "y")


def test_target_that_is_not_there(tmp_path):
    path = write(tmp_path / "t.csv", TEXT)
    with pytest.raises(UnknownNameError, match="'lable'; did you mean 'label'"):
        read_table(path, "lable")
    with pytest.raises(DataError, match="'only' is its only one"):
        read_table(write(path, "only\n1\n2\n"), "only")


@pytest.mark.parametrize("suffix", [".parquet", ".pq"])
def test_parquet(tmp_path, suffix):
    frame = pd.DataFrame({"a": [1, 2], "c": pd.Categorical(["x", "y"]), "label": ["no", "yes"]})
    frame.to_parquet(tmp_path / f"t{suffix}")
    X, y, _ = read_table(tmp_path / f"t{suffix}", "label")
    assert y is not None and y.tolist() == ["no", "yes"]
    assert isinstance(X["c"].dtype, pd.CategoricalDtype)
    with pytest.raises(DataError, match="cannot be read as parquet"):
        read_table(write(tmp_path / f"no{suffix}", TEXT), "label")
    with pytest.raises(DataError, match="cannot be read as parquet"):
        read_table(tmp_path / f"none{suffix}", "label")


def test_parquet_without_pyarrow(monkeypatch):
    monkeypatch.setattr(readers.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"autopytorch-lite\[parquet\]"):
        read_table("t.parquet", "y")


@pytest.mark.parametrize("name", SKLEARN_SETS)
def test_bundled_sets(name):
    X, y, target = read_table(f"sklearn:{name}")
    assert len(X) == len(y) and X.shape[1] > 1 and y.notna().all() and target not in X


def test_bundled_sets_by_another_target_and_unknown_ones():
    X, y, target = read_table("sklearn:iris", "petal width (cm)")
    assert target == "petal width (cm)" and y.dtype == float
    assert set(X["target"]) == {"setosa", "versicolor", "virginica"}
    with pytest.raises(UnknownNameError, match="'irsi'; did you mean 'iris'"):
        read_table("sklearn:irsi")


TASK = """<oml:task xmlns:oml="http://openml.org/openml">
<oml:task_id>{id}</oml:task_id><oml:task_name>Task {id}</oml:task_name>
<oml:task_type_id>{type_id}</oml:task_type_id><oml:task_type>Supervised Classification</oml:task_type>
<oml:input name="source_data"><oml:data_set><oml:data_set_id>61</oml:data_set_id>
<oml:target_feature>play</oml:target_feature></oml:data_set></oml:input>
<oml:input name="estimation_procedure"><oml:estimation_procedure><oml:id>1</oml:id><oml:type>crossvalidation</oml:type>
<oml:data_splits_url>{url}/splits.arff</oml:data_splits_url>
<oml:parameter name="number_repeats">1</oml:parameter><oml:parameter name="number_folds">10</oml:parameter>
</oml:estimation_procedure></oml:input>
<oml:input name="cost_matrix"><oml:cost_matrix/></oml:input>
<oml:input name="evaluation_measures"><oml:evaluation_measures><oml:evaluation_measure/></oml:evaluation_measures>
</oml:input>
</oml:task>"""
CLUSTERING = """<oml:task xmlns:oml="http://openml.org/openml">
<oml:task_id>9</oml:task_id><oml:task_type_id>5</oml:task_type_id><oml:task_type>Clustering</oml:task_type>
<oml:input name="source_data"><oml:data_set><oml:data_set_id>61</oml:data_set_id></oml:data_set></oml:input>
<oml:input name="estimation_procedure"><oml:estimation_procedure><oml:id>17</oml:id></oml:estimation_procedure>
</oml:input>
</oml:task>"""
DESCRIPTION = """<oml:data_set_description xmlns:oml="http://openml.org/openml">
<oml:id>61</oml:id><oml:name>weather</oml:name><oml:version>1</oml:version><oml:description>Weather.</oml:description>
<oml:format>ARFF</oml:format><oml:upload_date>2014-04-06T23:22:13</oml:upload_date><oml:licence>Public</oml:licence>
<oml:url>{url}/data/weather.arff</oml:url><oml:file_id>61</oml:file_id>
<oml:default_target_attribute>play</oml:default_target_attribute><oml:row_id_attribute>row</oml:row_id_attribute>
<oml:ignore_attribute>note</oml:ignore_attribute>
<oml:visibility>public</oml:visibility><oml:status>active</oml:status>
</oml:data_set_description>"""
COLUMNS = (("row", "numeric"), ("outlook", "nominal"), ("wind", "numeric"), ("note", "string"), ("play", "nominal"))
FEATURE = """<oml:feature><oml:index>{i}</oml:index><oml:name>{name}</oml:name><oml:data_type>{kind}</oml:data_type>
<oml:is_target>{is_target}</oml:is_target><oml:is_ignore>false</oml:is_ignore>
<oml:is_row_identifier>false</oml:is_row_identifier>
<oml:number_of_missing_values>0</oml:number_of_missing_values>{values}</oml:feature>"""
VALUES = {"outlook": ("sunny", "rainy"), "play": ("no", "yes")}
ARFF = """@RELATION weather
@ATTRIBUTE row NUMERIC
@ATTRIBUTE outlook {sunny, rainy}
@ATTRIBUTE wind REAL
@ATTRIBUTE note STRING
@ATTRIBUTE play {no, yes}
@DATA
1,sunny,1.5,'a',no
2,rainy,?,'b',yes
3,?,3.25,'c',yes
"""
UNKNOWN = """<oml:error xmlns:oml="http://openml.org/openml"><oml:code>151</oml:code>
<oml:message>Unknown task</oml:message></oml:error>"""


def features() -> str:
    rows = [
        FEATURE.format(
            i=i,
            name=name,
            kind=kind,
            is_target=str(name == "play").lower(),
            values="".join(f"<oml:nominal_value>{value}</oml:nominal_value>" for value in VALUES.get(name, ())),
        )
        for i, (name, kind) in enumerate(COLUMNS)
    ]
    return f'<oml:data_features xmlns:oml="http://openml.org/openml">{"".join(rows)}</oml:data_features>'


class OpenMLHandler(http.server.BaseHTTPRequestHandler):
    """Answers of OpenML's XML interface for task 31, task 9 and data set 61."""

    asked: list[str] = []

    def do_GET(self) -> None:
        url = f"http://{self.headers['Host']}"
        answers = {
            "/api/v1/xml/task/31": TASK.format(id=31, type_id=1, url=url),
            "/api/v1/xml/task/9": CLUSTERING,
            "/api/v1/xml/data/61": DESCRIPTION.format(url=url),
            "/api/v1/xml/data/features/61": features(),
            "/data/weather.arff": ARFF,
        }
        path = self.path.split("?")[0]
        self.asked.append(path)
        body = answers.get(path, UNKNOWN).encode()
        self.send_response(200 if path in answers else 412)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Tests print nothing."""


@pytest.fixture
def openml_server(tmp_path, monkeypatch) -> Iterator[list[str]]:
    """The paths asked for, while the client is pointed at a server in a thread and a cache in a temporary folder."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "OPENML_CACHE_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    import openml

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), OpenMLHandler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setattr(openml.config, "server", f"http://127.0.0.1:{server.server_port}/api/v1/xml")
    monkeypatch.setattr(openml.config, "_root_cache_directory", tmp_path / "cache")
    monkeypatch.setattr(openml.config, "connection_n_retries", 1)
    monkeypatch.setattr(OpenMLHandler, "asked", [])
    yield OpenMLHandler.asked
    server.shutdown()
    server.server_close()
    thread.join()


def test_openml_task(openml_server):
    X, y, target = read_table("openml:31")
    assert target == "play" and y is not None and y.tolist() == ["no", "yes", "yes"]
    assert X.columns.tolist() == ["outlook", "wind"]
    assert X["outlook"].isna().tolist() == [False, False, True]
    assert isinstance(X["outlook"].dtype, pd.CategoricalDtype) and isinstance(y.dtype, pd.CategoricalDtype)
    np.testing.assert_array_equal(X["wind"], [1.5, np.nan, 3.25])
    n_asked = len(openml_server)
    again, _, _ = read_table("openml:31")
    pd.testing.assert_frame_equal(again, X)
    assert "/data/weather.arff" in openml_server and "/data/weather.arff" not in openml_server[n_asked:]


def test_openml_task_with_another_target(openml_server):
    X, y, target = read_table("openml:31", "wind")
    assert target == "wind" and X.columns.tolist() == ["outlook", "play"] and y is not None and y[0] == 1.5


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("openml:404", "OpenML task 404 cannot be read: .*Unknown task"),
        ("openml:9", "OpenML task 9 must be a classification or regression task"),
        ("openml:adult", "named by its number, as in 'openml:31'; got 'openml:adult'"),
        ("openml:", "named by its number"),
    ],
)
def test_openml_tasks_that_cannot_be_used(openml_server, source, words):
    with pytest.raises(DataError, match=words) as caught:
        read_table(source)
    assert "\n" not in str(caught.value)


def test_openml_server_that_is_not_there(openml_server, monkeypatch):
    import openml

    monkeypatch.setattr(openml.config, "server", "http://127.0.0.1:9/api/v1/xml")
    with pytest.raises(DataError, match="OpenML task 31 cannot be read") as caught:
        read_table("openml:31")
    assert "\n" not in str(caught.value)
