"""Publishing: the plan of a release, the checks before it, the one commit with its tag, and tagging a commit later."""
