"""Where boxes, labels and lines stand: nothing on top of another, from left to right."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from jaxbackprop.graph.render._layout import Room, layout


@st.composite
def graphs(draw):
    """Rooms, lines between them without a cycle, and labels."""
    count = draw(st.integers(1, 14))
    room = st.builds(
        Room,
        st.sampled_from([9.0, 42.0, 90.0]),
        st.sampled_from([30.0, 42.0]),
        st.sampled_from([0.0, 8.0]),
        st.sampled_from([0.0, 16.0, 28.0]),
        st.booleans(),
    )
    rooms = draw(st.lists(room, min_size=count, max_size=count))
    pair = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)).filter(lambda p: p[0] < p[1])
    lines = draw(st.lists(pair, max_size=2 * count)) if count > 1 else []
    label = st.none() | st.tuples(st.sampled_from([20.0, 80.0]), st.sampled_from([33.0, 60.0]))
    return rooms, lines, draw(st.lists(label, min_size=len(lines), max_size=len(lines)))


def rectangle(centre, width, height):
    x, y = centre
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def overlap(a, b):
    near = 0.01
    return a[0] < b[2] - near and b[0] < a[2] - near and a[1] < b[3] - near and b[1] < a[3] - near


@given(graphs())
def test_no_box_or_label_covers_another(graph):
    rooms, lines, labels = graph
    found = layout(rooms, lines, labels)
    taken = [rectangle(c, r.width, r.height) for c, r in zip(found.boxes, rooms, strict=True)]
    taken += [rectangle(c, *label) for c, label in zip(found.labels, labels, strict=True) if label]
    assert len(taken) == len(rooms) + sum(label is not None for label in labels)
    assert not any(overlap(a, b) for a, b in itertools.combinations(taken, 2))
    captions = [
        (
            x - r.width / 2 - r.beside,
            y + r.height / 2,
            x + r.width / 2 + r.beside,
            y + r.height / 2 + r.beneath,
        )
        for (x, y), r in zip(found.boxes, rooms, strict=True)
    ]
    assert not any(overlap(caption, other) for caption in captions for other in taken)


@given(graphs())
def test_lines_join_their_boxes_and_run_level_through_their_labels(graph):
    rooms, lines, labels = graph
    found = layout(rooms, lines, labels)
    for (source, target), way, centre, label in zip(lines, found.lines, found.labels, labels, strict=True):
        (x0, y0), (x1, y1) = found.boxes[source], found.boxes[target]
        assert abs(way[0][0] - x0 - rooms[source].width / 2) < 0.01
        assert abs(way[-1][0] - x1 + rooms[target].width / 2) < 0.01
        assert abs(way[0][1] - y0) <= rooms[source].height / 2
        assert abs(way[-1][1] - y1) <= rooms[target].height / 2
        assert (centre is None) == (label is None)
        if centre is not None:
            across = [(centre[0] - label[0] / 2, centre[1]), (centre[0] + label[0] / 2, centre[1])]
            assert all(min(abs(x - a) + abs(y - b) for a, b in way) < 0.01 for x, y in across)


@given(graphs())
def test_everything_lies_within_the_size(graph):
    rooms, lines, labels = graph
    found = layout(rooms, lines, labels)
    reached = [point for way in found.lines for point in way]
    for (x, y), room in zip(found.boxes, rooms, strict=True):
        far = room.width / 2 + room.beside
        reached += [(x - far, y - room.height / 2), (x + far, y + room.height / 2 + room.beneath)]
    width, height = found.size
    assert all(-0.01 <= x <= width + 0.01 and -0.01 <= y <= height + 0.01 for x, y in reached)


def test_a_short_chain_goes_from_left_to_right_and_a_long_one_in_rows():
    def chain(count):
        lines = [(i, i + 1) for i in range(count - 1)]
        return layout([Room(42, 42)] * count, lines, [(60.0, 33.0)] * len(lines))

    short, long = chain(3), chain(60)
    assert [x for x, _ in short.boxes] == sorted(x for x, _ in short.boxes)
    assert len({y for _, y in short.boxes}) == 1
    assert len({y for _, y in long.boxes}) > 2
    assert long.size[0] < 8 * long.size[1]


def test_a_line_between_rows_keeps_clear_of_captions():
    count = 40
    lines = [(i, i + 1) for i in range(count - 1)]
    rooms = [Room(42, 42, 5.0, 28.0)] * count
    found = layout(rooms, lines, [(60.0, 20.0)] * len(lines))
    assert len({y for _, y in found.boxes}) > 1
    for (x, y), room in zip(found.boxes, rooms, strict=True):
        caption = x - 26, y + 22, x + 26, y + 21 + room.beneath
        for way in found.lines:
            for (ax, ay), (bx, by) in itertools.pairwise(way):
                assert not overlap(caption, (min(ax, bx), min(ay, by) - 1, max(ax, bx), max(ay, by) + 1))


def test_it_is_the_same_each_time_and_empty_where_nothing_is():
    rooms, lines = [Room(42, 42)] * 5, [(0, 2), (1, 2), (2, 3), (2, 4)]
    labels = [(40.0, 33.0), None, (40.0, 33.0), None]
    assert layout(rooms, lines, labels) == layout(rooms, lines, labels)
    assert layout([], [], []).size == (0.0, 0.0)
