"""The graph of edits of one sentence: nodes are sets of edits that lie apart, neighbours differ by one span of words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

Node = tuple[int, ...]  # numbers of the edits that are made, in the order of their places; () is the input


class Edit(NamedTuple):
    """One edit of a sentence: words from `start` to before `stop` become `words`.

    Attributes:
        start, stop: places in the input; equal for an insertion.
        words: ids; empty for a deletion.
        loss: what it costs in fluency, nats per word of the sentence; negative where the sentence becomes more fluent.

    Example:
        >>> Edit(1, 2, (7,), 0.1).size
        1
    """

    start: int
    stop: int
    words: tuple[int, ...]
    loss: float = 0.0

    @property
    def size(self) -> int:
        """Words inserted, deleted or replaced."""
        return max(self.stop - self.start, len(self.words))


class Around(NamedTuple):
    """A node and its neighbours.

    Attributes:
        nodes: R nodes, the node itself first.
        places: (R, d) their codes.
        loss: (R,) their losses of fluency, nats per word.

    Example:
        >>> import torch
        >>> Around([()], torch.zeros(1, 8), torch.zeros(1)).nodes
        [()]
    """

    nodes: list[Node]
    places: Tensor
    loss: Tensor


class EditGraph:
    """Sentences within a few edits of an input.

    Two edits can be made together if at least one word of the input stays between them.

    Args:
        words: ids of the input's words.
        edits: proposals.
        longest: words of the longest sentence.

    Attributes:
        around: the nodes whose neighbours were looked at, with them.
        seen: codes, as bytes, of the nodes that walks came to.

    Example:
        >>> graph = EditGraph([4, 5, 6], [Edit(0, 1, (7,)), Edit(2, 3, (8, 9)), Edit(1, 2, ())], longest=4)
        >>> graph.sentence((0, 1)), graph.neighbours((0,))
        ([7, 5, 8, 9], [(), (0, 1)])
    """

    def __init__(self, words: Sequence[int], edits: Sequence[Edit], longest: int) -> None:
        self.words, self.edits, self.longest = list(words), list(edits), longest
        self.around: dict[Node, Around] = {}
        self.seen: dict[bytes, Node] = {}
        self._at: dict[int, list[int]] = {}
        for number, edit in enumerate(self.edits):
            self._at.setdefault(edit.start, []).append(number)

    def sentence(self, node: Node) -> list[int]:
        """Ids of the words of a node."""
        out: list[int] = []
        last = 0
        for number in node:
            edit = self.edits[number]
            out += self.words[last : edit.start]
            out += edit.words
            last = edit.stop
        return out + self.words[last:]

    def loss(self, node: Node) -> float:
        """Fluency that the edits of a node cost together, nats per word."""
        return sum(max(0.0, self.edits[number].loss) for number in node)

    def size(self, node: Node) -> int:
        """Words that the edits of a node insert, delete or replace."""
        return sum(self.edits[number].size for number in node)

    def neighbours(self, node: Node) -> list[Node]:
        """Nodes with one edit less, one more, or another one in its place: one span of words differs."""
        less = [tuple(k for k in node if k != out) for out in node]
        found = [one for one in less if 1 <= len(self.sentence(one)) <= self.longest]  # a deletion may have made room
        length = len(self.sentence(node))
        for number, edit in enumerate(self.edits):
            near = [k for k in node if not self._apart(self.edits[k], edit)]
            if number in near or len(near) > 1:
                continue
            if near and (self.edits[near[0]].start, self.edits[near[0]].stop) != (edit.start, edit.stop):
                continue
            gone = len(self.edits[near[0]].words) if near else edit.stop - edit.start
            if 1 <= length + len(edit.words) - gone <= self.longest:
                found.append(tuple(sorted((*(k for k in node if k not in near), number), key=self._place)))
        return found

    def _place(self, number: int) -> tuple[int, int]:
        return self.edits[number].start, self.edits[number].stop

    @staticmethod
    def _apart(one: Edit, other: Edit) -> bool:
        return one.stop < other.start or other.stop < one.start

    def find(self, sentence: Sequence[int]) -> Node | None:
        """The node with the fewest edits whose words are `sentence`; None if there is none."""
        best: dict[tuple[int, int, bool], tuple[int, Node] | None] = {}

        def search(i: int, j: int, free: bool) -> tuple[int, Node] | None:
            """The fewest edits from word i of the input and word j of the sentence on; free: an edit may begin here."""
            if (i, j, free) in best:
                return best[i, j, free]
            found: tuple[int, Node] | None = (0, ()) if i == len(self.words) and j == len(sentence) else None
            if i < len(self.words) and j < len(sentence) and self.words[i] == sentence[j]:
                found = search(i + 1, j + 1, True)
            for number in self._at.get(i, []) if free else []:
                edit = self.edits[number]
                if tuple(sentence[j : j + len(edit.words)]) == edit.words:
                    rest = search(edit.stop, j + len(edit.words), False)
                    if rest is not None and (found is None or rest[0] + 1 < found[0]):
                        found = rest[0] + 1, (number, *rest[1])
            best[i, j, free] = found
            return found

        made = search(0, 0, True)
        return None if made is None else made[1]
