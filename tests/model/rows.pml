/* Rows on their way to the controller: versions claimed by one addition (Hogwild) or published, the two rings, the
marks `written`, and the announced views that keep dropped rows in order. docs/model.md explains.

One step here is one atomic operation there. A gradient becomes an update or is dropped, as it happens.
Sizes: WORKERS, QUOTA (versions made), RING (places of each ring), ROUNDS (gradients of each worker).
Broken on purpose: NO_ROOM (a row does not wait for its place), MARK_FIRST (the mark is written before the row),
FORGET_FIRST (the announcement is taken back before the dropped row has its number), ANNOUNCE_LATE (after the last look). */

#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef QUOTA
#define QUOTA 3
#endif
#ifndef RING
#define RING 1
#endif
#ifndef ROUNDS
#define ROUNDS 2
#endif
#define NEVER 255

byte VERSION;           /* claimed or published */
byte DRAINED, DROPPED, DROPPED_DRAINED;
byte READING[WORKERS] = NEVER;
byte rows[2 * RING];    /* of an update its version; of a dropped gradient the last version that it saw, + 1 */
byte written[2 * RING]; /* 1 + the number of the row that is there */
byte ended;

/* common.py: _hand_in */
inline hand_in(ring, drained, number, row)
{
#ifndef NO_ROOM
    number - drained < RING; /* wait for the place */
#endif
#ifdef MARK_FIRST
    written[ring * RING + number % RING] = number + 1;
    rows[ring * RING + number % RING] = row
#else
    rows[ring * RING + number % RING] = row;
    written[ring * RING + number % RING] = number + 1
#endif
}

proctype worker(byte me)
{
    byte version, number, rounds;
    do
    :: rounds == ROUNDS -> break
    :: else ->
       rounds++;
       /* leashed.py: work, 1. Announce a version no newer than the view */
       number = VERSION;
#ifndef ANNOUNCE_LATE
       READING[me] = number;
#endif
       /* 3. Publish: one fetch-and-add of Hogwild, or one swap of Leashed */
       if
       :: atomic { VERSION < QUOTA -> version = VERSION; VERSION++ };
          READING[me] = NEVER;
          hand_in(0, DRAINED, version, version + 1)
       :: version = VERSION; /* the last version that was seen */
#ifdef ANNOUNCE_LATE
          READING[me] = number;
#endif
#ifdef FORGET_FIRST
          READING[me] = NEVER;
#endif
          atomic { number = DROPPED; DROPPED++ };
#ifndef FORGET_FIRST
          READING[me] = NEVER;
#endif
          hand_in(1, DROPPED_DRAINED, number, version + 1)
       fi;
       version = 0;
       number = 0
    od;
    ended++
}

byte newest;    /* the last version whose row has been taken */
byte horizon;
byte held;      /* the last update that was given out */
byte dropped;   /* dropped rows that were taken */
bit last;

/* rows.py: _in_order, with collect.py: _copy, of one row of ring 1. A dropped row follows the version that it saw: none after it may have been
given out. Numbers that are taken come without a gap. */
inline take_dropped()
{
    written[RING + DROPPED_DRAINED % RING] == DROPPED_DRAINED + 1;
    assert(rows[RING + DROPPED_DRAINED % RING] > held);
    rows[RING + DROPPED_DRAINED % RING] = 0;
    DROPPED_DRAINED++
}

/* rows.py: take and acknowledge, with collect.py: _copy and _oldest_view */
active proctype controller()
{
    byte i, taken, claimed;
    do
    :: last -> break
    :: else ->
       last = (ended == WORKERS);
       /* the finished rows of ring 0 */
       i = DRAINED;
       do
       :: written[i % RING] == i + 1 ->
          assert(rows[i % RING] == i + 1); /* whole, and the next */
          rows[i % RING] = 0;
          newest = i + 1;
          i++
       :: else -> break
       od;
       taken = i;
       /* the horizon */
       horizon = newest;
       i = 0;
       do
       :: last || i == WORKERS -> break
       :: else -> atomic { horizon = (READING[i] < horizon -> READING[i] : horizon); i++ }
       od;
       /* the rows of ring 1 that have a number */
       claimed = DROPPED;
       do
       :: DROPPED_DRAINED < claimed -> take_dropped()
       :: else -> break
       od;
       /* rows up to the horizon are given out, in order */
       held = (horizon > held -> horizon : held);
       /* and their places in ring 0 are free */
       DRAINED = taken
    od;
    assert(newest == VERSION && DRAINED == VERSION && DROPPED_DRAINED == DROPPED && held == VERSION)
}

init
{
    byte i;
    atomic {
        for (i : 0 .. WORKERS - 1) {
            run worker(i)
        }
    }
}
