"""Lets readers search for numbers such as 403 and 1006, which Sphinx leaves out of its index and of queries."""

import sphinx.search
from sphinx.application import Sphinx
from sphinx.search.en import SearchEnglish


class SearchWithNumbers(SearchEnglish):
    """English, in which a number is a word: 403 is "n403" in the index and in queries."""

    lang = "numbers"
    js_splitter_code = r"""
var splitQuery = (query) => query
  .split(/[^\p{Letter}\p{Number}_\p{Emoji_Presentation}]+/gu)
  .filter((term) => term)
  .map((term) => /^\d+$/.test(term) ? `n${term}` : term);
"""

    def split(self, input: str) -> list[str]:  # noqa: A002 (Sphinx's name)
        """Return the words of *input*."""
        return [f"n{word}" if word.isdigit() else word for word in super().split(input)]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the language."""
    sphinx.search.languages["numbers"] = SearchWithNumbers
    return {"parallel_read_safe": True}
