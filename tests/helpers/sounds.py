"""Small sounds that tests write."""

import av
import numpy as np


def write_mp3(path, wave, rate, tag="0", **settings):
    """`tag`: whether the first frame counts the others; `settings`: of the encoder."""
    with av.open(str(path), "w", options={"write_xing": tag, "id3v2_version": "3"}) as container:
        container.metadata["title"] = "Info of all kinds"
        track = container.add_stream("libmp3lame", rate=rate, layout="mono", options=settings)
        frame = av.AudioFrame.from_ndarray(
            wave[None].astype(np.float32), format="fltp", layout="mono"
        )
        frame.rate = rate
        container.mux(track.encode(frame))
        container.mux(track.encode(None))
