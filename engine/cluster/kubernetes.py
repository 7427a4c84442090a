"""Steps of a run as indexed Jobs of Kubernetes: manifests, and a script that applies them in order.

Kubernetes has no dependencies between Jobs. The script submit.sh applies a Job, waits for its end and then
applies the next one; it needs kubectl and must stay, in tmux for instance. Meanwhile it writes down exit
codes and logs of tasks, for the status job. It is stopped and started again at will: a Job that is there is
waited for, not made again.
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

# Index, exit code and pod of each task of a Job one of whose pods has ended; of several codes the best.
ended() {{
  kubectl get pods -l "job-name=$1" -o \
    'jsonpath={{range .items[*]}}{{.metadata.annotations.batch\.kubernetes\.io/job-completion-index}} '\
'{{.status.containerStatuses[?(@.name=="main")].state.terminated.exitCode}} '\
'{{.metadata.name}}{{"\n"}}{{end}}' |
    awk 'NF == 3 {{
      rank = $2 == 0 ? 4 : $2 == 3 ? 3 : $2 == 2 ? 2 : 1
      if (rank >= best[$1]) {{ best[$1] = rank; line[$1] = $0 }}
    }} END {{ for (i in line) print line[i] }}'
}}

# record TASK CODE: false if that, or a code that is final, is recorded already.
record() {{
  local before=""
  [ -f "exit/$1" ] && before=$(< "exit/$1")
  case $before in 0|3|"$2") return 1 ;; esac
  echo "$2" > "exit/$1.new" && mv "exit/$1.new" "exit/$1"
}}

# note STEP JOB: exit codes and logs of its tasks, which isogloss status reads. What is noted stays when a
# node is removed with its pods; of those that ended with 0 Kubernetes itself keeps the indices.
note() {{
  local completed range index code pod
  completed=$(kubectl get job "$2" -o 'jsonpath={{.status.completedIndexes}}')
  for range in ${{completed//,/ }}; do
    for index in $(seq "${{range%-*}}" "${{range#*-}}"); do
      record "$1-$index" 0 || true
    done
  done
  while read -r index code pod; do
    if record "$1-$index" "$code" && [ "$code" != 0 ]; then
      kubectl logs "$pod" > "logs/$1-$index.log" || true
    fi
  done < <(ended "$2")
}}

# step NAME JOB TASKS: every task must end with 0 (done) or 3 (done as far as the inputs allow).
step() {{
  local conditions="" there index done=0
  there=$(kubectl get job "$2" --ignore-not-found -o name)
  for ((index = 0; index < $3; index++)); do
    [ -n "$there" ] || rm -f "exit/$1-$index"  # of a Job that was deleted
  done
  kubectl apply -f "$1.yaml"
  until [[ " $conditions " == *" Complete "* || " $conditions " == *" Failed "* ]]; do
    sleep "${{POLL:-10}}"
    conditions=$(kubectl get job "$2" -o 'jsonpath={{.status.conditions[?(@.status=="True")].type}}')
    note "$1" "$2"
  done
  for ((index = 0; index < $3; index++)); do
    case $(cat "exit/$1-$index" 2> /dev/null) in 0|3) done=$((done + 1)) ;; esac
  done
  if [ "$done" -lt "$3" ]; then
    echo "error: $1: $done of $3 tasks are done; see isogloss status --run=$PWD" >&2
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
    name = _job_name(run, step)
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
        steps="\n".join(f"step {step.name} {_job_name(run, step)} {step.tasks}" for step in steps)
    )


def _job_name(run: RunFolder, step: Step) -> str:
    return f"isogloss-{_dns(run.path.name)}-{_dns(step.name)}"


def _dns(name: str) -> str:
    """Name in letters that Kubernetes admits."""
    return re.sub("[^a-z0-9]+", "-", name.lower())[:_PART_LENGTH].strip("-")


def _pairs(values: Sequence[str], separator: str = "=") -> list[tuple[str, str]]:
    parts = [value.partition(separator) for value in values]
    return [(name, rest) for name, _, rest in parts]
