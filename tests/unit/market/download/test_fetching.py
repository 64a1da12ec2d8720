"""A file comes whole and checked or not at all, over a source that fails in every way it can."""

import hashlib

import pytest

from sizewise.base.errors import DownloadError
from sizewise.market.download import fetching
from sizewise.market.download.fetching import Fetcher, file_sha256

from ....hand_vendor import Cut, Other, Refusal

BODY = bytes(range(256)) * 2000
SHA256 = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def file(vendor):
    """The address of a file of 512,000 bytes."""
    vendor.files["/a.zip"] = BODY
    return f"{vendor.url}/a.zip"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "raw" / "a.zip"


def only(path):
    """What lies in the folder of `path`."""
    return sorted(found.name for found in path.parent.iterdir())


def test_a_file_is_saved_whole(fetcher, file, path):
    assert fetcher.save(file, path, sha256=SHA256)
    assert path.read_bytes() == BODY
    assert only(path) == ["a.zip"]
    assert fetcher.n_fetched == 1


def test_there_may_be_no_file(fetcher, vendor, path):
    assert not fetcher.save(f"{vendor.url}/b.zip", path, sha256=SHA256)
    assert fetcher.read(f"{vendor.url}/b.zip") is None
    assert only(path) == []
    assert fetcher.n_fetched == 0


@pytest.mark.parametrize("status", [429, 418])
def test_retry_after_is_honoured(fetcher, vendor, file, path, clock, status):
    vendor.faults["/a.zip"] = [Refusal(status, (("Retry-After", "17"),)), Refusal(status, (("Retry-After", "3"),))]
    assert fetcher.save(file, path, sha256=SHA256)
    assert clock.slept == [17.0, 3.0]
    assert "too many requests" in clock.said[0]


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408])
def test_a_source_that_is_not_ready_is_asked_again(fetcher, vendor, file, path, clock, status):
    vendor.faults["/a.zip"] = [Refusal(status)] * 3
    assert fetcher.save(file, path, sha256=SHA256)
    assert [0.5, 1.0, 2.0] < clock.slept < [1.0, 2.0, 4.0]


def test_a_source_that_is_never_ready_is_given_up(fetcher, vendor, file, path):
    vendor.faults["/a.zip"] = [Refusal(503)] * 20
    with pytest.raises(DownloadError, match=r"not ready \(status 503\) \(6 tries\)"):
        fetcher.save(file, path, sha256=SHA256)
    assert only(path) == []
    assert len(vendor.asked) == 6


def test_a_refusal_is_not_tried_again(fetcher, vendor, file, path):
    vendor.faults["/a.zip"] = [Refusal(451)]
    with pytest.raises(DownloadError, match="status 451"):
        fetcher.save(file, path, sha256=SHA256)
    assert len(vendor.asked) == 1


def test_a_cut_connection_is_gone_on_from(fetcher, vendor, file, path):
    vendor.faults["/a.zip"] = [Cut(204_800), Cut(102_400)]
    assert fetcher.save(file, path, sha256=SHA256)
    assert path.read_bytes() == BODY
    assert vendor.asked == [("/a.zip", None), ("/a.zip", "bytes=204800-"), ("/a.zip", "bytes=307200-")]


def test_a_source_without_ranges_begins_anew(fetcher, vendor, file, path):
    vendor.ranges = False
    vendor.faults["/a.zip"] = [Cut(204_800)]
    assert fetcher.save(file, path, sha256=SHA256)
    assert path.read_bytes() == BODY


def test_a_run_that_was_given_up_is_gone_on_from(fetcher, vendor, file, path, clock):
    vendor.faults["/a.zip"] = [Cut(40_960)] * 6
    with pytest.raises(DownloadError, match="the connection was cut"):
        fetcher.save(file, path, sha256=SHA256)
    assert only(path) == ["a.zip.part"]
    assert Fetcher(clock.patience(), fetcher.session).save(file, path, sha256=SHA256)
    assert vendor.asked[-1] == ("/a.zip", "bytes=245760-")
    assert path.read_bytes() == BODY


