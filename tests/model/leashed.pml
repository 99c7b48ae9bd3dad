/* Leashed-SGD: the pool of parameter vectors, the workers and the evaluator.

One step here is one atomic operation there, with the computation of the worker's own that follows it; one block of a
vector is read, or read and written, in one step. docs/model.md says which lines here stand for which function there,
what is checked, and what is left out.

Sizes: WORKERS, QUOTA (versions made), SLOTS (vectors), BLOCKS (of a vector).
Options: PERSISTENCE (without it: no bound), CHECK_EARLY, KEPT (views are kept for the compensation),
EVAL_EVERY (evaluations, with one mailbox), STOPS (the run may be stopped at any time).
Broken on purpose: NO_TAG, NO_RECHECK, NO_STATE_TAG, NO_COUNT, MARK_LATE; and NO_TAG_IN_SWAP, which is right. */

#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef QUOTA
#define QUOTA 3
#endif
#ifndef BLOCKS
#define BLOCKS 2
#endif
#ifdef KEPT
#define HELD 3 /* the most vectors that a worker holds: to write, to read, and its view */
#else
#define HELD 2
#endif
#ifdef EVAL_EVERY
#define BOXES 1
#else
#define BOXES 0
#endif
#ifndef SLOTS
#define SLOTS (HELD * WORKERS + 1 + BOXES) /* as engine/memory.py allocates */
#endif

#ifndef START
#define START (2 * me) /* where a worker looks first for a free slot */
#endif

#define FREE 0
#define OWNED 1
#define CURRENT 2
#define STALE 3
#define EMPTY 0
#define CLAIMED 255
#define UNDECIDED 0
#define APPLIED 1
#define DROPPED 2
#define ENDED 3

/* A word that names a vector, and the state of a slot: a version and what it belongs to. */
#define word(version, slot) ((version) << 4 | (slot))
#define slot_of(word) ((word) & 15)
#define version_of(word) ((word) >> 4)
#define status_of(state) ((state) & 3)
#ifdef NO_STATE_TAG
#define state_of(version, status) (status)
#else
#define state_of(version, status) ((version) << 2 | (status))
#endif

typedef Slot {
    byte readers;
    byte state;
    byte sum;           /* of the scales; each is 1, so it is the version */
    byte block[BLOCKS]  /* the vector: each block holds the version that it was written for */
}

Slot slots[SLOTS];
byte POINTER;
byte VERSION;
#ifdef STOPS
bit STOP;
#define STOPPED STOP
#else
#define STOPPED false
#endif
byte box_version = EMPTY;
byte box_vector;

#define intact(word) \
    (slots[slot_of(word)].sum == version_of(word) && slots[slot_of(word)].block[0] == version_of(word) \
     && slots[slot_of(word)].block[BLOCKS - 1] == version_of(word))

/* Ghosts: what is true, for the assertions alone. */
byte made;              /* versions published */
byte idle = SLOTS - 1;  /* slots that are free */
byte ended;             /* workers that have ended */

/* What is compared: where a pointer is read again, and where it is replaced. */
#ifdef NO_TAG
#define same(pointer) (slot_of(POINTER) == slot_of(pointer))
#define swappable(pointer) same(pointer)
#else
#define same(pointer) (POINTER == pointer)
#ifdef NO_TAG_IN_SWAP
#define swappable(pointer) (slot_of(POINTER) == slot_of(pointer))
#else
#define swappable(pointer) (POINTER == pointer)
#endif
#endif
#ifdef NO_COUNT
#define unread(slot) true
#else
#define unread(slot) (slots[slot].readers == 0)
#endif

/* pool.py: claim. There must be a free slot at each look. */
inline claim(mine, start)
{
    mine = start;
    do
    :: atomic { status_of(slots[mine].state) == FREE -> state = slots[mine].state; assert(idle > 0) };
       if
       :: atomic { slots[mine].state == state -> slots[mine].state = state | OWNED; idle-- }; break
       :: else -> mine = (mine + 1) % SLOTS
       fi
    :: atomic { else -> assert(idle > 0); mine = (mine + 1) % SLOTS }
    od
}

