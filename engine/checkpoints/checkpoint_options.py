"""Options of jobs that open a Whisper checkpoint. Imports nothing heavy."""

import dataclasses

from isogloss.engine.runtime.options import Field, option


def model_option(
    what: str = "Whisper checkpoint", others: str = "", default: object = dataclasses.MISSING
) -> Field:
    """Field `model` of a job's configuration; `others` are the other models that it takes."""
    return option(f"{what}: hub id, folder or OpenAI .pt file{others}.", default)


def revision_option() -> Field:
    """Field `revision` of a job's configuration."""
    return option("Commit, tag or branch of --model, if that is a hub id.", None)


def tokenizer_option() -> Field:
    """Field `tokenizer` of a job's configuration."""
    return option("Folder or hub id that holds the tokenizer; by default the model's own.", None)
