"""Record of one job of a rehearsal."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage:
    """One job of the rehearsal, as a process.

    Attributes:
      name: name of the stage.
      units: units of work.
      unit: what a unit is.
      seconds: of the process, from its start to its end.
      files: files or objects in what the job wrote; 0 if it writes nothing.
      folders: folders there; 0 in a bucket.
      bytes: size of the files; 0 in a bucket, which isn't asked for sizes.
      fault: last lines of a job that failed; "" if it ended well.
    """

    name: str
    units: int
    unit: str
    seconds: float
    files: int
    folders: int
    bytes: int
    fault: str
