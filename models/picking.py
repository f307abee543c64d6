"""Which accounts fit a team's week: the best of a ranking, and those of last week's list that are still near them.

A team that can make 8 calls picks 8 accounts. Whoever was on the list before (`previous`) stays until it is clearly
out, and whoever was not comes on once it is clearly in; between lies a buffer of 2 places on either side of the edge:

    place    1  2  3  4  5  6 | 7  8 | 9  10 | 11
    account  n  a  b  c  d  e | f  m | g  h  | i           previous: a b c d e f g i
             clearly in       | buffer       | clearly out

    n   was not on the list, place 6 or better      comes on
    i   was on the list, beyond place 10            leaves
    f   was on the list, in the buffer              stays
    m   was not on the list, in the buffer          waits: the places are taken
    g   was on the list, in the buffer              stays, although m is ahead of it

Eight in all: n a b c d e f g. Movements of up to two places change nothing: an account that comes on at place 6 has
to fall to 11 to leave again, unless better ones need its place.
"""

from collections.abc import Collection, Sequence


def usual_buffer(capacity: int) -> int:
    """The places on either side of the edge unless somebody says otherwise: a quarter of the capacity, rounded up, but
    less than the capacity itself."""
    return min(-(-capacity // 4), capacity - 1)


def pick(ranking: Sequence[str], previous: Collection[str], capacity: int, buffer: int) -> list[str]:
    """The accounts to take, in order of their places in `ranking` (best first); fewer than `capacity` only where there
    are fewer.

    First who is clearly in (place <= capacity - buffer), then who was there before and is not clearly out (place <=
    capacity + buffer), then by place. The ranking need not go further than place capacity + buffer. Nobody was there
    before (`previous` is empty): the first ones.
    """
    kept = set(previous)

    def turn(place: int) -> tuple[int, int]:
        if place <= capacity - buffer:
            return 0, place
        return (1 if ranking[place - 1] in kept and place <= capacity + buffer else 2), place

    places = sorted(range(1, len(ranking) + 1), key=turn)[:capacity]
    return [ranking[place - 1] for place in sorted(places)]
