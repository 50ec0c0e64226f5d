"""Weights & Biases: a run with its config, history, summary, images and the model as an artifact.

Where it goes is the library's matter: `wandb login`, WANDB_PROJECT, WANDB_ENTITY, WANDB_MODE=offline.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_ssd.training.logs.log import Log

PROJECT = "keras_ssd"
EXIT_CODES = {"finished": 0, "interrupted": 130, "failed": 1}


class WandbLog(Log):
    """Logs to the run that is active, or to one of its own, which it finishes."""

    name = "wandb"
    title = "Weights & Biases"
    package = "wandb"
    _run: Any = None
    _own_run = False

    def _open(self, facts: Mapping[str, Any], before: str | None) -> str | None:
        wandb = self._import()
        if wandb.run is None:
            project = os.environ.get("WANDB_PROJECT", PROJECT)
            options = {"id": before, "resume": "allow"} if before else {}
            self._run = wandb.init(project=project, name=self.out.name, config=dict(facts), **options)
            self._own_run = True
        else:
            self._run = wandb.run
            self._run.config.update(dict(facts), allow_val_change=True)
        return self._run.id

    def _write(self, numbers: Mapping[str, float], epoch: int) -> None:
        self._run.log({"epoch": epoch, **numbers}, step=epoch if self._own_run else None)

    def _write_end(self, numbers: Mapping[str, float], epoch: int) -> None:
        self._run.summary.update(dict(numbers))

    def _keep(self, files: list[Path], epoch: int) -> None:
        wandb = self._import()
        images = {path.stem: wandb.Image(str(path)) for path in files if path.suffix == ".png"}
        if images:
            self._run.log(images)
        name = re.sub(r"[^\w.-]", "_", self.out.name, flags=re.ASCII)
        artifact = wandb.Artifact(f"{name or 'model'}-{self._run.id}", type="model")
        for path in files:
            artifact.add_file(str(path))
        self._run.log_artifact(artifact)

    def _close(self, status: str) -> None:
        if self._own_run:
            self._run.finish(exit_code=EXIT_CODES[status])
