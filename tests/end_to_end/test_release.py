"""The life of a repository's releases, by the command and without torch."""

from hubtune.errors import ConfigError
from tests.end_to_end.worlds import TARGET


def test_a_release_is_tagged_anew_listed_and_compared(finished):
    with finished.served() as api:
        hub = {"HF_ENDPOINT": api.endpoint, "HF_TOKEN": "any"}
        finished.hubtune("release", "tag", TARGET, "main", **hub).refused(ConfigError, "is tagged already: v1.0.0")
        made = finished.done("--json", "release", "tag", TARGET, "main", "v1.0.1", **hub).document
        listed = finished.done("--json", "release", "list", TARGET, **hub).document
        shown = finished.done("release", "diff", TARGET, "v1.0.0", "v1.0.1", **hub).out
        notes = finished.done("release", "notes", TARGET, "v1.0.0", "v1.0.1", **hub).out

    assert (made["tag"], made["source"], made["checked"]) == ("v1.0.1", finished.record("release.json")["commit"], True)
    assert (listed["main"], listed["main_tags"], listed["untagged"]) == (made["commit"], ["v1.0.1"], 0)
    assert [row["tag"] for row in listed["releases"]] == ["v1.0.1", "v1.0.0"]
    measured = finished.record("evaluation.json")["measures"][0]
    for row in listed["releases"]:
        assert (row["source"], row["problem"], row["measures"][0]["tuned"]) == ("records", None, measured["tuned"])
    files = shown.split("\nFiles\n")[1].split("\n\n")[0]
    assert files.split("\n") == ["  ~ README.md", "  ~ records/config.yaml"]
    assert notes.startswith("# quotes-lora v1.0.1\n")
    assert "The same settings." in notes
