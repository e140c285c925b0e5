"""Which checkpoints of a stage are there already, and from which state its training goes on."""

import contextlib
import json

from actdim.errors import UserError
from actdim.provenance import digest_of, digest_of_code
from actdim.storage import working_folder
from actdim.storage.json_files import read_json, write_json
from actdim.training import checkpoints
from actdim.training.stages import TrainingJob
from actdim.validation import check

STATE = "state.pt"  # between two kept checkpoints
STATEMENT = "run.json"


def require_free_output(output, run):
    """Raise UserError if `output` holds anything but what this run's working folder can make again."""
    if not output.exists() or not any(output.iterdir()):
        return
    if not is_of_run(output, run) or not is_of_run(working_folder.working_folder(output), run):
        raise UserError(f"{output}: already there; choose another --output")


def claim(folder, run):
    """Make a working folder this run's: empty it if it belongs to a run with other settings or code."""
    if not is_of_run(folder, run):
        if any(folder.glob("*.pt")):
            print(f"{folder}: from other settings or code; training starts at the beginning", flush=True)
        working_folder.empty(folder)
    write_json(folder / STATEMENT, run.model_dump(mode="json"))


def is_of_run(folder, run):
    """Tell whether the checkpoints in a folder are those of a run: by run.json, or if it is corrupt, by one of them."""
    try:
        saved = check(TrainingJob, read_json(folder / STATEMENT), str(folder / STATEMENT))
    except UserError:
        saved = stated_by_a_checkpoint(folder)
    return saved is not None and identity(saved) == identity(run)


def stated_by_a_checkpoint(folder):
    """Return the TrainingJob that the intact checkpoints in a folder state; None if there are none of this version."""
    file = next(filter(checkpoints.is_intact, folder.glob("*.pt")), None)
    with contextlib.suppress(UserError):
        return file and job_of(checkpoints.load(file), file)


def identity(run):
    """Return a digest of what decides about the numbers in a training's checkpoints: settings, files and code."""
    settings = {key: value for key, value in run.made_by["settings"].items() if key != "kept"}
    return digest_of(settings, run.unit, digest_of_code(run.made_by["code"]))


def job_of(state, file):
    """Return the TrainingJob that a checkpoint states."""
    return check(TrainingJob, json.loads(state["run"]), str(file))


def missing_units(folder, run):
    """Return the epochs or steps of a run whose checkpoint is not in its working folder, or corrupt."""
    missing = []
    for unit in run.stage.kept:
        file = folder / checkpoints.file_name(unit)
        if not checkpoints.is_intact(file):
            missing.append(unit)
            if file.exists():
                print(f"{file}: corrupt; training it again", flush=True)
    return missing


def state_to_go_on_from(folder, run, unit, per_unit, previous, device):
    """Return the latest state from which a training gets to a unit; None for the beginning.

    unit: the first that is missing. per_unit: steps in a unit. previous: the last checkpoint of the stage before.
    Raises UserError if that one is corrupt or belongs to a run with other settings.
    """
    kept = sorted((file for file in folder.glob("[0-9]*.pt") if int(file.stem) < unit), key=lambda file: int(file.stem))
    states = [checkpoints.load(file, device) for file in [*filter(checkpoints.is_intact, kept)][-1:]]
    if checkpoints.is_intact(folder / STATE):
        states.append(checkpoints.load(folder / STATE, device))
    elif (folder / STATE).exists():
        print(f"{folder / STATE}: corrupt; not used", flush=True)
    states = [state for state in states if state["step"] <= unit * per_unit]
    if not states and previous:
        states = [load_previous(previous, run, device)]
    return max(states, key=lambda state: state["step"], default=None)


def load_previous(checkpoint, run, device):
    """Return the state in the last checkpoint of the stage before; UserError if it is not of the same run."""
    state = checkpoints.load(checkpoint, device)
    saved = job_of(state, checkpoint)
    if saved.settings != run.settings or saved.unit != run.unit:
        raise UserError(f"{checkpoint}: from a run with other settings; this stage cannot continue from it")
    return state


def remove_states(folder):
    """Remove from the working folder of a complete stage what only an incomplete one needs."""
    (folder / STATE).unlink(missing_ok=True)
    for file in folder.glob(".*.part"):  # of a save that was killed
        file.unlink()


def files_of(run):
    """Return the names of the files that a stage's output holds."""
    return [*map(checkpoints.file_name, run.stage.kept), "metrics.csv", "metrics.csv.sha256", STATEMENT]
