import gzip
import hashlib

import pytest

from carryover.data.fetch import Places, fetch
from carryover.data.prepare import Contents
from carryover.data.sources import Content, Download, RawFile

CONTENT = b"pixels " * 100
PACKED = gzip.compress(CONTENT, 9, mtime=0)
REPACKED = gzip.compress(CONTENT, 1, mtime=1)


def no_reader(files):
    return Contents(parts={}, classes=(), origin=str(files))


def download(url="http://127.0.0.1:9/a.gz", by="sha256", more_urls=()):
    checksum = {
        "sha256": {"sha256": hashlib.sha256(CONTENT).hexdigest()},
        "md5": {"md5": hashlib.md5(PACKED).hexdigest()},
    }[by]
    raw = RawFile(name="a.gz", urls=(url, *more_urls), **checksum)
    return Download(files=(raw,), folders=("TOYS/raw", "."), read=no_reader)


@pytest.fixture
def root(tmp_path):
    return tmp_path / "root"


def put(path, data=PACKED):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_a_valid_file_below_the_root_is_used_as_it_is(root):
    here = put(root / "toys/a.gz")
    assert fetch("toys", download(), Places(root, offline=True)) == {"a.gz": here}


@pytest.mark.parametrize("place", ["toys/a.gz", "TOYS/raw/a.gz", "a.gz"])
def test_a_mirror_may_have_several_layouts(root, tmp_path, place):
    put(tmp_path / "mirror" / place)
    found = fetch("toys", download(), Places(root, tmp_path / "mirror", offline=True))
    assert found == {"a.gz": root / "toys/a.gz"}
    assert found["a.gz"].read_bytes() == PACKED


@pytest.mark.parametrize(("name", "data"), [("a.gz", REPACKED), ("a", CONTENT), ("a.gz", CONTENT)])
def test_a_recompressed_or_decompressed_mirror_is_as_good(root, tmp_path, name, data):
    put(tmp_path / "mirror" / name, data)
    found = fetch("toys", download(), Places(root, tmp_path / "mirror", offline=True))
    assert found["a.gz"] == root / "toys" / name
    assert fetch("toys", download(), Places(root, offline=True)) == found  # and is found again


def test_where_only_the_md5_is_known_the_file_itself_must_match(root, tmp_path):
    put(tmp_path / "mirror/a.gz", REPACKED)
    with pytest.raises(ValueError, match="its md5 should be"):
        fetch("toys", download(by="md5"), Places(root, tmp_path / "mirror", offline=True))
    put(tmp_path / "mirror/a.gz", PACKED)
    assert fetch("toys", download(by="md5"), Places(root, tmp_path / "mirror", offline=True))


@pytest.mark.parametrize(
    "damaged", [PACKED[:-1], PACKED[:-12], gzip.compress(CONTENT[:-1], mtime=0), b"", b"<html>"]
)
def test_a_damaged_file_below_the_root_is_named_with_both_digests(root, damaged):
    put(root / "toys/a.gz", damaged)
    expected = hashlib.sha256(CONTENT).hexdigest()
    with pytest.raises(ValueError, match=rf"toys/a\.gz is .*should be {expected}, found .*; delete it"):
        fetch("toys", download(), Places(root, offline=True))


def test_a_damaged_mirror_is_named_and_nothing_is_kept_of_it(root, tmp_path):
    put(tmp_path / "mirror/TOYS/raw/a.gz", gzip.compress(b"other pixels"))
    with pytest.raises(ValueError, match=r"mirror/TOYS/raw/a\.gz is .*; replace it, or take this mirror out"):
        fetch("toys", download(), Places(root, tmp_path / "mirror", offline=True))
    assert not [path for path in root.rglob("*") if path.is_file()]


def test_a_missing_file_offline_says_where_it_was_looked_for_and_both_remedies(root, tmp_path):
    with pytest.raises(ValueError, match=r"a\.gz of toys is missing") as caught:
        fetch("toys", download(), Places(root, tmp_path / "mirror", offline=True))
    for place in (root / "toys/a.gz", tmp_path / "mirror/TOYS/raw/a.gz", tmp_path / "mirror/a"):
        assert str(place) in str(caught.value)
    assert "Set data.mirror to a folder that has it, or offline: false" in str(caught.value)


def test_offline_never_opens_an_address(root, tmp_path):
    there = put(tmp_path / "server/a.gz")
    with pytest.raises(ValueError, match="is missing"):
        fetch("toys", download(there.as_uri()), Places(root, offline=True))


def test_a_download_is_verified_and_kept(root, tmp_path):
    there = put(tmp_path / "server/a.gz")
    found = fetch("toys", download(there.as_uri()), Places(root))
    assert found["a.gz"].read_bytes() == PACKED
    there.unlink()
    assert fetch("toys", download(there.as_uri()), Places(root)) == found  # no second download


def test_the_next_address_is_tried_when_one_fails(root, tmp_path):
    wrong, right = put(tmp_path / "one/a.gz", b"<html>"), put(tmp_path / "two/a.gz")
    urls = (wrong.as_uri(), right.as_uri())
    assert fetch("toys", download("http://127.0.0.1:9/a.gz", more_urls=urls), Places(root))


def test_an_unreachable_network_names_the_address_and_the_remedies(root):
    with pytest.raises(
        ValueError, match=r"a\.gz could not be downloaded \(http://127\.0\.0\.1:9/a\.gz: "
    ) as caught:
        fetch("toys", download(), Places(root))
    assert "set data.mirror" in str(caught.value)
    assert f"put it at {root / 'toys/a.gz'} by hand" in str(caught.value)


def test_a_tampered_download_is_refused_and_leaves_nothing(root, tmp_path):
    there = put(tmp_path / "server/a.gz", gzip.compress(b"other pixels"))
    with pytest.raises(
        ValueError, match="truncated or changed: its sha256 of the decompressed bytes should be"
    ):
        fetch("toys", download(there.as_uri()), Places(root))
    assert not list((root / "toys").iterdir())


def test_a_file_with_both_checksums_needs_one_of_them(root):
    reversed_bytes = Content(
        "reversed bytes", lambda path: hashlib.sha256(path.read_bytes()[::-1]).hexdigest()
    )
    raw = RawFile(
        name="a.zip",
        urls=(),
        md5=hashlib.md5(PACKED).hexdigest(),
        sha256=hashlib.sha256(CONTENT[::-1]).hexdigest(),
        content=reversed_bytes,
    )
    toys = Download(files=(raw,), folders=(), read=no_reader)
    for data in (PACKED, CONTENT):
        put(root / "toys/a.zip", data)
        assert fetch("toys", toys, Places(root, offline=True)) == {"a.zip": root / "toys/a.zip"}
    put(root / "toys/a.zip", b"other")
    with pytest.raises(ValueError, match="its sha256 of the reversed bytes should be"):
        fetch("toys", toys, Places(root, offline=True))
