"""Sets of edits of one sentence."""

from __future__ import annotations

from envs.manifolds.edits.graph import Edit, EditGraph

WORDS = [4, 5, 6, 7]
EDITS = [
    Edit(0, 1, (8,)),
    Edit(1, 2, ()),
    Edit(2, 3, (9, 10), 0.3),
    Edit(2, 3, (11,), -0.1),
    Edit(4, 4, (12,)),
    Edit(1, 1, (13,)),
]
GRAPH = EditGraph(WORDS, EDITS, longest=5)


def test_neighbours_differ_by_one_span_and_are_mutual():
    seen, front = {()}, [()]
    while front:
        node = front.pop()
        for other in GRAPH.neighbours(node):
            assert node in GRAPH.neighbours(other)
            changed = {GRAPH.edits[k][:2] for k in set(node) ^ set(other)}
            assert len(changed) == 1
            if other not in seen:
                seen.add(other)
                front.append(other)
    assert len(seen) > len(EDITS)


def test_no_sentence_is_longer_than_data_space_or_empty():
    for node in [(), *GRAPH.neighbours(())]:
        for other in GRAPH.neighbours(node):
            assert 1 <= len(GRAPH.sentence(other)) <= 5
    assert EditGraph([4], [Edit(0, 1, ())], longest=5).neighbours(()) == []


def test_edits_that_touch_exclude_each_other():
    assert (0, 5) not in GRAPH.neighbours((0,))  # an insertion right behind a replaced word
    assert (0, 2) in GRAPH.neighbours((0,))


def test_a_removed_deletion_does_not_make_a_sentence_too_long():
    graph = EditGraph([4, 5, 6, 7, 8], [Edit(0, 1, ()), Edit(3, 3, (9,))], longest=5)
    assert (0, 1) in graph.neighbours((0,))
    assert (1,) not in graph.neighbours((0, 1))


def test_sentences_are_found_again_by_the_fewest_edits():
    for node in [(), *GRAPH.neighbours(()), *GRAPH.neighbours((0,))]:
        found = GRAPH.find(GRAPH.sentence(node))
        assert found is not None
        assert GRAPH.sentence(found) == GRAPH.sentence(node)
        assert len(found) <= len(node)
    assert GRAPH.find([4, 4, 4]) is None


def test_only_losses_count():
    assert GRAPH.loss((2, 4)) == 0.3
    assert GRAPH.loss((3,)) == 0
    assert GRAPH.size((0, 2)) == 3
