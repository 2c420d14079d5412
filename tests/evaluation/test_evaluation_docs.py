"""The examples of docs/guides/measuring do what the pages say."""

from __future__ import annotations

from documentation import run_examples

PAGES = ("metrics", "protocols", "evaluating", "several-datasets", "reranking")


def test_every_example_of_the_pages_runs() -> None:
    # This asserts: what each example gives is what the page shows.
    run_examples(*(f"guides/measuring/{name}.md" for name in PAGES), at_least=25)