/* pool.py: pin */
inline pin(slot)
{
    slots[slot].readers++
}

/* pool.py: release. `held` is what must hold of the vector until its reader leaves. */
inline release(slot, held)
{
    atomic { assert(slots[slot].readers > 0 && held); slots[slot].readers-- };
    if
    :: atomic { status_of(slots[slot].state) == STALE -> state = slots[slot].state };
       if
       :: unread(slot);
          if
          :: atomic { slots[slot].state == state -> slots[slot].state = state & ~3; idle++ }
          :: else
          fi
       :: else
       fi
    :: else
    fi
}

/* pool.py: acquire. What is returned is the newest version at the time of the second look. */
inline acquire(pointer)
{
    do
    :: pointer = POINTER;
       pin(slot_of(pointer));
#ifdef NO_RECHECK
       break
#else
       if
       :: atomic { same(pointer) -> assert(version_of(pointer) == made) }; break
       :: else -> release(slot_of(pointer), true)
       fi
#endif
    od
}

/* A gradient or an evaluation reads the whole vector: it stays the version that was asked for. */
inline read(slot, version)
{
    i = 0;
    do
    :: atomic { i < BLOCKS -> assert(slots[slot].block[i] == version); i++ }
    :: atomic { i == BLOCKS -> i = 0; break }
    od
}

/* pool.py: publish. Each version is the one before it + 1. With the assertion in `acquire`, a staleness
   (version_of(pointer) - version_of(view)) is the number of versions made since the view was read. */
inline publish(pointer, mine)
{
#ifndef MARK_LATE
    slots[mine].state = state_of(version_of(pointer) + 1, CURRENT);
#endif
    if
    :: atomic {
           swappable(pointer) ->
           assert(version_of(POINTER) == version_of(pointer) && made == version_of(pointer));
           assert(slots[slot_of(pointer)].readers > 0);
           POINTER = word(version_of(pointer) + 1, mine);
           made++;
           outcome = APPLIED
       };
progress:
#ifdef MARK_LATE
       slots[mine].state = state_of(version_of(pointer) + 1, CURRENT);
#endif
       slots[slot_of(pointer)].state = state_of(version_of(pointer), STALE)
    :: else -> slots[mine].state = state_of(version_of(pointer) + 1, OWNED)
    fi;
    release(slot_of(pointer), intact(pointer))
}

/* leashed.py: prepare. `i` is BLOCKS at the end, or less if an early check found another version. */
inline prepare(pointer, mine)
{
    i = 0;
    do
    :: i < BLOCKS ->
#ifdef CHECK_EARLY
       if
       :: POINTER == pointer
       :: else -> break
       fi;
#endif
       atomic {
           assert(slots[slot_of(pointer)].block[i] == version_of(pointer));
           slots[mine].block[i] = version_of(pointer) + 1;
           i++
       }
    :: else -> break
    od
}

/* leashed.py: hand_over_slot, with common.py: free_box and post */
inline hand_over_slot(slot, version)
{
    if
    :: atomic { box_version == EMPTY -> box_version = CLAIMED };
       box_vector = slot;
       box_version = version
    :: STOPPED -> release(slot, intact(word(version, slot)))
    fi
}

#ifdef EVAL_EVERY
#define evaluated ((version_of(pointer) + 1) % EVAL_EVERY == 0)
#else
#define evaluated false
#endif

