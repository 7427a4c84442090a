"""Steps of a run as indexed Jobs of Kubernetes: manifests, and a script that applies them in order.

Kubernetes has no dependencies between Jobs. The script submit.sh applies a Job, waits for its end and then
applies the next one; it needs kubectl and must stay, in tmux for instance. It is stopped and started again
at will: a Job that is there is waited for, not made again.
"""

import re
from collections.abc import Mapping, Sequence

import yaml

from isogloss.engine.cluster.launch_config import LaunchConfig
from isogloss.engine.cluster.run_folder import PARTIAL, REFUSED, RunFolder
from isogloss.engine.cluster.steps import Step
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.refusal import Refusal

_FLAGS = "/etc/isogloss"
_PART_LENGTH = 21  # a pod's host name, isogloss-RUN-STEP-INDEX, has at most 63 characters

_SUBMIT = r"""#!/bin/bash
# Applies the Jobs of a run in order, each when the one before has ended. Needs kubectl; run it in tmux.
set -euo pipefail
cd "$(dirname "$0")"

# Exit codes of a Job's pods, one line per pod: index, code.
codes() {{
  kubectl get pods -l "job-name=$1" -o \
    'jsonpath={{range .items[*]}}{{.metadata.annotations.batch\.kubernetes\.io/job-completion-index}} '\
'{{.status.containerStatuses[0].state.terminated.exitCode}}{{"\n"}}{{end}}'
}}

# step NAME TASKS: 0 (done) or 3 (done as far as the inputs allow) must be among the codes of every index.
step() {{
  kubectl apply -f "$1.yaml"
  local ended=""
  until [[ " $ended " == *" Complete "* || " $ended " == *" Failed "* ]]; do
    sleep "${{POLL:-10}}"
    ended=$(kubectl get job "{prefix}-$1" -o 'jsonpath={{.status.conditions[?(@.status=="True")].type}}')
  done
  [[ " $ended " == *" Complete "* ]] && return
  local done
  done=$(codes "{prefix}-$1" | awk '$2 == 0 || $2 == 3 {{ print $1 }}' | sort -u | wc -l)
  if [ "$done" -lt "$2" ]; then
    echo "error: $1: $done of $2 tasks are done; see kubectl logs -l job-name={prefix}-$1" >&2
    exit 1
  fi
}}

{steps}
"""


def check(steps: Sequence[Step]) -> None:
    """Refuse steps whose Jobs would have one name."""
    if len({_dns(step.name) for step in steps}) < len(steps):
        raise Refusal(
            f"flag files must differ in their names' first {_PART_LENGTH} letters and digits, small ones: "
            f"{', '.join(step.name for step in steps)}"
        )


def documents(step: Step, run: RunFolder, config: LaunchConfig) -> list[dict[str, Json]]:
    """ConfigMap of a step's flags, and its Job."""
    name = f"{_prefix(run)}-{_dns(step.name)}"
    arguments = [f"--flagfile={_FLAGS}/{step.name}.flags", *step.shard_flags]
    if step.sharded:
        arguments[-1] += "$(JOB_COMPLETION_INDEX)"  # the kubelet puts the variable in
    container: dict[str, Json] = {
        "name": "main",
        "image": config.image,
        "command": ["python", "-m", f"isogloss.jobs.{step.job}"],
        "args": arguments,
        "env": [{"name": key, "value": value} for key, value in _pairs(step.environment(config.env))],
        "resources": {"limits": dict(_pairs(config.resources))},
        "volumeMounts": [
            {"name": "flags", "mountPath": _FLAGS},
            *({"name": claim, "mountPath": path} for claim, path in _pairs(config.volumes, ":")),
        ],
    }
    volumes = [
        {"name": "flags", "configMap": {"name": name}},
        *(
            {"name": claim, "persistentVolumeClaim": {"claimName": claim}}
            for claim, _ in _pairs(config.volumes, ":")
        ),
    ]
    spec = {
        "completionMode": "Indexed",
        "completions": step.tasks,
        "parallelism": step.tasks,
        "backoffLimitPerIndex": config.rounds - 1,
        "podFailurePolicy": {"rules": [*_RULES]},
        "template": {"spec": {"restartPolicy": "Never", "containers": [container], "volumes": volumes}},
    }
    flags: Mapping[str, Json] = {f"{step.name}.flags": step.flags}
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": flags},
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec},
    ]


_RULES: Sequence[Mapping[str, Json]] = (
    # A drained or preempted node isn't the task's fault: the pod is made again and isn't counted.
    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
    # What trying again can't change.
    {
        "action": "FailIndex",
        "onExitCodes": {"containerName": "main", "operator": "In", "values": [REFUSED, PARTIAL]},
    },
)


def manifest(step: Step, run: RunFolder, config: LaunchConfig) -> str:
    """Text of a step's manifest."""
    return yaml.safe_dump_all(documents(step, run, config), sort_keys=False)


def submit_script(steps: Sequence[Step], run: RunFolder) -> str:
    """Text of the script that applies the manifests in order."""
    return _SUBMIT.format(
        prefix=_prefix(run), steps="\n".join(f"step {_dns(step.name)} {step.tasks}" for step in steps)
    )


def _prefix(run: RunFolder) -> str:
    return f"isogloss-{_dns(run.path.name)}"


def _dns(name: str) -> str:
    """Name in letters that Kubernetes admits."""
    return re.sub("[^a-z0-9]+", "-", name.lower())[:_PART_LENGTH].strip("-")


def _pairs(values: Sequence[str], separator: str = "=") -> list[tuple[str, str]]:
    parts = [value.partition(separator) for value in values]
    return [(name, rest) for name, _, rest in parts]
