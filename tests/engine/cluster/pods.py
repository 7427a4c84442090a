"""Stands for kubectl: runs a Job's pods as processes of this machine, as far as a container can tell.

    pods.py apply -f FILE        runs all pods to their end, by the Job's own rules
    pods.py get job NAME ...     prints the conditions that hold, or the indices that ended with 0
    pods.py get pods -l job-name=NAME ...   prints index, exit code and name of every pod
    pods.py logs POD             prints an error that names the pod

State is in the folder $PODS. A line "INDEX kill" in $PODS/disturb kills the next pod of an index; a line
"INDEX drain" does so as a drained node does: the pod isn't counted. Pods of the indices in $PODS/gone are
deleted at their end, as those of a removed node.
"""

import collections
import json
import os
import pathlib
import subprocess
import sys

import yaml

STATE = pathlib.Path(os.environ["PODS"])


def pod(job, flags, index):
    """A process of a Job's container."""
    [container] = job["spec"]["template"]["spec"]["containers"]
    folder = STATE / "flags"
    folder.mkdir(exist_ok=True)
    for name, text in flags["data"].items():
        (folder / name).write_text(text)
    [mount] = [each["mountPath"] for each in container["volumeMounts"] if each["name"] == "flags"]
    words = [
        word.replace(mount, str(folder)).replace("$(JOB_COMPLETION_INDEX)", str(index))
        for word in [*container["command"], *container.get("args", ())]
    ]
    given = {each["name"]: each["value"] for each in container["env"]}
    return subprocess.Popen(words, env={**os.environ, **given, "JOB_COMPLETION_INDEX": str(index)})


def action(spec, code):
    """What the Job's rules say of an exit code."""
    for rule in spec["podFailurePolicy"]["rules"]:
        if code in rule.get("onExitCodes", {}).get("values", ()):
            return rule["action"]
    return "Count"


def apply(path):
    flags, job = yaml.safe_load_all(pathlib.Path(path).read_text())
    state = STATE / f"{job['metadata']['name']}.json"
    if state.exists():
        return
    spec, ended, failures, failed = job["spec"], [], collections.Counter(), set()
    disturb = STATE / "disturb"
    to_come = [line.split() for line in disturb.read_text().splitlines()] if disturb.exists() else []
    disturb.unlink(missing_ok=True)
    waiting = collections.deque(range(spec["completions"]))
    while waiting:
        index = waiting.popleft()
        process = pod(job, flags, index)
        what = next((each for each in to_come if each[0] == str(index)), None)
        if what:
            to_come.remove(what)
            process.kill()
        code = process.wait() % 256
        ended.append((index, code))
        if code == 0:
            continue
        if what and what[1] == "drain":
            waiting.append(index)
            continue
        failures[index] += 1
        if action(spec, code) == "FailIndex" or failures[index] > spec["backoffLimitPerIndex"]:
            failed.add(index)
        else:
            waiting.append(index)
    gone = STATE / "gone"
    removed = gone.read_text().split() if gone.exists() else []
    completed = sorted(index for index, code in ended if code == 0)
    state.write_text(
        json.dumps(
            {
                "conditions": ["Failed" if failed else "Complete"],
                "completedIndexes": [",".join(map(str, completed))],
                "ended": [pod for pod in ended if str(pod[0]) not in removed],
            }
        )
    )


def main():
    verb, *rest = sys.argv[1:]
    if verb == "apply":
        apply(rest[1])
    elif verb == "logs":
        print(f"error: what {rest[0]} said")
    elif rest[0] == "job" and "--ignore-not-found" in rest:
        print(f"job/{rest[1]}" * (STATE / f"{rest[1]}.json").exists())
    elif rest[0] == "job":
        key = "completedIndexes" if "completedIndexes" in rest[-1] else "conditions"
        print(*json.loads((STATE / f"{rest[1]}.json").read_text())[key])
    else:
        assert '[?(@.name=="main")]' in rest[-1], "a pod may have containers of others, too"
        name = rest[2].removeprefix("job-name=")
        for number, (index, code) in enumerate(json.loads((STATE / f"{name}.json").read_text())["ended"]):
            print(index, code, f"{name}-{index}-{number}")


main()