def test_an_interrupt_leaves_what_can_be_gone_on_from(fetcher, vendor, file, path, clock):
    def interrupted(seconds):
        raise KeyboardInterrupt

    vendor.faults["/a.zip"] = [Cut(122_880 + 77)]
    hasty = Fetcher(clock.patience(sleep=interrupted), fetcher.session)
    with pytest.raises(KeyboardInterrupt):
        hasty.save(file, path, sha256=SHA256)
    assert only(path) == ["a.zip.part"]
    assert fetcher.save(file, path, sha256=SHA256)
    assert vendor.asked[-1] == ("/a.zip", "bytes=122880-")


def test_a_part_that_is_whole_is_not_asked_for(fetcher, vendor, file, path):
    path.parent.mkdir()
    path.with_name("a.zip.part").write_bytes(BODY)
    assert fetcher.save(file, path, sha256=SHA256)
    assert vendor.asked == []
    assert only(path) == ["a.zip"]


@pytest.mark.parametrize("part", [BODY + b"more", BODY[:-1] + b"?", b"?" * 1000], ids=["longer", "as long", "shorter"])
def test_a_part_of_something_else_is_thrown_away(fetcher, file, path, part):
    path.parent.mkdir()
    path.with_name("a.zip.part").write_bytes(part)
    assert fetcher.save(file, path, sha256=SHA256)
    assert path.read_bytes() == BODY


def test_a_wrong_checksum_is_tried_again(fetcher, vendor, file, path, clock):
    vendor.faults["/a.zip"] = [Other(b"something else")]
    assert fetcher.save(file, path, sha256=SHA256)
    assert path.read_bytes() == BODY
    assert "wrong checksum" in clock.said[0]


def test_a_wrong_checksum_is_refused_in_the_end(fetcher, vendor, file, path):
    with pytest.raises(DownloadError, match=r"wrong checksum: sha256 is .{12}\.\., published is 0{12}\.\. \(6 tries\)"):
        fetcher.save(file, path, sha256="0" * 64)
    assert only(path) == []


def test_a_file_that_is_there_stays_until_the_new_one_is_whole(fetcher, vendor, file, path):
    path.parent.mkdir()
    path.write_bytes(b"old")
    with pytest.raises(DownloadError):
        fetcher.save(file, path, sha256="0" * 64)
    assert path.read_bytes() == b"old"


def test_a_body_that_fails_its_check_is_asked_for_again(fetcher, vendor, file):
    def check(body):
        if body != BODY:
            raise ValueError("no such body")

    vendor.faults["/a.zip"] = [Other(b"an error page")]
    assert fetcher.read(file, check) == BODY
    vendor.faults["/a.zip"] = [Other(b"an error page")] * 6
    with pytest.raises(DownloadError, match="no such body"):
        fetcher.read(file, check)


def test_a_body_without_end_is_refused(fetcher, file, monkeypatch):
    monkeypatch.setattr(fetching, "LARGEST_READ_BYTES", 1 << 18)
    with pytest.raises(DownloadError, match="more than 0 MiB"):
        fetcher.read(file)


def test_no_connection_is_tried_again_and_said(fetcher, vendor, clock):
    with pytest.raises(DownloadError, match="no connection"):
        fetcher.read("http://127.0.0.1:9/a.zip")
    assert len(clock.slept) == 5


def test_an_address_that_is_none_is_refused_at_once(fetcher, clock):
    with pytest.raises(DownloadError, match="InvalidURL"):
        fetcher.read("http://*")
    assert clock.slept == []


def test_the_hash_of_a_file(tmp_path):
    (tmp_path / "a").write_bytes(BODY)
    assert file_sha256(tmp_path / "a") == SHA256