/* leashed.py: land */
inline land()
{
    tries = 0;
    outcome = UNDECIDED;
    do
    :: outcome != UNDECIDED -> break
    :: else ->
       /* 1. Pin the current vector */
       acquire(pointer);
       if
       :: version_of(pointer) == QUOTA -> release(slot_of(pointer), intact(pointer)); outcome = ENDED
       :: else ->
          /* 2. Choose the step */
#ifdef MERGED
          d_step {
              assert(intact(pointer));
              slots[mine].sum = version_of(pointer) + 1;
              for (i : 0 .. BLOCKS - 1) {
                  slots[mine].block[i] = version_of(pointer) + 1
              }
          }
#else
          assert(slots[slot_of(pointer)].sum == version_of(pointer));
          slots[mine].sum = version_of(pointer) + 1;
#ifdef KEPT
          read(slot_of(view), version_of(view));
#endif
          /* 3. Write the next vector */
          prepare(pointer, mine);
#endif
          if
          :: i == BLOCKS ->
             i = 0;
             if
             :: evaluated -> pin(mine)
             :: else
             fi;
             /* 4. Publish it */
             publish(pointer, mine);
             if
             :: outcome == UNDECIDED && evaluated -> release(mine, true)
             :: else
             fi
          :: else -> i = 0; release(slot_of(pointer), intact(pointer))
          fi;
          /* 5. Failed */
#ifdef PERSISTENCE
          if
          :: outcome == UNDECIDED ->
             tries++;
             if
             :: tries > PERSISTENCE -> outcome = DROPPED
             :: else
             fi
          :: else
          fi
#endif
       fi
    od;
    /* 6. Published */
    if
    :: outcome == APPLIED ->
       VERSION = version_of(pointer) + 1;
       if
       :: evaluated -> hand_over_slot(mine, version_of(pointer) + 1)
       :: else
       fi
    :: else
    fi;
    pointer = 0;
    tries = 0
}

/* leashed.py: work */
proctype worker(byte me)
{
    byte mine, pointer, view, state, tries, i, outcome;
#ifdef ROUNDS
    byte rounds;
#endif
    claim(mine, START);
    do
    :: STOPPED -> break
    :: else ->
       if
       :: VERSION >= QUOTA -> break
       :: else
       fi;
#ifdef ROUNDS
       if
       :: rounds == ROUNDS -> break
       :: else -> rounds++
       fi;
#endif
       /* 1. Read */
       acquire(view);
#ifndef MERGED
       assert(slots[slot_of(view)].sum == version_of(view));
       /* 2. Compute */
       read(slot_of(view), version_of(view));
#endif
       /* 3. Publish */
#ifdef KEPT
       land();
       release(slot_of(view), intact(view));
#else
       release(slot_of(view), intact(view));
       land();
#endif
       view = 0;
       if
       :: outcome == APPLIED -> outcome = UNDECIDED; claim(mine, START)
       :: outcome == ENDED -> outcome = UNDECIDED; break
       :: outcome == DROPPED -> outcome = UNDECIDED
       fi
    od;
    ended++
}

#ifdef EVAL_EVERY
/* controller.py: _collect_mail, _submit, _empty, and the evaluation itself */
active proctype evaluator()
{
    byte state, i;
end:
    do
    :: box_version != EMPTY && box_version != CLAIMED ->
       read(box_vector, box_version);
       release(box_vector, intact(word(box_version, box_vector)));
       box_version = EMPTY
    od
}
#endif

init
{
    byte i, owned, current;
    atomic {
        slots[0].state = state_of(0, CURRENT);
        for (i : 0 .. WORKERS - 1) {
            run worker(i)
        }
    };
#ifdef STOPS
    if
    :: STOP = 1
    :: skip
    fi;
#endif
    /* At the end every slot is free, or current, or that of one worker, and none has a reader. */
    atomic {
        ended == WORKERS && box_version == EMPTY;
        for (i : 0 .. SLOTS - 1) {
            assert(slots[i].readers == 0 && status_of(slots[i].state) != STALE);
            if
            :: status_of(slots[i].state) == OWNED -> owned++
            :: status_of(slots[i].state) == CURRENT -> current++; assert(slot_of(POINTER) == i)
            :: else
            fi
        };
        assert(owned == WORKERS && current == 1 && idle == SLOTS - WORKERS - 1);
        assert(version_of(POINTER) == made && (STOPPED || made == QUOTA));
        read(slot_of(POINTER), made)
    }
}
