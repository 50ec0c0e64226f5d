"""Small stand-ins for the packages of MLflow and Weights & Biases: what was called, in order."""

import types


class Recorder:
    """Notes calls as (function, what was handed over); the run that is open; may refuse from some call on."""

    def __init__(self, refuse=""):
        self.calls = []
        self.open = None
        self.refuse = refuse

    def note(self, name, *values):
        if name == self.refuse:
            raise RuntimeError("no connection\nand many more lines")
        self.calls.append((name, *values))

    def of(self, name):
        return [values[0] if len(values) == 1 else tuple(values) for called, *values in self.calls if called == name]


def mlflow(recorder):
    """A module with the functions of `mlflow` that a training calls."""

    def start_run(run_id=None, run_name=None):
        recorder.note("start_run", run_id, run_name)
        recorder.open = types.SimpleNamespace(info=types.SimpleNamespace(run_id=run_id or "m1"))
        return recorder.open

    def end_run(status):
        recorder.note("end_run", status)
        recorder.open = None

    return types.SimpleNamespace(
        active_run=lambda: recorder.open,
        start_run=start_run,
        end_run=end_run,
        log_params=lambda values: recorder.note("log_params", values),
        log_metrics=lambda values, step: recorder.note("log_metrics", step, values),
        log_artifact=lambda path: recorder.note("log_artifact", path),
    )


def wandb(recorder):
    """A module with what a training uses of `wandb`."""
    module = types.SimpleNamespace(run=None, Image=lambda path: ("image", path))

    def init(project, name, config, id=None, resume=None):
        recorder.note("init", project, name, config, id, resume)
        module.run = types.SimpleNamespace(
            id=id or "w1",
            summary=types.SimpleNamespace(update=lambda values: recorder.note("summary", values)),
            log=lambda values, step=None: recorder.note("log", step, values),
            log_artifact=lambda artifact: recorder.note("log_artifact", artifact),
            finish=finish,
        )
        return module.run

    def finish(exit_code):
        recorder.note("finish", exit_code)
        module.run = None

    class Artifact(list):
        def __init__(self, name, type):
            super().__init__([name, type])
            self.add_file = self.append

    module.init, module.Artifact = init, Artifact
    return module
