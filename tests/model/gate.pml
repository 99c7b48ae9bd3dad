/* The gate between intervals, and workers that publish as Leashed does, drop a gradient, or find the quota reached.
docs/model.md explains.

One step here is one atomic operation there. A wait is a guard: what it waits for stays true once it is. Sizes: WORKERS,
QUOTA (versions made), INTERVAL (gradients of an interval), DROPS (gradients that may be dropped).
Broken on purpose: FINISH_FIRST (counted as finished before the update), VERSION_ONLY (who waits looks at VERSION alone,
which may lag behind the pointer for ever). */

#ifndef WORKERS
#define WORKERS 3
#endif
#ifndef QUOTA
#define QUOTA 3
#endif
#ifndef INTERVAL
#define INTERVAL 2
#endif
#ifndef DROPS
#define DROPS 1
#endif
#define MOST (QUOTA + DROPS + 2 * WORKERS)

byte POINTER;          /* versions published */
byte VERSION;          /* as stored afterwards: not always in order */
byte TICKET;
byte FINISHED;
byte CLOSES = INTERVAL;

/* Ghosts */
byte written[MOST];    /* of each interval: gradients that are applied or dropped */
byte dropped;
byte ended;

/* gate.py: finish */
inline finish()
{
    closes = CLOSES;
    atomic { FINISHED++; last = FINISHED };
    if
    :: last == closes -> CLOSES = closes + INTERVAL
    :: else
    fi
}

proctype worker()
{
    byte number, closes, last, version, i;
    do
    :: VERSION >= QUOTA -> break /* common.py: goes_on */
    :: else ->
       atomic { number = TICKET; TICKET++ };
       /* gate.py: admitted, is_over */
       if
       :: number < CLOSES
#ifdef VERSION_ONLY
       :: number >= CLOSES && VERSION >= QUOTA -> break
#else
       :: number >= CLOSES && (VERSION >= QUOTA || POINTER >= QUOTA) -> break
#endif
       fi;
       /* read: all gradients of earlier intervals are finished, none of a later one has begun */
       atomic {
           for (i : 0 .. MOST - 1) {
               assert(i >= number / INTERVAL || written[i] == INTERVAL);
               assert(i <= number / INTERVAL || written[i] == 0)
           };
           i = 0
       };
#ifdef FINISH_FIRST
       finish();
#endif
       if
       :: atomic { POINTER < QUOTA -> POINTER++; version = POINTER; written[number / INTERVAL]++ };
          VERSION = version
       :: atomic { dropped < DROPS -> dropped++; written[number / INTERVAL]++ }
       :: POINTER == QUOTA -> break
       fi;
#ifndef FINISH_FIRST
       finish();
#endif
       number = 0;
       closes = 0;
       last = 0;
       version = 0
    od;
    ended++
}

init
{
    byte i;
    atomic {
        for (i : 1 .. WORKERS) {
            run worker()
        }
    };
    atomic { ended == WORKERS -> assert(POINTER == QUOTA && CLOSES > FINISHED) }
}
