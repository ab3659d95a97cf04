"""What a resumed run must share with its beginning: the method, the network, the classes, the seed, and which pictures are held out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from restore import weights
from restore.tasks.prepared_run import Prepared
from restore.training import checkpoint
from restore.training import config as configuration
from restore.training.training_config import TrainingConfig
from restore.weights_file import Recipe
from restore.writing import atomic_write, real

KEPT = {"seed": "--seed", "data.test_fraction": "data.test_fraction"}
"""Settings that choose which pictures are held out, and how a user changes them."""
HELD_OUT_FILE = "held_out.json"
"""The file in a run's folder that lists the pictures which are never trained on."""
MAY_CHANGE = ("loop.", "precision", "device", "start_from")
"""Settings that do not change what is learnt, or whose change is reported elsewhere; but see LEARNT."""
LEARNT = ("loop.batch_size", "loop.accumulate")
"""Settings of the loop that change what is learnt: which crops a step has, and what is computed over several of them."""
OF_THE_NETWORK = ("data.channels", "scale")
"""Settings outside the network's group that decide its shape."""


def published(folder: Path) -> Recipe:
    """The recipe of the weights that a run published; empty if there are none that can be read."""
    for path in sorted(folder.glob(f"*{weights.SUFFIX}")):
        try:
            return weights.entry(path).recipe
        except ValueError:
            continue
    return {}


def check_begun(folder: Path, method: str) -> None:
    """Raise ValueError if there is no run in a folder, or it was begun with another method."""
    if not checkpoint.exists(folder):
        raise ValueError(f"{folder} holds no checkpoint to resume from: leave --resume out, or name the run with --out")
    begun = published(folder).get("method", method)
    if begun != method:
        raise ValueError(f"{folder} was begun with `restore train {begun}`: resume it with that, or begin another run with --out")


def changed_dataset(folder: Path, root: Path) -> str:
    """What to say if a run goes on with a dataset of another name than it began with; "" if not."""
    begun = published(folder).get("dataset", real(root).name)
    if begun == real(root).name:
        return ""
    return (
        f"{folder} was begun on the dataset {begun} and goes on with {root}: other pictures are held out, so earlier scores do not compare"
    )


def check_data(folder: Path, root: Path, prepared: Prepared) -> None:
    """Raise ValueError if a dataset has other classes, or holds other pictures out, than at the beginning of a run; see below."""
    check_classes(folder, prepared.recipe)
    check_still_held_out(folder, root, prepared.held_out)


def check_classes(folder: Path, recipe: Recipe) -> None:
    """Raise ValueError if the classes of the dataset, as in the recipe of a prepared run, are others than those of its beginning."""
    now, begun = recipe.get("labels"), published(folder).get("labels")
    if begun is not None and now != begun:
        before, after = (", ".join(names) if names else "none" for names in (begun, now or []))
        raise ValueError(
            f"{folder} was begun with the classes {before}; the dataset has {after}, and the network knows them by their order: "
            "name them as before, or begin another run with --out"
        )


def check_network(folder: Path, group: str, before: TrainingConfig, config: TrainingConfig) -> None:
    """Raise ValueError if a setting of the trained network changes; `group` holds its settings."""
    old, new = configuration.flat(before), configuration.flat(config)
    for key in [key for key in {**old, **new} if key.startswith(f"{group}.") or key in OF_THE_NETWORK]:
        if old.get(key) != new.get(key):
            raise ValueError(
                f"{folder} was begun with {key}={old.get(key)} and cannot be resumed with {new.get(key)}: leave {key} out, "
                "or begin another run with --out and start_from"
            )


def check_still_held_out(folder: Path, root: Path, held_out: Sequence[Path]) -> None:
    """Raise ValueError if pictures that a run held out would be trained on now, because others were added or removed since.

    Args:
        root: the dataset's folder; another than the one of the run's beginning is not checked.
        held_out: the pictures that are held out now.
    """
    if changed_dataset(folder, root) or not (folder / HELD_OUT_FILE).is_file():
        return
    now = {path.relative_to(root).as_posix() for path in held_out}
    try:
        names = json.loads((folder / HELD_OUT_FILE).read_text(encoding="utf-8"))
    except ValueError:  # damaged
        return
    if moved := [name for name in names if name not in now and (root / name).is_file()]:
        raise ValueError(
            f"{folder} held out {moved[0]}{f' and {len(moved) - 1} more' if len(moved) > 1 else ''}, which it would train on now, because "
            f"pictures were added or removed: move {'them' if len(moved) > 1 else 'it'} to {root / 'test'}, or begin another run with --out"
        )


def write_held_out(folder: Path, root: Path, held_out: Sequence[Path]) -> None:
    """Keep which pictures a run holds out."""
    with atomic_write(folder / HELD_OUT_FILE) as draft:
        draft.write_text(json.dumps([path.relative_to(root).as_posix() for path in held_out], indent=0), encoding="ascii")


def check_supervision(folder: Path, before: TrainingConfig, config: TrainingConfig) -> None:
    """Raise ValueError if a run that learnt from clean pictures would go on with noisy ones alone, or the other way round."""
    old, new = (configuration.flat(one).get("self_supervised") for one in (before, config))
    if old != new:
        began, goes_on = (("noisy pictures alone" if one else "clean pictures") for one in (old, new))
        raise ValueError(
            f"{folder} was begun on {began} (self_supervised={str(old).lower()}) and cannot go on with {goes_on}: "
            "begin another run with --out and start_from"
        )


def changes(before: TrainingConfig, config: TrainingConfig) -> str:
    """What to say of settings that a run goes on with and was not begun with; "" if there are none."""
    old, new = configuration.flat(before), configuration.flat(config)
    others = [key for key in new if old.get(key) != new[key] and (key in LEARNT or not key.startswith(MAY_CHANGE))]
    listed = ", ".join(f"{key} from {old.get(key)} to {new[key]}" for key in others)
    return f"the run goes on with other settings, and its card will state these only: {listed}" if others else ""


def check_held_out(folder: Path, before: TrainingConfig, config: TrainingConfig) -> None:
    """Raise ValueError if a setting of KEPT changes: pictures that were trained on would be held out, and the other way round."""
    old, new = configuration.flat(before), configuration.flat(config)
    for key, option in KEPT.items():
        if old.get(key) != new.get(key):
            raise ValueError(
                f"{folder} was begun with {key}={old.get(key)}; with {new.get(key)} it would train on pictures that it held out: "
                f"leave {option} as it was, or begin another run with --out"
            )
