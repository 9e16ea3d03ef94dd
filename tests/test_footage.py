"""Frames of folders and videos: found by number, upright, and nothing else is ever opened."""

from __future__ import annotations

import os
import socket
import string
import threading
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mie_x.datasets.footage import (
    PICTURES,
    VIDEOS,
    Unreadable,
    Video,
    below,
    folders,
    footage_at,
    listed,
    pictures,
    walk,
)
from mie_x.records import Frames

CODECS = {  # suffix -> what is in such files
    ".mp4": "libx264",
    ".m4v": "mpeg4",
    ".mov": "mjpeg",
    ".mkv": "ffv1",
    ".webm": "libvpx",
    ".avi": "mpeg4",
    ".mpg": "mpeg2video",
    ".wmv": "wmv2",
}


def draw(folder: Path, names: Iterable[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for level, name in enumerate(names):
        Image.new("RGB", (8, 6), (level, 0, 0)).save(folder / name)


def record(path: Path, frames: Sequence[Frames], at: Sequence[int] = ()) -> Path:
    """Write FRAMES, at these milliseconds or 25 a second."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream(CODECS[path.suffix.lower()], rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = frames[0].shape[:2]
        if at:
            stream.codec_context.time_base = Fraction(1, 1000)
        wanted = {".mov": "yuvj420p", ".mkv": "bgr0"}
        stream.pix_fmt = wanted.get(path.suffix.lower(), "yuv420p")
        for count, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            if at:
                frame.pts, frame.time_base = at[count], Fraction(1, 1000)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


def steps(count: int) -> list[Frames]:
    """Gray frames of 0, 20, 40 ..."""
    return [np.full((48, 64, 3), 20 * level, np.uint8) for level in range(count)]


def levels(frames: Iterable[Frames]) -> list[int]:
    return [round(float(frame.mean()) / 20) for frame in frames]


# -- pictures ------------------------------------------------------------------------------------


def test_pictures_go_by_number_whatever_their_padding(tmp_path: Path) -> None:
    draw(tmp_path, ["img100.jpg", "img9.jpg", "img0010.jpg", "img8.JPG"])
    found = pictures(tmp_path, "s1/c1")
    assert found.numbers == (8, 9, 10, 100)
    assert found.names == ("img8.JPG", "img9.jpg", "img0010.jpg", "img100.jpg")
    assert found.name == "s1/c1"
    assert found.path(10) == tmp_path / "img0010.jpg"


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("46.jpg", 46),
        ("reg_img46.jpg", 46),
        ("006_00562.png", 562),
        ("image0001.bmp", 1),
        ("S005_001_00000011.png", 11),
        ("00000.png", 0),
        ("frame 7 .jpeg", 7),
        ("img3 (copy).jpg", 3),
    ],
)
def test_a_frames_number_is_the_last_in_its_name(tmp_path: Path, name: str, number: int) -> None:
    draw(tmp_path, ["a.png"])
    (tmp_path / "a.png").rename(tmp_path / name)
    assert pictures(tmp_path, "c").numbers == (number,)


@given(st.sets(st.integers(0, 10**6), min_size=1, max_size=5), st.integers(0, 8))
def test_every_number_is_found_however_it_is_padded(
    tmp_path_factory: pytest.TempPathFactory, numbers: set[int], width: int
) -> None:
    folder = tmp_path_factory.mktemp("frames")
    for number in numbers:
        (folder / f"img{number:0{width}d}.png").touch()
    assert pictures(folder, "c").numbers == tuple(sorted(numbers))


def test_of_two_files_of_one_number_one_is_used_and_the_other_told(tmp_path: Path) -> None:
    draw(tmp_path, ["img001.jpg", "img1.jpg", "img2.jpg", "img2.png"])
    found = pictures(tmp_path, "c")
    assert found.names == ("img001.jpg", "img2.jpg")
    assert found.twice == ("img1.jpg", "img2.png")


def test_what_is_hidden_or_no_picture_or_has_no_number_is_left_alone(tmp_path: Path) -> None:
    draw(tmp_path, ["1.png"])
    for name in (".DS_Store", "._1.png", ".2.png", "3.txt", "Thumbs.db", "cover.png", "4.png.tmp"):
        (tmp_path / name).write_bytes(b"\0")
    (tmp_path / "5.png").mkdir()
    assert pictures(tmp_path, "c").names == ("1.png",)
    assert listed(tmp_path) == ["1.png", "3.txt", "4.png.tmp", "Thumbs.db", "cover.png"]
    assert folders(tmp_path) == ["5.png"]


def test_a_copy_that_a_browser_numbered_is_no_frame_of_that_number(tmp_path: Path) -> None:
    draw(tmp_path, ["img46 (1).jpg", "img46.jpg", "img47.jpg", "img48 - Copy.jpg", "img48.jpg"])
    found = pictures(tmp_path, "c")
    assert found.numbers == (46, 47, 48)
    assert found.twice == ("img46 (1).jpg", "img48.jpg")
    draw(tmp_path / "renamed", ["clip (1).jpg", "clip (2).jpg"])
    assert pictures(tmp_path / "renamed", "c").numbers == (1, 2)


def test_links_that_lead_to_themselves_are_not_there(tmp_path: Path) -> None:
    draw(tmp_path, ["1.png"])
    (tmp_path / "2.png").symlink_to("2.png")
    (tmp_path / "inner").symlink_to("inner")
    assert (listed(tmp_path), folders(tmp_path)) == (["1.png"], [])
    assert pictures(tmp_path / "inner", "c").numbers == ()


def test_a_walk_ends_however_deep_the_folders_are_and_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "round").symlink_to(tmp_path)
    tmp_path.joinpath(*"d" * 40).mkdir(parents=True)
    (tmp_path / ".hidden").mkdir()
    seen = [folder for folder, _, _ in walk(tmp_path)]
    assert seen == [tmp_path.joinpath(*"d" * depth) for depth in range(13)]


def test_no_folder_has_no_frames(tmp_path: Path) -> None:
    assert pictures(tmp_path / "gone", "c").numbers == ()
    assert (listed(tmp_path / "gone"), folders(tmp_path / "gone")) == ([], [])


def test_frames_come_ascending_and_each_once_from_folders_and_videos(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    folder.mkdir()
    for count, pixels in enumerate(steps(5), 1):
        Image.fromarray(pixels).save(folder / f"{count}.png")
    video = Video("c", record(tmp_path / "c.mkv", steps(5)))
    for footage in (pictures(folder, "c"), video):
        assert list(footage.numbers) == [1, 2, 3, 4, 5]
        assert levels(footage.frames([4, 2, 4])) == [1, 3]
        np.testing.assert_array_equal(footage.frame(3), np.full((48, 64, 3), 40, np.uint8))
        for missing in (0, 6):
            with pytest.raises(KeyError):
                footage.frame(missing)


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    draw(tmp_path, ["1.png"])
    (tmp_path / "1.png").write_bytes((tmp_path / "1.png").read_bytes()[:40])
    (tmp_path / "2.png").touch()
    found = pictures(tmp_path, "c")
    with pytest.raises(Unreadable, match=r"1\.png: unreadable"):
        found.frame(1)
    with pytest.raises(Unreadable, match=r"2\.png: .*the file is empty"):
        found.frame(2)


# -- from a cell to a path -----------------------------------------------------------------------


def test_cells_lead_below_the_root(tmp_path: Path) -> None:
    assert below(tmp_path, "sub01", "EP02_01f") == tmp_path / "sub01/EP02_01f"
    assert below(tmp_path, "a b/c.d", "é") == tmp_path / "a b/c.d/é"


@pytest.mark.parametrize(
    "cell",
    ["..", "../a", "a/../../b", "/etc", "", ".", "a//b", "C:", "C:\\a", "\\\\host\\a", "a\0b",
     "a\nb", "http://a/b", "file:a"],
)  # fmt: skip
def test_a_cell_that_leads_elsewhere_is_refused(tmp_path: Path, cell: str) -> None:
    with pytest.raises(ValueError, match="in its sheet is no name of a file or folder"):
        below(tmp_path, "sub01", cell)


@given(st.lists(st.text(max_size=12) | st.text(string.ascii_letters + "./\\:", max_size=12)))
def test_whatever_is_in_the_cells_the_path_stays_below_the_root(cells: list[str]) -> None:
    root = Path("/somewhere/root")
    try:
        path = below(root, *cells)
    except ValueError:
        return
    assert Path(os.path.normpath(path)).is_relative_to(root)
    assert path.parts[: len(root.parts)] == root.parts


# -- videos --------------------------------------------------------------------------------------


def test_there_is_a_test_for_every_kind_of_video() -> None:
    assert sorted(CODECS) == sorted(VIDEOS)
    assert not set(PICTURES) & set(VIDEOS)


@pytest.mark.parametrize("suffix", VIDEOS)
def test_frames_of_a_video_count_from_1(tmp_path: Path, suffix: str) -> None:
    video = Video("c", record(tmp_path / f"c{suffix}", steps(9)))
    assert (video.numbers, video.names, video.fps) == (range(1, 10), (), 25.0)
    assert levels(video.frames(video.numbers)) == list(range(9))
    frame = video.frame(4)
    assert (frame.shape, frame.dtype) == ((48, 64, 3), np.dtype(np.uint8))
    assert levels([frame]) == [3]


def test_uneven_times_change_no_number(tmp_path: Path) -> None:
    video = Video("c", record(tmp_path / "c.mkv", steps(6), [0, 7, 500, 520, 2000, 2001]))
    assert video.numbers == range(1, 7)
    assert levels(video.frames(video.numbers)) == [0, 1, 2, 3, 4, 5]
    assert levels(video.frames([5])) == [4]


UNEVEN = [0, 17, 100, 140, 180, 220]
"""ms; 17 to 83 apart."""


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_a_variable_frame_rate_is_told_in_ms(tmp_path: Path, suffix: str) -> None:
    video = Video("c", record(tmp_path / f"c{suffix}", steps(6), UNEVEN))
    assert video.uneven == "its frames are 17 to 83 ms apart (variable frame rate)"
    assert video.numbers == range(1, 7)


@pytest.mark.parametrize(
    ("suffix", "at"),
    [
        (".mkv", [0, 33, 67, 100, 133, 167]),  # 30 a second, in ms
        (".mkv", [0, 4, 8, 13, 17, 21]),  # 240 a second
        (".mp4", [700, 740, 780, 820, 860, 900]),  # not from 0 on
        (".mkv", [0, 32, 67, 99, 134, 166]),  # a camera that is not quite steady
    ],
)
def test_rounded_times_a_late_start_and_a_little_jitter_are_a_constant_rate(
    tmp_path: Path, suffix: str, at: list[int]
) -> None:
    video = Video("c", record(tmp_path / f"c{suffix}", steps(6), at))
    assert video.uneven == ""
    assert video.fps == pytest.approx(5000 / (at[5] - at[0]), rel=0.02)


@pytest.mark.parametrize("suffix", VIDEOS)
def test_a_constant_rate_is_none_that_varies_in_any_container(tmp_path: Path, suffix: str) -> None:
    assert Video("c", record(tmp_path / f"c{suffix}", steps(9))).uneven == ""


@pytest.mark.parametrize("suffix", [".avi", ".mkv", ".mpg"])
def test_frames_that_are_stored_out_of_their_order_are_not_taken_for_a_variable_rate(
    tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"c{suffix}"
    with av.open(str(path), "w") as file:
        stream = file.add_stream({".mpg": "mpeg2video"}.get(suffix, "mpeg4"), rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        stream.codec_context.max_b_frames = 2
        for pixels in steps(9):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        file.mux(stream.encode())
    with av.open(str(path)) as file:
        stored = [packet.pts for packet in file.demux(video=0) if packet.size]
    known = [time for time in stored if time is not None]
    assert known != sorted(known)
    video = Video("c", path)
    assert (video.numbers, video.fps, video.uneven) == (range(1, 10), 25.0, "")


def test_frames_that_an_avi_dropped_make_its_rate_vary(tmp_path: Path) -> None:
    video = Video("c", record(tmp_path / "c.avi", steps(6), [0, 40, 80, 160, 200, 240]))
    assert video.uneven == "its frames are 40 to 80 ms apart (variable frame rate)"
    even = Video("c", record(tmp_path / "d.avi", steps(6), [0, 40, 80, 120, 160, 200]))
    assert even.uneven == ""
    assert even.fps == pytest.approx(25)  # its header has 1000 a second


TURNS = {  # degrees clockwise -> the 16.16 numbers of an MP4's matrix
    90: (0, 1, -1, 0),
    180: (-1, 0, 0, -1),
    270: (0, -1, 1, 0),
}


@pytest.mark.parametrize("turn", TURNS)
def test_a_video_filmed_with_the_camera_turned_is_upright(tmp_path: Path, turn: int) -> None:
    frame = np.zeros((48, 64, 3), np.uint8)
    frame[:24, :32] = 240  # top left
    path = record(tmp_path / "c.mp4", [frame] * 2)
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 44  # version, times, track, duration, layer, volume
    for place, value in zip((0, 4, 12, 16), TURNS[turn], strict=True):
        data[matrix + place : matrix + place + 4] = (value * 2**16).to_bytes(4, signed=True)
    path.write_bytes(data)
    seen = Video("c", path).frame(1)
    wanted = np.rot90(frame, k=-turn // 90)
    assert seen.shape == wanted.shape
    assert np.abs(seen.astype(int) - wanted).mean() < 4


@pytest.mark.parametrize("part", [0.02, 0.5, 0.9])
@pytest.mark.parametrize("suffix", VIDEOS)
def test_of_a_video_cut_short_whole_frames_are_seen_and_then_a_sentence(
    tmp_path: Path, suffix: str, part: float
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (9, 48, 64, 3), np.uint8)
    path = record(tmp_path / f"c{suffix}", list(noise))
    filmed = list(Video("c", path).frames(range(1, 10)))
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    seen: list[Frames] = []
    with pytest.raises(
        (Unreadable, KeyError),
        match=rf"c{suffix}: (no video that can be read|nothing to be seen in it|no frame \d"
        r"|(frame \d is )?damaged or cut short)",
    ):
        seen.extend(Video("c", path).frames(range(1, 10)))
    assert len(seen) < 9
    for one, other in zip(seen, filmed, strict=False):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("suffix", sorted(set(VIDEOS) - {".mpg", ".wmv"}))
def test_a_video_cut_short_does_not_pass_for_a_shorter_one(
    tmp_path: Path, suffix: str, part: float
) -> None:
    """An MPEG does not tell how long it is, a cut WMV no longer: there the last frame is torn."""
    noise = np.random.default_rng(0).integers(0, 256, (40, 48, 64, 3), np.uint8)
    path = record(tmp_path / f"c{suffix}", list(noise))
    assert len(Video("c", path).numbers) == 40
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    with pytest.raises(
        Unreadable,
        match=rf"/c{suffix}: (damaged or cut short \(.+\); copy it again, whole$"
        r"|no video that can be read .+; give .+, whole$)",
    ):
        len(Video("c", path).numbers)


def test_an_mp4_cut_short_behind_its_index_is_told_by_its_length(tmp_path: Path) -> None:
    path = tmp_path / "c.mp4"
    with av.open(str(path), "w", options={"movflags": "faststart"}) as file:
        stream = file.add_stream("mpeg4", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for pixels in np.random.default_rng(0).integers(0, 256, (40, 48, 64, 3), np.uint8):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        file.mux(stream.encode())
    assert len(Video("c", path).numbers) == 40
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(Unreadable, match=r"cut short \(1\.60 s by its header, 0\.\d+ s are there"):
        len(Video("c", path).numbers)


def test_what_an_edit_list_cuts_off_is_no_frame(tmp_path: Path) -> None:
    """60 frames, copied from the 11th on as ffmpeg -ss -c copy does: the first 10 go with it, and
    a list that says from where to show."""
    frames = [np.full((48, 64, 3), 4 * level, np.uint8) for level in range(60)]
    record(tmp_path / "long.mp4", frames)
    path = tmp_path / "c.mp4"
    with av.open(str(tmp_path / "long.mp4")) as long, av.open(str(path), "w") as file:
        (given,) = long.streams.video
        stream = file.add_stream_from_template(given)
        for packet in long.demux(given):
            if packet.dts is not None:
                assert packet.pts is not None
                start = round(10 / 25 / packet.time_base)
                packet.pts, packet.dts = packet.pts - start, packet.dts - start
                packet.stream = stream
                file.mux(packet)
    video = Video("c", path)
    shown = [round(float(frame.mean()) / 4) for frame in video.frames(video.numbers)]
    assert shown == list(range(10, 60))
    assert video.numbers == range(1, 51)
    assert (video.fps, video.uneven) == (25, "")


def test_sound_that_goes_on_after_the_last_frame_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "c.mkv"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("ffv1", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "bgr0"
        spoken = file.add_stream("pcm_s16le", rate=8000)
        assert isinstance(spoken, av.AudioStream)
        for pixels in steps(9):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        sound = av.AudioFrame.from_ndarray(
            np.zeros((1, 16000), np.int16), format="s16", layout="mono"
        )
        sound.sample_rate = 8000
        for part in (spoken.encode(sound), spoken.encode(), stream.encode()):
            file.mux(part)
    assert Video("c", path).numbers == range(1, 10)


def test_footage_is_a_video_or_a_folder_by_what_lies_there(tmp_path: Path) -> None:
    draw(tmp_path / "c", ["7.png", "9.png"])
    assert list(footage_at(tmp_path / "c", "c").numbers) == [7, 9]
    found = footage_at(record(tmp_path / "C.MKV", steps(2)), "d")
    assert (type(found), found.name, found.numbers) == (Video, "d", range(1, 3))
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ValueError, match=r"notes\.txt: no video by its name; give \.mp4, "):
        footage_at(tmp_path / "notes.txt", "c")
    with pytest.raises(FileNotFoundError, match="gone: no such video or folder; check the path"):
        footage_at(tmp_path / "gone", "c")
    draw(tmp_path / "twice", ["1.png", "01.png"])
    with pytest.raises(ValueError, match=r"twice: 1\.png has the number of another; rename one"):
        footage_at(tmp_path / "twice", "c")


@pytest.mark.parametrize(
    "content", [b"", b"no video", b"\0" * 4096, b"RIFF\xff\xff\xff\xffAVI LIST", b"#EXTM3U\n"]
)
def test_what_is_no_video_says_so_with_the_remedy(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "c.mp4"
    path.write_bytes(content)
    looks: list[Callable[[Video], object]] = [
        lambda video: video.numbers,
        lambda video: video.fps,
        lambda video: video.frame(1),
    ]
    for look in looks:
        with pytest.raises(Unreadable, match=r"c\.mp4: no video .*; give MP4, AVI, MOV"):
            look(Video("c", path))


def test_a_video_that_is_not_there_is_missing_and_an_address_is_none(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.mp4", Path("http://127.0.0.1:9/c.mp4"), Path("concat:a|b")):
        with pytest.raises(FileNotFoundError, match="no such video; check the path"):
            Video("c", path).frame(1)


def test_a_video_of_sound_alone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.mkv"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(
            np.zeros((1, 800), np.int16), format="s16", layout="mono"
        )
        sound.sample_rate = 8000
        file.mux(stream.encode(sound))
    with pytest.raises(Unreadable, match="nothing to be seen in it"):
        len(Video("c", path).numbers)


PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:9,\n{}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile {}\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'mediaPresentationDuration="PT9S"><Period><AdaptationSet contentType="video"><Representation '
    'id="1" bandwidth="9"><BaseURL>{}</BaseURL></Representation></AdaptationSet></Period></MPD>',
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nm=video {} RTP/AVP 96\n",
}


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv"])
@pytest.mark.parametrize("kind", PLAYLISTS)
def test_a_playlist_inside_a_file_opens_no_other_file(
    tmp_path: Path, kind: str, suffix: str
) -> None:
    os.mkfifo(tmp_path / "other.ts")  # whoever opens it wakes the thread
    touched = threading.Event()

    def watch() -> None:
        with (tmp_path / "other.ts").open("wb"):
            touched.set()

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    path = tmp_path / f"c{suffix}"
    path.write_text(PLAYLISTS[kind].format("other.ts"), "utf-8")
    with pytest.raises(Unreadable):
        Video("c", path).frame(1)
    assert not touched.is_set()
    reading = os.open(tmp_path / "other.ts", os.O_RDONLY | os.O_NONBLOCK)
    watching.join(timeout=10)
    os.close(reading)
    assert touched.is_set()  # the trap works


@pytest.mark.parametrize("kind", PLAYLISTS)
def test_a_playlist_inside_a_file_calls_nobody(tmp_path: Path, kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        path = tmp_path / "c.mp4"
        address = f"http://127.0.0.1:{server.getsockname()[1]}/c.ts"
        path.write_text(PLAYLISTS[kind].format(address), "utf-8")
        with pytest.raises(Unreadable):
            Video("c", path).frame(1)
        with pytest.raises(TimeoutError):
            server.accept()


@pytest.mark.slow
def test_too_many_pixels_are_refused_from_the_header_or_at_the_frame_that_has_them(
    tmp_path: Path,
) -> None:
    """5,008 x 5,008 are 25,080,064, over 25,000,000."""
    huge = np.zeros((5008, 5008, 3), np.uint8)
    with pytest.raises(Unreadable, match="5008 x 5008 px are too many"):
        len(Video("c", record(tmp_path / "large.mov", [huge])).numbers)
    with av.open(str(tmp_path / "grows.mkv"), "w") as file:
        stream = file.add_stream("mjpeg", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuvj420p"
        small = av.VideoFrame.from_ndarray(huge[:48, :64], format="rgb24")
        file.mux(stream.encode(small))
        with av.open(str(tmp_path / "large.mov")) as large:
            for packet in large.demux(video=0):
                if packet.size:
                    packet.stream, packet.pts, packet.dts = stream, 1, 1
                    packet.time_base = Fraction(1, 25)
                    file.mux(packet)
    video = Video("c", tmp_path / "grows.mkv")
    assert video.numbers == range(1, 3)
    assert video.frame(1).shape == (48, 64, 3)
    with pytest.raises((Unreadable, KeyError)):
        video.frame(2)
