import json

import pytest

from carryover.data.listing import read_listing, write_listing


@pytest.fixture
def listing(tmp_path):
    (tmp_path / "a.gz").write_bytes(b"pixels")
    write_listing(tmp_path / "raw.json", "toys", {"a.gz": tmp_path / "a.gz"})
    return tmp_path / "raw.json"


def test_listed_files_are_found_by_their_official_names(listing):
    assert read_listing(listing, "toys") == {"a.gz": listing.parent / "a.gz"}


def test_a_listing_of_the_same_files_is_the_same_text(listing):
    before = listing.read_bytes()
    write_listing(listing, "toys", {"a.gz": listing.parent / "a.gz"})
    assert listing.read_bytes() == before


@pytest.mark.parametrize("data", [b"pixel", b"pixelz", b""])
def test_a_changed_file_is_named(listing, data):
    (listing.parent / "a.gz").write_bytes(data)
    with pytest.raises(
        ValueError, match=r"a\.gz is truncated or changed: expected 6 bytes .*delete it, then"
    ):
        read_listing(listing, "toys")


def test_a_missing_file_is_named(listing):
    (listing.parent / "a.gz").unlink()
    with pytest.raises(ValueError, match=r"a\.gz is missing, though .*raw\.json lists it: delete"):
        read_listing(listing, "toys")


def test_files_of_another_source_are_refused(listing):
    with pytest.raises(ValueError, match="lists the files of toys, not of mnist"):
        read_listing(listing, "mnist")


@pytest.mark.parametrize("text", ["", "{}", "[1]"])
def test_a_damaged_listing_is_refused(listing, text):
    listing.write_text(text)
    with pytest.raises(ValueError, match=r"raw\.json is no list of raw files, or damaged: delete"):
        read_listing(listing, "toys")


def test_a_listing_of_another_format_is_refused(listing):
    listing.write_text(json.dumps(json.loads(listing.read_text()) | {"format": 2}))
    with pytest.raises(ValueError, match="has format 2, this version reads format 1"):
        read_listing(listing, "toys")
