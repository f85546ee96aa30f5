"""Our Drain against drain3, a package of the stacks, message by message."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackyard_detector.readers.drain import VARIES, Drain
from stackyard_detector.readers.masks import MASKS, Masked

TOKENS = st.sampled_from(["a", "b", "c", "d", "e1", "22", VARIES, "é²"])
MESSAGES = st.lists(st.lists(TOKENS, max_size=6), max_size=25)
SETTINGS = st.tuples(
    st.integers(3, 6), st.sampled_from([0.1, 0.4, 0.5, 0.9, 1.0]), st.sampled_from([1, 2, 3, 100])
)


def both(settings, messages):
    """Both Drains fed the same messages, each asked after each."""
    theirs_of = pytest.importorskip(
        "drain3.drain", reason="drain3 is part of a stack, not of this Python"
    ).Drain
    depth, similarity, max_children = settings
    ours = Drain(depth, similarity, max_children)
    theirs = theirs_of(depth=depth, sim_th=similarity, max_children=max_children)
    for tokens in messages:
        cluster, _ = theirs.add_log_message(" ".join(tokens))
        assert ours.learn(tokens) + 1 == cluster.cluster_id
    assert ours.templates == [tuple(c.log_template_tokens) for c in theirs.clusters]
    return ours, theirs


def same_matches(ours, theirs, messages):
    for tokens in messages:
        cluster = theirs.match(" ".join(tokens), full_search_strategy="fallback")
        number = ours.match(tokens)
        assert (None if number is None else number + 1) == (None if cluster is None else cluster.cluster_id)


@given(SETTINGS, MESSAGES, MESSAGES)
def test_templates_and_matches_are_those_of_drain3(settings, messages, others):
    ours, theirs = both(settings, messages)
    same_matches(ours, theirs, [*messages, *others])


def test_a_set_built_from_templates_matches_as_drain3s_does():
    drain3 = pytest.importorskip("drain3.drain", reason="drain3 is part of a stack, not of this Python")
    chance = random.Random(7)
    templates = [
        [chance.choice(["a", "b", "c1", VARIES]) for _ in range(chance.randrange(6))] for _ in range(120)
    ]
    ours, theirs = Drain(), drain3.Drain()
    for number, tokens in enumerate(templates, 1):
        ours.add(tokens)
        cluster = drain3.LogCluster(tokens, number)
        theirs.id_to_cluster[number] = cluster
        theirs.add_seq_to_prefix_tree(theirs.root_node, cluster)
    messages = [
        [chance.choice(["a", "b", "c1", "x"]) for _ in range(chance.randrange(6))] for _ in range(600)
    ]
    same_matches(ours, theirs, messages)


def test_all_lines_of_hdfs_are_learnt_and_matched_as_by_drain3(real_data):
    import gzip

    with gzip.open(real_data("logai_samples/HDFS_20000.log.gz"), "rt") as lines:
        messages = [Masked(MASKS, 10).tokens(line) for line in list(lines)[::7]]
    ours, theirs = both((4, 0.4, 100), messages)
    assert len(ours.templates) > 5
    same_matches(ours, theirs, messages)


@given(SETTINGS, MESSAGES, MESSAGES, st.integers(0, 8))
def test_bounded_matches_are_those_of_all_or_none(settings, messages, others, most):
    ours = Drain(*settings)
    for tokens in messages:
        ours.learn(tokens)
    for tokens in [*messages, *others]:
        before, skipped = ours.comparisons, ours.skipped
        number = ours.match(tokens, most)
        assert ours.comparisons - before <= 2 * most
        if number is None and ours.skipped == skipped:
            assert ours.match(tokens) is None
        if number is not None:
            fits = zip(ours.templates[number], tokens)
            assert all(t in (VARIES, m) for t, m in fits)


def test_long_messages_cost_more_than_short_ones():
    ours = Drain()
    ours.learn(["word"] * 1000)
    ours.match(["word"] * 1000)
    assert ours.comparisons > 50


def test_a_depth_below_three_is_refused():
    with pytest.raises(ValueError, match="depth is 2"):
        Drain(depth=2)
