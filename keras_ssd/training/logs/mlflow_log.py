"""MLflow: a run with parameters, metrics per epoch and files.

Where it goes is MLflow's matter: MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME, or `mlflow.set_tracking_uri` before.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_ssd.training.logs.log import Log

LONGEST = 500  # characters of a parameter; MLflow's own limit before version 2.8
STATUS = {"finished": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}


class MLflowLog(Log):
    """Logs to the run that is active, or to one of its own, which it ends."""

    name = "mlflow"
    title = "MLflow"
    package = "mlflow"
    _own_run = False

    def _open(self, facts: Mapping[str, Any], before: str | None) -> str | None:
        mlflow = self._import()
        active = mlflow.active_run()
        if active is None:
            active = mlflow.start_run(run_id=before) if before else mlflow.start_run(run_name=self.out.name)
            self._own_run = True
        if before is None:
            mlflow.log_params({name: str(value)[:LONGEST] for name, value in facts.items()})
        return active.info.run_id

    def _write(self, numbers: Mapping[str, float], epoch: int) -> None:
        self._import().log_metrics({allowed(name): value for name, value in numbers.items()}, step=epoch)

    def _keep(self, files: list[Path], epoch: int) -> None:
        for path in files:
            self._import().log_artifact(str(path))

    def _close(self, status: str) -> None:
        if self._own_run:
            self._import().end_run(STATUS[status])


def allowed(name: str) -> str:
    """A name that MLflow takes for a metric: class names may have other characters."""
    return re.sub(r"[^\w \-./]", "_", name, flags=re.ASCII)
