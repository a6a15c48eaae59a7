"""An app as a Job: its files are checkpoints, a later Job starts from one, and what does not fit ends it at once."""

from __future__ import annotations

from typing import Any

from tests.support.cluster import Object
from tests.support.release import TeamSpace

PATIENCE_SECONDS = 240
APP: dict[str, Any] = {"command": ["trainpoint", "run", "app", "/app/app.py"], "workflow": "app"}


def log_of(team: TeamSpace, job: str) -> str:
    team.namespace.wait(f"job/{job}", "Complete", seconds=PATIENCE_SECONDS)
    return team.namespace.logs(team.pod_of(job))


def saved(team: TeamSpace) -> list[str]:
    """The series of all checkpoints of apps, which are the names of their files."""
    return sorted(c["spec"]["snapshot"].get("series", "") for c in team.namespace.list("checkpoints.trainpoint.dev"))


def test_an_app_runs_as_a_job_and_a_later_one_starts_from_what_it_saved(team: TeamSpace) -> None:
    team.train("first", **APP)
    log = log_of(team, "first")
    assert log.count("the work runs") == 1
    assert "rounds: 10, counter: 1" in log
    first = saved(team)
    assert first
    assert all(name.startswith("lightningapp_checkpoint_") for name in first)
    assert len(set(first)) == len(first)

    team.train("latest", **APP, podAnnotations={"trainpoint.dev/checkpoint": "latest"})
    log = log_of(team, "latest")
    assert "the work runs" not in log, "finished work is not repeated"
    assert "rounds: 20, counter: 1" in log

    team.train("named", **APP, podAnnotations={"trainpoint.dev/checkpoint": first[-1]})
    assert "rounds: 20, counter: 1" in log_of(team, "named")
    assert len(set(saved(team))) == len(saved(team)), "names rise over all runs"


def test_a_state_that_does_not_fit_ends_the_job_with_one_pod_and_the_run_says_why(team: TeamSpace) -> None:
    team.train("first", **APP)
    log_of(team, "first")
    without = (
        "sed 's/self.w = Work()/pass/; s/self.w.run()/pass/; s/children_states\\[.*/pass/' /app/app.py > /tmp/app.py"
    )
    team.train(
        "other",
        command=["sh", "-c", f"{without} && exec trainpoint run app /tmp/app.py"],
        workflow="app",
        podAnnotations={"trainpoint.dev/checkpoint": "latest"},
    )
    team.namespace.wait("job/other", "Failed", seconds=PATIENCE_SECONDS)
    (pod,) = team.pods_of("other")
    name = pod["metadata"]["name"]
    sentence = "The component w wasn't instantiated for the component root"
    log = team.namespace.logs(name)
    assert team.namespace.exit_code(name) == 86, log
    assert sentence in log
    assert "load_state_dict" in log
    assert "rounds:" not in log

    def told() -> list[str]:
        status: Object = team.run_of("other").get("status", {})
        return [str(condition.get("message", "")) for condition in status.get("conditions", [])] + [
            str(attempt.get("message", "")) for attempt in status.get("attempts", [])
        ]

    team.namespace.wait_until(
        "the run says why", told, lambda messages: any(sentence in message for message in messages), seconds=60
    )
