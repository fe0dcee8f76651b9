"""``subterfuge predict``: what does the victim hear?"""

from __future__ import annotations

from subterfuge.cli.options import VICTIM, Device, Files, Json, VictimName


def predict(files: Files, victim: VictimName = VICTIM, json: Json = False, device: Device = "cpu") -> None:
    """What does the victim hear in these files?

    \b
    Examples:
      subterfuge predict flute.wav
      subterfuge predict 'clips/*.flac' --victim victims/irmas-svc --json
    """
    from subterfuge.cli import show
    from subterfuge.inputs import check_readable, expand
    from subterfuge.predictions import predict_file
    from subterfuge.runs import check_device, load_on

    check_device(device)
    paths = expand(files)
    check_readable(paths)
    model = load_on(victim, device)
    predictions = (predict_file(path, victim=model, victim_name=victim) for path in paths)
    if json:
        show.as_json([prediction.as_json() for prediction in predictions])
        return
    for prediction in predictions:
        show.prediction(prediction)
