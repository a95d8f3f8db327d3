"""Publishing: the plan of a release, what is checked before, the one commit with its tag, and a tag given later."""
