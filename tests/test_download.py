"""Downloads, from a server on this machine: whole and right, or not at all."""

import gzip
import hashlib
import io
import socket
import tarfile
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from naive import cifar_bytes, idx_bytes
from processes import LIMIT

from asapnb.data import catalogue, download, load_dataset
from asapnb.data.catalogue import Source
from asapnb.errors import DataError, UsageError

IDX = {
    "images": idx_bytes(np.arange(4 * 6).reshape(4, 2, 3)),
    "labels": idx_bytes(np.array([0, 1, 2, 1])),
    "t-images": idx_bytes(np.arange(2 * 6).reshape(2, 2, 3)),
    "t-labels": idx_bytes(np.array([2, 0])),
}
CIFAR = {name: cifar_bytes(np.full((1, 3, 32, 32), i), [i]) for i, name in enumerate(["a.bin", "b.bin", "c.bin"])}


def tar(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in {**files, "readme.html": b"not data"}.items():
            member = tarfile.TarInfo(f"some-folder/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


SERVED = {**{f"{name}.gz": gzip.compress(content) for name, content in IDX.items()}, "all.tar.gz": tar(CIFAR)}


class Handler(BaseHTTPRequestHandler):
    """/good/FILE is right, /wrong/FILE is other bytes, /short/FILE breaks off, all else is missing."""

    def do_GET(self):
        self.server.requests.append(self.path)
        _, kind, name = self.path.split("/")
        content = SERVED.get(name, b"")
        self.send_response(200 if kind in ("good", "wrong", "short") else 404)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write({"good": content, "wrong": content[::-1], "short": content[:-5]}.get(kind, b""))

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.requests = []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join(LIMIT)


@pytest.fixture
def mirrors(server, tmp_path, monkeypatch):
    """Makes `idx` and `cifar` known, served by these kinds of mirror; $ASAPNB_DATA is an empty folder."""
    monkeypatch.setenv("ASAPNB_DATA", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "*")
    url = f"http://127.0.0.1:{server.server_port}"

    def choose(*kinds):
        idx = Source(
            "idx",
            (1, 2, 3),
            (4, 2),
            tuple("abc"),
            folders=("idx-files",),
            files=({"images": (4, 2, 3), "labels": (4,)}, {"t-images": (2, 2, 3), "t-labels": (2,)}),
            mirrors=tuple(kind if "://" in kind else f"{url}/{kind}/" for kind in kinds),
            downloads={f"{name}.gz": hashlib.sha256(SERVED[f"{name}.gz"]).hexdigest() for name in IDX},
        )
        cifar = replace(
            idx,
            name="cifar",
            shape=(3, 32, 32),
            folders=("bin-files",),
            files=({"a.bin": (1, 3073), "b.bin": (1, 3073)}, {"c.bin": (1, 3073)}),
            downloads={"all.tar.gz": hashlib.sha256(SERVED["all.tar.gz"]).hexdigest()},
        )
        monkeypatch.setattr(catalogue, "SOURCES", {"idx": idx, "cifar": cifar})

    return choose


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("kinds", [("good",), ("missing", "good"), ("wrong", "good"), ("short", "good")], ids=str)
def test_the_first_right_answer_is_kept(mirrors, server, tmp_path, capfd, kinds):
    mirrors(*kinds)
    folder = download("idx")
    assert folder == tmp_path / "idx-files"
    assert content(folder) == {name: SERVED[name] for name in SERVED if name != "all.tar.gz"}
    assert load_dataset("idx").train.raw.ravel().tolist() == list(range(24))

    folder = download("cifar", tmp_path / "elsewhere")
    assert folder == tmp_path / "elsewhere" / "bin-files"
    assert content(folder) == CIFAR
    assert load_dataset("cifar", tmp_path / "elsewhere").train.labels.tolist() == [0, 1]

    assert len(server.requests) == 5 * len(kinds)
    assert download("cifar", tmp_path / "elsewhere") == folder  # nothing more to fetch
    assert len(server.requests) == 5 * len(kinds)
    assert capfd.readouterr() == ("", "")


def test_every_mirror_failing_is_told(mirrors, server, tmp_path):
    with socket.socket() as taken:  # bound and not listening: refuses
        taken.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        mirrors("missing", "wrong", closed)
        with pytest.raises(DataError, match=r"no mirror gave images.gz of idx") as error:
            download("idx")
    text = str(error.value)
    assert "/missing/images.gz: 404" in text
    assert "/wrong/images.gz: SHA-256" in text
    assert f"{closed}images.gz: " in text
    assert content(tmp_path / "idx-files") == {}


def test_only_what_is_not_valid_is_replaced(mirrors, server, tmp_path):
    mirrors("good")
    folder = tmp_path / "idx-files"
    folder.mkdir()
    own = gzip.compress(IDX["images"], mtime=1)  # valid, with another checksum than the served one
    (folder / "images.gz").write_bytes(own)
    (folder / "labels").write_bytes(IDX["labels"][:-1] + b"\x09")  # plain and broken
    (folder / "t-images.gz").write_bytes(SERVED["t-images.gz"][:-9])
    (folder / "notes.txt").write_text("mine")
    download("idx")
    assert [path.split("/")[-1] for path in server.requests] == ["labels.gz", "t-images.gz", "t-labels.gz"]
    assert content(folder) == {
        "images.gz": own,
        "notes.txt": b"mine",
        **{name: SERVED[name] for name in ("labels.gz", "t-images.gz", "t-labels.gz")},
    }

    folder = tmp_path / "bin-files"
    folder.mkdir()
    (folder / "a.bin").write_bytes(CIFAR["b.bin"])  # a valid batch, if not the served one
    (folder / "b.bin").write_bytes(b"broken")
    download("cifar")
    assert content(folder) == {**CIFAR, "a.bin": CIFAR["b.bin"]}


def test_two_downloads_at_once_leave_whole_files(mirrors, server, tmp_path):
    mirrors("good")
    (tmp_path / "idx-files/images").mkdir(parents=True)  # a folder in the place of a file stays
    with ThreadPoolExecutor(4) as pool:
        folders = [pool.submit(download, name).result for name in ("idx", "idx", "cifar", "cifar")]
        assert {folder(LIMIT) for folder in folders} == {tmp_path / "idx-files", tmp_path / "bin-files"}
    (tmp_path / "idx-files/images").rmdir()
    assert content(tmp_path / "idx-files") == {name: SERVED[name] for name in SERVED if name != "all.tar.gz"}
    assert content(tmp_path / "bin-files") == CIFAR


def test_a_place_that_cannot_be_written(mirrors, server, tmp_path):
    mirrors("good")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"cannot write idx to .*file.*; choose another folder"):
        download("idx", tmp_path / "file")
    assert server.requests == []


def test_the_progress_bar_goes_to_stderr(mirrors, capfd):
    mirrors("good")
    download("idx", progressbar=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "t-labels.gz" in err


def test_unknown_name():
    with pytest.raises(UsageError, match=r"unknown data set 'cifar-10'.*Did you mean 'cifar10'"):
        download("cifar-10")
