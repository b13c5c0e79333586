"""Where the project's data folders lie: in the installed wheel or in a checkout."""

from __future__ import annotations

from pathlib import Path

from mmasched.errors import BadInput, Missing, nearest

FOLDERS = ("search_spaces", "tuning_logs")


def data_dir(folder: str) -> Path:
    """The data folder called `folder` ("search_spaces" or "tuning_logs").

    An installed wheel carries it as `mmasched/_data/<folder>`, a checkout as `<root>/<folder>`.
    Raises BadInput for another name and Missing where neither place has the folder.
    """
    if folder not in FOLDERS:
        raise BadInput(f"there is no data folder {folder!r}; {nearest(folder, FOLDERS)}")
    package = Path(__file__).resolve().parent
    places = (package / "_data" / folder, package.parent / folder)
    for place in places:
        if place.is_dir():
            return place
    raise Missing(f"the data folder {folder!r} is in neither {places[0]} nor {places[1]}; reinstall mmasched")
